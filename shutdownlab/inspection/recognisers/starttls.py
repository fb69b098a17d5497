"""Protocols that go over to another one: by their own name, or, to a box that looks on, as that other.

What is said to a proxy and by it (`proxies`), and what begins in clear and may go over to TLS: SMTP (RFC 3207), IMAP
and POP3 (RFC 2595), FTP (RFC 4217), NNTP (RFC 4642), XMPP (RFC 6120 §5), LDAP (RFC 4511 §4.14), ManageSieve (RFC 5804
§2.2), IRC (IRCv3's `tls` capability), PostgreSQL and MySQL (their documentation of the protocol).
"""

from __future__ import annotations

import re
from typing import Final

from shutdownlab.inspection.recognisers.certificate import certificate_names
from shutdownlab.inspection.recognisers.proxies import PROTOCOLS, recognise_proxy
from shutdownlab.inspection.recognisers.recogniser import TcpRecogniser
from shutdownlab.inspection.recognisers.result import Recognition
from shutdownlab.inspection.recognisers.tls import recognise_tls
from shutdownlab.inspection.recognisers.tls_records import HANDSHAKE, servers_tls
from shutdownlab.inspection.recognisers.tolerance import Tolerance

MAX_PREAMBLE: Final = 4096
"""Bytes of the client's in which TLS must have begun."""

_IMAP: Final = rb"[A-Za-z0-9.]{1,16} (?:CAPABILITY|STARTTLS|ID|NOOP|LOGIN|AUTHENTICATE)\b"
_FIRST: Final = (
    ("smtp", re.compile(rb"(?:EHLO|HELO|LHLO) ", re.IGNORECASE)),
    ("imap", re.compile(_IMAP, re.IGNORECASE)),
    ("ftp", re.compile(rb"(?:AUTH (?:TLS|SSL)|FEAT\r\n)", re.IGNORECASE)),
    ("pop3", re.compile(rb"(?:CAPA|STLS)\r\n", re.IGNORECASE)),
    ("nntp", re.compile(rb"(?:CAPABILITIES|MODE READER)\r\n", re.IGNORECASE)),
    ("irc", re.compile(rb"(?:CAP (?:LS|REQ)\b|NICK [^ \r\n]+\r?\n|STARTTLS\r?\n)", re.IGNORECASE)),
    ("xmpp", re.compile(rb"(?:<\?xml[^>]*>\s*)?<stream:stream\b")),
)
"""How the client begins."""
_GREETINGS: Final = (("pop3", b"+OK"), ("ftp", b"220"))
"""How the server does, where the client's first words (USER, AUTH) leave it open."""
_SIEVE: Final = re.compile(rb'"IMPLEMENTATION" ', re.IGNORECASE)
"""How a ManageSieve server does, before the client says anything."""
_SIEVE_PORT: Final = 4190
"""By which a client that says STARTTLS first is told from IRC's where the server is not looked at."""
_USER: Final = re.compile(rb"(?:USER|AUTH) ", re.IGNORECASE)
_TURNS: Final = {
    "smtp": re.compile(rb"^STARTTLS *\r?\n", re.IGNORECASE | re.MULTILINE),
    "imap": re.compile(rb"^[^ \r\n]+ STARTTLS *\r?\n", re.IGNORECASE | re.MULTILINE),
    "pop3": re.compile(rb"^STLS *\r?\n", re.IGNORECASE | re.MULTILINE),
    "ftp": re.compile(rb"^AUTH (?:TLS|SSL|TLS-C|TLS-P) *\r?\n", re.IGNORECASE | re.MULTILINE),
    "nntp": re.compile(rb"^STARTTLS *\r?\n", re.IGNORECASE | re.MULTILINE),
    "irc": re.compile(rb"^STARTTLS *\r?\n", re.IGNORECASE | re.MULTILINE),
    "managesieve": re.compile(rb"^STARTTLS *\r?\n", re.IGNORECASE | re.MULTILINE),
    "xmpp": re.compile(rb"<starttls\b[^>]*/>|<starttls\b[^>]*>\s*</starttls>"),
}
"""What the client says before it goes over to TLS."""
_SSL_REQUEST: Final = b"\0\0\0\x08\x04\xd2\x16\x2f"
_GSS_REQUEST: Final = b"\0\0\0\x08\x04\xd2\x16\x30"
_LDAP_STARTTLS: Final = b"1.3.6.1.4.1.1466.20037"


def _protocol(client: bytes, server: bytes, dport: int) -> str | None:
    if (server[:1] == b'"' and _SIEVE.match(server)) or (dport == _SIEVE_PORT and _TURNS["managesieve"].match(client)):
        return "managesieve"
    for name, first in _FIRST:
        if first.match(client):
            return name
    if _USER.match(client):
        for name, greeting in _GREETINGS:
            if server.startswith(greeting):
                return name
    if client.startswith((_SSL_REQUEST, _GSS_REQUEST)) or (client[:2] == b"\0\0" and client[4:8] == b"\0\3\0\0"):
        return "postgresql"
    if client[:1] == b"\x30" and _LDAP_STARTTLS in client[:64]:
        return "ldap"
    if len(client) >= 36 and client[3] == 1 and client[13:36] == bytes(23):
        return "mysql"
    return None


def _turn(protocol: str, client: bytes) -> int:
    """Where TLS begins in the client's stream; -1 while it has not gone over to it."""
    if protocol == "postgresql":
        at = 8 if client.startswith(_GSS_REQUEST) else 0
        return at + 8 if client.startswith(_SSL_REQUEST, at) else -1
    if protocol == "ldap":
        return 2 + client[1]
    if protocol == "mysql":
        return 36 if client[:3] == b"\x20\0\0" and client[5] & 0x08 else -1
    found = _TURNS[protocol].search(client, 0, MAX_PREAMBLE)
    return found.end() if found else -1


class StartTls(TcpRecogniser):
    protocols = (
        *("ftp", "imap", "irc", "ldap", "managesieve", "mysql", "nntp", "pop3", "postgresql", "smtp", "xmpp"),
        *PROTOCOLS,
    )
    order = 85

    def recognise(self, client: bytes, server: bytes, dport: int, tolerance: Tolerance) -> Recognition | None:
        protocol = _protocol(client, server, dport)
        if protocol is None:
            return recognise_proxy(client, server, tolerance)
        at = _turn(protocol, client) if tolerance.starttls else -1
        if at < 0 or at >= len(client):
            return Recognition(protocol, None, tolerance.starttls and len(client) < MAX_PREAMBLE)
        inside = recognise_tls(client[at:], tolerance) if client[at] == HANDSHAKE else None
        if inside is None:
            return Recognition(protocol)
        inside.variant = f"in {protocol}"
        if inside.more_server:
            inside.certificate_names, inside.more_server = certificate_names(servers_tls(server))
        return inside
