"""Recognises a client's request to a proxy, and the header that a proxy prepends to a client's stream.

SOCKS 4 and 4a (Lee, "SOCKS: A protocol for TCP proxy across firewalls"; its extension for names), SOCKS 5 (RFC 1928,
with a password as in RFC 1929), the PROXY protocol's versions 1 and 2 (HAProxy's doc/proxy-protocol.txt). HTTP's
CONNECT is in `http`, as any request.
"""

from __future__ import annotations

import re
from socket import AF_INET, AF_INET6, inet_ntop
from typing import Final

from shutdownlab.inspection.recognisers.names import host_name
from shutdownlab.inspection.recognisers.result import Recognition
from shutdownlab.inspection.recognisers.tolerance import Tolerance

PROTOCOLS: Final = ("proxy-protocol", "socks")

_COMMANDS: Final = {1: "CONNECT", 2: "BIND", 3: "UDP ASSOCIATE"}
_LONGEST_LINE: Final = 107
"""The most bytes of a PROXY protocol version 1 header, its end of line included."""
_PORTS: Final = rb"(?:0|[1-9]\d{0,4})"
_FIRST_VERSION: Final = re.compile(
    rb"PROXY (?:UNKNOWN[^\r\n]*|(?:TCP4 [0-9.]+ [0-9.]+|TCP6 [0-9a-fA-F:.]+ [0-9a-fA-F:.]+) "
    + _PORTS
    + rb" "
    + _PORTS
    + rb")\r\n"
)
_FOLLOWING: Final = re.compile(rb"\x16(?:\x03|\Z)|[A-Z]{3,10}(?: [/*h]|\Z)")
"""How a ClientHello or a request begins that a client sends before its proxy has answered."""
_SECOND_VERSION: Final = b"\r\n\r\n\0\r\nQUIT\n"
_ADDRESSES: Final = {0: 0, 1: 12, 2: 36, 3: 216}
"""Bytes of both ends' addresses, by family: unspecified, IPv4, IPv6, Unix socket."""
_AUTHORITY: Final = 2
"""The type of the field with the name that the client asked for in TLS."""
_VALID_METHODS: Final = frozenset({*range(0x0A), *range(0x80, 0xFF)})
"""Authentication methods: registered and private ones (RFC 1928 §3)."""
_REFUSED: Final = 0xFF
"""The server's answer if it accepts none of the methods."""
_NOTHING: Final = -1
_PASSWORD: Final = 1
"""The version of the username/password negotiation (RFC 1929 §2)."""


def recognise_proxy(client: bytes, server: bytes, tolerance: Tolerance) -> Recognition | None:
    """Recognises a request to a proxy, or a proxy's header, at the start of a stream; None if it can be neither.

    `method` is the command, `host` the requested name or address. If the box parses what follows
    (`tolerance.proxies`), `length` is where that begins.
    """
    if not client:
        return None
    first = client[0]
    if first == 5:
        found = _socks5(client, server, tolerance)
    elif first == 4:
        found = _socks4(client, server, tolerance)
    elif first == 0x50:  # P
        found = _first_version(client)
    elif first == 0x0D:
        found = _second_version(client, tolerance)
    else:
        return None
    if found is not None and not tolerance.proxies:
        found.host = None
        found.length = 0
        found.preamble = False
    return found


def _asked(end: int, method: str, host: str | None) -> Recognition:
    found = Recognition("socks", host)
    found.method = method
    found.length = end
    found.preamble = method == "CONNECT"
    return found


def _address(data: bytes) -> str:
    return inet_ntop(AF_INET if len(data) == 4 else AF_INET6, data)


