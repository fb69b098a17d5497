"""Recognises TLS over TCP by its ClientHello, across segments and records.

Sources: RFC 8446 §4.1.2, §5.1; RFC 6066; RFC 7301; RFC 9849. This is the engine's hot path: plain functions over bytes
and integer indexes, nothing allocated per extension.
"""

from __future__ import annotations

from typing import Final

from shutdownlab.inspection.recognisers.certificate import certificate_names
from shutdownlab.inspection.recognisers.names import host_name
from shutdownlab.inspection.recognisers.recogniser import TcpRecogniser
from shutdownlab.inspection.recognisers.result import Recognition
from shutdownlab.inspection.recognisers.tls_records import (
    HANDSHAKE,
    MAX_RECORD,
    MAX_RECORDS,
    handshake_bytes,
    records_end,
    servers_tls,
)
from shutdownlab.inspection.recognisers.tolerance import TOLERANT, Tolerance

MAX_HELLO: Final = 65536
"""Bytes; a longer ClientHello is not TLS (real ones with post-quantum shares are under 4 KiB)."""


def recognise_tls(client: bytes, tolerance: Tolerance = TOLERANT) -> Recognition | None:
    """Recognises the ClientHello at the start of a TCP stream; None if these bytes cannot be TLS."""
    length = len(client)
    if length == 0:
        return None
    if client[0] != HANDSHAKE:
        return _other_record(client)
    if length < 6:
        if length > 1 and client[1] != 3:
            return None
        return Recognition("tls" if length > 2 else "unknown", None, True)
    if client[1] != 3:
        return None  # servers ignore the minor version: OpenSSL accepts a record of 3.255
    if client[3] == client[4] == 0:
        return _behind_nothing(client, tolerance)
    if client[5] == 2:
        return _server_half(client)  # the connection's start was missed, and this end is the server
    if client[5] != 1:
        return None
    record = (client[3] << 8) | client[4]
    if record > MAX_RECORD:
        return None
    if length >= 9 and record >= 4:
        hello = (client[6] << 16) | (client[7] << 8) | client[8]
        if hello > MAX_HELLO:
            return None
        if hello + 4 <= record:
            # The usual case: the whole hello in one record, parsed in place.
            end = 9 + hello
            if end <= length:
                return client_hello(client, 9, end, True, "t", tolerance.trailing_dot)
            return _partial(client_hello(client, 9, length, False, "t", tolerance.trailing_dot), tolerance)
    if not tolerance.tls_records and length >= 5 + record:
        return Recognition("tls")
    body = handshake_bytes(client, MAX_HELLO + 4)
    if len(body) < 4:
        return Recognition("tls", None, True)
    hello = (body[1] << 16) | (body[2] << 8) | body[3]
    if hello > MAX_HELLO:
        return None
    if len(body) >= 4 + hello:
        return client_hello(body, 4, 4 + hello, True, "t", tolerance.trailing_dot)
    broken = records_end(client) < length
    result = _partial(client_hello(body, 4, len(body), False, "t", tolerance.trailing_dot), tolerance)
    if broken:
        # Another record type interrupts the hello: no receiver accepts that, and nothing will complete it.
        result.more = False
    return result


def _partial(result: Recognition, tolerance: Tolerance) -> Recognition:
    if not tolerance.tls_partial:
        result.host = None
    return result


def client_hello(
    data: bytes, start: int, end: int, complete: bool, transport: str, trailing_dot: bool = True
) -> Recognition:
    """Parses the ClientHello body `data[start:end]`; `transport` is "t" TCP, "q" QUIC or "d" DTLS.

    An incomplete hello is parsed as far as it goes, as single-packet boxes do: the name is reported as soon as it has
    arrived. A malformed one gives what was readable before the fault.
    """
    result = Recognition("tls", None, not complete)
    result.more_server = True
    result.hello = data[start:end]
    result.hello_transport = transport
    if start + 35 > end:
        return result
    version = (data[start] << 8) | data[start + 1]
    result.versions = (version,)
    index = start + 35 + data[start + 34]
    if transport == "d":
        if index >= end:
            return result
        index += 1 + data[index]  # the cookie
    if index + 2 > end:
        return result
    index += 2 + ((data[index] << 8) | data[index + 1])
    if index >= end:
        return result
    index += 1 + data[index]
    if index + 2 > end:
        return result
    stop = index + 2 + ((data[index] << 8) | data[index + 1])
    index += 2
    if stop > end:
        stop = end
    while index + 4 <= stop:
        kind = (data[index] << 8) | data[index + 1]
        size = (data[index + 2] << 8) | data[index + 3]
        index += 4
        after = index + size
        if kind == 0:
            if result.host is None and index + 5 <= stop and data[index + 2] == 0:
                name_length = (data[index + 3] << 8) | data[index + 4]
                name_end = index + 5 + name_length
                if name_end <= stop and name_end <= after:
                    result.host = host_name(data[index + 5 : name_end], trailing_dot)
        elif kind == 16:
            if after <= stop:
                result.alpn = _alpn(data, index, after)
        elif kind == 43:
            if after <= stop:
                result.versions = _versions(data, index, after)
        elif 0xFE08 <= kind <= 0xFE0D or kind == 0xFF02:
            result.ech = True  # RFC 9849, and its drafts from 07 on
        elif kind == 0xFFCE:
            result.esni = True
        index = after
    return result


