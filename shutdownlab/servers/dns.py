"""DNS as deployed in reality: nsd serves zones, unbound recurses for operators, home networks and 8.8.8.8.

Public resolvers also answer over TLS (RFC 7858), and over HTTPS (RFC 8484): the web server in front of them, which has
the port, forwards queries to them inside the node. Every resolver has a copy of the root zone (RFC 8806), so domestic
names still resolve when the country is cut off.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from shutdownlab.config.addresses import Address, IpPrefix
from shutdownlab.model.answers import WITNESS
from shutdownlab.model.network import Hosted, Network, Role
from shutdownlab.servers.daemon import Daemon, Listening
from shutdownlab.servers.server import Premises, Server
from shutdownlab.servers.tls import Certificate, CertificateAuthority
from shutdownlab.servers.zones import TTL, NameServer, Zone, domestic_authority, foreign_authorities, zones

_DNS_PORT = 53
OVER_HTTP = Listening("tcp", ipaddress.ip_address("127.0.0.1"), 8053)
"""The socket at which a public resolver answers `/dns-query` over cleartext HTTP/2, inside its node only."""
HANDED_ON: Final = 5300
"""The port, inside its node, at which an operator's resolver receives queries from the delaying proxy
(`servers.late_answers`), with the client's address in the PROXY protocol, version 2."""
_INSIDE = ipaddress.ip_address("127.0.0.1")
_EVERYONE = (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0"))
_LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))


class NameServers(Server):
    """Resolvers and authoritative name servers."""

    order = 50

    def daemons(self, premises: Premises) -> Iterator[Daemon]:
        return daemons(premises.network, premises.ca, premises.directory, premises.runtime)


def daemons(network: Network, ca: CertificateAuthority, directory: Path, runtime: Path) -> Iterator[Daemon]:
    """Yields every name server of the country and of the outside world; resolvers' control sockets are in `runtime`."""
    all_zones = zones(network)
    root, homes = all_zones[0], (directory, runtime)
    for authority in (domestic_authority(network), *foreign_authorities(network)):
        served = [zone for zone in all_zones if any(server.node == authority.node for server in zone.servers)]
        yield _nsd(authority, served, directory)
    for node in network.by_role(Role.RESOLVER):
        addresses = node.addresses
        topology = network.topology
        holder = topology.operators[node.owner] if node.owner in topology.operators else topology.transits[node.owner]
        clients = (*holder.prefixes, *_LOOPBACK)
        own = [(place, v) for place, v in enumerate(network.vantages) if v.id.operator == node.owner]
        views = {view_of(place): network.subnets[vantage.id] for place, vantage in own}
        standing = next((v.nat64 for _, v in own if v.nat64 is not None), None)
        yield _unbound(node.name, addresses, clients, root, homes, views=views, dns64=standing, handed_on=True)
    for node_name, hosted in _public_resolvers(network).items():
        addresses = tuple(dict.fromkeys(address for h in hosted for address in h.addresses))
        secure = tuple(dict.fromkeys(address for h in hosted if _speaks_tls(h) for address in h.addresses))
        names = [name for h in hosted for name in h.names]
        certificate = ca.issue(names, secure or addresses)
        node = network.nodes[node_name]
        # Answers to queries sent from an anycast address would go to the nearest of its servers.
        unicast = node.addresses if network.anycast_on(node_name) else ()
        yield _unbound(
            node_name, addresses, _EVERYONE, root, homes, secure, certificate, over_http=True, asks_from=unicast
        )


def view_of(vantage: int) -> str:
    """Returns the name of the view of a subscriber group, given its index among all groups."""
    return f"group{vantage}"


def takes_over_tls(hosted: Hosted) -> frozenset[int]:
    """Returns the TLS ports of an endpoint that its resolver serves itself: DNS over TLS (RFC 7858)."""
    return frozenset({853}) if _speaks_tls(hosted) else frozenset()


def answers_https(hosted: Hosted, beside: Iterable[Hosted]) -> bool:
    """Returns whether an endpoint is a public resolver's web site. beside: the endpoints on its node."""
    return any(other.app == hosted.app and other.node == hosted.node and is_resolver(other) for other in beside)


