"""The octets that a run's clients and servers send, for the model's DPI boxes to parse. Pure.

The TLS client's first flight comes from the real library; of encrypted data only the length matters.
"""

from __future__ import annotations

import ssl
from contextlib import suppress
from functools import cache
from ipaddress import ip_address
from typing import Final
from urllib.parse import SplitResult

from shutdownlab.model.answers import SILENCE, Lie
from shutdownlab.probes.browser import PAGES, request_headers, target_of
from shutdownlab.probes.handshake import client_context
from shutdownlab.verifier.quic import client_initial

_UDP_PAYLOAD: Final = 1232
_TYPES: Final = {4: 1, 6: 28}
_SERVER_HELLO: Final = bytes.fromhex(
    "160303007a0200007603035a2b1c0d9e8f70615243342516071829304a5b6c7d8e9fa0b1c2d3e4f50617282039"
    "4a5b6c7d8e9f00112233445566778899aabbccddeeff0011223344556677130200002e002b00020304003300240"
    "01d0020a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f90"
)
"""TLS 1.3 (RFC 8446, 4.1.3): the rest of the handshake, including certificates, is encrypted."""
_CERTIFICATES: Final = 1900
"""Octets of a server's encrypted handshake messages: two certificates of P-256 keys."""
_RECORD: Final = 16000
_CIPHERTEXT: Final = bytes(i * 73 % 251 for i in range(251)) * (_RECORD // 251 + 2)
"""Stands for encrypted data: enough for a whole record and its tag."""


@cache
def dns_query(name: str, version: int) -> bytes:
    """Returns a query for addresses, with the EDNS option of the probes' stub resolver (RFC 1035, RFC 6891)."""
    header = bytes.fromhex("1a2b01000001000000000001")
    option = b"\0\0\x29" + _UDP_PAYLOAD.to_bytes(2, "big") + bytes(6)
    return header + _question(name, version) + option


def _question(name: str, version: int) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.rstrip(".").split("."))
    return labels + b"\0" + _TYPES[version].to_bytes(2, "big") + b"\0\1"


@cache
def dns_answer(name: str, version: int, addresses: tuple[str, ...] | None) -> bytes:
    """Returns the true answer; `addresses` None: NXDOMAIN."""
    code = b"\x81\x83" if addresses is None else b"\x81\x80"
    addresses = addresses or ()
    records = b"".join(
        b"\xc0\x0c" + _TYPES[version].to_bytes(2, "big") + b"\0\1\0\0\0\x3c" + len(packed).to_bytes(2, "big") + packed
        for packed in (ip_address(address).packed for address in addresses)
    )
    head = b"\x1a\x2b" + code + b"\0\1" + len(addresses).to_bytes(2, "big") + bytes(4)
    return head + _question(name, version) + records


def dns_lie(name: str, version: int, lie: Lie) -> bytes:
    """Returns a resolver's false answer; b"" if it does not answer."""
    if lie == SILENCE:
        return b""
    addresses = (str(lie),) if not isinstance(lie, str) and lie.version == version else ()
    message = bytearray(dns_answer(name, version, addresses))
    message[3] |= {"nxdomain": 3, "refused": 5}.get(str(lie), 0)
    return bytes(message)


@cache
def client_hello(server_name: str, alpn: tuple[str, ...]) -> bytes:
    """Returns the first flight of the probes' TLS client."""
    context = client_context()
    if alpn:
        context.set_alpn_protocols(list(alpn))
    outgoing = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=server_name)
    with suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


def server_hello() -> bytes:
    """Returns the server's first flight: ServerHello, and the encrypted rest."""
    return _SERVER_HELLO + b"\x14\x03\x03\0\1\1" + sealed(_CERTIFICATES)


@cache
def sealed(octets: int) -> bytes:
    """Returns TLS records with `octets` octets of application data (RFC 8446, 5.2)."""
    records = b""
    while octets > 0:
        part = min(octets, _RECORD)
        records += b"\x17\x03\x03" + (part + 17).to_bytes(2, "big") + _CIPHERTEXT[: part + 17]
        octets -= part
    return records


@cache
def quic_initial(server_name: str) -> tuple[bytes, ...]:
    """Returns the first datagrams of the probes' QUIC client."""
    return (client_initial(server_name),)


def quic_handshake() -> bytes:
    """Returns a datagram of a QUIC server's handshake, encrypted."""
    head = bytes.fromhex("e00000000108f1e2d3c4b5a6978808a1b2c3d4e5f60718" + "4480")
    return head + bytes(i * 89 % 251 for i in range(1152))


def http_request(method: str, parts: SplitResult, accept: str = PAGES) -> bytes:
    """Returns an HTTP/1.1 request with the headers of the probes' browser."""
    headers = request_headers(parts, accept)
    if method == "POST":
        headers.append(("Content-Length", "0"))
    lines = [f"{method} {target_of(parts)} HTTP/1.1", *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode()


def http_response(body: bytes, code: int = 200) -> bytes:
    """Returns a web server's HTTP/1.1 response."""
    reason = {200: "OK", 501: "Not Implemented"}.get(code, "")
    head = f"HTTP/1.1 {code} {reason}\r\nServer: nginx\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"Connection: close\r\n\r\n" + body
