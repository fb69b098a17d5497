"""What DPI boxes have counted and decided by the end of a phase, as events: each decision is told once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from shutdownlab.results.decision import newer, telling
from shutdownlab.results.events import Counted, Decided

_MOST_DECISIONS: Final = 12
"""Of a box, that are told of a phase."""


@dataclass(slots=True)
class Boxes:
    """Of one run."""

    _last: dict[str, int] = field(default_factory=dict)
    """The number of the last decision that was told, by box."""

    def told(self, phase: str, box: str, counters: Mapping[str, Any]) -> Iterator[Counted | Decided]:
        """What a box has said of itself when a phase was measured. counters: of its `Counters`."""
        rest = {name: value for name, value in counters.items() if name != "recent"}
        yield Counted(phase=phase, where=box, counters=rest)
        new = newer(counters.get("recent", ()), self._last.get(box, 0))
        if not new:
            return
        self._last[box] = new[-1].number
        shown = telling(new, _MOST_DECISIONS)
        yield Decided(phase=phase, where=box, decisions=tuple(shown), others=len(new) - len(shown))