def is_resolver(hosted: Hosted) -> bool:
    """Returns whether an endpoint is a public resolver."""
    return "dns" in _kinds(hosted)


def nsd_config(authority: NameServer, served: Iterable[Zone]) -> str:
    """Returns the configuration of an authoritative server that runs in its own directory."""
    lines = [
        "server:",
        '  username: ""',
        '  chroot: ""',
        '  zonesdir: ""',
        '  pidfile: "pid"',
        '  zonelistfile: "zone.list"',
        '  xfrdfile: "xfrd.state"',
        '  xfrdir: "."',
        '  database: ""',
        "  server-count: 1",
        "  tcp-count: 20",
        # No rate limits, and not the 25 MB that their counters take.
        "  rrl-ratelimit: 0",
        "  rrl-size: 100",
        "  hide-version: yes",
        # Its address may be added to the node only while it starts.
        "  ip-freebind: yes",
        *(f"  ip-address: {address}" for address in authority.addresses),
        "remote-control:",
        "  control-enable: no",
    ]
    for zone in served:
        lines += ["zone:", f'  name: "{zone.name}"', f'  zonefile: "{zone_file(zone)}"']
    return "\n".join(lines) + "\n"


def unbound_config(
    addresses: Iterable[Address],
    clients: Iterable[IpPrefix],
    control: Path,
    secure: Iterable[Address] = (),
    *,
    over_http: bool = False,
    views: Mapping[str, Iterable[IpPrefix]] = MappingProxyType({}),
    dns64: IpPrefix | None = None,
    handed_on: bool = False,
    identity: str = "",
    asks_from: Iterable[Address] = (),
) -> str:
    """Returns the configuration of a recursive resolver that runs in its own directory, with control socket `control`.

    `secure`: addresses that also answer DNS over TLS. `over_http`: it also answers at `OVER_HTTP`. `views`: client
    prefixes that can be given answers of their own, by view name. `dns64`: the /96 from which it synthesises IPv6
    addresses for names without any. `handed_on`: it also listens at `HANDED_ON`. `asks_from`: source addresses of its
    own queries, if not `addresses`. `identity`: its name among the servers of an anycast address (RFC 4892, RFC 5001).
    """
    own = list(addresses)
    private = list(secure)
    tls = ['  tls-service-pem: "certificate.pem"', '  tls-service-key: "key.pem"']
    _, inside, port = OVER_HTTP
    http = [f"  interface: {inside}@{port}", f"  https-port: {port}", "  http-notls-downstream: yes"]
    proxied = [f"  interface: {_INSIDE}@{HANDED_ON}", f"  proxy-protocol-port: {HANDED_ON}"]
    lines = [
        "server:",
        '  username: ""',
        '  chroot: ""',
        '  directory: ""',
        '  pidfile: ""',
        "  do-daemonize: no",
        "  use-syslog: no",
        '  logfile: ""',
        "  verbosity: 1",
        "  num-threads: 1",
        *([] if any(address.version == 6 for address in own) else ["  do-ip6: no"]),
        *(['  module-config: "iterator"'] if dns64 is None else _dns64(dns64)),
        "  qname-minimisation: yes",
        "  hide-version: yes",
        *(["  hide-identity: no", f'  identity: "{identity}"', f'  nsid: "ascii_{identity}"'] if identity else []),
        *([] if identity else ["  hide-identity: yes"]),
        "  so-reuseport: no",
        "  outgoing-range: 512",
        "  num-queries-per-thread: 256",
        "  incoming-num-tcp: 32",
        "  outgoing-num-tcp: 8",
        "  msg-cache-size: 1m",
        "  rrset-cache-size: 2m",
        "  key-cache-size: 64k",
        "  neg-cache-size: 64k",
        "  infra-cache-numhosts: 500",
        *(f"  interface: {address}" for address in own),
        *(f"  interface: {address}@853" for address in private),
        *(tls if private else []),
        *(http if over_http else []),
        *(proxied if handed_on else []),
        *(_witness_zone() if identity else []),
        *(f"  outgoing-interface: {address}" for address in asks_from or own),
        *(f"  access-control: {client} allow" for client in clients),
        *(f"  access-control-view: {subnet} {name}" for name, subnets in views.items() for subnet in subnets),
        "auth-zone:",
        '  name: "."',
        '  zonefile: "root.zone"',
        "  for-upstream: yes",
        "  for-downstream: no",
        "  fallback-enabled: no",
        *(line for name in views for line in ("view:", f'  name: "{name}"', "  view-first: yes")),
        "remote-control:",
        "  control-enable: yes",
        "  control-use-cert: no",
        f'  control-interface: "{control}"',
    ]
    return "\n".join(lines) + "\n"


