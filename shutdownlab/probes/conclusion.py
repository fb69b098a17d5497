"""What a test concludes when no step of it has failed outright (see `StepFailed`)."""

from __future__ import annotations

from dataclasses import dataclass

from shutdownlab.model.scenario import Outcome


@dataclass(frozen=True, slots=True)
class Conclusion:
    """The outcome of a test.

    `failure`: OONI's failure string, where one says it. `doubtful`: load, or chance, alone could have caused the
    outcome, so it is believed only when a repetition confirms it. `value`, in `unit`: what was measured, where that is
    a number. `margin`: of a speed, for how many seconds what passes octets on would have to be kept from it to make one
    outcome of another; None: it is no speed.
    """

    outcome: Outcome
    failure: str | None = None
    doubtful: bool = False
    value: float | None = None
    unit: str = ""
    margin: float | None = None
