"""A country that is steered from the page: orders, faults, undoing them, and probes that repeat all the while."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final, Literal, NamedTuple

from shutdownlab.country.lab import Lab, LabEnded, LabError
from shutdownlab.country.lab_measuring import Measuring
from shutdownlab.country.lab_node import LabMeasurement
from shutdownlab.library import Shutdown
from shutdownlab.model.lookup import known
from shutdownlab.model.scenario import Mode
from shutdownlab.protocol.probing import Measurement
from shutdownlab.reporting.page.account import RunAccount
from shutdownlab.reporting.page.evidence import extract_of
from shutdownlab.reporting.page.orders import breakdowns_of, orders_of
from shutdownlab.reporting.page.whys import Whys, whys_of
from shutdownlab.results.cells import Cell, cells_of, expected_of, result_of
from shutdownlab.results.result import Result
from shutdownlab.web.history import Moment, added, as_shutdown
from shutdownlab.web.parts import VIEW, view_of
from shutdownlab.web.run_source import joined
from shutdownlab.web.source import Source, as_shown

_SHARE: Final = 0.25
_PAUSE_S: Final = 2.0
"""Between two rounds of probes."""
_MOST_UNDONE: Final = 50
_MASTERS: Final = {
    Mode.OPERATORS: "The operators carry orders out, each on its own switches, of which its controller is MASTER.",
    Mode.DIRECT: "The authority carries orders out by itself: it has taken the MASTER role on the operators' switches.",
}

Verb = Literal["phase", "start", "stop", "throw", "mend", "undo"]
VERBS: Final[tuple[Verb, ...]] = ("phase", "start", "stop", "throw", "mend", "undo")
Key = tuple[str, str, str]
"""Vantage point, target, family."""


class Condition(NamedTuple):
    """What is there at a time: the phase whose time it is, the policies in force, the faults."""

    phase: str | None
    policies: tuple[str, ...]
    faults: tuple[str, ...]


class Steering(Source):
    """A lab on the page. Any thread may order."""

    def __init__(self, lab: Lab) -> None:
        """lab: of a scenario, up; it stays the caller's to close."""
        super().__init__(_SHARE)
        loaded = lab.plan.loaded
        assert isinstance(loaded, Shutdown), "a topology has nothing to order"
        self._lab, self._base, self._choices = lab, loaded, dict(lab.plan.choices)
        self._turn = threading.Lock()
        """One order after another."""
        self._lock = threading.Lock()
        self._moments: tuple[Moment, ...] = ()
        self._results: dict[str, dict[Key, Result]] = {}
        self._records: dict[str, dict[Key, Any]] = {}
        self._whole: set[str] = set()
        self._whys: dict[str, tuple[frozenset[object], Whys]] = {}
        self._before: deque[Condition] = deque(maxlen=_MOST_UNDONE)
        self._busy = ""
        self._measuring: Measuring | None = None
        self._free = threading.Event()
        """Set but while an order is carried out."""
        self._news = threading.Event()
        self._counts: dict[str, dict[str, int]] = {}
        """How often each rule of each DPI box was met, at the last look."""
        self._told: list[str] = []
        """What has broken that nobody ordered, as far as it was told."""
        self._note("The country is up", lab.at or "start")
        self._watcher = threading.Thread(target=self._watch, name="probes", daemon=True)

    def start(self) -> None:
        super().start()
        self._free.set()
        self._watcher.start()
        self.tell("step", f"{len(self._lab.nodes)} nodes of {self._base.topology.title} are up.")
        self._post_state()

    def end(self) -> None:
        """Stop probing; the country stays up."""
        self._ended.set()
        self._free.set()
        self._news.set()
        if self._measuring is not None:
            self._measuring.abandon()
        super().end()

    # --- orders ---

    def order(self, verb: Verb, name: str = "", who: str = "") -> None:
        """Carry an order out; returns when every switch and DPI box has confirmed it, and probes go on by then.

        Raises `BadInput` for a name that is not there, `LabError` where the country could not do it.
        """
        with self._turn:
            now = self._condition()
            wanted, said = self._wanted(verb, name, now)
            if wanted == now and verb != "phase":
                return
            self._busy = said
            self._post_state()
            self._free.clear()
            try:
                if self._measuring is not None:
                    self._measuring.abandon()
                if verb == "phase":
                    self._lab.phase(name)
                else:
                    self._lab.put_in_force(wanted.policies, wanted.faults, wanted.phase)
                if verb == "undo":
                    self._before.pop()
                else:
                    self._before.append(now)
                self._note(said, name if verb == "phase" else f"{verb}-{name}" if name else verb)
                self.tell("fault" if verb in {"throw", "mend"} else "order", said + (f" ({who})" if who else ""))
            except LabError as error:
                self.tell("notice", f"{said}: it was not done: {error}")
                raise
            finally:
                self._busy = ""
                self._free.set()
                self._news.set()
                self._post_state()
                self.changed()

    def _condition(self) -> Condition:
        return Condition(self._lab.at, self._lab.active, self._lab.broken)

    def _wanted(self, verb: Verb, name: str, now: Condition) -> tuple[Condition, str]:
        """What is to be there, and what that is called; raises `BadInput`."""
        scenario = self._base.scenario
        kinds = {"phase": ("phase", self._lab.phases), "start": ("policy", scenario.policies)}
        kinds |= {"stop": kinds["start"], "throw": ("fault", scenario.faults), "mend": ("fault", scenario.faults)}
        if verb in kinds:
            kind, names = kinds[verb]
            known(kind, name, names, kind)
        match verb:
            case "phase":
                policies = self._lab.plan.active_in(name)
                faults = tuple(scenario.broken(scenario.phase(name), self._choices, {}))
                return Condition(name, policies, faults), f"To phase {name}"
            case "start":
                return now._replace(policies=tuple(dict.fromkeys((*now.policies, name)))), f"Start {name}"
            case "stop":
                return now._replace(policies=tuple(p for p in now.policies if p != name)), f"Stop {name}"
            case "throw":
                return now._replace(faults=tuple(dict.fromkeys((*now.faults, name)))), f"Break {name}"
            case "mend":
                return now._replace(faults=tuple(f for f in now.faults if f != name)), f"Mend {name}"
            case "undo":
                return (self._before[-1], "Undo the last order") if self._before else (now, "")

    def _note(self, title: str, name: str) -> None:
        """A moment begins: what is measured from now on is of it."""
        condition = self._condition()
        whole, phase = False, condition.phase
        if phase is not None:
            own = self._base.scenario.broken(self._base.scenario.phase(phase), self._choices, {})
            same = set(condition.policies) == set(self._lab.plan.active_in(phase))
            whole = same and set(condition.faults) == own.keys()
        new = Moment(name, title, datetime.now(UTC), condition.policies, condition.faults, phase, whole)
        with self._lock:
            self._moments = added(self._moments, new)
            kept = {moment.name for moment in self._moments}
            self._results = {name: found for name, found in self._results.items() if name in kept}
            self._records = {name: found for name, found in self._records.items() if name in kept}
            self._whys = {name: found for name, found in self._whys.items() if name in kept}
            self._whole &= kept

    def _post_state(self) -> None:
        scenario, (phase, policies, faults) = self._base.scenario, self._condition()
        moment = self._moments[-1]
        self.board.post({
            "state": {
                "kind": "country",
                "title": scenario.title,
                "status": "running",
                "doing": self._busy,
                "command": _MASTERS[self._lab.plan.mode],
                "phase": phase,
                "whole": moment.whole,
                "phases": [[each.phase, each.title] for each in scenario.timeline],
                "policies": [[name, each.title, name in policies] for name, each in scenario.policies.items()],
                "faults": [[name, each.title, name in faults] for name, each in scenario.faults.items()],
                "undo": bool(self._before),
            }
        })  # fmt: skip

    # --- probing ---

    def _watch(self) -> None:
        """Measure everything, again and again; what fails of a round is told, and the next one is made."""
        while not self.ended:
            self._free.wait()
            moment = self._moments[-1]
            try:
                if not self.ended and self._measure_all(moment):
                    self._pause(moment)
            except LabEnded as error:
                self.tell("notice", f"{error}")
                self.board.post({"state": {"kind": "country", "title": self._base.scenario.title, "status": "ended"}})
                return
            except LabError as error:
                self.tell("notice", f"a round of probes came to nothing: {error}")
                self._pause(moment)

    def _measure_all(self, moment: Moment) -> bool:
        """Measure all cells of a moment, downloads last; whether it is still that moment."""
        shutdown = as_shutdown(self._base, self._choices, self._moments, datetime.now(UTC))
        cells = list(cells_of(shutdown, shutdown.scenario.phase(moment.name)))
        slow = [cell for cell in cells if shutdown.scenario.probes[cell.target].alone]
        if not self._round(shutdown, moment, [cell for cell in cells if cell not in slow]):
            return False
        if self._round(shutdown, moment, slow):
            self._whole.add(moment.name)
            self.changed()
        return True

    def _pause(self, moment: Moment) -> None:
        """Until the next round is due, or there is something new."""
        if self._moments[-1] is moment and not self._busy:
            self._news.wait(_PAUSE_S)
        self._news.clear()
        with suppress(LabError):
            self._watch_boxes(moment)
        for text in self._lab.faults[len(self._told) :]:
            self._told.append(text)
            self.tell("notice", text)

    def _watch_boxes(self, moment: Moment) -> None:
        """Tell what DPI boxes have decided since the last look, by their rules; a new order has them count anew."""
        for box, counters in self._lab.boxes().items():
            engine = counters.get("engine", {})
            counts = {name: int(count) for name, count in engine.get("rules", {}).items()}
            before = self._counts.get(box, {})
            new = {n: c - before.get(n, 0) if c >= before.get(n, 0) else c for n, c in counts.items()}
            self._counts[box] = counts
            said = ", ".join(f"{name} {count:,} more" for name, count in new.items() if count)
            seen = ", ".join(f"{name} {count:,}" for name, count in engine.get("protocols", {}).items())
            if said:
                text = f"{box} decided by rule: {said}" + (f" (connections under these rules: {seen})" if seen else "")
                self.tell("box", text, phase=moment.name)

    def _round(self, shutdown: Shutdown, moment: Moment, cells: Sequence[Cell]) -> bool:
        """Measure these; whether to the end, and none was of another moment."""
        self._free.wait()
        if not cells or self._moments[-1] is not moment:
            return self._moments[-1] is moment
        asked = [(str(cell.vantage.id), cell.target, cell.family.value) for cell in cells if cell.vantage]
        self._measuring = measuring = self._lab.measure(asked)
        count = 0
        for place, found in measuring:
            if self._moments[-1] is not moment or not self._free.is_set():
                continue  # it began before an order, and may have ended after it
            self._take(shutdown, moment, cells[place], asked[place], found)
            count += 1
        self._measuring = None
        return count == len(cells)

    def _take(self, shutdown: Shutdown, moment: Moment, cell: Cell, key: Key, found: LabMeasurement) -> None:
        phase = shutdown.scenario.phase(moment.name)
        certainty: Any = found.certainty
        measured = Measurement(
            found.outcome, found.failure, certainty=certainty, value=found.value, unit=found.unit
        )  # fmt: skip
        result = result_of(shutdown, phase, cell, measured, expected_of(shutdown, {}, phase, cell))
        with self._lock:
            before = self._results.setdefault(moment.name, {}).get(key)
            self._results[moment.name][key] = result
            self._records.setdefault(moment.name, {})[key] = found.record
        if before is None or (before.outcome, before.failure) != (result.outcome, result.failure):
            self.changed()  # else it is told when the round is done

    # --- the view ---

    def view(self) -> dict[str, Any]:
        with self._lock:
            moments = self._moments
            results = {name: list(found.values()) for name, found in self._results.items()}
            whole = set(self._whole)
        shutdown = as_shutdown(self._base, self._choices, moments, datetime.now(UTC))
        scenario = shutdown.scenario
        manifest = {
            "scenario": scenario.name, "title": scenario.title, "topology": scenario.topology,
            "operators": {name: each.title for name, each in shutdown.topology.operators.items()},
            "columns": scenario.headings, "sources": scenario.sources, "profiles": scenario.profiles,
            "profile": scenario.profile, "mode": self._lab.plan.mode.value,
        }  # fmt: skip
        places = {str(vantage.id): place for place, vantage in enumerate(shutdown.network.vantages)}
        probes = {name: place for place, name in enumerate(scenario.probes)}
        every = [
            result
            for moment in moments
            for result in sorted(
                results.get(moment.name, ()), key=lambda r: (places[r.vantage], probes[r.target], r.family)
            )
        ]  # as in a run's record, whatever came out first
        told = [result for result in every if result.phase in whole]
        account = RunAccount(scenario.name, "steered", manifest, every, (), shutdown)
        of_whole = RunAccount(scenario.name, "steered", manifest, told, (), shutdown)
        orders = (*orders_of(account, {}), *breakdowns_of(account, {}))
        shown = view_of(account, of_whole, orders, self._explained(shutdown, results))
        return shown | {f"{VIEW}cite": ""}  # there is no record

    def _explained(self, shutdown: Shutdown, results: dict[str, list[Result]]) -> Whys:
        """What the model says of each moment; worked out again where something else did not get through."""
        for name, found in results.items():
            lost = frozenset((r.vantage, r.target, r.family) for r in found if r.outcome.value != "ok")
            if lost and self._whys.get(name, (frozenset(), None))[0] != lost:
                self._whys[name] = lost, whys_of(shutdown, {}, found)
        return joined([whys for name, (_, whys) in self._whys.items() if name in results])

    def cell(self, phase: str, vantage: str, target: str, family: str) -> dict[str, Any]:
        record = self._records.get(phase, {}).get((vantage, target, family))
        extract = extract_of(0, record) if record is not None else None
        _, whys = self._whys.get(phase, (None, Whys()))
        key = phase, vantage, target, family
        return as_shown(extract[1] if extract else None, whys.told[whys.of[key]] if key in whys.of else None)