def _witness_zone() -> list[str]:
    """Returns a name that each server of an anycast resolver answers itself, without asking any other."""
    data = [f'  local-data: "{WITNESS}. {TTL} IN {kind}"' for kind in ("A 127.0.0.1", "AAAA ::1")]
    return [f"  local-zone: {WITNESS}. static", *data]


def _dns64(standing: IpPrefix) -> list[str]:
    return ['  module-config: "dns64 iterator"', f"  dns64-prefix: {standing}"]


def zone_file(zone: Zone) -> str:
    """Returns the name of a zone's file."""
    return f"{'root' if zone.name == '.' else zone.name}.zone"


def _nsd(authority: NameServer, served: list[Zone], directory: Path) -> Daemon:
    home = directory / f"nsd-{authority.node}"
    files: dict[str, str | bytes] = {zone_file(zone): zone.text() for zone in served}
    files["nsd.conf"] = nsd_config(authority, served)
    argv = ("nsd", "-d", "-c", str(home / "nsd.conf"))
    return Daemon("nsd", authority.node, argv, home, files, _sockets(authority.addresses))


def _unbound(
    node: str,
    addresses: tuple[Address, ...],
    clients: Iterable[IpPrefix],
    root: Zone,
    homes: tuple[Path, Path],
    secure: tuple[Address, ...] = (),
    certificate: Certificate | None = None,
    *,
    over_http: bool = False,
    views: Mapping[str, Iterable[IpPrefix]] = MappingProxyType({}),
    dns64: IpPrefix | None = None,
    handed_on: bool = False,
    asks_from: tuple[Address, ...] = (),
) -> Daemon:
    directory, runtime = homes
    home = directory / f"unbound-{node}"
    control = runtime / f"unbound-{node}"
    files: dict[str, str | bytes] = {
        "root.zone": root.text(),
        "unbound.conf": unbound_config(
            addresses,
            clients,
            control,
            secure,
            over_http=over_http,
            views=views,
            dns64=dns64,
            handed_on=handed_on,
            identity=node if asks_from else "",
            asks_from=asks_from,
        ),
    }
    if certificate is not None:
        files |= {"certificate.pem": certificate.chain, "key.pem": certificate.key}
    sockets = _sockets(addresses) | {Listening("tcp", address, 853) for address in secure}
    sockets |= {OVER_HTTP} if over_http else set()
    sockets |= {Listening("udp", _INSIDE, HANDED_ON), Listening("tcp", _INSIDE, HANDED_ON)} if handed_on else set()
    argv = ("unbound", "-d", "-p", "-c", str(home / "unbound.conf"))
    return Daemon("unbound", node, argv, home, files, sockets, control)


def _sockets(addresses: Iterable[Address]) -> frozenset[Listening]:
    return frozenset(s for a in addresses for s in (Listening("udp", a, _DNS_PORT), Listening("tcp", a, _DNS_PORT)))


def _public_resolvers(network: Network) -> dict[str, list[Hosted]]:
    found: dict[str, list[Hosted]] = {}
    for hosted in network.served:
        if is_resolver(hosted):
            found.setdefault(hosted.node, []).append(hosted)
    return found


def _speaks_tls(hosted: Hosted) -> bool:
    return is_resolver(hosted) and any(s.kind == "tls" and s.port == 853 for s in hosted.services)


def _kinds(hosted: Hosted) -> set[str]:
    return {service.kind for service in hosted.services}
