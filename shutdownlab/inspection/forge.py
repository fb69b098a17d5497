"""Forges packets: resets, data (block pages) and DNS answers that appear to come from the other end.

Every frame is built from a captured one: link addresses swapped or kept, so that it leaves by the right port, tags
kept, addresses and ports those of the pretended sender.
"""

from __future__ import annotations

from typing import Final

from shutdownlab.config.numbers import ETHER_IPV4, ETHER_IPV6, TCP, UDP
from shutdownlab.inspection.checksum import checksum, pseudo_header
from shutdownlab.inspection.packet import TAGS, Packet

DNS_CODES: Final = {"NOERROR": 0, "FORMERR": 1, "SERVFAIL": 2, "NXDOMAIN": 3, "REFUSED": 5}
FLAG_BITS: Final = {"F": 0x01, "S": 0x02, "R": 0x04, "P": 0x08, "A": 0x10, "U": 0x20, "E": 0x40, "C": 0x80}


def flag_bits(letters: str) -> int:
    """Returns the TCP flag byte of `letters`: 0x14 for "RA". Raises KeyError for a letter that is no flag."""
    bits = 0
    for letter in letters:
        bits |= FLAG_BITS[letter]
    return bits


def link_header(packet: Packet, back: bool) -> bytes:
    """Returns the link header for a frame in reaction to `packet`; `back`: towards its sender, addresses swapped.

    A tunnel's outer headers are left out: the injected packet is not encapsulated.
    """
    frame = packet.frame
    at = 14
    kind = (frame[12] << 8) | frame[13] if len(frame) >= 14 else 0
    while kind in TAGS and at + 4 <= len(frame):
        kind = (frame[at + 2] << 8) | frame[at + 3]
        at += 4
    header = frame[: min(at, packet.ip)]
    header = header[:-2] + (ETHER_IPV4 if packet.version == 4 else ETHER_IPV6).to_bytes(2, "big")
    return header[6:12] + header[:6] + header[12:] if back else header


def ip_packet(src: bytes, dst: bytes, proto: int, body: bytes, *, ttl: int, ipid: int) -> bytes:
    """Returns an IP packet around a finished transport `body`; IPv6 ignores `ipid`."""
    if len(src) == 4:
        total = 20 + len(body)
        head = bytearray(20)
        head[0] = 0x45
        head[2:4] = total.to_bytes(2, "big")
        head[4:6] = (ipid & 0xFFFF).to_bytes(2, "big")
        head[6] = 0x40
        head[8] = ttl
        head[9] = proto
        head[12:16] = src
        head[16:20] = dst
        head[10:12] = checksum(bytes(head)).to_bytes(2, "big")
        return bytes(head) + body
    return b"\x60\0\0\0" + len(body).to_bytes(2, "big") + bytes((proto, ttl)) + src + dst + body


def tcp_body(
    src: bytes, dst: bytes, sport: int, dport: int, seq: int, ack: int, flags: int, window: int, data: bytes = b""
) -> bytes:
    head = bytearray(20)
    head[0:2] = sport.to_bytes(2, "big")
    head[2:4] = dport.to_bytes(2, "big")
    head[4:8] = (seq & 0xFFFFFFFF).to_bytes(4, "big")
    head[8:12] = (ack & 0xFFFFFFFF).to_bytes(4, "big")
    head[12] = 0x50
    head[13] = flags
    head[14:16] = window.to_bytes(2, "big")
    body = bytes(head) + data
    total = checksum(pseudo_header(src, dst, TCP, len(body)) + body)
    head[16:18] = total.to_bytes(2, "big")
    return bytes(head) + data


def udp_body(src: bytes, dst: bytes, sport: int, dport: int, data: bytes) -> bytes:
    length = 8 + len(data)
    head = sport.to_bytes(2, "big") + dport.to_bytes(2, "big") + length.to_bytes(2, "big")
    total = checksum(pseudo_header(src, dst, UDP, length) + head + b"\0\0" + data) or 0xFFFF
    return head + total.to_bytes(2, "big") + data


def tcp_as_sender(
    packet: Packet, seq: int, ack: int, flags: int, *, ttl: int, window: int, ipid: int, data: bytes = b""
) -> bytes:
    """Returns a TCP frame in `packet`'s direction, as if from its sender."""
    body = tcp_body(packet.src, packet.dst, packet.sport, packet.dport, seq, ack, flags, window, data)
    return link_header(packet, back=False) + ip_packet(packet.src, packet.dst, TCP, body, ttl=ttl, ipid=ipid)


def tcp_as_receiver(
    packet: Packet, seq: int, ack: int, flags: int, *, ttl: int, window: int, ipid: int, data: bytes = b""
) -> bytes:
    """Returns a TCP frame back to `packet`'s sender, as if from its receiver."""
    body = tcp_body(packet.dst, packet.src, packet.dport, packet.sport, seq, ack, flags, window, data)
    return link_header(packet, back=True) + ip_packet(packet.dst, packet.src, TCP, body, ttl=ttl, ipid=ipid)


def udp_as_receiver(packet: Packet, data: bytes, *, ttl: int, ipid: int) -> bytes:
    """Returns a UDP frame back to `packet`'s sender, as if from its receiver."""
    body = udp_body(packet.dst, packet.src, packet.dport, packet.sport, data)
    return link_header(packet, back=True) + ip_packet(packet.dst, packet.src, UDP, body, ttl=ttl, ipid=ipid)


def http_response(status: int, reason: str, headers: dict[str, str], body: bytes) -> bytes:
    """Returns an HTTP/1.1 response that closes the connection."""
    lines = [f"HTTP/1.1 {status} {reason}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines += [f"Content-Length: {len(body)}", "Connection: close", "", ""]
    return "\r\n".join(lines).encode("utf-8") + body


def dns_answer(query: bytes, *, rcode: int, addresses: tuple[bytes, ...], ttl: int) -> bytes | None:
    """Returns an answer to the DNS message `query`: its question, and an A or AAAA record per address of its type.

    None if the message does not have exactly one readable question. Addresses of the other family are left out; if none
    is left, the answer has no records. `ttl` in seconds. Source: RFC 1035 §4.
    """
    if len(query) < 17 or query[4:6] != b"\0\1":
        return None
    index = 12
    while index < len(query) and query[index]:
        if query[index] & 0xC0:
            return None
        index += 1 + query[index]
    end = index + 5
    if end > len(query):
        return None
    qtype = int.from_bytes(query[index + 1 : index + 3], "big")
    records = b""
    count = 0
    for address in addresses:
        kind = 1 if len(address) == 4 else 28
        if qtype in (kind, 255):
            records += b"\xc0\x0c" + kind.to_bytes(2, "big") + b"\0\1" + ttl.to_bytes(4, "big")
            records += len(address).to_bytes(2, "big") + address
            count += 1
    flags = 0x8180 | (int.from_bytes(query[2:4], "big") & 0x7900) | rcode
    head = query[:2] + (flags & 0xFFFF).to_bytes(2, "big") + b"\0\1" + count.to_bytes(2, "big") + b"\0\0\0\0"
    return head + query[12:end] + records
