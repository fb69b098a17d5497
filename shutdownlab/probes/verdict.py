"""What a test concludes, short of the exception that says the rest."""

from __future__ import annotations

from dataclasses import dataclass

from shutdownlab.model.scenario import Outcome


@dataclass(frozen=True, slots=True)
class Verdict:
    """`failure` where one string says it; `doubtful`: load alone could have caused the outcome."""

    outcome: Outcome
    failure: str | None = None
    doubtful: bool = False
