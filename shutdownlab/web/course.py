"""The progress of an order, from its receipt until everything that it changed has been measured. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Course:
    """Times in seconds since the order was received; each is None until then.

    what: the order, in words; "" before the first. confirmed: every switch and box had confirmed it. probing: its first
    probes started. sign: the first cell was seen to change, perhaps in a try that still had to be confirmed. believed:
    the first change was certain. settled: all changes that the model expects were certain, downloads included. whole:
    all cells had been measured.
    """

    what: str = ""
    confirmed: float | None = None
    probing: float | None = None
    sign: float | None = None
    believed: float | None = None
    settled: float | None = None
    whole: float | None = None

    def reached(self, marks: dict[str, float]) -> Course:
        """Returns a course with these times added; times that were set before stay."""
        new: dict[str, Any] = {name: at for name, at in marks.items() if getattr(self, name) is None}
        return replace(self, **new) if new and self.what else self

    def text(self) -> str:
        """Returns the course in words."""
        marks = (
            ("carried out", self.confirmed), ("first sign", self.sign), ("first change believed", self.believed),
            ("everything measured", self.whole),
        )  # fmt: skip
        parts = [f"{name} after {at:.1f} s" for name, at in marks if at is not None]
        return f"{self.what}: {', '.join(parts)}"
