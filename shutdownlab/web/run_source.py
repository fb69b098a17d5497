"""A run as the source of a live page: from its events as they come, from its record, or after it has finished."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any, Final

from shutdownlab.library import Shutdown
from shutdownlab.reporting.page.account import RunAccount
from shutdownlab.reporting.page.evidence import Extract, cell_id, extract_of
from shutdownlab.reporting.page.orders import breakdowns_of, orders_of
from shutdownlab.reporting.page.report import contents_of, scenario_of
from shutdownlab.reporting.page.whys import Whys, joined, whys_of
from shutdownlab.results.events import (
    Begun,
    Damaged,
    Event,
    Fault,
    Finished,
    Measured,
    Observed,
    Ordered,
    PhaseBegun,
    PhaseMeasured,
    Step,
    Voided,
    Waiting,
    decode,
)
from shutdownlab.results.reading import Reading
from shutdownlab.results.result import Result
from shutdownlab.results.run import Run
from shutdownlab.verifier.verdicts import Verifier
from shutdownlab.web.happenings import Line
from shutdownlab.web.parts import view_of
from shutdownlab.web.run_lines import RunLines
from shutdownlab.web.source import MOST_LINES, Source, as_shown, explanation_of

_SHARE: Final = 0.04
"""Share of one processor for drawing; the run itself needs the rest."""
_LOOK_S: Final = 0.5


class RunSource(Source):
    """A run in progress: call it with the run's events, from any thread but not concurrently."""

    def __init__(self, title: str, shutdown: Shutdown | None, missing: str = "", directory: Path | None = None) -> None:
        """Starts without results.

        missing: why there is no `shutdown`. directory: the run's, if it is known before the run has begun.
        """
        super().__init__(_SHARE)
        self._shutdown, self._missing, self._directory = shutdown, missing, directory
        self._title = title
        self._begun: Begun | None = None
        self._status, self._faults = "running", list[str]()
        self._results: dict[str, dict[int, Result]] = {}
        self._whole: set[str] = set()
        self._orders: dict[str, tuple[str, ...]] = {}
        self._damaged: dict[str, dict[str, str]] = {}
        self._now = ""
        self._whys: dict[str, Whys] = {}
        self._verifier: Verifier | None = None
        self._readings: dict[str, tuple[Reading, ...]] = {}
        """Readings of outside observers' signals, by phase."""
        self._run_lines = RunLines(shutdown)
        self._lock = threading.Lock()
        self._state: dict[str, Any] = {"kind": "run", "title": title, "status": "running", "doing": "starting"}
        self.board.post({"state": self._state})

    def __call__(self, event: Event) -> None:
        """Takes an event of the run."""
        with self._lock:
            self._hear(event)
        self._say(event)

    def _hear(self, event: Event) -> None:
        match event:
            case Begun():
                self._begun = event
                if self._directory is None and event.run:
                    self._directory = Path("runs") / event.run
            case Ordered():
                self._orders[event.phase] = event.policies
            case Damaged():
                self._damaged[event.phase] = event.faults
            case PhaseBegun():
                self._now = event.phase
                self._results[event.phase] = {}
            case Measured():
                self._results.setdefault(event.result.phase, {})[event.number] = event.result
            case Voided():
                self._results.pop(event.phase, None)
                self._readings.pop(event.phase, None)
            case Observed():
                self._readings[event.phase] = event.readings
            case PhaseMeasured():
                self._whole.add(event.phase)
            case Fault():
                self._faults.append(event.text)
            case Finished():
                self._status, self._faults = event.status, list(event.faults)
            case _:
                return
        self.changed()

    def _say(self, event: Event) -> None:
        """Posts what the run is doing, and the event's log lines."""
        match event:
            case Step():
                self._do(event.text)
            case Waiting():
                self._do(f"waiting for {event.phase}: {event.seconds:.0f} s")
            case PhaseBegun():
                self._do(f"measuring {event.phase}, {event.cells:,} cells")
            case Finished():
                self._state |= {"status": event.status}
                self._do("")
        if lines := list(self._run_lines.of(event)):
            self.tell_all(lines)

    def _do(self, text: str) -> None:
        self._state = {**self._state, "doing": text}
        self.board.post({"state": self._state})

    def view(self) -> dict[str, Any]:
        with self._lock:
            by_phase = {phase: [found[n] for n in sorted(found)] for phase, found in self._results.items() if found}
            whole, orders, damaged = set(self._whole), dict(self._orders), dict(self._damaged)
            status, faults, begun = self._status, tuple(self._faults), self._begun
            readings = [reading for phase in by_phase for reading in self._readings.get(phase, ())]
        manifest: dict[str, Any] = (
            begun.model_dump(mode="json") | {"shutdownlab": begun.version} if begun else {"title": self._title}
        )
        name = str(manifest.get("run") or self._title)
        every = [result for found in by_phase.values() for result in found]
        of_whole = [result for phase, found in by_phase.items() if phase in whole for result in found]
        account = RunAccount(name, status, manifest, every, faults, self._shutdown, self._missing, readings)
        complete = RunAccount(name, status, manifest, of_whole, faults, self._shutdown, self._missing, readings)
        there = (*orders_of(account, orders), *breakdowns_of(account, damaged))
        return view_of(account, complete, there, self._explained(by_phase, whole, dict(manifest.get("choices", {}))))

    def _explained(self, by_phase: dict[str, list[Result]], whole: set[str], choices: dict[str, str]) -> Whys:
        """Returns explanations of complete phases: one more phase per call, and all the rest once the run is over."""
        if self._shutdown is None:
            return Whys()
        self._verifier = self._verifier or Verifier(self._shutdown, choices)
        new = [phase for phase in by_phase if phase in whole and phase not in self._whys]
        for phase in new if self._status != "running" else new[:1]:
            self._whys[phase] = whys_of(self._shutdown, choices, by_phase[phase], self._verifier)
            self.changed()
        return joined(list(self._whys.values()))

    def cell(self, phase: str, vantage: str, target: str, family: str) -> dict[str, Any]:
        key = phase, vantage, target, family
        whys = self._whys.get(phase, Whys())
        why = whys.explanations[whys.of[key]] if key in whys.of else self._asked(*key)
        return as_shown(self._extract(cell_id(*key)), why)

    def _asked(self, phase: str, vantage: str, target: str, family: str) -> dict[str, Any] | None:
        """Returns the model's explanation of a cell that got through, or of a box's connection that is no cell's."""
        if self._shutdown is None:
            return None
        choices = dict(self._begun.choices) if self._begun is not None else {}
        return explanation_of(self._shutdown, choices, phase, vantage, target, family)

    def _extract(self, wanted: str) -> Extract | None:
        """Returns the extract of a cell's record, if it is written already; the last one if it was measured again."""
        if self._directory is None:
            return None
        mark, found = json.dumps(wanted), None
        try:
            with (self._directory / "measurements.jsonl").open(encoding="utf-8") as lines:
                for number, line in enumerate(lines, 1):
                    if mark in line and line.endswith("\n"):
                        extract = extract_of(number, json.loads(line))
                        found = extract[1] if extract and extract[0] == wanted else found
        except (OSError, ValueError):
            return found
        return found


