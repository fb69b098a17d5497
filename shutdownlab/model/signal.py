"""Expectations of outsiders' signals: each is a claim about one signal, with its source."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, PlainSerializer, model_validator

from shutdownlab.config.document import Expected, did_you_mean, one_of
from shutdownlab.config.narrowing import Narrowing
from shutdownlab.config.scalars import text_like, written
from shutdownlab.model.labels import Source

SignalName = Literal[
    "bgp",
    "active-probing",
    "telescope",
    "cdn",
    "http3",
    "mobile",
    "dns-queries",
    "atlas-datacentre",
    "atlas-home",
    "tor-relays",
    "tor-bridges",
    "vpn-demand",
    "hyperquack",
]
SIGNAL_NAMES: tuple[str, ...] = get_args(SignalName)
_MOST_PERCENT = 10_000


def _percent(value: Any) -> float:
    """Parses `"20%"` as 0.2."""
    found = re.fullmatch(r"([0-9]{1,5}(?:\.[0-9]{1,6})?) ?%", written(value))
    if found is None or float(found[1]) > _MOST_PERCENT:
        raise Expected("a percentage such as 20%", "100% is the level of a quiet day")
    return float(found[1]) / 100


def percent_text(share: float) -> str:
    """Returns a text such as `"20%"` for 0.2."""
    return f"{round(100 * share, 6):g}%"


Percent = Annotated[
    float,
    BeforeValidator(_percent),
    PlainSerializer(percent_text),
    text_like("percentage", "20%", "99.5%", "120%", pattern=r"[0-9]{1,5}(\.[0-9]{1,6})? ?%"),
]


def _signal(value: object) -> object:
    if value not in SIGNAL_NAMES:
        raise Expected(one_of(SIGNAL_NAMES), lambda: did_you_mean(str(value), SIGNAL_NAMES))
    return value


KnownSignal = Annotated[SignalName, BeforeValidator(_signal, json_schema_input_type=SignalName)]


class SignalExpectation(Narrowing):
    """What outsiders should see: how high one `signal` is or which alert it raises; or which signal falls `first`.

    `verify` judges it by the model, a run by its observations.
    """

    signal: KnownSignal | None = None
    """The signal."""
    first: KnownSignal | None = None
    """The signal that raises an alert before all others do, and before the phase `before` begins."""
    before: str = ""
    """The phase before which `first` must raise its alert."""
    below: Percent | None = None
    """The signal is lower than this in each of the phases; 100% is a quiet day."""
    above: Percent | None = None
    """The signal is higher than this in each of the phases."""
    alert: Literal["none", "warning", "critical"] | None = None
    """`none`: its detector raises no alert that overlaps any of the phases. `warning`, `critical`: an alert of at least
    that level overlaps each of the phases; if `during` is left out, there is one at any time."""
    during: tuple[str, ...] = ()
    """The phases; left out: all."""
    operator: str = ""
    """Only this operator's signal; left out: the country's."""
    region: str = ""
    """Only this region's signal."""
    family: Literal["ipv4", "ipv6"] | None = None
    """Only this address family; left out: both together, or IPv4 if the signal has the two apart."""
    source: Source
    """The source of the claim."""
    given: dict[str, str] = {}
    """Makes it count only under these choices of the user: options by account (see `accounts`)."""

    @model_validator(mode="after")
    def _one_claim(self) -> SignalExpectation:
        if (self.signal is None) == (self.first is None):
            found = "neither" if self.signal is None else "both"
            raise Expected("`signal` or `first`", "`signal: bgp`, or `first: http3`", found=found)
        if self.operator and self.region:
            raise Expected(
                "`operator` or `region`", "a signal is of one operator or of one region", found="both", key="region"
            )
        claims = [key for key in ("below", "above", "alert") if getattr(self, key) is not None]
        if self.first is not None:
            wrong = [*claims, *(["during"] if self.during else [])]
            if wrong:
                raise Expected("only `before` together with `first`", found=f"`{wrong[0]}`", key=wrong[0])
            if not self.before:
                raise Expected(
                    "`before: PHASE`",
                    "the phase before which it must fall",
                    found="`first` without `before`",
                    key="first",
                )
            return self
        if self.before:
            hint = "`first: http3` means that it falls before all others"
            raise Expected(
                "`before` together with `first`", hint, found="`before` together with `signal`", key="before"
            )
        if not claims:
            raise Expected("`below`, `above` or `alert`", "such as `below: 20%`", found="none of them", key="signal")
        if "alert" in claims and len(claims) > 1:
            raise Expected(
                "only `alert`", "write two expectations", found=f"`{claims[0]}` together with `alert`", key="alert"
            )
        if self.below is not None and self.above is not None and self.below <= self.above:
            raise Expected(f"more than {percent_text(self.above)}", found=percent_text(self.below), key="below")
        return self

    @property
    def phases(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """Yields the phases that it names, each with its path."""
        if self.before:
            yield ("before",), self.before
        yield from ((("during", place), name) for place, name in enumerate(self.during))

    @property
    def text(self) -> str:
        """The claim, in a few words."""
        of = f" of {self.operator or self.region}" if self.operator or self.region else ""
        family = f" ({self.family})" if self.family else ""
        if self.first is not None:
            return f"{self.first}{of}{family} falls first, before {self.before}"
        claims = [f"below {percent_text(self.below)}"] if self.below is not None else []
        claims += [f"above {percent_text(self.above)}"] if self.above is not None else []
        if self.alert is not None:
            claims = ["no alert" if self.alert == "none" else f"an alert, {self.alert}"]
        during = f" in {', '.join(self.during)}" if self.during else ""
        return f"{self.signal}{of}{family}: {' and '.join(claims)}{during}"
