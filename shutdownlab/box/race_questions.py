"""The questions that a run asks an on-path DPI box about its races (`RacesRequest`), and when they can be answered."""

from __future__ import annotations

import time

from shutdownlab.box.overheard import Overheard
from shutdownlab.box.race_log import RaceLog
from shutdownlab.protocol.messages import RacesRequest, RacesRun, decode, encode
from shutdownlab.system.child_process import Child


class RaceQuestions:
    """Questions of the box's parent, each answered once all frames are inspected that had come when it was heard."""

    def __init__(self, parent: Child | None, races: RaceLog) -> None:
        """`parent`: None if nobody asks. `races`: what the answers are taken from."""
        self._parent, self._races = parent, races
        self.descriptor = -1 if parent is None else parent.lines.fileno()
        """Readable when the parent has sent something; -1 without one."""
        self._waiting: list[RacesRequest] = []
        self._heard_ns = 0
        """When the last of them was heard, in ns since 1970."""

    @property
    def waiting(self) -> bool:
        """Whether there are questions without an answer."""
        return bool(self._waiting)

    def hear(self, overheard: Overheard) -> bool:
        """Reads the questions that have come; returns whether the parent may still send others."""
        assert self._parent is not None
        overheard.drained = False
        self._waiting += [each for each in map(decode, self._parent.receive()) if isinstance(each, RacesRequest)]
        self._heard_ns = time.time_ns()
        return self._parent.lines.ended is None

    def answer(self, overheard: Overheard | None) -> None:
        """Answers all questions if it is time. overheard: where frames wait to be inspected; None: they do not."""
        if overheard is None or overheard.drained or overheard.latest_ns > self._heard_ns:
            for asked in self._waiting:
                assert self._parent is not None
                self._parent.send(encode(RacesRun(asked.number, *self._races.since(asked.since, asked.ends))))
            self._waiting.clear()
