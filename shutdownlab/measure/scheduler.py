"""Spreads probes over the agents so that the machine is busy but never the cause of a verdict.

- A probe holds a share of the machine only until it is done, or has been at work longer than its like usually takes:
  from then on it waits for the network, and waiting costs nothing. So a blackout's hundreds of timeouts run out side by
  side, while probes that succeed never queue deep. How many shares there are, `Pace` learns.
- Those that will likely have no answer go first: the others work while they wait.
- A download has the line of its place to itself, and so has a second try that nobody expected: on a throttled line the
  place's own probes may have been what it failed by.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from shutdownlab.measure.pace import Pace
from shutdownlab.measure.supervisor import Supervisor
from shutdownlab.model.scenario import Outcome
from shutdownlab.protocol.probing import Measurement, ProbeJob, ProbeRequest

PATIENCE: Final = (0.4, 0.65, 2.0, 3.0)
"""Of each try; scales the requests' own, which the pace scales where the machine is slow."""

UNDER_WAY: Final = 64
"""Probes of one agent that may be under way."""
# An agent that has not answered so long after all steps of a probe must have timed out hangs.
_HANG_S: Final = 30.0
_MOST_STEPS: Final = 24
_TICK_S: Final = 0.5
_MOST_AT_ONCE: Final = 12.0
# What one that will only wait takes of the credit.
_WAITER: Final = 0.4


@dataclass(frozen=True, slots=True)
class Round:
    """Until a probe has been tried so often; `part` of the pace's window is used."""

    tries: int
    part: float


@dataclass(slots=True, eq=False)
class Task:
    """A probe and how it came out so far. `hopeless`: likely to fail. `agreeing`: how many of the last tries agree."""

    agent: str
    request: ProbeRequest
    hopeless: bool
    tries: int = 0
    found: Measurement | None = None
    agreeing: int = 0

    @property
    def kind(self) -> tuple[str, str, str]:
        """What takes the same time in every phase, as long as it succeeds."""
        return self.agent, self.request.name, self.request.family

    @property
    def doubtful(self) -> bool:
        return self.found is None or self.found.doubtful

    @property
    def confirmed(self) -> bool:
        return self.agreeing >= (2 if self.hopeless else 3)

    @property
    def waits_for_quiet(self) -> bool:
        """Whether it waits until its place is quiet, as a download does and what has failed unexpectedly."""
        return self.request.alone or (self.tries > 0 and not self.hopeless)

    def learn(self, found: Measurement) -> None:
        """Another try has come out."""
        self.tries += 1
        alike = self.found is not None and self.found.outcome is found.outcome
        self.agreeing = self.agreeing + 1 if alike else 1
        self.found = replace(found, passes=self.tries)

    def result(self, *, believed: bool = True) -> tuple[str, ProbeRequest, Measurement]:
        """What came out. `believed`: no for what is still doubtful at the end, which is no verdict on the network."""
        assert self.found is not None, "it has been tried"
        if not self.doubtful:
            return self.agent, self.request, self.found
        if believed:
            return self.agent, self.request, replace(self.found, certainty="confirmed")
        return self.agent, self.request, replace(self.found, outcome=Outcome.UNKNOWN, certainty="unconfirmed")


@dataclass(slots=True)
class _Flight:
    """A try under way. `then`: what waits for it, as a call does for its callee's registration."""

    task: Task
    agent: str
    hangs_at: float
    then: Callable[[], None] | None


