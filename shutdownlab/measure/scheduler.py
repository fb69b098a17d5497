"""Spreads probes over the agents so that the machine is busy but never the cause of a verdict.

- A probe holds a share of the machine until it is done, or has worked longer than its kind usually takes: from then on
  it waits for the network, which costs nothing. So a blackout's hundreds of timeouts expire side by side, while
  successful probes never queue deep. `ConcurrencyLimit` learns the number of shares.
- Probes that will probably have no answer start first: the others work while they wait.
- A download needs the line of its place to itself: it starts once nothing is under way there, not even a probe that
  only waits, and nothing else starts until it ends. It is the last first try of its place; on a line slowed by a
  policy it is the first, because its second try is made at the end.
- On a line slowed by a policy, a probe may fail because of the place's other probes. So second tries wait until the
  first ones are done; if the traffic of any of them kept the line busy for long, the failures do not count, and the
  next try has the line to itself and a longer timeout: the longest one if it was cut short in the midst of an answer.
- Before a second try, the controls that vouch for the cell are measured (see `belief`); cells that fail at about the
  same time share them.
- A try that is void, because a process was starved of CPU, is repeated once all first tries have started: until then
  the machine stays as busy as it was.
"""

from __future__ import annotations

import math
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from shutdownlab.measure.concurrency import ConcurrencyLimit
from shutdownlab.measure.supervisor import Supervisor
from shutdownlab.measure.task import PATIENCE, HeldUp, Outrun, Round, Task, no_races, nobody_held_up
from shutdownlab.measure.vouching import Vouching
from shutdownlab.model.scenario import Outcome
from shutdownlab.protocol.probing import Measurement, ProbeJob, ProbeRequest

UNDER_WAY: Final = 64
"""Probes that one agent may have under way."""
# An agent counts as hung if it has not answered this long after all steps of a probe must have timed out.
_HANG_S: Final = 30.0
_MOST_STEPS: Final = 24
_TICK_S: Final = 0.5
_CONTROL_TICK_S: Final = 0.02
_MOST_WAITS: Final = 4
"""How often in a row a task waits for controls, which fail, before it is left to the next round."""
_MORE_IF_REFUTED: Final = 2
"""Further tries in a round if controls have refuted some."""
_SLOWED_PATIENCE: Final = PATIENCE[2]
_FLIGHT_KBIT: Final = 8 * 16
"""What the beginning of an answer may have to wait for on a slowed line: a server's handshake with certificates."""
_BUSY: Final = 0.05
"""The part of a step's timeout for which other probes may keep a slowed line busy without disturbing it."""
_MOST_AT_ONCE: Final = 12.0
_WAITER: Final = 0.4  # credit for a probe that will only wait


@dataclass(slots=True)
class _Attempt:
    """A try under way. `then`: called when it ends, such as to start a call once its callee has registered."""

    task: Task
    agent: str
    began: float
    hangs_at: float
    is_first: bool
    then: Callable[[], None] | None


@dataclass(frozen=True, slots=True)
class _Held:
    """A retry on a slowed line, held until all probes beside it are done."""

    task: Task
    found: Measurement
    began: float
    ended: float


