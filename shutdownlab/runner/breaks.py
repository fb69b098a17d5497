"""Why a walk over a timeline ends early in one country."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from shutdownlab.model.scenario import Phase

EXIT_REBUILD: Final = 75
"""To `launch` only: the country is lost, the run goes on in another (`EX_TEMPFAIL` of sysexits.h)."""
MOST_ATTEMPTS: Final = 3
"""How often a phase is measured at most, in one country and over all countries."""


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
