"""How an order went on, from when it was taken until all was measured that it changed. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Course:
    """Seconds from when the order was taken, each None until it is so.

    what: the order, in words; empty before there is one. confirmed: every switch and box had said so. probing: its
    first probes began. sign: the first cell was seen to change, be it in a try that had to be confirmed. believed: the
    first change was certain. settled: all were that the model says there are, downloads among them. whole: all cells.
    """

    what: str = ""
    confirmed: float | None = None
    probing: float | None = None
    sign: float | None = None
    believed: float | None = None
    settled: float | None = None
    whole: float | None = None

    def reached(self, marks: dict[str, float]) -> Course:
        """The same, having come so far; what was reached before stays as it was."""
        new: dict[str, Any] = {name: at for name, at in marks.items() if getattr(self, name) is None}
        return replace(self, **new) if new and self.what else self

    def told(self) -> str:
        """In words."""
        marks = (
            ("carried out", self.confirmed), ("first sign", self.sign), ("first change believed", self.believed),
            ("everything measured", self.whole),
        )  # fmt: skip
        said = [f"{name} after {at:.1f} s" for name, at in marks if at is not None]
        return f"{self.what}: {', '.join(said)}"
