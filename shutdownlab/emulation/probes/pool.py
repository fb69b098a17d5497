"""Spreads probes over the agents so that the machine is busy but never the cause of a verdict.

- A probe holds a share of the machine only until it is done, or has been at work longer than its like usually takes:
  from then on it waits for the network, and waiting costs nothing. So a blackout's hundreds of timeouts run out side by
  side, while probes that succeed never queue deep. How many shares there are, `Pace` learns.
- What load could have caused (a timeout above all) is doubtful, and is repeated with more patience in a further pass,
  when less is under way, until it comes out the same twice running. Only a confirmed timeout is believed; and where
  more than five, and a tenth, of a pass came out otherwise than before, the machine was slow and none of it is.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from shutdownlab.emulation.agent import Job
from shutdownlab.emulation.probes.desk import Switchboard
from shutdownlab.emulation.probes.pace import Pace
from shutdownlab.emulation.probes.request import Measurement, ProbeRequest
from shutdownlab.model.scenario import Outcome, Test

Result = tuple[str, ProbeRequest, Measurement]


@dataclass(frozen=True, slots=True)
class Pass:
    """`patience` scales the requests' own; `part` of the pace's window is used; at most `under_way` probes of one agent
    are under way."""

    patience: float
    part: float
    under_way: int


PASSES: Final = (Pass(0.5, 1.0, 24), Pass(1.0, 1.0, 64), Pass(2.0, 0.4, 8), Pass(3.0, 0.15, 4))

# Shares of the machine a probe takes while it works: processor time of client, servers and switches together.
_COST: Final = {Test.HTTP3: 6, Test.APP: 4, Test.CALL: 3, Test.THROUGHPUT: 8}
# An agent that has not answered so long after all steps of a probe must have timed out hangs.
_HANG_S: Final = 30.0
_MOST_STEPS: Final = 24
_TICK_S: Final = 0.5
_SLOW: Final = 0.1
_FEW: Final = 5


class AgentPool:
    """The agents of a run. Single-threaded; start it before the process has threads, from its main thread."""

    def __init__(self, board: Switchboard | None = None) -> None:
        self._board = board or Switchboard()
        self._pace = Pace()

    @property
    def pids(self) -> Mapping[str, int]:
        """The agents' process ids, by name."""
        return {name: desk.agent.pid for name, desk in self._board.desks.items()}

    def start(self, entrances: Mapping[str, Callable[[], None]], deadline_s: float = 20.0) -> None:
        """Fork one agent a name; each calls its entrance, which moves it into its namespaces.

        Raises `AgentError` when one ends or is not ready in time.
        """
        self._board.start(entrances, deadline_s)

    def stop(self, deadline_s: float = 5.0) -> None:
        """End all agents; those that take longer than the deadline are killed."""
        self._board.stop(deadline_s)

    def run(self, requests: Mapping[str, Sequence[ProbeRequest]], passes: Sequence[Pass] = PASSES) -> Iterator[Result]:
        """Measure; yields (agent, request, measurement) as the verdicts become final.

        An agent that ended or hangs makes its probes the outcome `error`. Raises KeyError for an unknown agent.
        """
        todo = [(self._known(agent), request) for agent, own in requests.items() for request in own]
        before: dict[tuple[str, str], Outcome] = {}
        for turn, limits in enumerate(passes, 1):
            doubtful: list[tuple[Result, bool]] = []
            changed = 0
            for agent, request, found in _Round(self._board, limits, self._pace).run(todo):
                result = agent, request, replace(found, passes=turn)
                confirmed = before.get((agent, request.id)) is found.outcome
                before[agent, request.id] = found.outcome
                changed += not confirmed
                if found.doubtful:
                    doubtful.append((result, confirmed))
                else:
                    yield result
            last, slow = turn == len(passes), changed > max(_FEW, _SLOW * len(todo))
            yield from (result for result, confirmed in doubtful if last or (confirmed and not slow))
            todo = [(result[0], result[1]) for result, confirmed in doubtful if not confirmed or slow]

    def _known(self, agent: str) -> str:
        if agent not in self._board.desks:
            raise KeyError(f"no probe agent {agent}")
        return agent


@dataclass(slots=True)
class _Flight:
    """A probe under way. `then`: what waits for it, as a call does for its callee's registration."""

    agent: str
    request: ProbeRequest
    hangs_at: float
    then: Callable[[], None] | None


