"""Recognises DNS messages over UDP and TCP (RFC 1035, RFC 7766, EDNS RFC 6891, mDNS RFC 6762)."""

from __future__ import annotations

from ipaddress import IPv6Address

from shutdownlab.inspection.query_types import name_of as query_type_name
from shutdownlab.inspection.recognisers.names import host_name
from shutdownlab.inspection.recognisers.recogniser import TcpRecogniser, UdpRecogniser, UdpSession
from shutdownlab.inspection.recognisers.result import Recognition
from shutdownlab.inspection.recognisers.tolerance import TOLERANT, Tolerance

PORTS = frozenset((53, 5353, 5355))
"""The ports of DNS, mDNS and LLMNR, where imperfect messages count as DNS too."""

NOT_DNS = frozenset((137, 138))
"""The ports of NetBIOS, whose messages look like DNS (RFC 1002)."""
MAX_QUESTIONS = 64
MAX_HOPS = 64
"""Compression pointers followed in one name."""
MAX_ADDITIONAL = 4
"""Additional records of a message without a question."""
MAX_RECORDS = 64
"""Resource records parsed per message."""


def read_name(data: bytes, index: int) -> tuple[bytes | None, int]:
    """Returns the name at `index` (labels joined by dots, pointers followed; None if malformed) and the index after."""
    labels: list[bytes] = []
    length = len(data)
    after = -1
    total = 0
    hops = 0
    while index < length:
        size = data[index]
        if size == 0:
            return b".".join(labels), (index + 1 if after < 0 else after)
        if size >= 0xC0:
            if index + 2 > length:
                return None, length
            if after < 0:
                after = index + 2
            hops += 1
            if hops > MAX_HOPS:
                return None, after
            index = ((size & 0x3F) << 8) | data[index + 1]
            continue
        if size > 63:
            return None, length
        total += size + 1
        if total > 254 or index + 1 + size > length:
            return None, length
        labels.append(data[index + 1 : index + 1 + size])
        index += 1 + size
    return None, length


def recognise_dns(message: bytes, dport: int, tolerance: Tolerance = TOLERANT) -> Recognition | None:
    """Recognises a DNS message; None if it is not one. Off the DNS ports it must be flawless to count as DNS."""
    length = len(message)
    usual = dport in PORTS
    if length < 12:
        return None
    flags = (message[2] << 8) | message[3]
    questions = (message[4] << 8) | message[5]
    answers = (message[6] << 8) | message[7]
    authorities = (message[8] << 8) | message[9]
    additional = (message[10] << 8) | message[11]
    response = bool(flags & 0x8000)
    opcode = (flags >> 11) & 15
    if opcode > 6 or opcode == 3:
        return None
    mdns = dport == 5353
    if questions == 0 and not (response and usual) and not (mdns and answers):
        return None
    if not mdns and not tolerance.dns_counts and (questions > 1 or (answers and not response)):
        return None
    if not usual and (questions != 1 or flags & 0x0040 or additional > 4 or (answers and not response)):
        return None
    if dport in NOT_DNS:
        return None
    result = Recognition("dns")
    result.method = "response" if response else "query"
    index = 12
    for number in range(min(questions, MAX_QUESTIONS)):
        if number == 0 and not tolerance.dns_pointers and _is_compressed(message):
            return None
        name, index = read_name(message, index)
        if name is None or index + 4 > length:
            return None if number == 0 else result
        kind = (message[index] << 8) | message[index + 1]
        klass = ((message[index + 2] << 8) | message[index + 3]) & (0x7FFF if usual else 0xFFFF)
        index += 4
        if klass not in (1, 3, 4, 254, 255) or kind == 0:
            return None if number == 0 else result
        if number == 0:
            result.host = host_name(name)
            result.qtype = query_type_name(kind)
    if not usual and not _ends_well(message, index, answers + authorities + additional):
        return None
    if response and answers:
        result.answers, first = _answers(message, index, min(answers, MAX_RECORDS))
        if questions == 0 and first is not None:
            result.host = host_name(first)
    return result