def _socks5(client: bytes, server: bytes, tolerance: Tolerance) -> Recognition | None:
    """Parses the offered methods, the password if the server asked for one, and the request.

    If the server chose a method that is not known here, only the protocol is recognised.
    """
    length = len(client)
    if server and server[0] != 5:
        return None
    if length < 2:
        return Recognition(more=True)
    at = 2 + client[1]
    if at == 2 or not _VALID_METHODS.issuperset(client[2:at]):
        return None
    chosen = server[1] if len(server) >= 2 else _NOTHING
    if chosen >= 0 and chosen != _REFUSED and chosen not in client[2:at]:
        return None
    if length <= at:
        known = length == at and chosen >= 0
        return Recognition("socks" if known else "unknown", None, chosen != _REFUSED)
    if client[at] == _PASSWORD and 2 in client[2:at]:
        name_end = at + 2 + (client[at + 1] if at + 1 < length else 0)
        if name_end >= length:
            return Recognition(more=True)
        at = name_end + 1 + client[name_end]
        if length <= at:
            return Recognition("socks" if length == at else "unknown", None, True)
    if client[at] != 5:
        return Recognition("socks") if chosen > 0 and chosen not in (2, _REFUSED) else None
    if length < at + 5:
        return Recognition(more=True)
    method = _COMMANDS.get(client[at + 1])
    kind = client[at + 3]
    if method is None or client[at + 2] != 0 or kind not in (1, 3, 4):
        return None
    start = at + 5 if kind == 3 else at + 4
    end = start + (client[at + 4] if kind == 3 else 4 if kind == 1 else 16)
    if length < end + 2:
        return Recognition("socks", None, True)
    told = client[start:end]
    return _asked(end + 2, method, host_name(told, tolerance.trailing_dot) if kind == 3 else _address(told))


def _socks4(client: bytes, server: bytes, tolerance: Tolerance) -> Recognition | None:
    """Parses port, address and user name; in 4a the address is 0.0.0.x and the requested name follows the user's.

    Few of its bytes are fixed, so until the server has agreed, nothing may follow the request but TLS or HTTP.
    """
    length = len(client)
    if length < 9:
        return Recognition(more=True) if length < 2 or client[1] in _COMMANDS else None
    method = _COMMANDS.get(client[1])
    if method is None or client[1] == 3 or client[2:4] == b"\0\0":
        return None
    end = client.find(b"\0", 8, 8 + 256)
    if end < 0 or (end > 8 and not client[8:end].isascii()):
        return Recognition(more=True) if end < 0 and length < 8 + 256 and client[8:].isascii() else None
    named = client[4:7] == bytes(3) and client[7] != 0
    start = end + 1
    if named:
        end = client.find(b"\0", start, start + 256)
        if end < 0:
            return Recognition(more=True) if length < start + 256 else None
        if end == start:
            return None
    if server:
        if server[0] != 0 or (len(server) > 1 and not 0x5A <= server[1] <= 0x5D):
            return None
    elif length != end + 1 and not _FOLLOWING.match(client, end + 1):
        return None
    return _asked(
        end + 1, method, host_name(client[start:end], tolerance.trailing_dot) if named else _address(client[4:8])
    )


def _header(end: int, host: str | None) -> Recognition:
    found = Recognition("proxy-protocol", host)
    found.length = end
    found.preamble = True
    return found


def _first_version(client: bytes) -> Recognition | None:
    line = client[:_LONGEST_LINE]
    end = line.find(b"\r\n")
    if end < 0:
        begun = b"PROXY ".startswith(line[:6])
        return Recognition(more=True) if begun and len(client) < _LONGEST_LINE else None
    return _header(end + 2, None) if _FIRST_VERSION.fullmatch(line[: end + 2]) else None


def _second_version(client: bytes, tolerance: Tolerance) -> Recognition | None:
    """Parses version 2: after a signature, version and command, family and transport, and the length of the rest."""
    length = len(client)
    if length < 16:
        return Recognition(more=True) if client.startswith(_SECOND_VERSION[:length]) else None
    if not client.startswith(_SECOND_VERSION) or client[12] not in (0x20, 0x21):
        return None
    size = _ADDRESSES.get(client[13] >> 4)
    end = 16 + int.from_bytes(client[14:16], "big")
    if size is None or end < 16 + size:
        return None
    if length < end:
        return Recognition("proxy-protocol", None, True)
    at = 16 + size
    host: str | None = None
    while at + 3 <= end:
        after = at + 3 + int.from_bytes(client[at + 1 : at + 3], "big")
        if client[at] == _AUTHORITY and after <= end:
            host = host_name(client[at + 3 : after], tolerance.trailing_dot)
        at = after
    return _header(end, host)
