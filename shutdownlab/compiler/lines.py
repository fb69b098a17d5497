"""Policies in force, worked out into what a subscriber group's line is like. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from shutdownlab.model.links import LinkClass
from shutdownlab.model.policy import Policy
from shutdownlab.model.topology import Vantage


@dataclass(frozen=True, slots=True)
class LineQuality:
    """A line: seconds one way, more or less, and the share of packets lost.

    policies: those that make it longer or lossier than the topology has it. Rates are meters', as access lists have
    them.
    """

    delay: float
    jitter: float = 0.0
    loss: float = 0.0
    policies: tuple[str, ...] = ()


def line_of(kind: LinkClass | None, vantage: Vantage, active: Mapping[str, Policy]) -> LineQuality:
    """A group's line while policies are in force; `kind`: its class in the topology.

    Of several policies the worst counts, of each figure.
    """
    degrading = {n: p for n, p in active.items() if p.degrade and p.degrade.stretches and p.concerns(vantage)}
    worse = [policy.degrade for policy in degrading.values() if policy.degrade is not None]
    kept = 1 - (kind.loss if kind else 0.0)
    return LineQuality(
        (kind.delay if kind else 0.0) + max((each.line_delay for each in worse), default=0.0),
        max((each.jitter or 0.0 for each in worse), default=0.0),
        1 - kept * (1 - max((each.loss or 0.0 for each in worse), default=0.0)),
        tuple(degrading),
    )
