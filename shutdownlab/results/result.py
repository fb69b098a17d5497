"""A result: the outcome of one cell, beside what was expected of it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

from shutdownlab.model.scenario import Family, Outcome

Certainty = Literal["certain", "confirmed", "unconfirmed", "held"]
"""How sure an outcome is: see `Result.certainty`."""

THE_MODEL = "the model"
"""The value of `Result.held` for a cell held by the model, not by a measurement in another phase."""

ScenarioTime = Annotated[
    datetime,
    PlainSerializer(lambda at: f"{at:%Y-%m-%dT%H:%MZ}", return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\dZ$"}),
]
"""A moment of the scenario, to the minute, UTC: `2022-01-05T10:30Z`."""

Seconds = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=0)]

_Empty = BeforeValidator(lambda value: None if value == "" else value)


class Result(BaseModel):
    """The outcome of one cell: a phase, a vantage point, a target and an address family.

    A row of results.csv, whose columns have the names of these fields, in their order; there, null is an empty column.
    """

    model_config = ConfigDict(
        frozen=True,
        defer_build=True,
        populate_by_name=True,
        extra="ignore",
        json_schema_serialization_defaults_required=True,
    )

    phase: str
    """The name of the phase."""
    time: ScenarioTime
    """When the phase begins, in the scenario's time."""
    operator: str
    """The operator's name."""
    region: str
    """The region of the vantage point; empty for what is seen from outside the country."""
    subscriber: str
    """The group of subscribers at the vantage point; empty for what is seen from outside the country."""
    target: str
    """The name of the probe."""
    family: Family
    """The address family."""
    outcome: Outcome
    """`ok`, `throttled` (it got through, but slowly), `blocked`, `down` (unreachable because of a fault of the
    scenario); without a verdict: `error` (the probe itself failed), `unknown` (the testbed's failure: tries disagreed,
    or the cell's controls failed)."""
    failure: Annotated[str | None, _Empty] = None
    """OONI's name for the failure; `fault: ` and the fault's name if the outcome is `down`; null if nothing failed, or
    if a forged answer or a block page shows the block."""
    expected: Annotated[Outcome | None, _Empty] = None
    """The outcome that the scenario expects; null where it expects nothing."""
    access: str = ""
    """`fixed`, `mobile`, `satellite` or `roaming`; empty for what is seen from outside the country."""
    class_: Annotated[str, Field(alias="class")] = ""
    """The class of subscribers: `ordinary`, `government`, `datacentre`, or one of the topology's own; empty for what is
    seen from outside."""
    weight: Annotated[float, Field(ge=0)] = 1.0
    """How many subscribers the vantage point stands for, in millions; 0: the table leaves them out."""
    value: Annotated[float | None, _Empty] = None
    """The value measured, in `unit`; null if the probe measures only whether it gets through."""
    unit: str = ""
    """The unit of `value`: `kbit/s` for a download, `ms` for a round trip; empty if there is no value."""
    tries: Annotated[int, Field(ge=0)] = 1
    """How many measurements it took until the outcome was accepted; 0 if the phase could not be measured at all, or if
    the outcome is held."""
    certainty: Certainty = "certain"
    """`certain`: only the network can have caused the outcome. `confirmed`: a busy machine could have, but several
    tries agreed. `unconfirmed`: they did not; the outcome is `unknown`. `held`: not measured in this phase; see
    `held`."""
    phase_seconds: Annotated[Seconds | None, _Empty] = None
    """Wall-clock seconds that the phase took; null in events, which come before its end."""
    column: str = ""
    """The heading under which tables show the probe."""
    source: str = ""
    """The source of what is expected."""
    held: str = ""
    """The phase whose measurement stands for this one, which a sample (`--sample`) left out because it cannot differ;
    `the model` if, by the model, nothing has changed (`--changed-since`); empty if the cell was measured."""

    def held_by_the_model(self) -> Result:
        """Returns this result of the model in place of a measurement that was not made."""
        return self.model_copy(update={"held": THE_MODEL, "tries": 0, "certainty": "held", "value": None, "unit": ""})

    def held_in(self, later: Result) -> Result:
        """Returns the result that stands for `later`, which cannot differ from this one and was not measured."""
        copied = {"outcome": self.outcome, "failure": self.failure, "held": self.phase}
        return later.model_copy(update=copied | {"tries": 0, "certainty": "held", "value": None, "unit": ""})

    @property
    def met(self) -> bool:
        """Whether the outcome is as expected. An outcome that is no measurement never meets an expectation."""
        return self.outcome.is_measured and (self.expected is None or self.expected == self.outcome)

    @property
    def vantage(self) -> str:
        """Where it was measured: `kcell/almaty/ordinary`; the operator alone for what is seen from outside."""
        return "/".join(part for part in (self.operator, self.region, self.subscriber) if part)


COLUMNS = tuple(field.alias or name for name, field in Result.model_fields.items())
"""The columns of results.csv. The first ten have been there since version 0.1 and stay where they are."""


def row(result: Result) -> list[str]:
    """Returns a result's fields as a row of results.csv."""
    found = result.model_dump(mode="json", by_alias=True)
    return ["" if found[column] is None else _text(found[column]) for column in COLUMNS]


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) and value.is_integer() else str(value)