class _Round:
    """One pass over some probes."""

    def __init__(self, board: Switchboard, limits: Pass, pace: Pace) -> None:
        self.board, self.limits, self.pace = board, limits, pace
        self.queues: dict[str, deque[ProbeRequest]] = {}
        self.flights: dict[int, _Flight] = {}
        self.under_way: dict[str, int] = {}
        self.settling: dict[int, tuple[float, int]] = {}  # job number to (until when it is at work, shares)
        self.shares = 0

    def run(self, todo: Sequence[tuple[str, ProbeRequest]]) -> Iterator[Result]:
        # Downloads last: what they measure is shared with every other probe of the region.
        for agent, request in sorted(todo, key=lambda item: item[1].test is Test.THROUGHPUT):
            self.queues.setdefault(agent, deque()).append(request)
        while self.queues or self.flights:
            yield from self._lost()
            self._launch_all()
            if not self.flights:
                continue
            for _, done in self.board.receive(self._wait_s()):
                flight = self._landed(done.number)
                if flight is None or done.measurement is None:
                    continue  # the answer to an abandoned run
                if done.measurement.outcome is Outcome.OK:
                    self.pace.succeeded(_kind(flight.agent, flight.request), done.measurement.runtime)
                elif done.measurement.doubtful:
                    self.pace.silent()
                yield from self._finish(flight, done.measurement)

    def _wait_s(self) -> float:
        waiting = bool(self.queues) and bool(self.settling)
        if not waiting:
            return _TICK_S
        until = min(until for until, _ in self.settling.values())
        return min(_TICK_S, max(0.001, until - time.monotonic()))

    def _landed(self, number: int) -> _Flight | None:
        flight = self.flights.pop(number, None)
        if flight is not None:
            self.under_way[flight.agent] -= 1
            self._settle(number)
        return flight

    def _settle(self, number: int) -> None:
        _, shares = self.settling.pop(number, (0.0, 0))
        self.shares -= shares

    def _finish(self, flight: _Flight, measurement: Measurement) -> Iterator[Result]:
        if flight.then is None:
            yield flight.agent, flight.request, measurement
        else:
            flight.then()

    def _lost(self) -> Iterator[Result]:
        """Probes of agents that have ended, or that hang and are ended for it."""
        now = time.monotonic()
        for flight in [f for f in self.flights.values() if f.hangs_at < now]:
            self.board.end(flight.agent, "agent hung", 0.0)
        for number, flight in list(self.flights.items()):
            why = self.board.desks[flight.agent].ended
            if why is not None:
                self._landed(number)
                yield from self._finish(flight, _lost(why))
        for agent in list(self.queues):
            why = self.board.desks[agent].ended
            if why is not None:
                yield from ((agent, request, _lost(why)) for request in self.queues.pop(agent))

    def _launch_all(self) -> None:
        """Launch what there are shares for, one probe an agent in turn."""
        now = time.monotonic()
        for number in [number for number, (until, _) in self.settling.items() if until <= now]:
            self._settle(number)
        launched = True
        while launched:
            launched = False
            for agent in list(self.queues):
                request = self.queues[agent][0]
                if self._may_launch(agent, request):
                    launched = True
                    self.queues[agent].popleft()
                    if not self.queues[agent]:
                        del self.queues[agent]
                    self._launch(agent, request)

    def _may_launch(self, agent: str, request: ProbeRequest) -> bool:
        """Whether there are shares for it (for the first always); a download has its agent to itself."""
        under_way = self.under_way.get(agent, 0)
        if under_way >= (1 if request.test is Test.THROUGHPUT else self.limits.under_way):
            return False
        return not self.shares or self.shares + _COST.get(request.test, 1) <= self.pace.window * self.limits.part

    def _launch(self, agent: str, request: ProbeRequest) -> None:
        """A call's callee registers first: a request without a peer does no more than that."""
        if request.peer is not None and request.peer_agent in self.board.desks:
            callee = replace(request, line=request.peer, peer=None, peer_agent="")
            self._fly(request.peer_agent, callee, then=lambda: self._fly(agent, request))
        else:
            self._fly(agent, request)

    def _fly(self, agent: str, request: ProbeRequest, then: Callable[[], None] | None = None) -> None:
        number = self.board.next_number()
        patience = self.limits.patience * request.timeout
        now = time.monotonic()
        self.flights[number] = _Flight(agent, request, now + _HANG_S + _MOST_STEPS * patience, then)
        self.under_way[agent] = self.under_way.get(agent, 0) + 1
        shares = _COST.get(request.test, 1)
        self.shares += shares
        self.settling[number] = now + self.pace.waits_after(_kind(agent, request)), shares
        if self.board.desks[agent].ended is None:
            self.board.send(agent, Job(number, replace(request, timeout=patience)))


def _kind(agent: str, request: ProbeRequest) -> tuple[str, str, str]:
    """What takes the same time in every phase, as long as it succeeds."""
    return agent, request.name, request.family


def _lost(why: str) -> Measurement:
    return Measurement(Outcome.ERROR, f"unknown_failure: {why}", time.time())
