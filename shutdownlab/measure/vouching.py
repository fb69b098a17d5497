"""Controls under way: which tasks wait for which, when each is due, and their results so far. No I/O.

A control is measured when a cell that needs it has failed; all cells that have failed by then share it. The next of the
same kind begins a moment later, and cells that fail meanwhile share that one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from shutdownlab.measure.belief import Belief, Try, judge
from shutdownlab.measure.controls import Control, checks_request, vouching_for
from shutdownlab.model.probe import MOST_PATIENCE
from shutdownlab.model.scenario import Outcome
from shutdownlab.protocol.probing import Check, Measurement, ProbeRequest, Proof

_PAUSE_S: Final = 0.05
"""Minimum time between the starts of two controls of the same kind."""
_GRACE_S: Final = 1.0
"""Time allowed for messages to and from an agent, on top of the steps' timeouts."""
_MOST_STEPS: Final = 24


@dataclass(frozen=True, slots=True)
class RunningControl:
    """A control under way: its agent and request, the controls it covers, when it began and when it is overdue."""

    agent: str
    request: ProbeRequest
    names: tuple[str, ...]
    began: float = 0.0
    ends: float = 0.0


@dataclass(slots=True, eq=False)
class _Waiting:
    """A waiter for controls that begin after `since`."""

    who: object
    names: set[str]
    since: float


@dataclass(slots=True)
class Vouching:
    """The controls of one phase. `controls`: the controls of each cell, by the id of its request.

    `excused`: the names of those controls of a cell that, if they fail, do so because their target was taken away.
    """

    controls: Mapping[str, tuple[Control, ...]]
    excused: Mapping[str, Collection[str]] = field(default_factory=dict)
    history: defaultdict[str, list[Proof]] = field(default_factory=lambda: defaultdict(list))
    _named: dict[str, Control] = field(default_factory=dict)
    _waiting: list[_Waiting] = field(default_factory=list)
    _running: dict[int, RunningControl] = field(default_factory=dict)
    _begun: dict[str, float] = field(default_factory=dict)
    """When the latest control of each kind began."""
    _mute: set[str] = field(default_factory=set)
    """Agents that have left a control unanswered; their other controls count as failed at once."""
    _wanted: dict[str, dict[str, float]] = field(default_factory=dict)
    """Timeouts (seconds) of the controls that are waited for but not yet running, by kind and name."""

    def __post_init__(self) -> None:
        self._named = {control.name: control for own in self.controls.values() for control in own}

    @property
    def busy(self) -> bool:
        """Whether any task waits for a control."""
        return bool(self._waiting)

    def needed(self, cell: str, found: Measurement) -> tuple[str, ...]:
        """Returns the names of the controls that vouch for a try of a cell (its request's id) with this measurement."""
        return vouching_for(self.controls.get(cell, ()), found)

    def judge(self, cell: str, tries: Sequence[Try]) -> Belief:
        """Returns what is believed of a cell (its request's id)."""
        return judge(tries, self.history, excused=self.excused.get(cell, ()))

    def wait(self, who: object, names: Sequence[str], since: float, patience: float) -> None:
        """Makes `who` wait for these controls, begun after `since` with a timeout of at most `patience` s, to end."""
        self._waiting.append(_Waiting(who, set(names), since))
        for name in names:
            wanted = self._wanted.setdefault(self._kind(name), {})
            wanted[name] = min(patience, wanted.get(name, patience))

    def due(self, now: float) -> Iterator[RunningControl]:
        """Yields the controls to start now."""
        under_way = {self._kind(run.names[0]) for run in self._running.values()}
        for kind in [kind for kind in self._wanted if kind not in under_way]:
            if kind in self._begun and now < self._begun[kind] + _PAUSE_S:
                continue
            patience = self._wanted.pop(kind)
            request = self._request(kind, patience)
            self._begun[kind] = now
            control = self._named[next(iter(patience))]
            steps = 1 if control.request is None else _MOST_STEPS
            ends = now + MOST_PATIENCE * steps * request.timeout + request.lasts + _GRACE_S
            yield RunningControl(control.agent, request, tuple(patience), now, ends)

    def _kind(self, name: str) -> str:
        """Returns what the control is measured together with: its agent's checks, or its own request alone."""
        control = self._named[name]
        return control.name if control.request is not None else control.agent

    def _request(self, kind: str, patience: Mapping[str, float]) -> ProbeRequest:
        timeout = min(patience.values())
        control = self._named[next(iter(patience))]
        if control.request is not None:
            return replace(control.request, timeout=timeout)
        checks = (self._named[name].check for name in patience)
        return checks_request(kind, tuple(check for check in checks if isinstance(check, Check)), timeout)

    def launched(self, number: int, run: RunningControl) -> None:
        """Records that a control that was due now runs, as job `number`."""
        self._running[number] = run

    def came_back(self, number: int, measurement: Measurement, now: float) -> list[object] | None:
        """Records a job's result; returns the tasks that no longer wait for any control.

        Returns None if the job is not a control.
        """
        run = self._running.pop(number, None)
        if run is None:
            return None
        failures = measurement.test_keys.get("x_checks")
        if failures is None:
            failures = dict.fromkeys(run.names, _failure(measurement))
        for name in run.names:
            failure = failures.get(name, "unknown_failure: no answer")
            self.history[name].append(Proof(name, run.began, now, failure, measurement.started))
        return self._served(run)

    def heard(self, agent: str) -> None:
        """Records that an agent has answered, so it is not mute, even if an earlier control is unanswered."""
        self._mute.discard(agent)

    def lost(self, heard_at: float, ended: Callable[[str], str | None]) -> list[object]:
        """Gives up controls that are overdue or whose agent has ended; returns the tasks that no longer wait for any.

        These controls count as failed. Further controls of an agent that left one unanswered fail at once until it
        answers something. `heard_at`: when all agents' messages had last been read. `ended`: returns why an agent has
        ended, or None.
        """
        served: list[object] = []
        self._mute |= {run.agent for run in self._running.values() if run.ends < heard_at}
        for number, run in list(self._running.items()):
            why = ended(run.agent) or ("no answer from the agent" if run.agent in self._mute else None)
            if why is not None:
                served += self.came_back(number, Measurement(Outcome.ERROR, f"unknown_failure: {why}"), heard_at) or ()
        return served

    def _served(self, run: RunningControl) -> list[object]:
        served = []
        for waiting in list(self._waiting):
            if waiting.since <= run.began:
                waiting.names -= set(run.names)
                if not waiting.names:
                    self._waiting.remove(waiting)
                    served.append(waiting.who)
        return served


def _failure(measurement: Measurement) -> str | None:
    if measurement.outcome is Outcome.OK:
        return None
    return measurement.failure or f"{measurement.outcome} without a failure"
