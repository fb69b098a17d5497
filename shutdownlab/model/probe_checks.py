"""Checks that what probes and tools ask is there: the host, a server on the port, addresses of the families.

Otherwise they would find it blocked in every phase, whoever blocks it.
"""

from __future__ import annotations

from ipaddress import ip_address

from shutdownlab.config.addresses import is_address
from shutdownlab.config.document import Document, Path
from shutdownlab.config.idn import both_forms
from shutdownlab.model.listening import Servers
from shutdownlab.model.network import Network
from shutdownlab.model.probe import Asked, Probe
from shutdownlab.model.scenario import Scenario


def check_asked(scenario: Scenario, network: Network, document: Document) -> None:
    """Reports probes and tools that ask what nobody in the network serves."""
    servers = Servers(network)
    for section, probes in (("probes", scenario.probes), ("tools", scenario.tools)):
        for name, probe in probes.items():
            _check(probe, (section, name), network, servers, document)


def _check(probe: Probe, path: Path, network: Network, servers: Servers, document: Document) -> None:
    country = network.topology.name
    missing = {key: host for key, host in probe.hosts.items() if network.hosted_as(host) is None}
    for key, host in missing.items():
        known = {name for hosted in network.hosted for name in hosted.names}
        hint = document.near(host, known) or "some network's `serves` must name the app that has it"
        found = f"{both_forms(host)}, which no server in {country} answers for"
        document.report((*path, key), found, "a host that the topology serves", hint)
    for asked in probe.asked:
        is_told = asked.key in missing or asked.host in missing.values()
        if not is_told and (mistake := _unanswered(asked, network, servers)):
            document.report((*path, asked.key), *mistake)
    if beyond := _families_beyond(network, probe):
        what = "host" if probe.host_name else "app"
        found = f"{' and '.join(beyond)}, of which {probe.host_name or getattr(probe, 'app', '')} has no address"
        document.report((*path, "families"), found, f"families that the {what} has an address of")


def _unanswered(asked: Asked, network: Network, servers: Servers) -> tuple[str, str, str] | None:
    """Returns what was found, what was expected and a hint if no server answers what is asked; None if one does."""
    hosted = network.hosted_as(asked.host)
    addresses = [address for version in (4, 6) for address in servers.addresses(asked.host, version) or ()]
    there = [servers.at(address, asked.port, asked.transport) for address in addresses or [asked.host]]
    kinds = [listener.kind for listener in there if listener is not None]
    if any(kind == "own" or kind in (asked.kinds or kinds) for kind in kinds):
        return None
    place = f"{asked.transport}/{asked.port} of {asked.host}"
    if asked.key == "resolver" and not kinds and is_address(asked.host):
        hint = "such as 8.8.8.8, if some network's `serves` names google-dns; left out: the operator's own"
        return f"{asked.host}, where nobody in {network.topology.name} answers", "the address of a resolver", hint
    found = f"{place}, which serves {kinds[0]}" if kinds else f"{place}, where nothing listens"
    services = hosted.services if hosted is not None else ()
    wanted, expected = " or ".join(asked.kinds), f"a {asked.transport.upper()} port on which {asked.host} listens"
    if any(service.kind in asked.kinds for service in services):
        expected = f"a port on which {asked.host} serves {wanted}"
    elif asked.kinds:
        expected = f"a host that serves {wanted}"
    own = hosted.program.ports if hosted is not None and hosted.program else ()
    offered = [*map(str, services), *map(str, own)]
    return found, expected, f"{asked.host} has {', '.join(offered)}" if offered else ""


def _families_beyond(network: Network, probe: Probe) -> list[str]:
    """Returns the address families that a probe is made over but its host, or its app, has no address of."""
    host = probe.host_name or ""
    hosted = network.hosted_as(host)
    addresses = network.addresses_of(getattr(probe, "app", ""))
    if hosted is not None:
        addresses = (ip_address(host),) if is_address(host) else hosted.addresses
    if not addresses:
        return []
    return [each.value for each in probe.families if each.version not in {a.version for a in addresses}]