def _is_compressed(message: bytes) -> bool:
    """Returns whether the question's name has a compression pointer."""
    index = 12
    while index < len(message) and message[index] < 0xC0:
        if message[index] == 0:
            return False
        index += 1 + message[index]
    return index < len(message)


def _ends_well(data: bytes, index: int, records: int) -> bool:
    """Returns whether the announced records fill the message exactly; of more than MAX_RECORDS, only the first are
    checked."""
    length = len(data)
    for _ in range(min(records, MAX_RECORDS)):
        name, index = read_name(data, index)
        if name is None or index + 10 > length:
            return False
        index += 10 + ((data[index + 8] << 8) | data[index + 9])
    return index == length or records > MAX_RECORDS


def _answers(data: bytes, index: int, records: int) -> tuple[tuple[str, ...], bytes | None]:
    """Returns the addresses and CNAME targets in the answer section, and the first record's owner name."""
    found: list[str] = []
    first: bytes | None = None
    length = len(data)
    for _ in range(records):
        name, index = read_name(data, index)
        if name is None or index + 10 > length:
            break
        if first is None:
            first = name
        kind = (data[index] << 8) | data[index + 1]
        size = (data[index + 8] << 8) | data[index + 9]
        index += 10
        if index + size > length:
            break
        if kind == 1 and size == 4:
            found.append(".".join(str(octet) for octet in data[index : index + 4]))
        elif kind == 28 and size == 16:
            found.append(str(IPv6Address(data[index : index + 16])))
        elif kind == 5:
            target, _after = read_name(data, index)
            text = host_name(target) if target else None
            if text is not None:
                found.append(text)
        index += size
    return tuple(found), first


def recognise_dns_tcp(stream: bytes, dport: int, tolerance: Tolerance = TOLERANT) -> Recognition | None:
    """Recognises the first message of a DNS-over-TCP stream, in which each has a 2-byte length before it."""
    length = len(stream)
    if length < 2:
        return Recognition(more=True) if dport == 53 and length else None
    size = (stream[0] << 8) | stream[1]
    if size < (17 if dport != 53 else 12):
        return None
    if length < 2 + size:
        # Off port 53 an incomplete message does not count as DNS; on it, the question may be complete already.
        if dport != 53:
            return None
        if length >= 14:
            partial = recognise_dns(stream[2:], dport, tolerance)
            if partial is not None:
                # The question is complete, additional records are not: the name is known already.
                partial.more = False
                partial.length = 2 + size
                return partial
        return Recognition(more=True)
    found = recognise_dns(stream[2 : 2 + size], dport, tolerance)
    if found is None and dport == 53 and _asks_nothing(stream):
        found = Recognition("dns")
    if found is not None:
        found.length = 2 + size
    return found


def _asks_nothing(stream: bytes) -> bool:
    """Returns whether the stream's first message is a query without a question, as those of a session are (RFC 8490).

    Questions may follow it.
    """
    return not stream[4] & 0x80 and stream[6:12] == bytes(6) and stream[12] == 0 and stream[13] <= MAX_ADDITIONAL


class DnsOverTcp(TcpRecogniser):
    protocols = ("dns",)
    order = 60

    def recognise(self, client: bytes, server: bytes, dport: int, tolerance: Tolerance) -> Recognition | None:
        return recognise_dns_tcp(client, dport, tolerance)


class Dns(UdpRecogniser):
    """Recognises DNS on its own ports, before all other recognisers."""

    protocols = ("dns",)
    order = 10

    def recognise(self, payload: bytes, from_client: bool, dport: int, session: UdpSession) -> Recognition | None:
        return recognise_dns(payload, dport, session.tolerance) if dport in PORTS else None


class DnsElsewhere(UdpRecogniser):
    """Recognises DNS on any other port, after all other recognisers."""

    protocols = ("dns",)
    order = 100

    def recognise(self, payload: bytes, from_client: bool, dport: int, session: UdpSession) -> Recognition | None:
        return recognise_dns(payload, dport, session.tolerance) if dport not in PORTS else None
