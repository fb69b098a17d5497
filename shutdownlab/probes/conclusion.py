"""The conclusion of a test none of whose steps has failed outright (see `StepFailed`)."""

from __future__ import annotations

from dataclasses import dataclass

from shutdownlab.model.scenario import Outcome


@dataclass(frozen=True, slots=True)
class Conclusion:
    """The outcome of a test.

    `failure`: OONI's failure string, if there is one. `doubtful`: load or chance alone could have caused the outcome,
    so it is believed only once a repetition confirms it. `value`, in `unit`: the measured number, if there is one.
    `margin`: for a speed, the seconds for which forwarders would have to be delayed to change the outcome; None: it is
    no speed.
    """

    outcome: Outcome
    failure: str | None = None
    doubtful: bool = False
    value: float | None = None
    unit: str = ""
    margin: float | None = None
