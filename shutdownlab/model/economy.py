"""What a shutdown's cost is worked out from: the size of an economy, as people estimate it, with their sources."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from shutdownlab.config.document import Expected, Record
from shutdownlab.config.scalars import Number


class Estimate(Record):
    """A number that nobody knows exactly: the one to go by, and from what to what it may be."""

    value: Annotated[Number, Field(gt=0)]
    """What to go by."""
    low: Annotated[Number, Field(gt=0)] | None = None
    """The least that it may be; left out: it is `value`."""
    high: Annotated[Number, Field(gt=0)] | None = None
    """The most that it may be; left out: it is `value`."""
    source: str
    """Who says so."""

    @model_validator(mode="after")
    def _in_order(self) -> Estimate:
        if not self.least <= self.value <= self.most:
            raise Expected("`low` not above `value`, and `value` not above `high`")
        return self

    @property
    def least(self) -> float:
        return self.value if self.low is None else self.low

    @property
    def most(self) -> float:
        return self.value if self.high is None else self.high


def _share(value: Any) -> Any:
    numbers = [value.get(key) for key in ("value", "low", "high")] if isinstance(value, dict) else []
    if any(isinstance(number, int | float) and number > 1 for number in numbers):
        raise Expected("shares of GDP, from 0 to 1")
    return value


class Published(Record):
    """What somebody else has worked out that it cost."""

    by: str
    """Who has worked it out."""
    amount: Annotated[Number, Field(gt=0)]
    """How much it cost, in millions of US dollars."""
    hours: Annotated[Number, Field(gt=0)] | None = None
    """How long they say that it lasted, in hours."""
    at_least: bool = False
    """Whether they say that it cost more than `amount`."""
    source: str
    """Where they say so."""


class Economy(Record):
    """What of an economy hangs on the Internet."""

    gdp: Estimate | None = None
    """The gross domestic product of the year, in thousands of millions of US dollars."""
    internet_share: Annotated[Estimate, BeforeValidator(_share)] | None = None
    """The share of GDP that hangs on the Internet, 0 to 1."""
    users: Estimate | None = None
    """How many use the Internet, in millions."""


class ShutdownCost(Economy):
    """The same for one shutdown, where its year or its sources are others; and what others found that it cost."""

    published: tuple[Published, ...] = ()
    """What others have worked out."""
