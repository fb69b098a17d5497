"""Host names as they come off the wire, brought to one spelling: lower case, A-labels, no trailing dot, no port."""

from __future__ import annotations

from typing import Final

from shutdownlab.config.idn import punycoded, to_ascii

MAX_NAME: Final = 255
"""Octets of a name in text (RFC 1035 §2.3.4); TLS allows more, nothing real uses it."""

MAX_LABEL: Final = 63
_HOST_BYTES: Final = bytes(sorted(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._*:[]"))


def host_name(raw: bytes, trailing_dot: bool = True) -> str | None:
    """Normalise a host name; None when it can be none (empty or over-long).

    Bytes that are not text, blanks and control characters are escaped as `\\xff`: boxes match what they see. Blanks and
    control characters alone are no name. `trailing_dot` False: one at the end stays.
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
        return _escaped(name)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return _escaped(raw.decode("ascii", "backslashreplace").lower())
    return unicode_host(text)


def _escaped(name: str) -> str | None:
    """Blanks and control characters as `\\x20`, and no trailing dot; None if there is nothing else, or too much."""
    name = name.rstrip(".")
    if not name.isprintable() or " " in name:
        shown = [char if " " < char < "\x7f" or char > "\x9f" else f"\\x{ord(char):02x}" for char in name]
        name = "".join(shown) if any(len(char) == 1 for char in shown) else ""
    return name if 0 < len(name) <= 4 * MAX_NAME else None


def unicode_host(text: str) -> str | None:
    """U-labels to A-labels; what no client of today would send, but an odd one did, label by label as it stands."""
    try:
        name = to_ascii(text)
    except UnicodeError:
        labels = text.lower().split(".")
        if max(map(len, labels)) > MAX_LABEL:
            return None
        name = ".".join([label if label.isascii() else punycoded(label) for label in labels])
    return _escaped(name)


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
