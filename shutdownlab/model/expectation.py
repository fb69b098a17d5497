"""What should be seen, and by which fact: expectations of a scenario."""

from __future__ import annotations

from enum import StrEnum
from functools import cached_property
from typing import Annotated, Literal

from pydantic import BeforeValidator

from shutdownlab.config.document import Expected, did_you_mean, one_of
from shutdownlab.config.narrowing import Narrowing
from shutdownlab.model.scope import Scope
from shutdownlab.model.topology import Vantage


class Outcome(StrEnum):
    """What became of a probe.

    `down`: not reached, for a fault of the scenario (`faults`), which is no block. `error`: the probe itself failed.
    `unknown`: the testbed did, or may have. Neither of these two is a verdict on the network, and neither can be
    expected.
    """

    OK = "ok"
    BLOCKED = "blocked"
    THROTTLED = "throttled"
    DOWN = "down"
    ERROR = "error"
    UNKNOWN = "unknown"

    @cached_property
    def is_measured(self) -> bool:
        """Whether it says anything about the network."""
        return self not in {Outcome.ERROR, Outcome.UNKNOWN}

    @cached_property
    def got_through(self) -> bool:
        """Whether the service was reached, however slowly."""
        return self in {Outcome.OK, Outcome.THROTTLED}


def _reach(value: object) -> object:
    if not isinstance(value, str | list | tuple):
        raise Expected("their names in a list, or `all`")
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
    """Which outcome the cells of a phase should have, and the fact that says so.

    A cell is a probe from a vantage point, or an observation of an operator. Where neither `probes` nor `observations`
    are given, all are meant; where one of them is, only those. What is seen from outside is an operator's as a whole:
    it is covered where `who` tells no subscribers of one operator apart.
    Within a phase the last expectation that covers a cell counts. Tools (`shutdownlab matrix`) have expectations of
    their own, by `tools`.
    """

    who: Scope = Scope()
    """The subscribers it is about; left out: all."""
    probes: _Reach = None
    """The names of probes that it is about, or `all`."""
    observations: _Reach = None
    """The names of observations that it is about, or `all`."""
    tools: _Reach = None
    """The names of tools that it is about, or `all`: what `shutdownlab matrix` should find. It is about nothing else
    then."""
    outcome: Annotated[
        Outcome, BeforeValidator(_expectable, json_schema_input_type=Literal["ok", "blocked", "throttled", "down"])
    ]
    """What should be seen."""
    source: str
    """Who says so."""
    given: dict[str, str] = {}
    """Counts only where the user has chosen so: options by account (see `accounts`)."""

    @property
    def everything(self) -> bool:
        return self.probes is None and self.observations is None and self.tools is None

    def covers(self, vantage: Vantage, probe: str) -> bool:
        """Whether it is about a probe from a vantage point."""
        return self.is_about(probe) and self.who.covers(vantage)

    def is_about(self, probe: str) -> bool:
        """Whether it is about a probe, from whatever vantage point."""
        return self.everything or _reaches(self.probes, probe)

    def covers_outside(self, operator: str, observation: str) -> bool:
        """Whether it is about an observation of an operator."""
        return (self.everything or _reaches(self.observations, observation)) and self.who.covers_operator(operator)


def _reaches(reach: tuple[str, ...] | str | None, name: str) -> bool:
    return reach is not None and (reach == "all" or name in reach)


def _expectation_or_name(value: object) -> object:
    if not isinstance(value, str | dict | Expectation):
        raise Expected("an expectation, or the name of some", "such as {outcome: blocked, source: seen}")
    return value


Expectations = tuple[Annotated[str | Expectation, BeforeValidator(_expectation_or_name)], ...]
"""Expectations, and names of some under `expectations`."""
