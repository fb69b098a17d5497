"""Turns DPI boxes' counters and decisions at the end of a phase into events; each decision is reported once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from shutdownlab.results.decision import newer, varied
from shutdownlab.results.events import Counted, Decided

_MOST_DECISIONS: Final = 12
"""Most decisions reported per box and phase."""


@dataclass(slots=True)
class Boxes:
    """The boxes of one run."""

    _last: dict[str, int] = field(default_factory=dict)
    """Number of the last decision reported, by box."""

    def events_of(self, phase: str, box: str, counters: Mapping[str, Any]) -> Iterator[Counted | Decided]:
        """Yields the events of a box after a phase was measured. counters: from its `Counters` message."""
        rest = {name: value for name, value in counters.items() if name != "recent"}
        yield Counted(phase=phase, where=box, counters=rest)
        new = newer(counters.get("recent", ()), self._last.get(box, 0))
        if not new:
            return
        self._last[box] = new[-1].number
        shown = varied(new, _MOST_DECISIONS)
        yield Decided(phase=phase, where=box, decisions=tuple(shown), others=len(new) - len(shown))
