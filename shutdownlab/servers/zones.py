"""Zones and their authoritative servers: the root, the top-level domains and every hosted domain, as zone files.

Domestic names and their top-level domain are served in the country (on the node of the first operator's resolver); each
foreign domain by the network that hosts it, and foreign top-level domains by every transit. So a country cut off from
abroad still resolves its own names, and nothing else, as real ones did.
"""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from dataclasses import dataclass, field

from shutdownlab.config.addresses import Address
from shutdownlab.model.address_plan import NAME_SERVER, SUBNET_LENGTHS
from shutdownlab.model.network import Hosted, Network, Node, Role, Route

ROOT = "."
TTL = 60
"""Seconds that answers may be cached: the value that large sites use."""
_DELEGATION_TTL = 86400


@dataclass(frozen=True, slots=True)
class NameServer:
    """A name server: its node and addresses."""

    node: str
    addresses: tuple[Address, ...]


@dataclass(slots=True)
class Zone:
    """A zone: its name without the final dot (the root is `.`), its servers, and the records below its apex."""

    name: str
    servers: tuple[NameServer, ...]
    records: list[str] = field(default_factory=list)

    @property
    def delegation(self) -> list[str]:
        """The NS and glue records of this zone, for it and its parent; the servers' names are inside the zone."""
        inside = "root-servers.net." if self.name == ROOT else f"{self.name}."
        names = [f"{'abcdefghijklm'[index]}.{inside}" for index in range(len(self.servers))]
        lines = [f"{self._dotted} {_DELEGATION_TTL} NS {name}" for name in names]
        for name, server in zip(names, self.servers, strict=True):
            lines += [_record(name, address, _DELEGATION_TTL) for address in server.addresses]
        return lines

    def text(self) -> str:
        """Returns the zone as a master file (RFC 1035, 5)."""
        delegation = self.delegation
        first = delegation[0].split()[-1]
        timing = f"2022010100 1800 900 604800 {TTL}"
        soa = f"{self._dotted} {TTL} SOA {first} hostmaster.{first} {timing}"
        return "\n".join([soa, *delegation, *self.records]) + "\n"

    @property
    def _dotted(self) -> str:
        return self.name if self.name == ROOT else f"{self.name}."


def domestic_authority(network: Network) -> NameServer:
    """Returns the country's own authoritative server."""
    node = next(network.by_role(Role.RESOLVER))
    subnets = (ipaddress.ip_network((a, SUBNET_LENGTHS[a.version]), strict=False) for a in node.addresses)
    return NameServer(node.name, tuple(subnet.network_address + NAME_SERVER[subnet.version] for subnet in subnets))


def foreign_authorities(network: Network) -> tuple[NameServer, ...]:
    """Returns the authoritative servers abroad, one in every transit network."""
    return tuple(NameServer(node.name, node.addresses) for node in network.by_role(Role.SERVERS))


def authority_routes(network: Network, router: Node) -> list[Route]:
    """Returns a border router's routes to the domestic name server, whose addresses are not on a link of their own."""
    authority = domestic_authority(network)
    node = network.nodes[authority.node]
    port = next((p for p in router.ports.values() if p.peer.node == node.name), None)
    if port is None:
        return []
    return [Route(ipaddress.ip_network(a), node.address(a.version), port.name) for a in authority.addresses]


def zones(network: Network) -> list[Zone]:
    """Returns every zone, the root first; each name is in the zone of its last two labels."""
    home = domestic_authority(network)
    abroad = foreign_authorities(network)
    names: dict[str, list[Hosted]] = defaultdict(list)
    domains: dict[str, NameServer] = {}
    for hosted in network.hosted:
        for name in hosted.names:
            names[name].append(hosted)
            host = next((a for a in abroad if a.node == hosted.node), home)
            domains.setdefault(registered_domain(name), host)
    tops = _tops(network, domains, home, abroad)
    second = {domain: Zone(domain, (authority,)) for domain, authority in domains.items() if domain not in tops}
    for zone in second.values():
        tops[_top(zone.name)].records += zone.delegation
    for name, places in names.items():
        zone = second.get(registered_domain(name)) or tops[_top(name)]
        zone.records += [_record(f"{name}.", address) for hosted in places for address in hosted.addresses]
    root = Zone(ROOT, abroad, [line for top in tops.values() for line in top.delegation])
    return [root, *tops.values(), *second.values()]


def registered_domain(name: str) -> str:
    """Returns the last two labels of a name: `whatsapp.com` for `web.whatsapp.com`."""
    return ".".join(name.split(".")[-2:])


def _tops(
    network: Network, domains: dict[str, NameServer], home: NameServer, abroad: tuple[NameServer, ...]
) -> dict[str, Zone]:
    """Returns the top-level zones: domestic if the domain is the country's own or everything in it is domestic, else
    at every transit."""
    served: dict[str, set[str]] = defaultdict(set)
    for domain, authority in domains.items():
        served[_top(domain)].add(authority.node)
    own = network.topology.country.lower()
    return {top: Zone(top, (home,) if top == own or nodes == {home.node} else abroad) for top, nodes in served.items()}


def _record(name: str, address: Address, ttl: int = TTL) -> str:
    return f"{name} {ttl} {'A' if address.version == 4 else 'AAAA'} {address}"


def _top(name: str) -> str:
    return name.rsplit(".", 1)[-1]
