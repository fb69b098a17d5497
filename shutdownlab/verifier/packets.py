"""The model's packets: as header fields for switches, and as frames for DPI boxes. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, cached_property
from ipaddress import IPv4Network, IPv6Network, ip_address

from shutdownlab.config.numbers import ETHER_IPV4, ETHER_IPV6, ICMP, ICMPV6, TCP, UDP
from shutdownlab.inspection.forge import ip_packet, tcp_body, udp_body
from shutdownlab.inspection.packet import Packet, decode
from shutdownlab.model.address_plan import as_ipv6
from shutdownlab.verifier.switch import Fields

SYN, ACK, FIN, RST, PSH = 0x02, 0x10, 0x01, 0x04, 0x08
MOST_DATA = 1400
"""Octets of data in a segment at most."""
_WINDOW = 64240
TTL = 64
"""The initial TTL of packets (RFC 1700; Linux's default)."""
_LINK = bytes.fromhex("020000000001020000000002")
LINK_HEADER = len(_LINK) + 2
"""Octets of a frame's link header, before the packet."""
ECHO = {4: 8, 6: 128}
ECHO_REPLY = {4: 0, 6: 129}
UNREACHABLE = {4: 3, 6: 1}
_AS_ICMPV6 = {kinds[4]: kinds[6] for kinds in (ECHO, ECHO_REPLY, UNREACHABLE)}


@cache
def _number(address: str) -> int:
    return int(ip_address(address))


@cache
def _packed(address: str) -> bytes:
    return ip_address(address).packed


@dataclass(frozen=True)
class FiveTuple:
    """A connection: the protocol and the addresses and ports of client and server.

    For ICMP the ports are 0, and `kinds` are the types of the messages that client and server send.
    """

    proto: int
    client: str
    server: str
    client_port: int = 0
    server_port: int = 0
    kinds: tuple[int, int] = (0, 0)

    @cached_property
    def version(self) -> int:
        return 6 if ":" in self.client else 4

    @cached_property
    def packed(self) -> tuple[bytes, bytes]:
        """The addresses of client and server in network byte order."""
        return _packed(self.client), _packed(self.server)

    def as_ipv6(self, standing: IPv6Network) -> FiveTuple:
        """Returns this IPv4 connection as translated to IPv6 (RFC 7915), with addresses in the `standing` /96."""
        client, server = (
            str(as_ipv6(standing, IPv4Network(address)).network_address) for address in (self.client, self.server)
        )
        kinds = _AS_ICMPV6.get(self.kinds[0], 0), _AS_ICMPV6.get(self.kinds[1], 0)
        proto = ICMPV6 if self.proto == ICMP else self.proto
        return replace(self, proto=proto, client=client, server=server, kinds=kinds)

    def fields(self, *, by_client: bool, client_port: int | None = None) -> Fields:
        """Returns the OXM fields of a packet that one end sends; `client_port` replaces the connection's."""
        client = self.client, self.client_port if client_port is None else client_port
        server = self.server, self.server_port
        (source, sport), (target, dport) = (client, server) if by_client else (server, client)
        version = self.version
        found: Fields = {
            "eth_type": ETHER_IPV4 if version == 4 else ETHER_IPV6, "ip_proto": self.proto,
            f"ipv{version}_src": _number(source), f"ipv{version}_dst": _number(target),
        }  # fmt: skip
        if self.proto in (TCP, UDP):
            name = "tcp" if self.proto == TCP else "udp"
            found |= {f"{name}_src": sport, f"{name}_dst": dport}
        elif version == 6:
            found["icmpv6_type"] = self.kinds[0 if by_client else 1]
        return found

    def frame(self, segment: Segment, *, by_client: bool, ttl: int = TTL) -> bytes:
        """Returns the frame that a DPI box reads, with its remaining TTL; boxes ignore the link addresses."""
        client, server = (self.packed[0], self.client_port), (self.packed[1], self.server_port)
        (source, sport), (target, dport) = (client, server) if by_client else (server, client)
        if self.proto == TCP:
            body = tcp_body(
                source, target, sport, dport, segment.seq, segment.ack, segment.flags, _WINDOW, segment.data
            )
        elif self.proto == UDP:
            body = udp_body(source, target, sport, dport, segment.data)
        else:
            body = bytes([self.kinds[0 if by_client else 1], 0]) + bytes(6) + segment.data
        kind = ETHER_IPV4 if self.version == 4 else ETHER_IPV6
        return _LINK + kind.to_bytes(2, "big") + ip_packet(source, target, self.proto, body, ttl=ttl, ipid=1)


@dataclass(frozen=True, slots=True)
class Segment:
    """The content of one packet: a TCP segment, or a datagram's data."""

    data: bytes = b""
    flags: int = 0
    seq: int = 0
    ack: int = 0


def segment_of(frame: bytes) -> Segment:
    """Returns the segment in a frame that a DPI box sent."""
    packet: Packet = decode(frame)
    return Segment(packet.data, packet.flags, packet.seq, packet.ack)


def ttl_of(frame: bytes) -> int:
    """Returns the TTL, or hop limit, of a frame that a DPI box sent."""
    packet: Packet = decode(frame)
    return packet.ttl


def icmp_of(version: int) -> int:
    """Returns the protocol number of ICMP for an IP version."""
    return ICMP if version == 4 else ICMPV6
