"""Sets of connections as a DPI box distinguishes them, and classifiers over them: the algebra of `traffic`, with names.

A classifier is a list of (conditions, judgement), first match wins; its last entry covers every connection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from shutdownlab.compiler.enforcement import METER_BURST_SECONDS
from shutdownlab.config.addresses import IpPrefix
from shutdownlab.config.scalars import Ports, rate_text
from shutdownlab.inspection.conditions import Conditions
from shutdownlab.inspection.policy import ResidualSpec
from shutdownlab.inspection.policy import Verdict as BoxVerdict
from shutdownlab.inspection.verdict import Action

_BURST = METER_BURST_SECONDS * 125
"""Burst in bytes for each kbit/s of rate, the same as that of access lists' meters."""
Whose = Literal["client", "server", "both"]
ANY = Conditions()
_STRENGTH = (Action.PASS, Action.THROTTLE, Action.FREEZE, Action.BLOCK, Action.RESET, Action.DROP)
"""Weakest first. BLOCK means whatever the box's profile does; an action that a policy itself names outranks it."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What happens to a connection.

    directions: the end whose packets are dropped or counted. rate_up, rate_down: kbit/s; up is from the subscriber.
    cap: bytes that still pass. residual: the block that follows. policy: name of the policy that is enforced.
    """

    action: Action
    directions: Whose = "both"
    rate_up: int | None = None
    rate_down: int | None = None
    cap: int | None = None
    residual: ResidualSpec | None = None
    policy: str = ""

    @property
    def verdict(self) -> BoxVerdict:
        rates = {"rate_up": self.rate_up, "rate_down": self.rate_down}
        limits: dict[str, str | int] = {key: rate_text(rate) for key, rate in rates.items() if rate is not None}
        if limits:  # the same burst as a switch's meter has at this rate
            limits["burst"] = min(max(2000, round(max(self.rate_up or 0, self.rate_down or 0) * _BURST)), 1 << 24)
        if self.cap is not None:
            limits["cap_bytes"] = self.cap
        given: dict[str, Any] = {"action": self.action, "directions": self.directions, **limits}
        return BoxVerdict.model_validate(given | ({"residual": self.residual} if self.residual else {}))

    def and_then(self, other: Judgement) -> Judgement:
        """Combines two judgements: the stronger action; the lower of two rates or sizes; the longer of two residual
        blocks; both directions if they differ."""
        if self.action is not other.action:
            return max(self, other, key=lambda judgement: _STRENGTH.index(judgement.action))
        return Judgement(
            self.action,
            self.directions if self.directions == other.directions else "both",
            _lower(self.rate_up, other.rate_up),
            _lower(self.rate_down, other.rate_down),
            _lower(self.cap, other.cap),
            max(filter(None, (self.residual, other.residual)), key=lambda each: each.seconds, default=None),
            self.policy,
        )


PASS = Judgement(Action.PASS)
Entry = tuple[Conditions, Judgement]


def classifier(targets: Iterable[Entry], spared: Iterable[Conditions]) -> tuple[Entry, ...]:
    """Returns the classifier of one policy: exempt connections among the targets pass, the other targets are judged,
    the rest passes."""
    wanted, free = tuple(targets), tuple(spared)
    excepted = ((met, PASS) for target, _ in wanted for spare in free if (met := meet(target, spare)) is not None)
    return tuple(dict.fromkeys((*excepted, *wanted, (ANY, PASS))))


def both(first: tuple[Entry, ...], second: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """Combines two classifiers that apply to the same connections."""
    found: dict[Conditions, Judgement] = {}
    for conditions, judgement in first:
        for other, following in second:
            met = meet(conditions, other)
            if met is not None:
                found.setdefault(met, judgement.and_then(following))
    return tuple(found.items())


def meet(a: Conditions, b: Conditions) -> Conditions | None:
    """Returns the connections in both sets; None if there are none. Handles only the conditions that policies use."""
    given: dict[str, Any] = {}
    for field, narrower in _NARROWER.items():
        met = _each(getattr(a, field), getattr(b, field), narrower)
        if met is None:
            return None
        given[field] = met
    if a.opener and b.opener and a.opener != b.opener:
        return None
    return Conditions(**given, opener=a.opener or b.opener)


def _each(a: tuple[Any, ...], b: tuple[Any, ...], narrower: Any) -> tuple[Any, ...] | None:
    """Returns the alternatives that satisfy both lists; None if there are none. An empty list is always satisfied."""
    if not a or not b:
        return a or b
    met = tuple(dict.fromkeys(found for one in a for other in b if (found := narrower(one, other)) is not None))
    return met or None


def _same(a: str, b: str) -> str | None:
    return a if a == b else None


def _name(a: str, b: str) -> str | None:
    """Returns that of two domains which is within the other; None if neither is."""
    return a if f".{a}".endswith(f".{b}") else b if f".{b}".endswith(f".{a}") else None


def narrower_prefix(a: IpPrefix, b: IpPrefix) -> IpPrefix | None:
    """Returns the intersection of two prefixes, which is one of them, or None."""
    if a.version != b.version or not a.overlaps(b):
        return None
    return a if a.prefixlen >= b.prefixlen else b


def _ports(a: Ports, b: Ports) -> Ports | None:
    first, last = max(a.first, b.first), min(a.last, b.last)
    if first > last or (a.protocol and b.protocol and a.protocol != b.protocol):
        return None
    return Ports(protocol=a.protocol or b.protocol, first=first, last=last)


_NARROWER: Mapping[str, Callable[[Any, Any], Any]] = MappingProxyType(
    {
        "app": _same,
        "protocol": _same,
        "name_suffix": _name,
        "address": narrower_prefix,
        "port": _ports,
        "subscriber": narrower_prefix,
    }
)


def _lower(a: int | None, b: int | None) -> int | None:
    return b if a is None else a if b is None else min(a, b)
