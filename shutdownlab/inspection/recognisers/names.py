"""Normalises host names from the wire: lower case, A-labels, no trailing dot, no port."""

from __future__ import annotations

from typing import Final

from shutdownlab.config.idn import punycoded, to_ascii

MAX_NAME: Final = 255
"""Octets of a name as text (RFC 1035 §2.3.4); TLS allows more, but nothing real uses it."""

MAX_LABEL: Final = 63
_HOST_BYTES: Final = bytes(sorted(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._*:[]"))


def host_name(raw: bytes, trailing_dot: bool = True) -> str | None:
    """Normalises a host name; returns None if it is empty or too long.

    Bytes that are not text, blanks and control characters are escaped as `\\xff`, as boxes match what they get. Blanks
    and control characters alone are no name. `trailing_dot` False: a dot at the end stays.
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
        # Anything printable is kept: boxes match what they get, and servers accept "_" and worse.
        return _escaped(name)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return _escaped(raw.decode("ascii", "backslashreplace").lower())
    return unicode_host(text)


def _escaped(name: str) -> str | None:
    """Escapes blanks and control characters as `\\x20`, and removes trailing dots.

    None if there is nothing else, or the result is too long.
    """
    name = name.rstrip(".")
    if not name.isprintable() or " " in name:
        shown = [char if " " < char < "\x7f" or char > "\x9f" else f"\\x{ord(char):02x}" for char in name]
        name = "".join(shown) if any(len(char) == 1 for char in shown) else ""
    return name if 0 < len(name) <= 4 * MAX_NAME else None


def unicode_host(text: str) -> str | None:
    """Converts U-labels to A-labels, with plain Punycode for names that IDNA forbids; None if a label is too long."""
    try:
        name = to_ascii(text)
    except UnicodeError:
        labels = text.lower().split(".")
        if max(map(len, labels)) > MAX_LABEL:
            return None
        name = ".".join([label if label.isascii() else punycoded(label) for label in labels])
    return _escaped(name)


def strip_port(raw: bytes) -> bytes:
    """Returns the host of an authority such as `host:port`, `[v6]:port` or `user@host`, as servers parse it."""
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
