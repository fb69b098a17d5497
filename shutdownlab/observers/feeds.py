"""Configurations of the route collector and its peers: two birds at the observatory. Pure.

All peers are in one process, with separate tables and no routes exchanged between them. The collector keeps every route
that it receives, and dumps messages as MRT (RFC 6396).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from shutdownlab.model import observatory
from shutdownlab.model.network import Network
from shutdownlab.model.routing import BgpSession
from shutdownlab.servers.routing import PATIENCE

TABLES: Final = "master*"
"""A bird pattern for the collector's tables."""
_PORT: Final = 1790
"""The collector's BGP port: the peers use 179 on the same node."""
_VERSIONS: Final = (4, 6)


def peers_config(network: Network) -> str:
    """Returns the configuration of the peers, which export their best routes from their transits to the collector."""
    lines = ["# the collector's peers", f"router id {observatory.feed_address(_peers(network)[0], 4)};"]
    lines += ["protocol device { }"]
    collector = observatory.collector_asn(network.topology)
    for peer in _peers(network):
        lines += [f"ipv{version} table peer{peer.number}v{version};" for version in _VERSIONS]
        for session in observatory.homes_of(network, peer):
            channel = f"table peer{peer.number}v{session.version}; import all; export none;"
            lines += _bgp(session, peer.asn, f"direct; {PATIENCE}", channel)
        for version in _VERSIONS:
            own, collectors = observatory.feed_address(peer, version), observatory.collector_address(peer, version)
            lines += [
                f"protocol bgp {feed_name(peer, version)} {{",
                f"  local {own} as {peer.asn};",
                f"  neighbor {collectors} port {_PORT} as {collector};",
                f"  multihop; {PATIENCE}",
                f"  ipv{version} {{ table peer{peer.number}v{version}; import none; export all; }};",
                "}",
            ]
    return "\n".join(lines) + "\n"


def collector_config(network: Network, updates: Path) -> str:
    """Returns the configuration of the collector. updates: the file for received messages and session state changes."""
    own = observatory.collector_asn(network.topology)
    lines = ["# the route collector", f"router id {observatory.collector_address(_peers(network)[0], 4)};"]
    lines += [f'mrtdump "{updates}";']
    lines += ["mrtdump protocols { states, messages };", "protocol device { }"]
    for peer in _peers(network):
        for version in _VERSIONS:
            lines += [
                f"protocol bgp {feed_name(peer, version)} {{",
                f"  local {observatory.collector_address(peer, version)} port {_PORT} as {own};",
                f"  neighbor {observatory.feed_address(peer, version)} as {peer.asn};",
                f"  multihop; passive; mrtdump {{ states, messages }}; {PATIENCE}",
                f"  ipv{version} {{ import all; export none; }};",
                "}",
            ]
    return "\n".join(lines) + "\n"


def feed_name(peer: observatory.Peer, version: int) -> str:
    """Returns the name of the session between a peer and the collector, at both ends."""
    return f"feed_{peer.number}_{version}"


def _peers(network: Network) -> tuple[observatory.Peer, ...]:
    return observatory.peers(network.topology)


def _bgp(session: BgpSession, own: int, options: str, channel: str) -> list[str]:
    return [
        f"protocol bgp {session.name} {{",
        f"  local {session.local} as {own};",
        f"  neighbor {session.neighbour} as {session.asn};",
        f"  {options}",
        f"  ipv{session.version} {{ {channel} }};",
        "}",
    ]
