"""Tor's TLS, told by its shape: the link handshake of Tor 0.2.3 on (tor-spec, "Initiating connections").

The client invents the name `www.<4 to 25 base32 letters>.com`, offers no ALPN and a cipher list that copies an old
Firefox, while what surrounds it is OpenSSL's; up to TLS 1.2 the certificate's name is invented too, ending in `.net`.
"""

from __future__ import annotations

from typing import Final

from shutdownlab.inspection.recognisers.result import Recognition

_BASE32: Final = frozenset("abcdefghijklmnopqrstuvwxyz234567")
_FIREFOX_ORDER: Final = b"\xc0\x0a\xc0\x09\xc0\x13\xc0\x14"
"""256 bits before 128 for ECDHE-ECDSA but after for ECDHE-RSA: OpenSSL itself never orders them so."""
_FIPS_3DES: Final = b"\xfe\xff"
"""In the list of Firefox 3, which older Tors copy; OpenSSL has no such suite."""
_RENEGOTIATION_SCSV: Final = b"\x00\xff"
"""Firefox sends the extension instead of this cipher value; OpenSSL sends the value."""


def invented(name: str | None, ending: str) -> bool:
    """`www.` + 4 to 25 characters of base32 + `ending`."""
    if name is None or not name.startswith("www.") or not name.endswith(ending):
        return False
    middle = name[4 : -len(ending)]
    return 4 <= len(middle) <= 25 and _BASE32.issuperset(middle)


def refine(result: Recognition) -> Recognition:
    """Turn "tls" into "tor" where the shape fits."""
    if result.protocol != "tls" or result.alpn or result.more or not invented(result.host, ".com"):
        return result
    if _has_tor_ciphers(result.hello or b"") or (
        len(result.certificate_names) == 1 and invented(result.certificate_names[0], ".net")
    ):
        result.protocol = "tor"
    return result


def _has_tor_ciphers(hello: bytes) -> bool:
    if len(hello) < 38:
        return False
    index = 35 + hello[34]
    end = index + 2 + int.from_bytes(hello[index : index + 2], "big")
    ciphers = hello[index + 2 : end]
    if ciphers[-2:] != _RENEGOTIATION_SCSV:
        return False
    return ciphers.find(_FIREFOX_ORDER) % 2 == 0 or ciphers.find(_FIPS_3DES) % 2 == 0  # -1, not found, is odd
