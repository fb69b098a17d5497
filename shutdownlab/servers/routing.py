"""The country's BGP: a BIRD configuration for every border router, transit and the exchange's route server.

The sessions and announcements come from the model (`model.routing`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from shutdownlab.config.addresses import IpPrefix
from shutdownlab.model.faults import NO_DAMAGE, Damage
from shutdownlab.model.network import Network, Node, Role
from shutdownlab.model.observatory import feeds
from shutdownlab.model.routing import (
    BgpSession,
    Relation,
    announcements,
    anycast,
    asn,
    narrower,
    originated,
    routers,
    served_routes,
    sessions,
)
from shutdownlab.servers import translators
from shutdownlab.servers.daemon import Daemon
from shutdownlab.servers.server import Premises, Server
from shutdownlab.servers.zones import authority_routes

CONFIG_FILE: Final = "bird.conf"
"""The name of the configuration file in a router's directory."""


def bird_config(
    network: Network, node: Node, damage: Damage = NO_DAMAGE, announced: Sequence[IpPrefix] | None = None
) -> str:
    """Returns the configuration of one router (BIRD 2) under `damage`: withdrawn, extra and leaked prefixes.

    announced: the result of `originated` for it, if known already.
    """
    own = {each.prefix: each.abroad for each in damage.withdrawn if each.operator == node.owner}
    me = asn(network, node)
    server = node.role is Role.ROUTE_SERVER
    announced = originated(network, node) if announced is None else announced
    announced = [prefix for prefix in announced if own.get(prefix, True)]
    added = [each for each in damage.announced if each.operator == node.owner]
    announced += [each.prefix for each in added if each.foreign and each.prefix not in announced]
    parts = sorted({each.prefix for each in added if not each.foreign}, key=str)
    to_all = {each.prefix for each in added if not each.home}
    at_home = [prefix for prefix, abroad in own.items() if abroad]
    at_home += [each.prefix for each in added if each.prefix not in to_all]
    at_home += [prefix for prefix in anycast(network).get(node.name, ()) if prefix not in at_home]
    leaks = [each for each in damage.leaked if each.operator == node.owner]
    statics = [] if server else [*served_routes(network, node), *authority_routes(network, node)]
    lines = [
        f"# {node.name}, AS{me}",
        "log stderr all;",  # syslog goes to the console: the user's terminal
        f"router id {node.address(4)};",
        "timeformat protocol iso long ms;",
        # "sorted" lets a channel fall back to the second-best route ("secondary" below).
        "ipv4 table master4 sorted;",
        "ipv6 table master6 sorted;",
        f"define OWN = ({me}, 1, 0);",
        *(f"define {relation.name}_ROUTE = ({me}, 1, {relation.value[0]});" for relation in Relation),
        "protocol device { }",
    ]
    narrow = {} if server else narrower(network, node)
    for version in node.versions:
        # More-specific parts of its own prefixes are announced, but not routed apart from the whole.
        export = "none" if server else f'where proto != "parts{version}"' if parts else "all"
        shorter = {str(via): mtu for via, mtu in narrow.items() if via.version == version}
        if shorter:
            export = _with_mtus(shorter, f'proto != "parts{version}"' if parts else "true")
        lines += [
            f"protocol kernel kernel{version} {{",
            f"  ipv{version} {{ import none; export {export}; }};",
            "}",
            *_static(f"originate{version}", version, [f"{p} blackhole" for p in announced], own=True),
            *_static(f"parts{version}", version, [f"{p} blackhole" for p in parts], own=True),
            *_static(f"hosts{version}", version, [f"{r.prefix} via {r.via}" for r in statics], own=False),
        ]
    for session in (*sessions(network, node), *(feeds(network, node) if node.role is Role.TRANSIT else ())):
        leaked = [each.prefix for each in leaks if each.to == session.owner]
        lines += _bgp(session, me, at_home, leaked, server=server)
    return "\n".join(lines) + "\n"


PATIENCE: Final = (
    # Sessions come up within a second of both ends being there, and survive starvation on a busy machine.
    "connect delay time 1; connect retry time 1; error wait time 1, 1; error forget time 1; "
    "startup hold time 10; hold time 30; keepalive time 10;"
)
"""Timers of every BGP session."""


