"""How unsteady outsiders' signals are: of most, nobody reads the same twice."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from shutdownlab.config.document import Record
from shutdownlab.config.scalars import Whole
from shutdownlab.model.signal import KnownSignal, Percent


class Noise(Record):
    """What makes signals unsteady: each of their values is drawn around what it would be, the same for the same seed.

    Alerts are raised over what comes of that; `below` and `above` in `signals` go by what lies beneath.
    """

    spread: Annotated[dict[KnownSignal, Percent], Field(min_length=1)]
    """Of each signal, the relative standard deviation of its values. Signals that are left out are steady."""
    seed: Annotated[Whole, Field(ge=0)] = 0
    """Another one draws other values."""
