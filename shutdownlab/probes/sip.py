"""Reads and writes a telephone's SIP messages (RFC 3261): text only, no sockets."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

_VERSION: Final = "SIP/2.0"
_BRANCH: Final = "z9hG4bK"  # RFC 3261 §8.1.1.7
# Compact forms, RFC 3261 §7.3.3.
_COMPACT: Final = {
    "v": "via", "f": "from", "t": "to", "i": "call-id", "m": "contact", "l": "content-length", "c": "content-type"
}  # fmt: skip


class MalformedSip(ValueError):
    """Raised for bytes that are not a SIP message."""


@dataclass(frozen=True, slots=True)
class SipMessage:
    """A request (`method` and `uri`) or a response (`code` and `reason`). Header names are case-insensitive."""

    headers: tuple[tuple[str, str], ...]
    body: bytes = b""
    method: str = ""
    uri: str = ""
    code: int = 0
    reason: str = ""

    def all(self, name: str) -> list[str]:
        """Returns the values of a header that may be repeated, in order."""
        return [value for key, value in self.headers if key.lower() == name]

    def get(self, name: str) -> str:
        """Returns a header's first value, "" if it has none."""
        return next(iter(self.all(name)), "")

    @property
    def transaction(self) -> tuple[str, str]:
        """Call-ID and CSeq: equal in a request, its retransmissions and its responses."""
        return self.get("call-id"), self.get("cseq")

    def wire(self) -> bytes:
        first = f"{self.method} {self.uri} {_VERSION}" if self.method else f"{_VERSION} {self.code} {self.reason}"
        lines = [first, *(f"{name}: {value}" for name, value in self.headers), f"Content-Length: {len(self.body)}"]
        return "\r\n".join([*lines, "", ""]).encode() + self.body


def parse(data: bytes) -> SipMessage:
    """Raises `MalformedSip`."""
    head, separator, body = data.partition(b"\r\n\r\n")
    lines = head.decode("utf-8", "replace").split("\r\n")
    words = lines[0].split(" ", 2)
    if not separator or len(words) < 3:
        raise MalformedSip(lines[0][:80])
    headers: list[tuple[str, str]] = []
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        name = name.strip().lower()
        if not colon:
            raise MalformedSip(line[:80])
        if name != "content-length":
            headers += [(_COMPACT.get(name, name), part) for part in _split(_COMPACT.get(name, name), value.strip())]
    if words[0] == _VERSION:
        if not words[1].isdecimal():
            raise MalformedSip(lines[0][:80])
        return SipMessage(tuple(headers), body, code=int(words[1]), reason=words[2])
    if words[2] != _VERSION:
        raise MalformedSip(lines[0][:80])
    return SipMessage(tuple(headers), body, method=words[0], uri=words[1])


def _split(name: str, value: str) -> list[str]:
    """Returns the values of a list header; in other headers commas do not separate values."""
    return [part.strip() for part in value.split(",")] if name in {"via", "route", "record-route"} else [value]


def uri_of(value: str) -> str:
    """Returns the URI of `"A" <sip:a@b;x=y>;tag=z` or of `sip:a@b;tag=z`."""
    start = value.find("<")
    return value[start + 1 : value.find(">", start)] if start >= 0 else value.split(";", 1)[0]


def user_of(uri: str) -> str:
    """Returns the user part of a SIP URI."""
    return uri.removeprefix("sip:").partition("@")[0]


def bracketed(address: str) -> str:
    """Returns an address as written in URIs."""
    return f"[{address}]" if ":" in address else address


@dataclass(frozen=True, slots=True)
class Identity:
    """One end of a dialog: user, domain, and the address and port where it listens."""

    user: str
    domain: str
    address: str
    port: int

    @property
    def aor(self) -> str:
        """The address of record."""
        return f"sip:{self.user}@{bracketed(self.domain)}"

    @property
    def contact(self) -> str:
        return f"<sip:{self.user}@{bracketed(self.address)}:{self.port}>"

    def via(self) -> str:
        return f"{_VERSION}/UDP {bracketed(self.address)}:{self.port};rport;branch={_BRANCH}{secrets.token_hex(8)}"


def new_tag() -> str:
    return secrets.token_hex(6)


def request(
    method: str,
    uri: str,
    me: Identity,
    to: str,
    *,
    call_id: str,
    sequence: int,
    tag: str,
    routes: Sequence[str] = (),
    extra: Iterable[tuple[str, str]] = (),
    body: bytes = b"",
) -> SipMessage:
    """Returns a request from `me`; `to` is the whole To header, including its tag inside a dialog."""
    headers = [
        ("Via", me.via()),
        ("Max-Forwards", "70"),
        *(("Route", route) for route in routes),
        ("From", f"<{me.aor}>;tag={tag}"),
        ("To", to),
        ("Call-ID", call_id),
        ("CSeq", f"{sequence} {method}"),
        ("Contact", me.contact),
        ("User-Agent", "shutdownlab"),
        *extra,
    ]
    return SipMessage(tuple(headers), body, method=method, uri=uri)


def response(
    to: SipMessage,
    code: int,
    reason: str,
    *,
    tag: str = "",
    extra: Iterable[tuple[str, str]] = (),
    body: bytes = b"",
) -> SipMessage:
    """Returns the response to a request; `tag` is added to its To header if that has none."""
    copied = [(k, v) for k, v in to.headers if k.lower() in {"via", "from", "call-id", "cseq", "record-route"}]
    target = to.get("to")
    if tag and ";tag=" not in target:
        target += f";tag={tag}"
    names = {"via": "Via", "from": "From", "call-id": "Call-ID", "cseq": "CSeq", "record-route": "Record-Route"}
    headers = [(names[k.lower()], v) for k, v in copied] + [("To", target), *extra]
    return SipMessage(tuple(headers), body, code=code, reason=reason)


def session_description(address: str, port: int) -> bytes:
    """Returns SDP (RFC 8866) for one G.711 µ-law stream."""
    version = "IP6" if ":" in address else "IP4"
    lines = (
        "v=0", f"o=- 0 0 IN {version} {address}", "s=-", f"c=IN {version} {address}", "t=0 0",
        f"m=audio {port} RTP/AVP 0", "a=rtpmap:0 PCMU/8000",
    )  # fmt: skip
    return ("\r\n".join(lines) + "\r\n").encode()


def media_of(body: bytes) -> tuple[str, int]:
    """Returns the address and port of the audio stream in an SDP body; raises `MalformedSip`."""
    address, port = "", 0
    for line in body.decode("utf-8", "replace").splitlines():
        words = line.split()
        if line.startswith("c=IN IP") and len(words) == 3:
            address = words[2]
        elif line.startswith("m=audio ") and len(words) > 1 and words[1].isdecimal():
            port = int(words[1])
    if not address or not port:
        raise MalformedSip("no audio stream in the session description")
    return address, port
