"""Kinds of app endpoints and web sites: two are of one kind if no policy, profile or route distinguishes them. Pure.

Of WhatsApp's chat endpoints, each vantage point picks one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Final

from shutdownlab.config.addresses import Address, IpPrefix
from shutdownlab.config.domains import with_all_above
from shutdownlab.config.prefix_table import PrefixTable
from shutdownlab.inspection.apps import App
from shutdownlab.inspection.conditions import Conditions
from shutdownlab.inspection.recognisers.doh import is_doh
from shutdownlab.library import Shutdown
from shutdownlab.model.network import Hosted
from shutdownlab.probes.kinds.apps import alike_endpoints

_BY_BYTES: Final = {
    "name_contains", "name_regex", "url_contains", "url_regex", "keyword",
    "length_at_least", "first_packets", "classifier", "fully_encrypted",
}  # fmt: skip
"""Conditions that may distinguish two names that no rule mentions: by their letters or their length."""


class Endpoints:
    """The kind of endpoint that an app's probe picks at each vantage point, as a number.

    prefixes: those that policies and profiles name.
    apart: makes each endpoint a kind of its own, for callers that report names.
    """

    def __init__(self, shutdown: Shutdown, prefixes: PrefixTable, *, apart: bool = False) -> None:
        self._shutdown, self._prefixes, self._apart = shutdown, prefixes, apart
        self._kinds: dict[tuple[str, int], list[int]] = {}

    def picked(self, app: str, version: int, place: int) -> int:
        """Returns the kind of the endpoint picked in an IP version; 0 if the app has none to pick from.

        place: the vantage point's index among all of the country.
        """
        kinds = self._of(app, version)
        return kinds[place % len(kinds)] if kinds else 0

    def all_picked(self, place: int) -> tuple[int, ...]:
        """Returns the kinds picked at a vantage point for every app and IP version that is measured anywhere."""
        return tuple([self.picked(app, version, place) for app, version in self._measured])

    @cached_property
    def _measured(self) -> list[tuple[str, int]]:
        probes = self._shutdown.scenario.probes.values()
        measured = {(p.app, family.version) for p in probes if hasattr(p, "app") for family in p.families}
        return [each for each in sorted(measured) if self._of(*each)]

    def _of(self, app: str, version: int) -> list[int]:
        """Returns the kinds of an app's endpoints, in the order in which vantage points pick them."""
        if (app, version) not in self._kinds:
            numbers: dict[object, int] = {}
            there = alike_endpoints(self._shutdown.network, app, version)
            kinds = [numbers.setdefault(self._kind_of(hosted, name), len(numbers)) for hosted, name in there]
            self._kinds[app, version] = kinds
        return self._kinds[app, version]

    def _kind_of(self, hosted: Hosted, name: str) -> object:
        """Returns the key of an endpoint's kind: where it is, and which apps or rules mention its name."""
        if self._apart or self._by_bytes or len({*map(self._around, hosted.addresses)}) > 1:
            return name  # verdicts that depend on which address comes first mention the name
        named = tuple((self._named[domain], domain == name) for domain in with_all_above(name) if domain in self._named)
        return hosted.node, hosted.addresses, hosted.services, named

    def _around(self, address: Address) -> tuple[IpPrefix, ...]:
        return tuple(self._prefixes.around_address(address))

    def site(self, hosted: Hosted) -> object:
        """Returns the key of a web site's kind, if requested by its first name: equal kinds have equal outcomes.

        It tells resolvers for DoH from other sites: boxes call the protocol `doh` by the name alone.
        """
        name, prefixes = hosted.names[0], [p for app in self._apps_meant.values() for p in app.prefixes]
        by_address = any(a in prefix for prefix in prefixes for a in hosted.addresses)
        if self._apart or self._by_bytes or by_address:
            return name  # DPI boxes recognise the app by this address if no name tells it
        around = frozenset((address.version, self._around(address)) for address in hosted.addresses)
        named = tuple([(domain, domain == name) for domain in with_all_above(name) if self._is_meant(domain)])
        also = self._shutdown.network.elsewhere(hosted)  # anycast: operators may reach another node
        return hosted.node, also, around, hosted.services, is_doh(name), named

    def _is_meant(self, domain: str) -> bool:
        """Whether a policy or a profile names a domain, directly or by an app that it belongs to."""
        return any(who == domain or who in self._apps_meant for who in self._named.get(domain, ()))

    @cached_property
    def _apps_meant(self) -> Mapping[str, App]:
        """The apps that policies or profiles name."""
        found: list[str] = []
        for policy in self._shutdown.scenario.policies.values():
            found += (*policy.targets.apps, *policy.except_.apps, *(app for each in policy.allow for app in each.apps))
        for part in conditions_of(self._shutdown):
            found += part.app
        return {name: self._shutdown.apps[name] for name in found if name in self._shutdown.apps}

    @cached_property
    def _by_bytes(self) -> bool:
        return any(not _BY_BYTES.isdisjoint(part.model_fields_set) for part in conditions_of(self._shutdown))

    @cached_property
    def _named(self) -> Mapping[str, tuple[str, ...]]:
        """For each domain, the apps it belongs to, and the domain itself if a policy or a profile names it."""
        found: dict[str, dict[str, None]] = {}
        for app, record in self._shutdown.apps.items():
            for domain in (*record.suffixes, *(name for endpoint in record.endpoints for name in endpoint.names)):
                found.setdefault(domain, {})[app] = None
        given: list[str] = []
        for policy in self._shutdown.scenario.policies.values():
            given += (*policy.targets.sites, *policy.except_.sites, *(s for each in policy.allow for s in each.sites))
        for part in conditions_of(self._shutdown):
            given += (*part.name_exact, *part.name_suffix)
        for domain in given:
            found.setdefault(domain, {})[domain] = None
        return {domain: tuple(who) for domain, who in found.items()}


def conditions_of(shutdown: Shutdown) -> Iterator[Conditions]:
    """Returns the conditions of all DPI rules, of policies and of profiles."""
    rules = [rule for policy in shutdown.scenario.policies.values() for rule in policy.inspect or ()]
    rules += [rule for profile in shutdown.profiles.values() for rule in profile.rules]
    return (part for rule in rules for part in rule.when.parts)
