"""Reads the names in a server's certificate, which TLS up to 1.2 sends in the clear (RFC 5246 §7.4.2, RFC 5280).

A small DER parser instead of an X.509 library: certificates of real servers may be invalid, and must not raise.
"""

from __future__ import annotations

from typing import Final

from shutdownlab.inspection.recognisers.names import host_name
from shutdownlab.inspection.recognisers.tls_records import MAX_RECORD, handshake_bytes

MAX_FLIGHT: Final = 65536
MAX_NAMES: Final = 500
_COMMON_NAME: Final = b"\x55\x04\x03"
_ALTERNATIVE_NAME: Final = b"\x55\x1d\x11"


def certificate_names(server: bytes) -> tuple[tuple[str, ...], bool]:
    """Returns the names in the first certificate of the server's first flight, and whether more bytes may add some."""
    if not server:
        return (), True
    if server[0] != 0x16:
        return (), False
    messages = handshake_bytes(server, MAX_FLIGHT)
    index = 0
    while index + 4 <= len(messages):
        kind = messages[index]
        end = index + 4 + int.from_bytes(messages[index + 1 : index + 4], "big")
        if end - index > MAX_FLIGHT:
            return (), False
        if kind == 2 and end <= len(messages) and _is_tls13(messages, index + 4, end):
            return (), False
        if kind == 11:
            first = int.from_bytes(messages[index + 7 : index + 10], "big")
            start = index + 10
            if start + first <= len(messages) and start + first <= end:
                return names_of(messages[start : start + first]), False
            return (), not _interrupted(server)
        if kind not in (0, 2, 4, 22):
            return (), False
        index = end
    return (), not _interrupted(server) and len(server) < MAX_FLIGHT


def _interrupted(server: bytes) -> bool:
    """Returns whether another record type follows the handshake records (a resumed session's ChangeCipherSpec, an
    alert)."""
    index = 0
    while index + 5 <= len(server):
        if server[index] != 0x16 or server[index + 1] != 3:
            return True
        size = (server[index + 3] << 8) | server[index + 4]
        if size == 0 or size > MAX_RECORD:
            return True
        index += 5 + size
    return index < len(server) and server[index] != 0x16


def _is_tls13(data: bytes, index: int, end: int) -> bool:
    """Returns whether the ServerHello body `data[index:end]` has the extension supported_versions."""
    index += 34
    if index >= end:
        return False
    index += 1 + data[index] + 3
    if index + 2 > end:
        return False
    index += 2
    while index + 4 <= end:
        if data[index] == 0 and data[index + 1] == 43:
            return True
        index += 4 + ((data[index + 2] << 8) | data[index + 3])
    return False


def _element(data: bytes, index: int, end: int) -> tuple[int, int, int]:
    """Returns tag, start and end of the contents of the DER element at `index`; tag -1 if it does not end by `end`."""
    if index + 2 > end:
        return -1, end, end
    size = data[index + 1]
    start = index + 2
    if size & 0x80:
        octets = size & 0x7F
        if not 0 < octets <= 3 or start + octets > end:
            return -1, end, end
        size = int.from_bytes(data[start : start + octets], "big")
        start += octets
    if start + size > end:
        return -1, end, end
    return data[index], start, start + size


def names_of(der: bytes) -> tuple[str, ...]:
    """Returns a certificate's subject common names and DNS alternative names, in that order, without duplicates."""
    _, start, end = _element(der, 0, len(der))
    tag, start, end = _element(der, start, end)  # tbsCertificate
    if tag != 0x30:
        return ()
    index = start
    names: list[str] = []
    sequences = 0
    while index < end:
        tag, inner, after = _element(der, index, end)
        if tag < 0:
            break
        if tag == 0x30:
            sequences += 1
            if sequences == 4:  # signature, issuer, validity, subject
                _common_names(der, inner, after, names)
        elif tag == 0xA3:
            _alternative_names(der, inner, after, names)
        index = after
    return tuple(dict.fromkeys(names))


def _add(raw: bytes, names: list[str]) -> None:
    name = host_name(raw)
    if name is not None and len(names) < MAX_NAMES:
        names.append(name)


def _common_names(der: bytes, index: int, end: int, names: list[str]) -> None:
    while index < end:
        tag, inner, after = _element(der, index, end)  # RelativeDistinguishedName
        if tag < 0:
            return
        _, start, stop = _element(der, inner, after)
        kind, oid, oid_end = _element(der, start, stop)
        value_kind, value, value_end = _element(der, oid_end, stop)
        if kind == 6 and value_kind > 0 and der[oid:oid_end] == _COMMON_NAME:
            _add(der[value:value_end], names)
        index = after


def _alternative_names(der: bytes, index: int, end: int, names: list[str]) -> None:
    _, index, end = _element(der, index, end)
    while index < end:
        tag, inner, after = _element(der, index, end)  # Extension
        if tag < 0:
            return
        kind, oid, oid_end = _element(der, inner, after)
        if kind == 6 and der[oid:oid_end] == _ALTERNATIVE_NAME:
            value_kind, value, value_end = _element(der, oid_end, after)
            if value_kind == 1:  # critical
                value_kind, value, value_end = _element(der, value_end, after)
            _, name, stop = _element(der, value, value_end)
            while name < stop:
                tag, start, finish = _element(der, name, stop)
                if tag < 0:
                    break
                if tag == 0x82:
                    _add(der[start:finish], names)
                name = finish
        index = after
