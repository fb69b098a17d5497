"""Exceptions that end a walk over a timeline early in one country."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from shutdownlab.model.scenario import Phase

EXIT_REBUILD: Final = 75
"""For `launch` only: the country is lost, and the run continues in another (`EX_TEMPFAIL` of sysexits.h)."""
MOST_ATTEMPTS: Final = 3
"""How often a phase is measured at most in one country, and in how many countries in a row it is tried at most."""


class CountryWornOut(Exception):
    """The next phase needs something that was broken on purpose and can be restored only by rebuilding the country."""


class SelfCheckFailed(Exception):
    """Something did not work with no policy in force, so measuring a shutdown would mean nothing."""


class CountryLost(Exception):
    """Something has failed that cannot be repaired: the remaining phases need another country."""

    def __init__(self, phase: Phase, reasons: Sequence[str]) -> None:
        super().__init__("; ".join(reasons))
        self.phase = phase
        self.reasons = tuple(reasons)
