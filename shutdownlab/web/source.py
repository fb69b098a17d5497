"""What a live page is fed from: a run that goes on, a run that is over, or a country that is steered."""

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
from shutdownlab.reporting.page.whys import told_of
from shutdownlab.verifier.explain import explain
from shutdownlab.web.board import Board
from shutdownlab.web.parts import VIEW

MOST_LINES: Final = 300
"""Of what happens, that are kept."""
_LEAST_PAUSE_S: Final = 0.1
_MOST_PAUSE_S: Final = 20.0


class Source(ABC):
    """Keeps a board up to date, in a thread of its own that works no more than a `share` of the time.

    Subclasses say what the view is (`view`); `changed` has it made anew.
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
        """Begin."""
        self._painter.start()
        self.changed()

    def end(self) -> None:
        """End; what is on the board stays."""
        self._ended.set()
        self._dirty.set()
        if self._painter.is_alive() and self._painter is not threading.current_thread():
            self._painter.join()

    @property
    def ended(self) -> bool:
        return self._ended.is_set()

    def changed(self) -> None:
        """Something of the view has changed."""
        self._dirty.set()

    @abstractmethod
    def view(self) -> dict[str, Any]:
        """The parts under `view/`."""

    @abstractmethod
    def cell(self, phase: str, vantage: str, target: str, family: str) -> dict[str, Any]:
        """What a cell opens on: `extract` and `why`, where there are any."""

    def happened(self, phase: str) -> list[dict[str, Any]]:
        """The lines of a phase, of what is over; of what goes on they are told as they come (`tell`)."""
        return []

    def tell(self, kind: str, text: str, **more: Any) -> None:
        """A line of what happens; the oldest are forgotten.

        kind: `order`, `fault`, `decision` (of a DPI box), `box` (what one has counted), `bgp`, `notice` or `step`.
        more: the `phase` that it is of; the `cell` (phase, vantage point, target, family) that it opens.
        """
        self.tell_all([{"kind": kind, "text": text, **more}])

    def tell_all(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Several lines at once; of now, where a line has no `at` of its own (hours, minutes and seconds, UTC)."""
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
            began = time.monotonic()
            try:
                self.board.post(self.view(), family=VIEW)
            except Exception:  # a bug of the page is no reason for a country to be watched no more
                traceback.print_exc()
                self.tell("notice", "the page could not be drawn: a bug of shutdownlab; its terminal has the traceback")
            took = time.monotonic() - began
            self._ended.wait(min(_MOST_PAUSE_S, max(_LEAST_PAUSE_S, took * (1 / self.share - 1))))
        self.board.post(self.view(), family=VIEW)


def as_shown(extract: Extract | None, why: Mapping[str, Any] | None) -> dict[str, Any]:
    """An extract and an explanation, as the page's script takes them."""
    shown: dict[str, Any] = {}
    if extract is not None:
        shown["extract"] = [extract.what, extract.test, extract.verdict, extract.steps, extract.controls]
    if why is not None:
        shown["why"] = why
    return shown


def said_of(
    shutdown: Shutdown, choices: Mapping[str, str], phase: str, vantage: str, target: str, family: str
) -> dict[str, Any] | None:
    """What the model says of anything that somebody could ask for; None where there is no such thing."""
    try:
        explanation = explain(shutdown, at=phase, vantage=vantage, target=target, family=family, choose=choices)
        place = vantage_point(shutdown.topology, vantage, "vantage")
    except BadInput:
        return None
    return told_of(shutdown, explanation, place.id.operator, place)
