"""Host names as they come off the wire, brought to one spelling: lower case, A-labels, no trailing dot, no port."""

from __future__ import annotations

from encodings import idna, punycode
from typing import Final

MAX_NAME: Final = 255
"""Octets of a name in text (RFC 1035 §2.3.4); TLS allows more, nothing real uses it."""

_HOST_BYTES: Final = bytes(sorted(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._*:[]"))


def host_name(raw: bytes, trailing_dot: bool = True) -> str | None:
    """Normalise a host name; None when it can be none (empty, over-long, control characters or spaces inside).

    `trailing_dot` False: one at the end stays.
    """
    length = len(raw)
    if length == 0 or length > 4 * MAX_NAME:
        return None
    if raw.isascii():
        name = raw.decode("ascii").lower()
        if not raw.translate(None, _HOST_BYTES):
            if trailing_dot and name[-1] == ".":
                name = name.rstrip(".")
            return name if 0 < len(name) <= MAX_NAME else None
        # Anything printable is kept: boxes match what they see, and servers do accept "_" and worse.
        for char in name:
            if char <= " " or char == "\x7f":
                return None
        name = name.rstrip(".")
        return name if 0 < len(name) <= MAX_NAME else None
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return unicode_host(text)


def unicode_host(text: str) -> str | None:
    """U-labels to A-labels, label by label; the ideographic full stops count as dots (RFC 3490 §3.1)."""
    for dot in "\u3002\uff0e\uff61":
        text = text.replace(dot, ".")
    labels = []
    for label in text.rstrip(".").split("."):
        ascii_label = _ascii_label(label)
        if ascii_label is None:
            return None
        labels.append(ascii_label)
    name = ".".join(labels)
    return name if 0 < len(name) <= MAX_NAME else None


def _ascii_label(label: str) -> str | None:
    if label.isascii():
        return None if any(char <= " " or char == "\x7f" for char in label) else label.lower()
    if len(label) > 63:
        return None
    try:
        prepared = idna.nameprep(label)
    except UnicodeError:
        # Code points newer than IDNA 2003's tables: IDNA 2008 clients still send them.
        prepared = label.lower()
    if prepared.isascii():
        return prepared if prepared else None
    try:
        return "xn--" + punycode.punycode_encode(prepared).decode("ascii")
    except UnicodeError:
        return None


def strip_port(raw: bytes) -> bytes:
    """`host:port`, `[v6]:port` and `user@host` down to the host, as servers read an authority."""
    at = raw.rfind(b"@")
    if at >= 0:
        raw = raw[at + 1 :]
    if raw[:1] == b"[":
        close = raw.find(b"]")
        return raw[1:close] if close > 0 else raw[1:]
    colon = raw.find(b":")
    # Two colons and no brackets: a bare IPv6 address.
    if colon >= 0 and raw.find(b":", colon + 1) < 0:
        return raw[:colon]
    return raw
