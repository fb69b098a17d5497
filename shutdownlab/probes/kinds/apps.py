"""The probe of an app of the catalogue."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from shutdownlab.config.document import did_you_mean
from shutdownlab.config.mistakes import Mistake, unknown
from shutdownlab.inspection.apps import App as CatalogueApp
from shutdownlab.inspection.apps import is_whatsapp_endpoint
from shutdownlab.model.network import Hosted, Network
from shutdownlab.model.probe import Family, Probe, Surroundings
from shutdownlab.model.topology import Topology


@dataclass(frozen=True, slots=True)
class Target:
    """An endpoint from the app catalogue: a host name, or "" if clients use the bare addresses.

    `services` are (kind, port) such as ("https", 443). `addresses` are its true ones, with which answers are compared.
    """

    host: str
    addresses: tuple[str, ...] = ()
    services: tuple[tuple[str, int], ...] = ()

    def addresses_of(self, family: Family) -> tuple[str, ...]:
        return tuple(a for a in self.addresses if ip_address(a).version == family.version)


@dataclass(frozen=True, slots=True)
class AppTargets:
    """An app and its endpoints."""

    app: str
    targets: tuple[Target, ...] = ()


class App(Probe):
    """OONI's test of an app of the catalogue; for an app without such a test, its web pages."""

    app: str
    """An app of the catalogue (`shutdownlab apps`) or of `apps` files, which some network serves."""

    runs = "shutdownlab.probes.apps:app_test"
    follows = "shutdownlab.verifier.follow:app"
    shares = 4

    def mistakes(self, topology: Topology, apps: Mapping[str, CatalogueApp]) -> Iterator[Mistake]:
        served = {app for _, app in topology.served()}
        if self.app not in apps:
            yield unknown(("app",), "app", self.app, apps)
        elif self.app not in served:
            hint = did_you_mean(self.app, sorted(served)) or "add it to the `serves` of a network of the topology"
            yield unknown(("app",), "app in this topology", self.app, served, hint)

    def far_ends(self, at: Surroundings) -> tuple[tuple[str, str], ...]:
        there = dict.fromkeys(at.node_of(hosted) for hosted in at.network.hosted if hosted.app == self.app)
        return tuple((at.network.subscriber(at.vantage.id).name, node) for node in there)

    def looked_up(self, at: Surroundings) -> tuple[str, ...]:
        return tuple(target.host for target in _targets(self.app, at) if target.host)

    def ask(self, at: Surroundings) -> AppTargets:
        return AppTargets(self.app, tuple(_targets(self.app, at)))

    def ooni_name(self) -> str:
        return _OONI_APPS.get(self.app, "urlgetter")

    def ooni_input(self, at: Surroundings) -> str | None:
        return None if self.app in _OONI_APPS else self.app


_OONI_APPS: Final = {
    "whatsapp": "whatsapp",
    "telegram": "telegram",
    "signal": "signal",
    "facebook": "facebook_messenger",
}


def alike_endpoints(network: Network, app: str, version: int) -> list[tuple[Hosted, str]]:
    """Returns WhatsApp's sixteen equivalent endpoints, among an app's in an IP version, each with its host."""
    there = _served(network, app, version)
    return [(hosted, name) for hosted in there for name in hosted.names if is_whatsapp_endpoint(name)]


def _served(network: Network, app: str, version: int) -> list[Hosted]:
    return [h for h in network.hosted if h.app == app and any(a.version == version for a in h.addresses)]


def _targets(app: str, at: Surroundings) -> Iterator[Target]:
    """Yields an app's endpoints in an IP version; of equivalent ones, one per vantage point, as in OONI Probe."""
    alike = [name for _, name in alike_endpoints(at.network, app, at.family.version)]
    picked = alike[at.network.place_of(at.vantage.id) % len(alike)] if alike else None
    for hosted in _served(at.network, app, at.family.version):
        services = tuple((service.kind, service.port) for service in hosted.services)
        for name in hosted.names or ("",):
            if name not in alike or name == picked:
                yield Target(name, hosted.texts, services)
