"""A dark (unused) prefix abroad, and the background radiation that it receives. Pure.

Machines infected by worms send packets to random addresses; a network telescope observes those sent to an unused prefix
(Moore et al., "Network Telescopes", CAIDA 2004). The signal is the number of unique sources per minute, without spoofed
ones (Dainotti et al., "Analysis of Country-wide Internet Outages Caused by Censorship", IMC 2011). Here each group of
ordinary subscribers radiates equally, with TCP SYNs to port 23 like Mirai's.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Final

from shutdownlab.config.numbers import TCP
from shutdownlab.inspection.forge import ip_packet, tcp_body
from shutdownlab.model.network import Network, Node, Role

PORT: Final = 23
SYN: Final = 0x02
_LENGTH: Final = 27
_TTL: Final = 64
_WINDOW: Final = 5840
_ETHERNET: Final = 14
FLOW_COLUMNS: Final = (
    "time", "src_ip", "dst_ip", "src_port", "dst_port", "protocol", "ttl", "tcp_flags", "ip_len", "tcp_synlen",
    "tcp_synwinlen", "packet_cnt", "is_spoofed", "is_masscan", "prefix2asn", "wall_time",
)  # fmt: skip
"""The columns of Corsaro's FlowTuple (CAIDA), and the wall-clock time at the end."""


@dataclass(frozen=True, slots=True)
class Radiation:
    """A TCP SYN to the dark prefix. `at`: wall-clock seconds since the epoch; `frame`: the whole Ethernet frame."""

    at: float
    source: IPv4Address
    target: IPv4Address
    source_port: int
    port: int
    sequence: int
    ttl: int
    length: int
    window: int
    frame: bytes


def dark_prefix(network: Network) -> tuple[Node, IPv4Network] | None:
    """Returns an unused /27 of a transit and the transit's router; None if there is none."""
    return next(unused(network, _LENGTH), None)


def unused(network: Network, length: int) -> Iterator[tuple[Node, IPv4Network]]:
    """Yields unused prefixes of a length in the transits' own prefixes, each with the transit's router."""
    held = network.addresses_hosted() | {address for node in network.nodes.values() for address in node.addresses}
    for name, transit in network.topology.transits.items():
        for prefix in transit.prefixes:
            if isinstance(prefix, IPv4Network) and prefix.prefixlen < length:
                last = next(prefix.subnets(new_prefix=max(24, prefix.prefixlen)))
                for free in reversed(list(last.subnets(new_prefix=length))):
                    if not any(address in free for address in held):
                        yield network.one(Role.TRANSIT, name), free


def syn(source: IPv4Address, target: IPv4Address, source_port: int, sequence: int) -> bytes:
    """Returns an IP packet with a TCP SYN to the port of the radiation."""
    body = tcp_body(source.packed, target.packed, source_port, PORT, sequence, 0, SYN, _WINDOW)
    return ip_packet(source.packed, target.packed, TCP, body, ttl=_TTL, ipid=sequence & 0xFFFF)


def seen(at: float, frame: bytes) -> Radiation | None:
    """Parses a captured Ethernet frame; None if it is not a TCP SYN over IPv4."""
    packet = frame[_ETHERNET:]
    if len(packet) < 40 or packet[0] >> 4 != 4 or packet[9] != TCP:
        return None
    tcp = packet[(packet[0] & 0x0F) * 4 :]
    if len(tcp) < 20 or tcp[13] != SYN:
        return None
    addresses = IPv4Address(packet[12:16]), IPv4Address(packet[16:20])
    ports = int.from_bytes(tcp[0:2]), int.from_bytes(tcp[2:4])
    numbers = int.from_bytes(tcp[4:8]), packet[8], int.from_bytes(packet[2:4]), int.from_bytes(tcp[14:16])
    return Radiation(at, *addresses, *ports, *numbers, frame)


def flow_tuples(network: Network, radiation: Iterable[tuple[float, str, Radiation]]) -> bytes:
    """Returns a FlowTuple file with a row per packet, given with its scenario time and wall-clock time (ISO 8601).

    Sorted by minute, then by source, because the order of arrival differs between runs.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(FLOW_COLUMNS)
    for at, wall, each in sorted(radiation, key=lambda flow: (int(flow[0]) // 60, flow[2].source, flow[2].target)):
        asn = asn_of(network, each.source)
        writer.writerow((
            int(at), each.source, each.target, each.source_port, each.port, TCP, each.ttl, SYN, each.length,
            each.length - 20, each.window, 1, int(asn is None), 0, asn or 0, wall,
        ))  # fmt: skip
    return out.getvalue().encode()


def asn_of(network: Network, source: IPv4Address) -> int | None:
    """Returns the AS number of the operator that has an address; None if none in the country has, so it is spoofed."""
    operators = network.topology.operators.values()
    return next((each.asn for each in operators if any(source in prefix for prefix in each.prefixes)), None)


def minutes(radiation: Iterable[tuple[float, Radiation]]) -> Iterator[tuple[int, set[IPv4Address]]]:
    """Yields the unique sources of each minute, with the minute's first second."""
    found: dict[int, set[IPv4Address]] = {}
    for at, each in radiation:
        found.setdefault(int(at) // 60 * 60, set()).add(each.source)
    return iter(sorted(found.items()))