class FinishedRun(Source):
    """A finished run. Its log is sent for one phase at a time, the one that is shown. Raises `BadInput` if it is
    missing."""

    def __init__(self, run: Run) -> None:
        super().__init__(1.0)
        self._account, self._orders, self._whys, self._extracts = contents_of(run)
        state = {"kind": "replay", "title": self._account.title, "status": self._account.status, "doing": ""}
        self.board.post({"state": state})
        self._run_lines = RunLines(self._account.shutdown)
        self._events: dict[str, list[Event]] = {}
        now = self._account.spans[0].name if self._account.spans else ""
        for event in run.events():
            now = getattr(event, "phase", "") or now
            if not isinstance(event, Measured | Observed):
                self._events.setdefault(now, []).append(event)

    def view(self) -> dict[str, Any]:
        return view_of(self._account, self._account, self._orders, self._whys)

    def happened(self, phase: str) -> list[Line]:
        return [line for event in self._events.get(phase, ()) for line in self._run_lines.of(event)][-MOST_LINES:]

    def cell(self, phase: str, vantage: str, target: str, family: str) -> dict[str, Any]:
        key = phase, vantage, target, family
        shutdown, choices = self._account.shutdown, dict(self._account.manifest.get("choices", {}))
        why = self._whys.explanations[self._whys.of[key]] if key in self._whys.of else None
        if why is None and shutdown is not None:
            why = explanation_of(shutdown, choices, *key)
        return as_shown(self._extracts.get(cell_id(*key)), why)


def followed(run: Run) -> RunSource:
    """Returns the source for a run of another process, whose record it reads as it is written; call its `start`."""
    shutdown, missing = scenario_of(run)
    return _Followed(run, shutdown, missing)


class _Followed(RunSource):
    def __init__(self, run: Run, shutdown: Shutdown | None, missing: str) -> None:
        super().__init__(str(run.manifest.get("title") or run.path.name), shutdown, missing, run.path)
        self._path = run.path

    def start(self) -> None:
        super().start()
        threading.Thread(target=self._follow, name="record", daemon=True).start()

    def _follow(self) -> None:
        with (self._path / "events.jsonl").open("rb") as lines:
            rest = b""
            while not self.ended:
                over = Run.open(self._path).status != "running"
                while more := lines.readline():
                    rest += more
                    if rest.endswith(b"\n"):
                        if (event := decode(rest)) is not None:
                            self(event)
                        rest = b""
                if over:
                    self._ends(Run.open(self._path).status)
                    return
                time.sleep(_LOOK_S)

    def _ends(self, status: str) -> None:
        """Sets the final status: a run that was killed has no event for it."""
        with self._lock:
            self._status = status
        self._state = {**self._state, "status": status}
        self._do("")
        self.changed()
