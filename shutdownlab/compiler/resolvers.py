"""Policies in force, worked out into the names about which an operator's resolver lies to whom, or is late. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from shutdownlab.config.domains import with_all_above
from shutdownlab.inspection.apps import App
from shutdownlab.model.answers import Later, Lie
from shutdownlab.model.network import Network
from shutdownlab.model.policy import Means, Policy
from shutdownlab.model.topology import Vantage

Lies: TypeAlias = Mapping[str, tuple[Lie | Later, str]]
"""Domains, each with everything below it, and what is said of them, for which policy."""


def lies_to(vantage: Vantage, apps: Mapping[str, App], active: Mapping[str, Policy]) -> Lies:
    """What a subscriber group hears from its operator's resolver while the `active` policies are in force.

    Of several policies about the same domain the first counts.
    """
    found: dict[str, tuple[Lie | Later, str]] = {}
    for name, policy in active.items():
        if policy.by is Means.DNS and policy.block is not None and policy.concerns(vantage):
            for domain in (*policy.block.sites, *(d for app in policy.block.apps for d in domains_of(apps[app]))):
                found.setdefault(domain, (policy.says, name))
    return found


def lie_about(host: str, lies: Lies) -> tuple[Lie | Later, str] | None:
    """What is said of a host name: by the longest domain that holds it."""
    return next((lies[domain] for domain in with_all_above(host) if domain in lies), None)


def lateness(host: str, lies: Lies) -> float:
    """By how many seconds a resolver holds a question for a host name."""
    told = lie_about(host, lies)
    return told[0].seconds if told is not None and isinstance(told[0], Later) else 0.0


def held_names(lies: Lies) -> dict[str, float]:
    """By how many seconds questions for a domain, and for all below it, are held; the longest domain counts.

    Where nothing is held at all, there is none; else domains of which the resolver lies are there as well, with 0.
    """
    held = {domain: said.seconds if isinstance(said, Later) else 0.0 for domain, (said, _) in lies.items()}
    return held if any(held.values()) else {}


def operators_late(network: Network, policies: Iterable[Policy]) -> frozenset[str]:
    """The operators whose resolvers may be late by some of the policies."""
    late = [policy for policy in policies if policy.slow is not None]
    return frozenset(v.id.operator for v in network.vantages if any(policy.concerns(v) for policy in late))


def domains_of(app: App) -> tuple[str, ...]:
    """An app's domains, and the names of its end points that are in none of them."""
    names = (name for endpoint in app.endpoints for name in endpoint.names)
    outside = (name for name in names if not any(f".{name}".endswith(f".{domain}") for domain in app.suffixes))
    return tuple(dict.fromkeys((*app.suffixes, *outside)))
