"""The inputs to the cost of a shutdown: estimates of the size of an economy, with their sources."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from shutdownlab.config.document import Expected, Record
from shutdownlab.config.scalars import Number
from shutdownlab.model.labels import Source


class Estimate(Record):
    """An estimate: the value to use, and the range in which the true one may lie."""

    value: Annotated[Number, Field(gt=0)]
    """The value to use."""
    low: Annotated[Number, Field(gt=0)] | None = None
    """The lowest plausible value; left out: `value`."""
    high: Annotated[Number, Field(gt=0)] | None = None
    """The highest plausible value; left out: `value`."""
    source: Source
    """Where the estimate comes from."""

    @model_validator(mode="after")
    def _in_order(self) -> Estimate:
        if not self.least <= self.value <= self.most:
            raise Expected("`low` at most `value`, and `value` at most `high`")
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
    """A published estimate of a shutdown's cost."""

    by: str
    """Who made the estimate."""
    amount: Annotated[Number, Field(gt=0)]
    """How much it cost, in millions of US dollars."""
    hours: Annotated[Number, Field(gt=0)] | None = None
    """How long the shutdown lasted according to them, in hours."""
    at_least: bool = False
    """Whether they say that it cost more than `amount`."""
    source: Source
    """Where it is published."""


class Economy(Record):
    """How much of an economy depends on the Internet."""

    gdp: Estimate | None = None
    """The gross domestic product of the year, in thousands of millions of US dollars."""
    internet_share: Annotated[Estimate, BeforeValidator(_share)] | None = None
    """The share of GDP that depends on the Internet, 0 to 1."""
    users: Estimate | None = None
    """The number of Internet users, in millions."""


class ShutdownCost(Economy):
    """The same for one shutdown, where its year or sources differ; and published estimates of its cost."""

    published: tuple[Published, ...] = ()
    """Published estimates of its cost."""
