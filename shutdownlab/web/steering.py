"""A country that is steered from the page: orders, faults, undoing them, and probes that repeat continuously."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any, Final, Literal, NamedTuple

from shutdownlab.country.lab import Lab, LabEnded, LabError
from shutdownlab.country.lab_measuring import Measuring
from shutdownlab.library import Shutdown
from shutdownlab.model.lookup import known
from shutdownlab.model.scenario import Mode, Outcome
from shutdownlab.results.cells import Cell, cells_of
from shutdownlab.verifier.verdicts import Verifier
from shutdownlab.web.course import Course
from shutdownlab.web.foresight import Foreseen, batches, foresee, key_of
from shutdownlab.web.happenings import RECENT, Happenings
from shutdownlab.web.history import Moment, as_shutdown, kept_of
from shutdownlab.web.ledger import Ledger, News
from shutdownlab.web.seen_abroad import SeenAbroad
from shutdownlab.web.source import Source
from shutdownlab.web.steered_view import SteeredView

_SHARE: Final = 0.25
_EAGER_SHARE: Final = 0.6
"""Share of a processor for drawing from an order until everything has been measured after it."""
_PAUSE_S: Final = 1.5
"""Pause between two rounds of probes."""
_FORESIGHT_S: Final = 0.5
"""How long to wait for the model's prediction after an order; without it, probes run in the scenario's order."""
_LOOK_S: Final = 1.0
"""Interval between polls of boxes' decisions and routers' tables."""
_MOST_UNDONE: Final = 50
_MASTERS: Final = {
    Mode.OPERATORS: "The operators carry orders out, each on its own switches, of which its controller is MASTER.",
    Mode.DIRECT: "The authority carries orders out by itself: it has taken the MASTER role on the operators' switches.",
}

Verb = Literal["phase", "start", "stop", "throw", "mend", "undo"]
VERBS: Final[tuple[Verb, ...]] = ("phase", "start", "stop", "throw", "mend", "undo")


class Condition(NamedTuple):
    """A state of the country: the current phase, the policies in force, the faults."""

    phase: str | None
    policies: tuple[str, ...]
    faults: tuple[str, ...]


class Steering(Source):
    """A lab on the page. Any thread may give orders."""

    def __init__(self, lab: Lab) -> None:
        """`lab`: a running lab of a scenario; the caller closes it."""
        super().__init__(_SHARE)
        loaded = lab.plan.loaded
        assert isinstance(loaded, Shutdown), "a topology has nothing to order"
        self._lab, self._base, self._choices = lab, loaded, dict(lab.plan.choices)
        self._turn = threading.Lock()
        """Held while an order is carried out, so that they run one after another."""
        self._ledger = Ledger(kept_of(sum(1 for _ in _cells(loaded, loaded.scenario.timeline[0].phase))))
        self._seen = SeenAbroad(loaded)
        self._shown = SteeredView(loaded, self._choices, self._ledger, self._verifier, lab.plan.mode, self._seen)
        self._course, self._taken = Course(), time.monotonic()
        self._seer = ThreadPoolExecutor(1, "foresight")
        self._foreseen: dict[str, Future[Foreseen]] = {}
        """The model's predictions, by moment."""
        self._before: deque[Condition] = deque(maxlen=_MOST_UNDONE)
        self._busy = ""
        self._measuring: Measuring | None = None
        self._free = threading.Event()
        """Cleared while an order is carried out."""
        self._news = threading.Event()
        self._happenings = Happenings(loaded)
        self._reported: list[str] = []
        """Unordered breakdowns that have been reported."""
        self._begin(self._moment("The country is up", lab.at or "start", self._condition()))
        self._watcher = threading.Thread(target=self._watch, name="probes", daemon=True)
        self._onlooker = threading.Thread(target=self._look_around, name="happenings", daemon=True)

    def start(self) -> None:
        super().start()
        self._free.set()
        self._watcher.start()
        self._onlooker.start()
        self.tell("step", f"{len(self._lab.nodes)} nodes of {self._base.topology.title} are up.")
        self._post_state()

    def end(self) -> None:
        """Stops probing; the country stays up."""
        self._ended.set()
        self._free.set()
        self._news.set()
        if self._measuring is not None:
            self._measuring.abandon()
        self._seer.shutdown(wait=False, cancel_futures=True)
        super().end()

    @property
    def course(self) -> Course:
        """The progress of the latest order."""
        return self._course

    @property
    def measured(self) -> bool:
        """Whether every cell has been measured since the latest order."""
        return self._ledger.is_whole(self._ledger.newest)

    # --- orders ---

    def order(self, verb: Verb, name: str = "", who: str = "") -> None:
        """Carries an order out; returns when every switch and DPI box has confirmed it and probes continue.

        who: name of the guest, for the log. Raises `BadInput` for an unknown name, `LabError` if the country could not
        do it.
        """
        with self._turn:
            now = self._condition()
            wanted, title = self._wanted(verb, name, now)
            if wanted == now and verb != "phase":
                return
            called = name if verb == "phase" else f"{verb}-{name}" if name else verb
            kind = "fault" if verb in {"throw", "mend"} else "order"
            self._carry_out(now, wanted, title, called, who, kind, moved=verb == "phase", undoes=verb == "undo")

    def put_in_force(self, phase: str, policies: Sequence[str], who: str = "", *, moved: bool = False) -> None:
        """Carries out an order that names all policies that are to be in force, as orders at a prompt do.

        moved: time jumps to the phase. Raises as `order`.
        """
        if moved:
            self.order("phase", phase, who)
            return
        with self._turn:
            now = self._condition()
            wanted = now._replace(policies=tuple(dict.fromkeys(policies)))
            new = [name for name in wanted.policies if name not in now.policies]
            gone = [name for name in now.policies if name not in wanted.policies]
            changes = [f"Start {', '.join(new)}"] * bool(new) + [f"Stop {', '.join(gone)}"] * bool(gone)
            called = [f"start-{name}" for name in new] + [f"stop-{name}" for name in gone]
            if changes:
                self._carry_out(now, wanted, "; ".join(changes), called[0], who)

    def _carry_out(
        self, now: Condition, wanted: Condition, title: str, called: str, who: str, kind: str = "order",
        *, moved: bool = False, undoes: bool = False,
    ) -> None:  # fmt: skip
        """Brings the country from state `now` to `wanted`. The caller holds `_turn`."""
        self._taken = time.monotonic()
        self._busy = title
        self._post_state()
        new = self._moment(title, called, wanted)
        self._free.clear()
        try:
            if self._measuring is not None:
                self._measuring.abandon()
            if moved and wanted.phase is not None:
                self._lab.phase(wanted.phase)
            else:
                self._lab.put_in_force(wanted.policies, wanted.faults, wanted.phase)
            if undoes:
                self._before.pop()
            elif wanted != now:  # to go to the phase that it is in leaves nothing to undo
                self._before.append(now)
            self._course = Course(title, confirmed=self._since())
            self._begin(new)
            self.tell(kind, title + (f" ({who})" if who else ""))
        except LabError as error:
            self.tell("notice", f"{title}: failed: {error}")
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
        """Returns the state that an order asks for, and its description; raises `BadInput`."""
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

    def _moment(self, title: str, name: str, condition: Condition) -> Moment:
        """Returns the moment that would begin now, and starts the model's prediction of it."""
        whole, phase = False, condition.phase
        if phase is not None:
            own = self._base.scenario.broken(self._base.scenario.phase(phase), self._choices, {})
            same = set(condition.policies) == set(self._lab.plan.active_in(phase))
            whole = same and set(condition.faults) == own.keys()
        now = datetime.now(UTC)
        new = Moment(name, title, now, condition.policies, condition.faults, phase, whole)
        moments = self._ledger.with_one_more(new)
        shutdown = as_shutdown(self._base, self._choices, moments, now)
        self._foreseen[moments[-1].name] = self._seer.submit(foresee, shutdown, moments[-1].name)
        return new

    def _begin(self, new: Moment) -> None:
        """Begins a moment, to which measurements belong from now on."""
        kept = self._ledger.begin(replace(new, at=datetime.now(UTC)))
        self._foreseen = {name: found for name, found in self._foreseen.items() if name in kept}

    def _since(self) -> float:
        """Returns the seconds since the latest order was received."""
        return round(time.monotonic() - self._taken, 3)

    def _reached(self, **marks: float) -> None:
        """Adds times to the latest order's course; times that were set before stay."""
        self._course = self._course.reached(marks)
        if self._course.what:
            self.board.post({"course": asdict(self._course)})

    def _post_state(self) -> None:
        scenario, (phase, policies, faults) = self._base.scenario, self._condition()
        moment = self._ledger.newest
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
        """Measures everything in round after round; reports a failed round and goes on with the next."""
        while not self.ended:
            self._free.wait()
            moment = self._ledger.newest
            try:
                if not self.ended and self._measure_all(moment):
                    self._pause(moment)
            except LabEnded as error:
                self.tell("notice", f"{error}")
                self.board.post({"state": {"kind": "country", "title": self._base.scenario.title, "status": "ended"}})
                return
            except LabError as error:
                self.tell("notice", f"a round of probes failed: {error}")
                self._pause(moment)

    def _measure_all(self, moment: Moment) -> bool:
        """Measures all cells of a moment, changed ones first, downloads last; returns False if a new moment began."""
        again = self._ledger.is_whole(moment)
        self.share = _SHARE if again else _EAGER_SHARE
        shutdown = as_shutdown(self._base, self._choices, self._ledger.moments, datetime.now(UTC))
        cells = list(_cells(shutdown, moment.name))
        slow = [cell for cell in cells if shutdown.scenario.probes[cell.target].alone]
        quick = [cell for cell in cells if not shutdown.scenario.probes[cell.target].alone]
        foreseen = None if again else self._foresight(moment)
        if foreseen is not None:
            self._ledger.expect(foreseen, cells)
        for batch in (*batches(quick, foreseen, self._ledger.latest()), slow):
            if not self._round(shutdown, moment, batch, foreseen):
                return False
        self._reached(whole=self._since())
        if not again and self._course.what:
            self.tell("step", self._course.text(), phase=moment.name)
        self._ledger.complete(moment)
        self._seen.measured(shutdown, moment.name, self._ledger.contents().results[moment.name])
        self.share = _SHARE
        self.changed()
        return True

    def _foresight(self, moment: Moment) -> Foreseen | None:
        """Returns the model's prediction of a moment; None if it takes too long or fails, which is reported."""
        found, failure = predicted(self._foreseen.get(moment.name), _FORESIGHT_S)
        if failure:
            self.tell("notice", failure)
        return found

    def _pause(self, moment: Moment) -> None:
        """Waits until the next round is due or something is new; reports new breakdowns."""
        new = self._ledger.newest is not moment or bool(self._busy) or self._news.wait(_PAUSE_S)
        self._news.clear()
        if new:
            return
        for text in self._lab.faults[len(self._reported) :]:
            self._reported.append(text)
            self.tell("notice", text)

    def _look_around(self) -> None:
        """Polls and reports boxes' decisions and changed routes until the end, except while an order is carried out."""
        while not self._ended.wait(_LOOK_S):
            if not self._free.is_set() or self.ended:
                continue
            moment = self._ledger.newest.name
            try:
                lines = [*self._happenings.decisions(self._lab.boxes(RECENT), moment)]
                routes = self._lab.routes()
                lines += self._happenings.routes(routes, moment)
            except LabEnded:
                return
            except LabError:  # a router, or the authority, is down, which is reported elsewhere
                continue
            if lines:
                self.tell_all(lines)
            if self._free.is_set() and self._ledger.newest.name == moment and self._seen.look(moment, routes):
                self.changed()

    def _round(
        self, shutdown: Shutdown, moment: Moment, cells: Sequence[Cell], foreseen: Foreseen | None = None
    ) -> bool:
        """Measures these cells; returns whether all of them were measured within the moment."""
        self._free.wait()
        if not cells or self._ledger.newest is not moment:
            return self._ledger.newest is moment
        asked = [key_of(cell) for cell in cells]
        known = self._ledger.latest()
        hopeless = {
            place for place, cell in enumerate(cells)
            if (foreseen.hopeless(cell) if foreseen else known.get(key_of(cell)) is Outcome.BLOCKED)
        }  # fmt: skip

        def tried(place: int, outcome: Outcome, failure: str | None) -> None:
            if self._free.is_set():
                self._heard(self._ledger.take_try(shutdown, moment, cells[place], outcome, failure))

        self._reached(probing=self._since())
        self._measuring = measuring = self._lab.measure(asked, hopeless, tried)
        count = 0
        for place, found in measuring:
            if self._ledger.newest is not moment or not self._free.is_set():
                continue  # started before an order, and perhaps finished after it
            news = self._ledger.take(shutdown, moment, cells[place], found)
            self._heard(news, believed=news.sign)
            count += 1
        self._measuring = None
        return count == len(cells)

    def _heard(self, news: News, *, believed: bool = False) -> None:
        """Handles a probe's news: marks the order's progress, and redraws if it is to be shown at once."""
        now = self._since()
        marks = {"sign": news.sign, "believed": believed, "settled": news.settled}
        if any(marks.values()):
            self._reached(**{name: now for name, so in marks.items() if so})
        if news.shown:
            self.changed()

    # --- the view ---

    def view(self) -> dict[str, Any]:
        return self._shown.view()

    def cell(self, phase: str, vantage: str, target: str, family: str) -> dict[str, Any]:
        return self._shown.cell(phase, vantage, target, family)

    def _verifier(self, moment: str) -> Verifier | None:
        """Returns the verifier that has predicted a moment; None if it has not finished."""
        coming = self._foreseen.get(moment)
        return coming.result().verifier if coming is not None and _has_come(coming) else None


def _cells(shutdown: Shutdown, phase: str) -> Iterator[Cell]:
    """Returns the cells that are measured in a phase."""
    return (cell for cell in cells_of(shutdown, shutdown.scenario.phase(phase)) if cell.vantage is not None)


def predicted(coming: Future[Foreseen] | None, seconds: float) -> tuple[Foreseen | None, str]:
    """Waits for a prediction; returns it, or None and why it failed ("" if it only takes longer)."""
    if coming is None:
        return None, ""
    with suppress(NotYet):
        error = coming.exception(seconds)
        if error is not None:
            return None, f"a bug: the model fails here, so cells are probed in no particular order: {error!r}"
        return coming.result(), ""
    return None, ""


def _has_come(coming: Future[Foreseen]) -> bool:
    return coming.done() and not coming.cancelled() and coming.exception() is None
