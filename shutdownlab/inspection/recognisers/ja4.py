"""Computes JA4, the TLS client fingerprint, by FoxIO's specification (github.com/FoxIO-LLC/ja4).

See its technical_details/JA4.md.
"""

from __future__ import annotations

from hashlib import sha256

_VERSIONS = {
    0x0304: "13",
    0x0303: "12",
    0x0302: "11",
    0x0301: "10",
    0x0300: "s3",
    0x0002: "s2",
    0xFEFF: "d1",
    0xFEFD: "d2",
    0xFEFC: "d3",
}
_EMPTY = "000000000000"


def is_grease(value: int) -> bool:
    """Returns whether `value` is GREASE (RFC 8701): both octets equal, with low nibble 0xA."""
    return value & 0x0F0F == 0x0A0A and value >> 8 == value & 0xFF


def ja4(hello: bytes, transport: str) -> str | None:
    """Returns the JA4 of a ClientHello body (from its version on), None if malformed; `transport`: "t", "q" or "d"."""
    parsed = _parse(hello, transport == "d")
    if parsed is None:
        return None
    version, ciphers, extensions = parsed
    kinds = [kind for kind, _, _ in extensions if not is_grease(kind)]
    alpn = "00"
    signatures: list[str] = []
    offered: list[int] = []
    for kind, start, end in extensions:
        if kind == 16 and end - start >= 4 and alpn == "00":
            alpn = _alpn(hello[start + 3 : min(end, start + 3 + hello[start + 2])])
        elif kind == 13:
            signatures = _codes(hello, start + 2, end)
        elif kind == 43:
            offered = [int(code, 16) for code in _codes(hello, start + 1, end)]
    known = [value for value in offered if value in _VERSIONS]
    # DTLS code points run downwards: the lowest is the newest.
    if offered:
        version = min(offered) if transport == "d" else max(known or offered)
    head = (
        f"{transport}{_VERSIONS.get(version, '00')}{'d' if 0 in kinds else 'i'}"
        f"{min(len(ciphers), 99):02d}{min(len(kinds), 99):02d}{alpn}"
    )
    hashed = sorted(f"{kind:04x}" for kind in kinds if kind not in (0, 16))
    tail = ",".join(hashed) + ("_" + ",".join(signatures) if signatures else "")
    return f"{head}_{_digest(','.join(sorted(ciphers)))}_{_digest(tail) if kinds else _EMPTY}"


def _digest(text: str) -> str:
    return sha256(text.encode("ascii")).hexdigest()[:12] if text else _EMPTY


def _alpn(first: bytes) -> str:
    """Returns the first and last character of the first protocol, or of its hex form if either is not alphanumeric."""
    if not first:
        return "00"
    ends = bytes((first[0], first[-1]))
    if ends.isalnum():
        return ends.decode("ascii")
    text = first.hex()
    return text[0] + text[-1]


def _codes(data: bytes, start: int, end: int) -> list[str]:
    """Returns the 16-bit numbers in `data[start:end]` as hexadecimal, without GREASE."""
    codes = []
    for index in range(start, end - 1, 2):
        value = (data[index] << 8) | data[index + 1]
        if not is_grease(value):
            codes.append(f"{value:04x}")
    return codes


def _parse(hello: bytes, dtls: bool) -> tuple[int, list[str], list[tuple[int, int, int]]] | None:
    """Returns version, ciphers without GREASE, and the extensions as (type, start, end); None if malformed."""
    length = len(hello)
    if length < 38:
        return None
    index = 35 + hello[34]
    if dtls and index < length:
        index += 1 + hello[index]
    if index + 2 > length:
        return None
    stop = index + 2 + ((hello[index] << 8) | hello[index + 1])
    if stop >= length:
        return None
    ciphers = _codes(hello, index + 2, stop)
    index = stop + 1 + hello[stop]
    extensions: list[tuple[int, int, int]] = []
    if index + 2 <= length:
        end = min(length, index + 2 + ((hello[index] << 8) | hello[index + 1]))
        index += 2
        while index + 4 <= end:
            kind = (hello[index] << 8) | hello[index + 1]
            after = index + 4 + ((hello[index + 2] << 8) | hello[index + 3])
            if after > end:
                return None
            extensions.append((kind, index + 4, after))
            index = after
    return (hello[0] << 8) | hello[1], ciphers, extensions
