"""Expectations of a scenario: what should be observed, and the fact that says so."""

from __future__ import annotations

from enum import StrEnum
from functools import cached_property
from typing import Annotated, Literal

from pydantic import BeforeValidator

from shutdownlab.config.document import Expected, did_you_mean, one_of
from shutdownlab.config.narrowing import Narrowing
from shutdownlab.model.labels import Source
from shutdownlab.model.scope import Scope
from shutdownlab.model.topology import Vantage


class Outcome(StrEnum):
    """The outcome of a probe.

    `down`: not reached because of a fault of the scenario (`faults`), which is not blocking. `error`: the probe itself
    failed. `unknown`: the testbed failed, or may have. Neither `error` nor `unknown` is a verdict on the network, and
    neither can be expected.
    """

    OK = "ok"
    BLOCKED = "blocked"
    THROTTLED = "throttled"
    DOWN = "down"
    ERROR = "error"
    UNKNOWN = "unknown"

    @cached_property
    def is_measured(self) -> bool:
        """Whether it is a verdict on the network."""
        return self not in {Outcome.ERROR, Outcome.UNKNOWN}

    @cached_property
    def got_through(self) -> bool:
        """Whether the service was reached, however slowly."""
        return self in {Outcome.OK, Outcome.THROTTLED}


def _reach(value: object) -> object:
    if not isinstance(value, str | list | tuple):
        raise Expected("a list of names, or `all`")
    return value if value == "all" else tuple(value) if isinstance(value, list) else (value,)


_EXPECTABLE = tuple(outcome.value for outcome in Outcome if outcome.is_measured)


def _expectable(value: object) -> object:
    if value not in _EXPECTABLE:
        raise Expected(one_of(_EXPECTABLE), lambda: did_you_mean(str(value), _EXPECTABLE))
    return value


_Reach = Annotated[
    tuple[str, ...] | Literal["all"] | None,
    BeforeValidator(_reach, json_schema_input_type=tuple[str, ...] | str),
]


class Expectation(Narrowing):
    """The outcome that the cells of a phase should have, and the fact that says so.

    A cell is a probe from a vantage point, or an observation of an operator. An expectation without `probes` and
    `observations` covers all of both; with either, only those named. Observations are of an operator as a whole: they
    are covered if `who` does not distinguish between subscribers of one operator. If several expectations of a phase
    cover a cell, the last one counts. Tools (`shutdownlab matrix`) have expectations of their own, by `tools`.
    """

    who: Scope = Scope()
    """The subscribers that it covers; left out: all."""
    probes: _Reach = None
    """The names of the probes that it covers, or `all`."""
    observations: _Reach = None
    """The names of the observations that it covers, or `all`."""
    tools: _Reach = None
    """The names of the tools that it covers, or `all`: what `shutdownlab matrix` should find. It then covers nothing
    else."""
    outcome: Annotated[
        Outcome, BeforeValidator(_expectable, json_schema_input_type=Literal["ok", "blocked", "throttled", "down"])
    ]
    """The expected outcome."""
    source: Source
    """The source of the fact."""
    given: dict[str, str] = {}
    """Makes it count only under these choices of the user: options by account (see `accounts`)."""

    @property
    def everything(self) -> bool:
        return self.probes is None and self.observations is None and self.tools is None

    def covers(self, vantage: Vantage, probe: str) -> bool:
        """Returns whether it covers a probe from a vantage point."""
        return self.is_about(probe) and self.who.covers(vantage)

    def is_about(self, probe: str) -> bool:
        """Returns whether it covers a probe from any vantage point."""
        return self.everything or _reaches(self.probes, probe)

    def covers_outside(self, operator: str, observation: str) -> bool:
        """Returns whether it covers an observation of an operator."""
        return (self.everything or _reaches(self.observations, observation)) and self.who.covers_operator(operator)


def _reaches(reach: tuple[str, ...] | str | None, name: str) -> bool:
    return reach is not None and (reach == "all" or name in reach)


def _expectation_or_name(value: object) -> object:
    if not isinstance(value, str | dict | Expectation):
        raise Expected("an expectation, or a name under `expectations`", "such as {outcome: blocked, source: seen}")
    return value


Expectations = tuple[Annotated[str | Expectation, BeforeValidator(_expectation_or_name)], ...]
"""Expectations, and names of lists under `expectations`."""