def _alpn(data: bytes, index: int, end: int) -> tuple[str, ...]:
    index += 2
    names: list[str] = []
    while index < end:
        stop = index + 1 + data[index]
        if stop > end:
            break
        names.append(data[index + 1 : stop].decode("latin-1"))
        index = stop
    return tuple(names)


def _behind_nothing(client: bytes, tolerance: Tolerance) -> Recognition | None:
    """Recognises a stream that begins with empty records, which servers skip."""
    at = 0
    while client[at : at + 2] == b"\x16\x03" and client[at + 3 : at + 5] == b"\0\0" and at < 5 * MAX_RECORDS:
        at += 5
    if not tolerance.tls_records:
        return Recognition("tls")
    return recognise_tls(client[at:], tolerance) if at < len(client) else Recognition("tls", None, True)


def _versions(data: bytes, index: int, end: int) -> tuple[int, ...]:
    versions: list[int] = []
    index += 1
    while index + 2 <= end:
        if not (data[index] == data[index + 1] and data[index] & 0x0F == 0x0A):
            versions.append((data[index] << 8) | data[index + 1])
        index += 2
    return tuple(versions)


def _other_record(client: bytes) -> Recognition | None:
    """Recognises streams that begin after the hello (17/15/14 03 0x), and the SSLv2-framed hello of old clients."""
    first = client[0]
    length = len(client)
    if first == 0x14 or first == 0x15 or first == 0x17:
        if length < 5:
            return None if (length > 1 and client[1] != 3) else Recognition("unknown", None, True)
        record = (client[3] << 8) | client[4]
        if client[1] != 3 or client[2] > 4 or not 0 < record <= MAX_RECORD:
            return None
        if first == 0x14 and (record != 1 or (length > 5 and client[5] != 1)):
            return None
        if first == 0x15 and record != 2 and record < 16:
            return None
        if first == 0x17 and record < 16:
            return None
        return Recognition("tls")
    if first & 0x80 and length >= 11 and client[2] == 1 and (client[3] == 3 or (client[3], client[4]) == (0, 2)):
        ciphers = (client[5] << 8) | client[6]
        session = (client[7] << 8) | client[8]
        challenge = (client[9] << 8) | client[10]
        size = ((first & 0x7F) << 8) | client[1]
        if ciphers % 3 == 0 and ciphers and size == 9 + ciphers + session + challenge and 16 <= challenge <= 32:
            result = Recognition("tls")
            result.versions = ((client[3] << 8) | client[4],)
            result.variant = "sslv2-hello"
            return result
    return None


def _server_half(server: bytes) -> Recognition | None:
    """Recognises TLS by its ServerHello (RFC 8446 §4.1.3), with the certificate's names if it is sent in the clear."""
    record = (server[3] << 8) | server[4]
    if not 42 <= record <= MAX_RECORD:
        return None
    result = Recognition("tls")
    result.variant = "server's half"
    result.certificate_names, result.more_server = certificate_names(server)
    return result


class Tls(TcpRecogniser):
    protocols = ("tls",)
    order = 10
    reads = "either"

    def recognise(self, client: bytes, server: bytes, dport: int, tolerance: Tolerance) -> Recognition | None:
        if not client:
            is_hello = len(server) >= 6 and server[0] == HANDSHAKE and server[1] == 3 and server[5] == 2
            return _server_half(server) if is_hello else None
        found = recognise_tls(client, tolerance)
        if found is not None and server and found.more_server:
            if server[0] != HANDSHAKE and tolerance.proxies:
                server = servers_tls(server)  # skip a proxy's answer
            found.certificate_names, found.more_server = certificate_names(server)
        return found
