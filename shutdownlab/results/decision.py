"""Decisions of DPI boxes, one record each, and a choice of the most varied where there are many. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from shutdownlab.results.result import Count

Port = Annotated[int, Field(ge=0, le=65535)]


class BoxDecision(BaseModel):
    """A connection on which a rule of a DPI box has decided, once. The addresses are as the initiator sent them."""

    model_config = ConfigDict(
        frozen=True, defer_build=True, extra="ignore", json_schema_serialization_defaults_required=True
    )

    number: Count
    """The number of connections that the box had decided on by then, by a rule or not."""
    src: str
    """The initiator's address."""
    sport: Port
    """The initiator's port; 0 if the protocol has none."""
    dst: str
    """The destination address."""
    dport: Port
    """The destination port; 0 if the protocol has none."""
    proto: Annotated[int, Field(ge=0, le=255)]
    """The IP protocol number: 6 is TCP, 17 UDP."""
    opener: Literal["inside", "outside"]
    """The side of the box that the initiator is on."""
    action: str
    """What the box does to it."""
    rule: str
    """The rule that decided."""
    protocol: str = ""
    """The application protocol that the box recognised: `tls`, `dns` …"""
    app: str | None = None
    """The app, if the rule matches apps."""
    host: str | None = None
    """The host name that the box found in the traffic."""


def varied(decisions: Iterable[BoxDecision], most: int) -> list[BoxDecision]:
    """Returns at most `most` decisions, in order, as varied as possible in rule, name, protocol and initiator."""
    kinds: dict[tuple[object, ...], dict[str, list[BoxDecision]]] = {}
    for each in decisions:
        kind = each.rule, each.action, each.protocol, each.host or each.app or each.dst
        kinds.setdefault(kind, {}).setdefault(each.src, []).append(each)
    found = _in_turn([_in_turn(by_opener.values()) for by_opener in kinds.values()])
    return sorted(found[:most], key=lambda decision: decision.number)


def _in_turn(lists: Iterable[Sequence[BoxDecision]]) -> list[BoxDecision]:
    """Interleaves the lists: the first of each, then the second of each, and so on."""
    return [each for together in zip_longest(*lists) for each in together if each is not None]


def newer(recent: Iterable[Mapping[str, Any]], last: int) -> list[BoxDecision]:
    """Returns those of a box's `recent` decisions numbered above `last`; all of them if the box has restarted."""
    found = [BoxDecision.model_validate(each) for each in recent]
    if found and found[-1].number < last:
        return found
    return [each for each in found if each.number > last]
