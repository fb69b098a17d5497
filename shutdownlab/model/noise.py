"""The noise of outsiders' signals: most do not give the same reading twice."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from shutdownlab.config.document import Record
from shutdownlab.config.scalars import Whole
from shutdownlab.model.signal import KnownSignal, Percent


class Noise(Record):
    """The noise of signals: each value is drawn around its noiseless value, the same for the same seed.

    Alerts are raised on the noisy values; `below` and `above` in `signals` go by the noiseless ones.
    """

    spread: Annotated[dict[KnownSignal, Percent], Field(min_length=1)]
    """The relative standard deviation of each signal's values. Signals that are left out have no noise."""
    seed: Annotated[Whole, Field(ge=0)] = 0
    """Another seed draws other values."""
