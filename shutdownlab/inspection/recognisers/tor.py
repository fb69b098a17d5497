"""Recognises Tor by the shape of its TLS: the link handshake of Tor 0.2.3 on (tor-spec, "Initiating connections").

The client makes up the name `www.<4 to 25 base32 letters>.com`, offers no ALPN, and a cipher list copied from an old
Firefox although the rest is OpenSSL's. Up to TLS 1.2 the certificate's name is made up too, ending in `.net`.
"""

from __future__ import annotations

from typing import Final

from shutdownlab.inspection.recognisers.recogniser import TcpRecogniser
from shutdownlab.inspection.recognisers.result import Recognition

_BASE32: Final = frozenset("abcdefghijklmnopqrstuvwxyz234567")
_FIREFOX_ORDER: Final = b"\xc0\x0a\xc0\x09\xc0\x13\xc0\x14"
"""256 bits before 128 for ECDHE-ECDSA but after for ECDHE-RSA, an order that OpenSSL itself never has."""
_FIPS_3DES: Final = b"\xfe\xff"
"""A suite in Firefox 3's list, which older versions of Tor copy; OpenSSL does not have it."""
_RENEGOTIATION_SCSV: Final = b"\x00\xff"
"""Firefox sends the extension instead of this cipher value; OpenSSL sends the value."""


def invented(name: str | None, ending: str) -> bool:
    """Returns whether `name` is `www.`, 4 to 25 base32 characters and `ending`."""
    if name is None or not name.startswith("www.") or not name.endswith(ending):
        return False
    middle = name[4 : -len(ending)]
    return 4 <= len(middle) <= 25 and _BASE32.issuperset(middle)


def _has_tor_ciphers(hello: bytes) -> bool:
    if len(hello) < 38:
        return False
    index = 35 + hello[34]
    end = index + 2 + int.from_bytes(hello[index : index + 2], "big")
    ciphers = hello[index + 2 : end]
    if ciphers[-2:] != _RENEGOTIATION_SCSV:
        return False
    return ciphers.find(_FIREFOX_ORDER) % 2 == 0 or ciphers.find(_FIPS_3DES) % 2 == 0  # -1, not found, is odd


class Tor(TcpRecogniser):
    protocols = ("tor",)
    order = 20
    first = frozenset[int]()
    refines = ("tls",)

    def refine(self, found: Recognition, client: bytes, server: bytes, dport: int) -> None:
        if found.alpn or found.more or not invented(found.host, ".com"):
            return
        if _has_tor_ciphers(found.hello or b"") or (
            len(found.certificate_names) == 1 and invented(found.certificate_names[0], ".net")
        ):
            found.protocol = "tor"
