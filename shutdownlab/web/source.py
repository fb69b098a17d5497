"""Data sources of a live page: a run in progress, a finished run, or a steered country."""

from __future__ import annotations

import threading
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from shutdownlab.config.problems import BadInput
from shutdownlab.library import Shutdown
from shutdownlab.model.lookup import vantage_point
from shutdownlab.reporting.page.evidence import Extract
from shutdownlab.reporting.page.whys import explanation_data
from shutdownlab.verifier.explain import explain
from shutdownlab.web.board import Board
from shutdownlab.web.parts import VIEW

MOST_LINES: Final = 300
"""Most lines of the log that are kept."""
_LEAST_PAUSE_S: Final = 0.1
_MOST_PAUSE_S: Final = 20.0


class Source(ABC):
    """Keeps a board up to date, in a thread of its own that takes at most a `share` (0 to 1) of a processor.

    Subclasses return the view (`view`); `changed` has it redrawn.
    """

    def __init__(self, share: float) -> None:
        self.board = Board()
        self.share = share
        self._dirty = threading.Event()
        self._ended = threading.Event()
        self._lines = 0
        self._log_lock = threading.Lock()
        self._painter = threading.Thread(target=self._paint, name="page", daemon=True)

    def start(self) -> None:
        """Starts redrawing the board."""
        self._painter.start()
        self.changed()

    def end(self) -> None:
        """Stops after a last redraw; the board keeps its contents."""
        self._ended.set()
        self._dirty.set()
        if self._painter.is_alive() and self._painter is not threading.current_thread():
            self._painter.join()

    @property
    def ended(self) -> bool:
        return self._ended.is_set()

    def changed(self) -> None:
        """Has the view redrawn, as something in it has changed."""
        self._dirty.set()

    @abstractmethod
    def view(self) -> dict[str, Any]:
        """Returns the parts under `view/`."""

    @abstractmethod
    def cell(self, phase: str, vantage: str, target: str, family: str) -> dict[str, Any]:
        """Returns the details that a cell opens: `extract` and `why`, if there are any."""

    def happened(self, phase: str) -> list[dict[str, Any]]:
        """Returns a phase's log lines, if the source is a finished run; others send lines as they come (`tell`)."""
        return []

    def tell(self, kind: str, text: str, **more: Any) -> None:
        """Adds a line to the log, which forgets the oldest.

        kind: `order`, `fault`, `decision` (of a DPI box), `box` (a box's counters), `bgp`, `notice` or `step`.
        more: its `phase`; the `cell` (phase, vantage point, target, family) that it opens.
        """
        self.tell_all([{"kind": kind, "text": text, **more}])

    def tell_all(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Adds several lines. A line without an `at` (hours, minutes and seconds, UTC) gets the current time."""
        now, parts = f"{datetime.now(UTC):%H:%M:%S}", {}
        with self._log_lock:
            for line in lines:
                self._lines += 1
                parts[f"log/{self._lines % MOST_LINES}"] = {"n": self._lines, "at": now, **line}
            self.board.post(parts)

    def _paint(self) -> None:
        while not self.ended:
            self._dirty.wait()
            self._dirty.clear()
            before = time.thread_time()  # of a clock, a busy machine would add what others took
            try:
                self.board.post(self.view(), family=VIEW)
            except Exception:  # a bug in drawing must not stop the page
                traceback.print_exc()
                self.tell("notice", "the page could not be drawn: a bug of shutdownlab; its terminal has the traceback")
            took = time.thread_time() - before
            self._ended.wait(min(_MOST_PAUSE_S, max(_LEAST_PAUSE_S, took * (1 / self.share - 1))))
        self.board.post(self.view(), family=VIEW)


def as_shown(extract: Extract | None, why: Mapping[str, Any] | None) -> dict[str, Any]:
    """Returns an extract and an explanation in the form that the page's script expects."""
    shown: dict[str, Any] = {}
    if extract is not None:
        shown["extract"] = [extract.what, extract.test, extract.verdict, extract.steps, extract.controls]
    if why is not None:
        shown["why"] = why
    return shown


def explanation_of(
    shutdown: Shutdown, choices: Mapping[str, str], phase: str, vantage: str, target: str, family: str
) -> dict[str, Any] | None:
    """Returns the model's explanation of any target, probed or not; None if the names are not valid."""
    try:
        explanation = explain(shutdown, at=phase, vantage=vantage, target=target, family=family, choose=choices)
        place = vantage_point(shutdown.topology, vantage, "vantage")
    except BadInput:
        return None
    return explanation_data(shutdown, explanation, place.id.operator, place)
