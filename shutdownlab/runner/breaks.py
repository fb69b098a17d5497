"""Why a walk over a timeline ends early in one country."""

from __future__ import annotations

from collections.abc import Sequence

from shutdownlab.model.scenario import Phase


class CountryWornOut(Exception):
    """The next phase needs whole what has been broken on purpose, and only another country has it so."""


class SelfCheckFailed(Exception):
    """With no policy in force something did not work; measuring a shutdown would mean nothing."""


class CountryLost(Exception):
    """Something that cannot be mended has died: what is left to measure needs another country."""

    def __init__(self, phase: Phase, reasons: Sequence[str]) -> None:
        super().__init__("; ".join(reasons))
        self.phase = phase
        self.reasons = tuple(reasons)