class Routers(Server):
    """The country's BGP routers, and the translators for IPv6-only lines."""

    order = 10

    def daemons(self, premises: Premises) -> Iterator[Daemon]:
        yield from daemons(premises.network, premises.directory, premises.runtime)
        yield from translators.daemons(premises.network, premises.directory)


def daemons(network: Network, directory: Path, runtime: Path) -> Iterator[Daemon]:
    """Yields a bird for every router, with its control socket in `runtime`."""
    announced = announcements(network)
    for node in routers(network):
        home = directory / f"bird-{node.name}"
        control = runtime / f"bird-{node.name}"
        paths = ("-c", str(home / CONFIG_FILE), "-s", str(control), "-P", str(home / "pid"))
        files: dict[str, str | bytes] = {CONFIG_FILE: bird_config(network, node, announced=announced[node.name])}
        yield Daemon("bird", node.name, ("bird", "-f", *paths), home, files, control=control)


def _static(name: str, version: int, routes: Iterable[str], *, own: bool) -> list[str]:
    chosen = [route for route in routes if (":" in route) == (version == 6)]
    if not chosen:
        return []
    tag = "filter { bgp_large_community.add(OWN); accept; }" if own else "all"
    return [
        f"protocol static {name} {{",
        f"  ipv{version} {{ import {tag}; }};",
        *(f"  route {route};" for route in chosen),
        "}",
    ]


def _with_mtus(shorter: Mapping[str, int], condition: str) -> str:
    """Returns the export filter to the kernel for routes that match `condition`; `shorter`: path MTU by next hop.

    The MTU is locked: otherwise Linux forwards IPv6 by the interface's MTU alone, and path MTU discovery may change it.
    """
    by_mtu: dict[int, list[str]] = {}
    for via, mtu in shorter.items():
        by_mtu.setdefault(mtu, []).append(via)
    known = (
        f"if gw ~ [ {', '.join(via)} ] then {{ krt_mtu = {mtu}; krt_lock_mtu = true; }}" for mtu, via in by_mtu.items()
    )
    return f"filter {{ {' '.join(known)} if {condition} then accept; reject; }}"


def _bgp(
    session: BgpSession, me: int, at_home: Iterable[IpPrefix], leaked: Iterable[IpPrefix], *, server: bool
) -> list[str]:
    """Returns the protocol block of a session.

    at_home: prefixes not announced to providers and peers. leaked: prefixes whose routes are announced to this
    neighbour whatever their origin, with the router itself as the next hop.
    """
    relation = session.relation
    learned = f"{relation.name}_ROUTE"
    _, preference = relation.value
    if server:
        channel = ["import all;", "export all;"]
    else:
        mark = f"bgp_large_community.delete([({me}, 1, *)]); bgp_large_community.add({learned});"
        if relation.gets_all_routes:
            export = "export where OWN ~ bgp_large_community || source = RTS_BGP;"
        else:
            export = "export where OWN ~ bgp_large_community || CUSTOMER_ROUTE ~ bgp_large_community;"
        hidden = [str(prefix) for prefix in at_home if prefix.version == session.version]
        if hidden and relation in {Relation.PROVIDER, Relation.PEER}:
            export = f"{export.replace('where ', 'where (').rstrip(';')}) && !(net ~ [ {', '.join(hidden)} ]);"
        passed_on = [str(prefix) for prefix in leaked if prefix.version == session.version]
        if passed_on:
            condition = export.removeprefix("export where ").rstrip(";")
            wrongly = f"source = RTS_BGP && net ~ [ {', '.join(passed_on)} ]"
            by_itself = f"{{ bgp_next_hop = {session.local}; accept; }}"
            export = f"export filter {{ if {wrongly} then {by_itself} if {condition} then accept; reject; }};"
        channel = [
            f"import filter {{ {mark} bgp_local_pref = {preference}; accept; }};",
            export,
            # A customer reached best over the exchange must still be announced upstream, with the customer's route.
            "secondary;",
        ]
    return [
        f"protocol bgp {session.name} {{",
        f"  local {session.local} as {me};",
        f"  neighbor {session.neighbour} as {session.asn};",
        *(["  rs client;"] if server else []),
        f"  direct; {PATIENCE}",
        f"  ipv{session.version} {{ {' '.join(channel)} }};",
        "}",
    ]
