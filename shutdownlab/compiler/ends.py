"""The two ends of a connection in a DPI switch's registers, so that one rule can match both directions. Pure.

OpenFlow has no match for "from A to B or from B to A". But a DPI switch knows a packet's direction by its port: its
CLASSIFY table copies the inside and the outside end to registers (Nicira's extension, which Open vSwitch has), and
writes the direction to the metadata. A rule that matches registers has one idle timeout for both directions, as the
boxes that were measured have one timer; see `inspection.residual`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass

from shutdownlab.compiler.metadata import INBOUND, STOP_INBOUND, STOP_OUTBOUND, STOPS
from shutdownlab.compiler.rules import Match, MatchValue, PipelineTable, Rule
from shutdownlab.config.numbers import ETHER_TYPES, TCP, UDP
from shutdownlab.inspection.verdict import Decision, Side

_ADDRESSES = {4: ("reg0", "reg4"), 6: ("xxreg0", "xxreg1")}
_PORTS = ("reg8", "reg9")
"""Registers of the inside and the outside end. `xxreg0` consists of registers 0 to 3, `xxreg1` of 4 to 7."""
_TRANSPORTS = {TCP: "tcp", UDP: "udp"}


@dataclass(frozen=True, slots=True)
class SwitchSides:
    """A DPI switch's port numbers, by the side they lead to."""

    inside: tuple[int, ...]
    outside: tuple[int, ...]


def classify_ends(sides: SwitchSides) -> Iterator[Rule]:
    """Yields rules that copy the ends of every connection to registers, which per-connection rules match."""
    for ports, inbound in ((sides.inside, False), (sides.outside, True)):
        ends = ("dst", "src") if inbound else ("src", "dst")
        for port in ports:
            for version, kind in ETHER_TYPES.items():
                moves = tuple((f"ipv{version}_{end}", to) for end, to in zip(ends, _ADDRESSES[version], strict=True))
                match: Match = (("in_port", port), ("eth_type", kind))
                yield _classified(100, match, moves, inbound)
                for number, name in _TRANSPORTS.items():
                    more = tuple((f"{name}_{end}", to) for end, to in zip(ends, _PORTS, strict=True))
                    yield _classified(200, (*match, ("ip_proto", number)), moves + more, inbound)
    for bits, mask in ((STOP_OUTBOUND, STOP_OUTBOUND | INBOUND), (STOP_INBOUND | INBOUND, STOP_INBOUND | INBOUND)):
        yield Rule(PipelineTable.VERDICTS, 1000, (("metadata", (bits, mask)),))


def _classified(priority: int, match: Match, moves: tuple[tuple[str, str], ...], inbound: bool) -> Rule:
    metadata = (INBOUND if inbound else 0, INBOUND | STOPS)
    return Rule(PipelineTable.CLASSIFY, priority, match, PipelineTable.EXEMPT, metadata=metadata, moves=moves)


def addresses(decision: Decision) -> Match:
    """Matches all packets between the two addresses of the decided connection."""
    version = 6 if ":" in decision.src else 4
    client, server = _places(decision)
    return (
        ("eth_type", ETHER_TYPES[version]),
        (_ADDRESSES[version][client], int(ipaddress.ip_address(decision.src))),
        (_ADDRESSES[version][server], int(ipaddress.ip_address(decision.dst))),
    )


def _places(decision: Decision) -> tuple[int, int]:
    """Returns the indexes of the client and the server among the ends: 0 is inside, 1 outside."""
    return (0, 1) if decision.opener is Side.INSIDE else (1, 0)


def connection(decision: Decision, any_client_port: bool = False) -> Match:
    """Matches all packets of the decided connection; with `any_client_port`, also its client's others to that port."""
    client, server = _places(decision)
    kind, *ends = addresses(decision)
    fields: list[tuple[str, MatchValue]] = [kind, ("ip_proto", decision.proto), *ends]
    if decision.proto in _TRANSPORTS:
        fields.append((_PORTS[server], decision.dport))
        if not any_client_port:
            fields.append((_PORTS[client], decision.sport))
    return tuple(fields)


def from_end(decision: Decision, *, client: bool) -> Match:
    """Matches packets sent by the client (or the server); to be added to `connection`'s match."""
    inbound = client != (decision.opener is Side.INSIDE)
    return (("metadata", (INBOUND if inbound else 0, INBOUND)),)


def stop(decision: Decision, *, client: bool) -> tuple[int, int]:
    """Returns the metadata (value, mask) that makes VERDICTS drop the client's (or the server's) packets."""
    inbound = client != (decision.opener is Side.INSIDE)
    return STOP_INBOUND if inbound else STOP_OUTBOUND, STOPS
