"""Controls under way: who waits for which, when each is measured, and what they have shown so far. No I/O.

A control is measured when a cell that needs it has failed; whoever has failed by then shares it. The next of the same
kind begins a moment later: those that fail meanwhile share that one.
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
"""From the beginning of one control to that of the next of its kind."""
_GRACE_S: Final = 1.0
"""What the way to an agent and back may take beside the patience of the steps."""
_MOST_STEPS: Final = 24


@dataclass(frozen=True, slots=True)
class RunningControl:
    """A control on its way: its job, whom it is for, and until when it may take."""

    agent: str
    request: ProbeRequest
    names: tuple[str, ...]
    began: float = 0.0
    ends: float = 0.0


@dataclass(slots=True, eq=False)
class _Waiting:
    """Someone who waits for controls that begin after `since`."""

    who: object
    names: set[str]
    since: float


@dataclass(slots=True)
class Vouching:
    """The controls of one phase. `controls`: those of each cell, by the id of its request.

    `excused`: names of the controls of a cell that fail because what they are controls of was taken away, if they do.
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
    """Agents that have left a control unanswered: no other is waited for."""
    _wanted: dict[str, dict[str, float]] = field(default_factory=dict)
    """The patience of each control, by kind and name, that somebody waits for and that is not on its way for them."""

    def __post_init__(self) -> None:
        self._named = {control.name: control for own in self.controls.values() for control in own}

    @property
    def busy(self) -> bool:
        """Whether anybody waits."""
        return bool(self._waiting)

    def needed(self, cell: str, found: Measurement) -> tuple[str, ...]:
        """Names of the controls that vouch for a try of a cell (the id of its request) that came out like this."""
        return vouching_for(self.controls.get(cell, ()), found)

    def judge(self, cell: str, tries: Sequence[Try]) -> Belief:
        """What is believed of a cell (the id of its request)."""
        return judge(tries, self.history, excused=self.excused.get(cell, ()))

    def wait(self, who: object, names: Sequence[str], since: float, patience: float) -> None:
        """`who` waits until controls of these names, begun after `since` with no more than `patience`, have ended."""
        self._waiting.append(_Waiting(who, set(names), since))
        for name in names:
            wanted = self._wanted.setdefault(self._kind(name), {})
            wanted[name] = min(patience, wanted.get(name, patience))

    def due(self, now: float) -> Iterator[RunningControl]:
        """The controls to begin now."""
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
        """What is measured in one go: an agent's checks, or one request."""
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
        """A control that was due is on its way, as the job of this number."""
        self._running[number] = run

    def came_back(self, number: int, measurement: Measurement, now: float) -> list[object] | None:
        """What came of a job: those who wait for nothing more. None where it is no control's job."""
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
        """An agent has answered something: it is not mute, whatever it has left unanswered."""
        self._mute.discard(agent)

    def lost(self, heard_at: float, ended: Callable[[str], str | None]) -> list[object]:
        """Give up controls that take too long, or whose agent has `ended` (why, or None); who waits for nothing more.

        Neither says anything good: they have failed. An agent that has not answered one is not waited for again until
        it answers something. `heard_at`: until when all agents have been listened to.
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
