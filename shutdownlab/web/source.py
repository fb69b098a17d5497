"""What a live page is fed from: a run that goes on, a run that is over, or a country that is steered."""

from __future__ import annotations

import threading
import time
import traceback
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from shutdownlab.reporting.page.evidence import Extract
from shutdownlab.web.board import Board
from shutdownlab.web.parts import VIEW

_MOST_LINES: Final = 300
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
        self._log: deque[dict[str, str]] = deque(maxlen=_MOST_LINES)
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

    def tell(self, kind: str, text: str, **more: str) -> None:
        """A line of what happens: `kind` is `order`, `fault`, `notice` or `step`."""
        with self._log_lock:
            self._log.append({"at": f"{datetime.now(UTC):%H:%M:%S}", "kind": kind, "text": text, **more})
            lines = list(self._log)
        self.board.post({"log": lines})

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
