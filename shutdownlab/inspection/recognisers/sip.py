"""Recognises SIP requests and responses over UDP or TCP (RFC 3261)."""

from __future__ import annotations

import re

from shutdownlab.inspection.recognisers.names import host_name, strip_port
from shutdownlab.inspection.recognisers.recogniser import TcpRecogniser, UdpRecogniser, UdpSession
from shutdownlab.inspection.recognisers.result import UNENDED, UNKNOWN, Recognition
from shutdownlab.inspection.recognisers.tolerance import Tolerance

METHODS = frozenset(
    b"INVITE ACK BYE CANCEL OPTIONS REGISTER PRACK SUBSCRIBE NOTIFY PUBLISH INFO REFER MESSAGE UPDATE".split()
)
_LONGEST = 10
_MOST_BLANK = 256
"""Bytes of leading empty lines after which a stream is no longer taken for SIP."""


def recognise_sip(data: bytes) -> Recognition | None:
    """Recognises SIP by its start line; None if these bytes cannot begin one."""
    if data[:8] == b"SIP/2.0 ":
        result = Recognition("sip")
        result.method = "response"
        return result
    space = data.find(b" ", 0, _LONGEST)
    if space < 0:
        complete = len(data) >= _LONGEST or not any(method.startswith(data) for method in METHODS)
        return None if complete or len(data) < 2 else Recognition(more=True)
    if data[:space] not in METHODS:
        return None
    scheme = data[space + 1 : space + 6].lower()
    if len(scheme) < 5 and (b"sip:".startswith(scheme) or b"sips:".startswith(scheme) or b"tel:".startswith(scheme)):
        return Recognition(more=True)
    if not scheme.startswith((b"sip:", b"sips:", b"tel:")):
        return None
    result = Recognition("sip")
    result.method = data[:space].decode("ascii")
    end = data.find(b" ", space + 1, space + 1024)
    if end < 0:
        result.more = len(data) < space + 1024
        return result
    uri = data[space + 1 : end]
    result.url = uri.decode("latin-1")
    result.user_agent = _user_agent(data)
    if scheme[:3] == b"sip":
        authority = uri[uri.find(b":") + 1 :]
        for mark in (b";", b"?"):
            authority = authority.partition(mark)[0]
        result.host = host_name(strip_port(authority))
    return result


_USER_AGENT = b"\r\nuser-agent:"


def _user_agent(data: bytes) -> str | None:
    """Returns the User-Agent header's value (RFC 3261 §20.41), or None if it is absent, empty or incomplete."""
    ended = data.find(b"\r\n\r\n")
    head = data if ended < 0 else data[: ended + 2]
    begin = head.lower().find(_USER_AGENT)
    end = head.find(b"\r\n", begin + 2)
    if begin < 0 or end < 0:
        return None
    return head[begin + len(_USER_AGENT) : end].strip().decode("latin-1") or None


def _length(data: bytes) -> int:
    """Returns the length in bytes of the first message in a stream, by its Content-Length (RFC 3261 §18.3).

    UNENDED if its headers are incomplete, 0 if the length is invalid.
    """
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return UNENDED
    for line in _FOLD.sub(b" ", data[:end]).split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() in (b"content-length", b"l"):
            size = value.strip()
            return end + 4 + int(size) if size.isdigit() and len(size) < 10 else 0
    return end + 4


_FOLD = re.compile(rb"\r\n[ \t]+")
"""Folding: a value that continues on the next line (RFC 3261 §7.3.1)."""
_LETTERS = frozenset(range(0x41, 0x54))


class SipOverTcp(TcpRecogniser):
    protocols = ("sip",)
    order = 80
    first = _LETTERS | frozenset(b"\r")

    def recognise(self, client: bytes, server: bytes, dport: int, tolerance: Tolerance) -> Recognition | None:
        before = 0  # empty lines are keep-alives (RFC 3261 §7.5, RFC 5626 §4.4.1)
        while client[before : before + 2] == b"\r\n":
            before += 2
        if before == len(client) or client[before:] == b"\r":
            return Recognition(more=len(client) < _MOST_BLANK)
        found = recognise_sip(client[before:])
        if found is not None and found.protocol != UNKNOWN:
            length = _length(client[before:])
            found.length = before + length if length > 0 else length
        return found


class Sip(UdpRecogniser):
    protocols = ("sip",)
    order = 90
    first = _LETTERS

    def recognise(self, payload: bytes, from_client: bool, dport: int, session: UdpSession) -> Recognition | None:
        found = recognise_sip(payload)
        if found is None or found.protocol == UNKNOWN:
            return None
        found.more = False  # a datagram is whole
        return found
