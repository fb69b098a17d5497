"""Policies in force, worked out into the names about which an operator's resolver lies to whom. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from shutdownlab.config.domains import with_all_above
from shutdownlab.inspection.apps import App
from shutdownlab.model.answers import Lie
from shutdownlab.model.policy import Means, Policy
from shutdownlab.model.topology import Vantage

Lies: TypeAlias = Mapping[str, tuple[Lie, str]]
"""Domains, each with everything below it, and what is said of them, for which policy."""


def lies_to(vantage: Vantage, apps: Mapping[str, App], active: Mapping[str, Policy]) -> Lies:
    """What a subscriber group hears from its operator's resolver while the `active` policies are in force.

    Of several policies about the same domain the first counts.
    """
    found: dict[str, tuple[Lie, str]] = {}
    for name, policy in active.items():
        if policy.by is Means.DNS and policy.block is not None and policy.concerns(vantage):
            for domain in (*policy.block.sites, *(d for app in policy.block.apps for d in domains_of(apps[app]))):
                found.setdefault(domain, (policy.answer, name))
    return found


def lie_about(host: str, lies: Lies) -> tuple[Lie, str] | None:
    """What is said of a host name: by the longest domain that holds it."""
    return next((lies[domain] for domain in with_all_above(host) if domain in lies), None)


def domains_of(app: App) -> tuple[str, ...]:
    """An app's domains, and the names of its end points that are in none of them."""
    names = (name for endpoint in app.endpoints for name in endpoint.names)
    outside = (name for name in names if not any(f".{name}".endswith(f".{domain}") for domain in app.suffixes))
    return tuple(dict.fromkeys((*app.suffixes, *outside)))
