"""Decisions of DPI boxes, as records and pages tell them one by one; and which to tell, where there are many. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from shutdownlab.results.result import Count

Port = Annotated[int, Field(ge=0, le=65535)]


class BoxDecision(BaseModel):
    """A connection that a rule of a DPI box has decided, once. The addresses are as its opener sent them."""

    model_config = ConfigDict(frozen=True, extra="ignore", json_schema_serialization_defaults_required=True)

    number: Count
    """How many connections the box had decided by then, with or without a rule."""
    src: str
    """The opener's address."""
    sport: Port
    """The opener's port; 0 where the protocol has none."""
    dst: str
    """The address that it was opened to."""
    dport: Port
    """The port there; 0 where the protocol has none."""
    proto: Annotated[int, Field(ge=0, le=255)]
    """IP's number of the protocol above it: 6 is TCP, 17 UDP."""
    opener: Literal["inside", "outside"]
    """On which side of the box whoever opened it is."""
    action: str
    """What the box does to it."""
    rule: str
    """The rule that decided."""
    protocol: str = ""
    """What the box took it for: `tls`, `dns` …"""
    app: str | None = None
    """The app, where the rule goes by apps."""
    host: str | None = None
    """The name that the box saw in it."""


def telling(decisions: Iterable[BoxDecision], most: int) -> list[BoxDecision]:
    """So many of them, in their order, as unlike as there are: of each rule, name and protocol one, then another."""
    kinds: dict[tuple[object, ...], dict[str, list[BoxDecision]]] = {}
    for each in decisions:
        kind = each.rule, each.action, each.protocol, each.host or each.app or each.dst
        kinds.setdefault(kind, {}).setdefault(each.src, []).append(each)
    found = _in_turn([_in_turn(by_opener.values()) for by_opener in kinds.values()])
    return sorted(found[:most], key=lambda decision: decision.number)


def _in_turn(lists: Iterable[Sequence[BoxDecision]]) -> list[BoxDecision]:
    """The first of each, then the second of each, and so on."""
    return [each for together in zip_longest(*lists) for each in together if each is not None]


def newer(recent: Iterable[Mapping[str, Any]], last: int) -> list[BoxDecision]:
    """Those of a box's `recent` decisions that came after the one of this number; all, where the box began anew."""
    found = [BoxDecision.model_validate(each) for each in recent]
    if found and found[-1].number < last:
        return found
    return [each for each in found if each.number > last]
