"""Finds names, addresses and apps that policies block, and that nobody here or abroad has, or asks for. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Final

from shutdownlab.config.addresses import IpPrefix, address, is_address, is_special, network, overlap
from shutdownlab.config.document import Path
from shutdownlab.config.domains import is_within

if TYPE_CHECKING:
    from shutdownlab.inspection.apps import App
    from shutdownlab.model.network import Network
    from shutdownlab.model.policy import Policy
    from shutdownlab.model.scenario import Scenario

_HOST: Final = re.compile(r"[a-z0-9_.:-]+")
_ONLY_NAMES: Final = frozenset({"name_exact", "name_suffix"})
_MOST: Final = 10_000
"""Prefixes that are looked through; longer lists are of more than one country."""
_NEVER_SENT: Final = "no host has such an address: it is loopback, link-local, multicast or reserved"
_NOBODYS: Final = "nobody in the country or abroad has any of these addresses, and no probe names one"
_NO_APPS: Final = "nobody in the country or abroad serves any of these apps, and no probe asks for one"
_NO_NAMES: Final = "nobody in the country or abroad serves any of these names, and no probe asks for one"


class Absent:
    """What a scenario's network has and its probes name, to tell what is in neither.

    Little is told where a probe is a program or a tool is measured, since they ask for whatever they like.
    """

    def __init__(self, scenario: Scenario, network: Network, apps: Mapping[str, App]) -> None:
        self._scenario, self._network, self._apps = scenario, network, apps

    def reasons(self, policy: Policy) -> Iterator[tuple[Path, str]]:
        """Yields the places in a policy of names, addresses or apps of nobody, with why they have no effect."""
        targets, key = policy.targets, "only" if policy.slows else "block"
        given = {name for name in targets.model_fields_set if getattr(targets, name)}
        if given and given <= {"sites", "addresses", "apps"}:  # each widens what is blocked: one that exists is enough
            told = {"sites": self._of_names(targets.sites), "addresses": self._of_addresses(targets.addresses)}
            told["apps"] = self._of_apps(targets.apps)
            if all(told[each] for each in given):
                yield from (((key, each), told[each]) for each in told if each in given)
        for index, rule in enumerate(policy.inspect or ()):
            when, keys = rule.when, rule.when.model_fields_set
            named = {each for each in keys if each.startswith("name_") and getattr(when, each)}
            if named and named <= _ONLY_NAMES and (reason := self._of_names(when.name_suffix, when.name_exact)):
                yield ("inspect", index, "when"), reason
            elif when.address and (reason := self._of_addresses(when.address)):
                yield ("inspect", index, "when", "address"), reason

    def _of_names(self, names: Iterable[str], exact: Iterable[str] = ()) -> str:
        """Returns why nothing asks for `names`, others below them or `exact` ones; "" if something may."""
        if self._asks_for_others or not self._names.isdisjoint(exact):
            return ""
        given = frozenset(names)
        return "" if any(is_within(known, given) for known in self._names) else _NO_NAMES

    def _of_apps(self, names: Iterable[str]) -> str:
        """Returns why nothing is one of these apps' traffic; "" if something may be."""
        if self._asks_for_others or any(self._may_be_met(self._apps[name]) for name in names):
            return ""
        return _NO_APPS

    def _may_be_met(self, app: App) -> bool:
        """Returns whether a box, a list of addresses or a resolver may take something here for an app."""
        names = [name for endpoint in app.endpoints for name in endpoint.names]
        prefixes = (*app.prefixes, *(prefix for endpoint in app.endpoints for prefix in endpoint.addresses))
        if app.protocols or app.fingerprints:
            return True
        by_name = bool(names or app.suffixes) and not self._of_names(app.suffixes, names)
        return by_name or (bool(prefixes) and not self._of_addresses(prefixes))

    def _of_addresses(self, prefixes: tuple[IpPrefix, ...]) -> str:
        """Returns why nothing is sent to these addresses; "" if something may be."""
        if all(map(is_special, prefixes)):
            return _NEVER_SENT
        if self._asks_for_others or len(prefixes) > _MOST:
            return ""
        return "" if any(overlap(each, own) for each in prefixes for own in self._prefixes) else _NOBODYS

    @cached_property
    def _asks_for_others(self) -> bool:
        return bool(self._scenario.tools) or any(probe.programs for probe in self._scenario.probes.values())

    @cached_property
    def _texts(self) -> frozenset[str]:
        """All words in the scenario's probes and observations that look like a name or an address."""
        said = self._scenario.model_dump_json(include={"probes", "observations"})
        return frozenset(word.strip(".:-") for word in _HOST.findall(said.lower()))

    @cached_property
    def _names(self) -> frozenset[str]:
        return self._network.names_hosted() | self._texts

    @cached_property
    def _prefixes(self) -> tuple[IpPrefix, ...]:
        topology = self._network.topology
        announced = [prefix for operator in topology.operators.values() for prefix in operator.prefixes]
        announced += [prefix for transit in topology.transits.values() for prefix in transit.prefixes]
        hosted = (*self._network.addresses_hosted(), *(address(word) for word in self._texts if is_address(word)))
        return (*announced, *map(network, hosted), *(block for each in self._network.hosted for block in each.blocks))
