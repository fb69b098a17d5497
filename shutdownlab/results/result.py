"""A result: what became of one cell, beside what was expected of it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

from shutdownlab.model.scenario import Family, Outcome

Certainty = Literal["certain", "confirmed", "unconfirmed"]
"""`certain`: nothing but the network can have caused it. `confirmed`: load could have, but it came out the same in
several tries. `unconfirmed`: it did not; its outcome is `unknown`."""

ScenarioTime = Annotated[datetime, PlainSerializer(lambda at: f"{at:%Y-%m-%dT%H:%MZ}", return_type=str)]
"""A moment of the scenario, to the minute, UTC."""

_Empty = BeforeValidator(lambda value: None if value == "" else value)


class Result(BaseModel):
    """One row of results.csv, whose columns bear the names of these fields, in their order.

    region, subscriber, access, class: of the vantage point; empty for what is seen from outside the country.
    failure: OONI's name for what went wrong. expected: empty where the scenario expects nothing.
    weight: how many subscribers the vantage point stands for; 0 for those whom the table leaves out.
    value: what was measured, in `unit` (kbit/s of a download, ms of a round trip), where the probe measures anything.
    tries: how often it was measured until it was believed. phase_seconds: wall-clock time that its phase took.
    column: the heading under which tables show it. source: the fact behind what is expected.
    """

    model_config = ConfigDict(frozen=True, populate_by_name=True, extra="ignore")

    phase: str
    time: ScenarioTime
    operator: str
    region: str
    subscriber: str
    target: str
    family: Family
    outcome: Outcome
    failure: Annotated[str | None, _Empty] = None
    expected: Annotated[Outcome | None, _Empty] = None
    access: str = ""
    class_: Annotated[str, Field(alias="class")] = ""
    weight: float = 1.0
    value: Annotated[float | None, _Empty] = None
    unit: str = ""
    tries: int = 1
    certainty: Certainty = "certain"
    phase_seconds: Annotated[float | None, _Empty] = None
    column: str = ""
    source: str = ""

    @property
    def met(self) -> bool:
        """Whether it is as expected. What could not be measured is never what anyone expected."""
        return self.outcome.is_measured and self.expected in {None, self.outcome}

    @property
    def vantage(self) -> str:
        """Where it was measured: `kcell/almaty/ordinary`; the operator alone for what is seen from outside."""
        return "/".join(part for part in (self.operator, self.region, self.subscriber) if part)


COLUMNS = tuple(field.alias or name for name, field in Result.model_fields.items())
"""The columns of results.csv. The first ten have been there since version 0.1 and stay where they are."""


def row(result: Result) -> list[str]:
    """A line of results.csv."""
    found = result.model_dump(mode="json", by_alias=True)
    return ["" if found[column] is None else _text(found[column]) for column in COLUMNS]


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) and value.is_integer() else str(value)