class Work:
    """One round over some probes."""

    def __init__(self, board: Supervisor, limits: Round, pace: Pace) -> None:
        self.board, self.limits, self.pace = board, limits, pace
        self.fresh: deque[Task] = deque()
        self.again: deque[Task] = deque()
        self.flights: dict[int, _Flight] = {}
        self.under_way: Counter[str] = Counter()
        self.working: Counter[str] = Counter()  # by place
        self.first: Counter[str] = Counter()  # by place: what is still to launch before those that want to be alone
        self.settling: dict[int, tuple[float, str, int]] = {}  # job number to (until when it works, place, shares)
        self.shares = 0
        self.credit = 0.0
        self.credited_at = time.monotonic()

    def run(self, todo: Sequence[Task]) -> Iterator[Task]:
        """Yields those that came out certain; the others are left doubtful."""
        # A download comes after all else of its place, whose line they share; so places with downloads begin.
        downloading = {task.request.place for task in todo if task.request.alone}
        self.first.update(task.request.place for task in todo if not task.waits_for_quiet)
        self.fresh.extend(
            sorted(todo, key=lambda t: (not t.hopeless, t.request.place not in downloading, t.request.alone))
        )
        while self.fresh or self.again or self.flights:
            yield from self._lost()
            self._launch_all()
            if not self.flights:
                continue
            for _, done in self.board.receive(self._wait_s()):
                flight = self._landed(done.number)
                if flight is None:
                    continue  # the answer to an abandoned run
                if done.measurement.outcome is Outcome.OK and flight.then is None:
                    self.pace.succeeded(flight.task.kind, done.measurement.runtime)
                elif done.measurement.doubtful and not flight.task.hopeless:
                    self.pace.silent()
                yield from self._finish(flight, done.measurement)

    def _wait_s(self) -> float:
        waiting = bool(self.fresh or self.again) and bool(self.settling)
        if not waiting:
            return _TICK_S
        if self.credit < 0:
            return -self.credit / self.pace.rate
        until = min(until for until, _, _ in self.settling.values())
        return min(_TICK_S, max(0.001, until - time.monotonic()))

    def _landed(self, number: int) -> _Flight | None:
        flight = self.flights.pop(number, None)
        if flight is not None:
            self.under_way[flight.agent] -= 1
            self._settle(number)
        return flight

    def _settle(self, number: int) -> None:
        if number in self.settling:
            _, place, shares = self.settling.pop(number)
            self.working[place] -= 1
            self.shares -= shares

    def _finish(self, flight: _Flight, measurement: Measurement) -> Iterator[Task]:
        if flight.then is not None:
            flight.then()
            return
        task = flight.task
        task.learn(measurement)
        if not task.doubtful:
            yield task
        elif task.tries < self.limits.tries:
            self.again.append(task)

    def _lost(self) -> Iterator[Task]:
        """Probes of agents that have ended, or that hang and are ended for it."""
        now = time.monotonic()
        for flight in [f for f in self.flights.values() if f.hangs_at < now]:
            self.board.end(flight.agent, "agent hung", 0.0)
        for number, flight in list(self.flights.items()):
            why = self.board.agents[flight.agent].ended
            if why is not None:
                self._landed(number)
                yield from self._finish(flight, _lost(why))
        for queue in (self.fresh, self.again):
            for task in [task for task in queue if self.board.agents[task.agent].ended is not None]:
                queue.remove(task)
                self._leaves(queue, task)
                task.learn(_lost(self.board.agents[task.agent].ended or ""))
                yield task

    def _launch_all(self) -> None:
        """Launch what there are shares for: second tries first, then in turn."""
        now = time.monotonic()
        for number in [number for number, (until, _, _) in self.settling.items() if until <= now]:
            self._settle(number)
        self.credit = min(_MOST_AT_ONCE, self.credit + (now - self.credited_at) * self.pace.rate * self.limits.part)
        self.credited_at = now
        for queue in (self.again, self.fresh):
            left: list[Task] = []
            while queue and self._room_for(queue[0]):
                task = queue.popleft()
                if self._may(task):
                    self._leaves(queue, task)
                    self._launch(task)
                else:
                    left.append(task)
            queue.extendleft(reversed(left))

    def _room_for(self, task: Task) -> bool:
        """Whether there are shares for it: for the first always, and for what will only wait."""
        if not self.shares:
            return True
        within = self.shares + task.request.shares <= self.pace.window * self.limits.part
        return self.credit > 0 and (within or (task.hopeless and not task.request.alone))

    def _may(self, task: Task) -> bool:
        """Whether its agent takes one more, and its place is as quiet as it needs."""
        place = task.request.place
        if task.waits_for_quiet and (self.working[place] or self.first[place]):
            return False
        return self.under_way[task.agent] < UNDER_WAY

    def _leaves(self, queue: deque[Task], task: Task) -> None:
        if queue is self.fresh and not task.waits_for_quiet:
            self.first[task.request.place] -= 1

    def _launch(self, task: Task) -> None:
        """Its errand at another agent comes first: a call's callee registers."""
        request, errand = task.request, task.request.errand
        if errand is not None and errand.node in self.board.agents:
            first = replace(request, ask=errand.ask, errand=None)
            self._fly(task, errand.node, first, then=lambda: self._fly(task, task.agent, request))
        else:
            self._fly(task, task.agent, request)

    def _fly(self, task: Task, agent: str, request: ProbeRequest, then: Callable[[], None] | None = None) -> None:
        number = self.board.next_number()
        patience = PATIENCE[task.tries] * self.pace.patience(task.kind, request.timeout)
        now = time.monotonic()
        self.flights[number] = _Flight(task, agent, now + _HANG_S + _MOST_STEPS * patience + request.lasts, then)
        self.under_way[agent] += 1
        self.working[request.place] += 1
        mute = (task.hopeless or task.tries > 0) and not request.alone
        shares = 1 if mute else request.shares
        self.shares += shares
        self.credit -= _WAITER if mute else shares
        works_s = _HANG_S if request.alone else self.pace.waits_after(None if mute else task.kind)
        self.settling[number] = now + works_s, request.place, shares
        if self.board.agents[agent].ended is None:
            self.board.send(agent, ProbeJob(number, replace(request, timeout=patience)))


def _lost(why: str) -> Measurement:
    return Measurement(Outcome.ERROR, f"unknown_failure: {why}", time.time())
