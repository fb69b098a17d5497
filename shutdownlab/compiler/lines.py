"""Compiles the policies in force into the delay, jitter and loss of a subscriber group's line. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from shutdownlab.model.links import LinkClass
from shutdownlab.model.policy import Policy
from shutdownlab.model.topology import Vantage


@dataclass(frozen=True, slots=True)
class LineQuality:
    """A line's one-way delay and jitter in seconds, and the share of packets lost, 0 to 1.

    policies: names of the policies that make it worse than in the topology. Rates are not part of it: meters enforce
    them, as for access lists.
    """

    delay: float
    jitter: float = 0.0
    loss: float = 0.0
    policies: tuple[str, ...] = ()


def line_of(kind: LinkClass | None, vantage: Vantage, active: Mapping[str, Policy]) -> LineQuality:
    """Returns a group's line while the `active` policies are in force; `kind`: its link class in the topology.

    If several policies degrade it, the worst value of each figure counts.
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