class Scheduler:
    """Spreads one round of probes over the agents, and yields each as it becomes certain."""

    def __init__(
        self,
        supervisor: Supervisor,
        this: Round,
        limit: ConcurrencyLimit,
        vouching: Vouching,
        tried: Callable[[Task], None] = lambda _: None,
        starved: Callable[[float, float, float], str] = lambda *_: "",
        held_up: HeldUp = nobody_held_up,
        outrun: Outrun = no_races,
    ) -> None:
        """tried: called for each probe whose first try has failed, while it is being confirmed.

        starved: given a try's start, end and timeout, names the process that was starved of CPU ("": none). held_up:
        see `HeldUp`. outrun: see `Outrun`.
        """
        self.supervisor, self.round, self.limit, self.vouching = supervisor, this, limit, vouching
        self.tried, self.starved, self.held_up, self.outrun = tried, starved, held_up, outrun
        self.fresh: deque[Task] = deque()
        self.again: deque[Task] = deque()
        self.running: dict[int, _Attempt] = {}
        self.under_way: Counter[str] = Counter()
        self.there: Counter[str] = Counter()  # under way, by place
        self.working: Counter[str] = Counter()  # working, by place
        self.filled: Counter[str] = Counter()  # downloads under way, by place
        self.held: defaultdict[str, list[_Held]] = defaultdict(list)  # by place, until none is under way there
        # By place: seconds that its line was busy with its probes' traffic since it was last idle.
        self.busy_s: defaultdict[str, float] = defaultdict(float)
        # By place: the first tries that must end before a probe starts that needs quiet.
        self.first: Counter[str] = Counter()
        # by job number: (until when it works, place, shares)
        self.working_until: dict[int, tuple[float, str, int]] = {}
        self.shares = 0
        self.credit = 0.0
        self.credited_at = time.monotonic()

    def run(self, todo: Sequence[Task], wanted: Callable[[], bool] = lambda: True) -> Iterator[Task]:
        """Yields the probes that become certain; leaves the rest doubtful. Stops early once `wanted` returns False."""
        # A download starts after its place's other probes, which share its line; so places with downloads start first.
        downloading = {task.request.place for task in todo if task.request.alone}
        fresh = [task for task in todo if not task.tries]
        self.first.update(task.request.place for task in fresh if not task.waits_for_quiet)
        self.fresh.extend(
            sorted(
                fresh, key=lambda t: (not t.opens, not t.hopeless, t.request.place not in downloading, t.request.alone)
            )
        )
        for task in todo:
            if task.tries:
                self._again(task)
        heard_at = time.monotonic()
        while wanted() and (self.fresh or self.again or self.running or self.vouching.busy):
            yield from self._lost(heard_at)
            self._launch_controls()
            self._launch_all()
            if not (self.running or self.vouching.busy or any(task.rests for task in self.again)):
                continue
            heard_at = time.monotonic()
            for agent, done in self.supervisor.receive(self._wait_s()):
                self.vouching.heard(agent)
                served = self.vouching.came_back(done.number, done.measurement, time.monotonic())
                if served is not None:
                    self._vouched(served)
                    continue
                attempt = self._came_back(done.number)
                if attempt is None:  # the answer belongs to an abandoned run
                    continue
                if done.measurement.outcome is Outcome.OK and attempt.then is None:
                    self.limit.succeeded(attempt.task.kind, done.measurement.runtime)
                elif done.measurement.doubtful and not attempt.task.hopeless:
                    self.limit.silent()
                yield from self._finish(attempt, done.measurement)

    def _wait_s(self) -> float:
        return min(self._idle_s(), _CONTROL_TICK_S if self.vouching.busy else _TICK_S)

    def _idle_s(self) -> float:
        if not (self.fresh or self.again) or not self.working_until:
            return _TICK_S
        if self.credit < 0:
            return -self.credit / self.limit.rate
        return max(0.001, min(until for until, _, _ in self.working_until.values()) - time.monotonic())

    def _came_back(self, number: int) -> _Attempt | None:
        attempt = self.running.pop(number, None)
        if attempt is not None:
            self.under_way[attempt.agent] -= 1
            self.there[attempt.task.request.place] -= 1
            self.first[attempt.task.request.place] -= attempt.is_first
            self.filled[attempt.task.request.place] -= attempt.task.request.alone
            self._waits_now(number)
        return attempt

    def _waits_now(self, number: int) -> None:
        if number in self.working_until:
            _, place, shares = self.working_until.pop(number)
            self.working[place] -= 1
            self.shares -= shares

    def _finish(self, attempt: _Attempt, measurement: Measurement) -> Iterator[Task]:
        if attempt.then is not None:
            attempt.then()
            return
        task, place, now = attempt.task, attempt.task.request.place, time.monotonic()
        if task.request.slowed:
            self.busy_s[place] += _line_busy_s(measurement, task.request.rate)
        if task.request.slowed and task.tries and not task.request.alone:
            self.held[place].append(_Held(task, measurement, attempt.began, now))
        else:
            yield from self._learn(task, measurement, attempt.began, now)
        if not self.there[place]:  # also after a probe of another group of the place, whose line is not slowed
            yield from self._release(place)

    def _release(self, place: str) -> Iterator[Task]:
        """Learns the held tries of a slowed place that is idle again; failures on a busy line are void, once."""
        busy_s = self.busy_s.pop(place, 0.0)
        for held in self.held.pop(place, ()):
            crowded = busy_s > _BUSY * held.task.request.timeout
            if crowded and not held.task.disturbed and held.found.outcome in {Outcome.BLOCKED, Outcome.THROTTLED}:
                held.task.disturbed = True
                held.task.cut_short = _received(held.found) > 0
                self.again.append(held.task)
            else:
                yield from self._learn(held.task, held.found, held.began, held.ended)

    def _learn(self, task: Task, measurement: Measurement, began: float, ended: float) -> Iterator[Task]:
        if measurement.outcome is Outcome.OK:
            race = self.outrun(task.request.id, began, ended)
            if race.lost:
                measurement = _says_nothing(measurement, f"{race.lost}, so it may have come too late to block this")
            elif race.ran:
                measurement = replace(measurement, doubtful=True)
        measurement = self._speed_known(measurement, began, ended)
        failed = measurement.doubtful and measurement.outcome is not Outcome.OK
        task.starved = (measurement.starved or self.starved(began, ended, task.patience)) if failed else ""
        task.learn(measurement, self.vouching.needed(task.request.id, measurement), began, ended)
        task.judgement = self.vouching.judge(task.request.id, task.tries)
        if task.certain:
            yield task
            return
        if len(task.tries) == 1 and measurement.outcome is not Outcome.OK:
            self.tried(task)
        if task.standing < self.round.tries and len(task.tries) < self.round.tries + _MORE_IF_REFUTED:
            self._again(task)

    def _speed_known(self, found: Measurement, began: float, ended: float) -> Measurement:
        """Returns the measurement, marked as inconclusive if a delayed process on the path may explain the speed.

        A delayed forwarder makes a transfer slow; a delayed proxy makes it fast, because it buffers bytes and then
        sends them all at once.
        """
        if found.margin is None:
            return found
        if found.outcome is Outcome.THROTTLED and not found.starved:
            return replace(found, starved=self.held_up(began, ended, found.margin, keepers=False))
        if found.outcome is Outcome.OK and (who := self.held_up(began, ended, found.margin, keepers=True)):
            return _says_nothing(found, f"{who}, so its speed is not known")
        return found

    def _again(self, task: Task) -> None:
        """Schedules another try once its missing controls have succeeded; none in this round if they do not."""
        task.judgement = self.vouching.judge(task.request.id, task.tries)
        missing = task.judgement.missing
        if missing and task.waits < _MOST_WAITS:
            patience = task.share * self.limit.patience(task.kind, task.request.timeout)
            self.vouching.wait(task, missing, time.monotonic() if task.waits else task.tries[-1].ended, patience)
            task.waits += 1
            return
        task.waits = 0
        if not missing:
            self.again.append(task)

    def _vouched(self, served: Iterable[object]) -> None:
        for task in served:
            assert isinstance(task, Task)
            self._again(task)

    def _launch_controls(self) -> None:
        """Launches controls that are due, ahead of all probes, because probes wait for them."""
        now = time.monotonic()
        for run in self.vouching.due(now):
            number = self.supervisor.next_number()
            self.vouching.launched(number, run)
            self.credit -= run.request.shares
            if self.supervisor.agents[run.agent].ended is None:
                self.supervisor.send(run.agent, ProbeJob(number, run.request))

    def _lost(self, heard_at: float) -> Iterator[Task]:
        """Finishes the probes of agents that have ended, after ending agents that hang.

        `heard_at`: when all agents' messages had last been read: an answer that arrived but is unread is not late.
        """
        now, agents = time.monotonic(), self.supervisor.agents
        self._vouched(self.vouching.lost(heard_at, lambda agent: agents[agent].ended))
        for attempt in [each for each in self.running.values() if each.hangs_at < heard_at]:
            self.supervisor.end(attempt.agent, "agent hung", 0.0)
        for number, attempt in list(self.running.items()):
            why = agents[attempt.agent].ended
            if why is not None:
                self._came_back(number)
                yield from self._finish(attempt, _lost(why))
        for queue in (self.fresh, self.again):
            for task in [task for task in queue if agents[task.agent].ended is not None]:
                queue.remove(task)
                self._leaves(queue, task)
                yield from self._learn(task, _lost(agents[task.agent].ended or ""), now, now)

    def _launch_all(self) -> None:
        """Launches probes while there are shares: retries first, then first tries in order."""
        now = time.monotonic()
        for number in [number for number, (until, _, _) in self.working_until.items() if until <= now]:
            self._waits_now(number)
        self.credit = min(_MOST_AT_ONCE, self.credit + (now - self.credited_at) * self.limit.rate * self.round.part)
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
        """Whether there are enough shares: always for the first probe, and for probes that will only wait."""
        if not self.shares:
            return True
        within = self.shares + task.request.shares <= self.limit.window * self.round.part
        return self.credit > 0 and (within or (task.hopeless and not task.request.alone))

    def _may(self, task: Task) -> bool:
        """Whether its agent can take another probe and its place is as quiet as it needs."""
        place = task.request.place
        others = self.there if task.needs_the_line else self.working
        if self.filled[place] or task.rests or (task.starved and self.fresh):
            return False
        if task.waits_for_quiet and (others[place] or (self.first[place] and not task.opens)):
            return False
        return self.under_way[task.agent] < UNDER_WAY

    def _leaves(self, queue: deque[Task], task: Task) -> None:
        if queue is self.fresh and not task.waits_for_quiet:
            self.first[task.request.place] -= 1

    def _launch(self, task: Task) -> None:
        """Launches a task, after its errand at another agent if it has one: a call's callee registers first."""
        request, errand = task.request, task.request.errand
        if errand is not None and errand.node in self.supervisor.agents:
            first = replace(request, ask=errand.ask, errand=None)
            self._begin(task, errand.node, first, then=lambda: self._begin(task, task.agent, request))
        else:
            self._begin(task, task.agent, request)

    def _begin(self, task: Task, agent: str, request: ProbeRequest, then: Callable[[], None] | None = None) -> None:
        number, now = self.supervisor.next_number(), time.monotonic()
        # There may be more valid tries than a round asks for: refuted tries become valid again if controls later show
        # what was taken away.
        ordinary = PATIENCE[min(task.standing, len(PATIENCE) - 1)]
        usual = self.limit.patience(task.kind, request.timeout)
        task.share = ordinary
        if task.disturbed:
            known = request.rate and not task.cut_short
            more = _FLIGHT_KBIT / request.rate / usual if known else math.inf
            task.share = max(ordinary, min(_SLOWED_PATIENCE, ordinary + more))
        task.patience = patience = task.share * usual
        # Traffic on a slowed line disturbs retries until it has arrived.
        is_first = request.slowed and not task.tries and not request.alone
        self.first[request.place] += is_first
        hangs_at = now + _HANG_S + _MOST_STEPS * patience + request.lasts
        self.running[number] = _Attempt(task, agent, now, hangs_at, is_first, then)
        self.under_way[agent] += 1
        self.there[request.place] += 1
        self.filled[request.place] += request.alone
        self.working[request.place] += 1
        mute = (task.hopeless or bool(task.tries)) and not request.alone
        shares = 1 if mute else request.shares
        self.shares += shares
        self.credit -= _WAITER if mute else shares
        undisturbed = request.alone or task.needs_the_line
        works_s = _HANG_S if undisturbed else self.limit.waits_after(None if mute else task.kind)
        self.working_until[number] = now + works_s, request.place, shares
        if self.supervisor.agents[agent].ended is None:
            self.supervisor.send(agent, ProbeJob(number, replace(request, timeout=patience)))


def _line_busy_s(found: Measurement, rate: int) -> float:
    """Returns how long a line of `rate` kbit/s was busy with a try's traffic; infinity if its record does not tell."""
    if found.outcome is Outcome.OK or (not found.test_keys.get("network_events") and not found.doubtful):
        return math.inf
    sent = _received(found)
    if not sent:
        return 0.0
    return 8 * sent / (1000 * rate) if rate else math.inf


def _received(found: Measurement) -> int:
    """Returns how many bytes a try has received, by its record."""
    events = found.test_keys.get("network_events") or ()
    return sum(event.get("num_bytes") or 0 for event in events if event.get("operation") == "read")


def _says_nothing(found: Measurement, why: str) -> Measurement:
    return replace(found, outcome=Outcome.UNKNOWN, failure=f"unknown_failure: {why}", doubtful=True)


def _lost(why: str) -> Measurement:
    return Measurement(Outcome.UNKNOWN, f"unknown_failure: {why}", time.time(), certainty="unconfirmed")
