"""Compiles the policies in force into the names that an operator's resolver answers falsely or late. Pure."""

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
"""The lie or delay, and the policy's name, by domain; a domain includes all its subdomains."""


def lies_to(vantage: Vantage, apps: Mapping[str, App], active: Mapping[str, Policy]) -> Lies:
    """Returns what a subscriber group's resolver answers falsely or late while the `active` policies are in force.

    If several policies name the same domain, the first counts.
    """
    found: dict[str, tuple[Lie | Later, str]] = {}
    for name, policy in active.items():
        if policy.by is Means.DNS and policy.block is not None and policy.concerns(vantage):
            for domain in (*policy.block.sites, *(d for app in policy.block.apps for d in domains_of(apps[app]))):
                found.setdefault(domain, (policy.says, name))
    return found


def lie_about(host: str, lies: Lies) -> tuple[Lie | Later, str] | None:
    """Returns the lie about a host name, by the longest domain that contains it; None if there is none."""
    return next((lies[domain] for domain in with_all_above(host) if domain in lies), None)


def lateness(host: str, lies: Lies) -> float:
    """Returns for how many seconds the resolver delays queries for a host name."""
    answer = lie_about(host, lies)
    return answer[0].seconds if answer is not None and isinstance(answer[0], Later) else 0.0


def held_names(lies: Lies) -> dict[str, float]:
    """Returns for how many seconds queries for each domain and its subdomains are delayed; the longest domain counts.

    Empty if no query is delayed; otherwise it also contains the domains about which the resolver lies, with 0.
    """
    held = {domain: answer.seconds if isinstance(answer, Later) else 0.0 for domain, (answer, _) in lies.items()}
    return held if any(held.values()) else {}


def operators_late(network: Network, policies: Iterable[Policy]) -> frozenset[str]:
    """Returns the operators whose resolvers some of the policies may delay."""
    late = [policy for policy in policies if policy.slow is not None]
    return frozenset(v.id.operator for v in network.vantages if any(policy.concerns(v) for policy in late))


def domains_of(app: App) -> tuple[str, ...]:
    """Returns an app's domains, and those of its end points' names that are in none of them."""
    names = (name for endpoint in app.endpoints for name in endpoint.names)
    outside = (name for name in names if not any(f".{name}".endswith(f".{domain}") for domain in app.suffixes))
    return tuple(dict.fromkeys((*app.suffixes, *outside)))
