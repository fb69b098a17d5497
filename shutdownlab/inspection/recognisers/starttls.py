"""Recognises protocols that switch to another one, and the TLS inside them if the box parses that.

These are proxies' requests and headers (see `proxies`), and protocols that begin in the clear and may switch to TLS:
SMTP (RFC 3207), IMAP and POP3 (RFC 2595), FTP (RFC 4217), NNTP (RFC 4642), XMPP (RFC 6120 §5), LDAP (RFC 4511 §4.14),
ManageSieve (RFC 5804 §2.2), IRC (IRCv3's `tls` capability), PostgreSQL and MySQL (their documentation of the protocol),
AMQP (version 1.0 §5.2), RDP (MS-RDPBCGR §5.4.5.1) and SQL Server (MS-TDS §2.2.6.5), which carries TLS in packets of its
own. Those that negotiate it in binary messages are in `negotiated`.
"""

from __future__ import annotations

import re
from typing import Final

from shutdownlab.inspection.recognisers.certificate import certificate_names
from shutdownlab.inspection.recognisers.negotiated import PROTOCOLS as NEGOTIATED
from shutdownlab.inspection.recognisers.negotiated import may_be_negotiated, negotiated, turn_of
from shutdownlab.inspection.recognisers.proxies import PROTOCOLS, recognise_proxy
from shutdownlab.inspection.recognisers.recogniser import TcpRecogniser
from shutdownlab.inspection.recognisers.result import UNKNOWN, Recognition
from shutdownlab.inspection.recognisers.tls import recognise_tls
from shutdownlab.inspection.recognisers.tls_records import HANDSHAKE, servers_tls
from shutdownlab.inspection.recognisers.tolerance import Tolerance

MAX_PREAMBLE: Final = 4096
"""Bytes of the client's stream within which TLS must begin."""

_TAG: Final = rb'[^\x00-\x20(){%*"\\+\x7f-\xff]{1,32} '
"""The tag of an IMAP client's command (RFC 9051 §9)."""
_IMAP: Final = _TAG + rb"(?:CAPABILITY|STARTTLS|ID|NOOP|LOGIN|AUTHENTICATE|NAMESPACE|ENABLE|SELECT|EXAMINE|LIST)\b"
_LINES: Final = re.IGNORECASE | re.MULTILINE
_WORDS: Final = (
    ("smtp", re.compile(rb"^(?:EHLO|HELO|LHLO)\b", _LINES)),
    ("imap", re.compile(rb"^" + _IMAP, _LINES)),
    ("ftp", re.compile(rb"^(?:AUTH (?:TLS|SSL)|FEAT\r\n)", _LINES)),
    ("pop3", re.compile(rb"^(?:CAPA|STLS|AUTH|UTF8)\r\n", _LINES)),
    ("nntp", re.compile(rb"^(?:CAPABILITIES|MODE READER)\r\n", _LINES)),
    ("irc", re.compile(rb"^(?:CAP (?:LS|REQ)\b|NICK [^ \r\n]+\r?\n)", _LINES)),
)
"""Client lines that only one protocol has."""
_XMPP: Final = re.compile(
    rb"\s{0,64}(?:<\?xml[^>]*>\s*)?<(?:stream:stream\b|(?:[\w.-]+:)?stream\s[^>]*[\"']http://etherx\.jabber\.org/streams[\"'])"
)
"""XMPP's first element, with the usual prefix or another one for its namespace (RFC 6120 §4.8.5)."""
_GREETINGS: Final = (
    ("smtp", re.compile(rb"220[ -][^\r\n]*SMTP", re.IGNORECASE)),
    ("ftp", re.compile(rb"220[ -]")),
    ("pop3", re.compile(rb"\+OK\b")),
    ("imap", re.compile(rb"\* (?:OK|PREAUTH)\b", re.IGNORECASE)),
    ("nntp", re.compile(rb"20[01] ")),
)
"""The server's greetings, for when the client's commands do not tell the protocol."""
_COMMAND: Final = re.compile(rb"(?:" + _TAG + rb")?[A-Za-z][A-Za-z0-9]{1,11}(?: [^\r\n]*)?(?:\r?\n|\r?\Z)")
"""A line that a client of these protocols may begin with, complete or as far as it has arrived."""
_BEGUN: Final = re.compile(rb"(?:" + _TAG + rb")?[A-Za-z0-9]{0,12}(?: [ -~]{0,500})?\r?\Z")
"""Such a line, incomplete."""
_ELEMENT: Final = re.compile(
    rb"\s{0,64}(?:<\?xml[^>]{0,500}(?:>\s{0,64})?\Z|(?:<\?xml[^>]{0,500}>\s*)?"
    rb"(?:\Z|<(?:[\w.-]{0,32}:?[a-z]{0,6}|(?:[\w.-]{1,32}:)?stream\s[^>]{0,1000})\Z))"
)
"""An incomplete beginning of XMPP."""
_OPEN: Final = re.compile(
    rb"(?:(?:" + _TAG + rb")?[A-Za-z][A-Za-z0-9]{1,11}(?: [ -~]{0,500})?\r?\n){1,8}[ -~]{0,500}\r?\Z"
)
"""First lines that several protocols may have, or that none is known by; the next one tells which it is."""
_SIEVE: Final = re.compile(
    rb'"(?:IMPLEMENTATION|SASL|SIEVE|STARTTLS|NOTIFY|MAXREDIRECTS|LANGUAGE|OWNER|VERSION)"[ \r]', re.IGNORECASE
)
"""The greeting of a ManageSieve server, which speaks first."""
_SIEVE_PORT: Final = 4190
"""ManageSieve's port, by which a client's commands are known if the server's stream is not read."""
_STARTTLS: Final = re.compile(rb"^STARTTLS *\r?\n", _LINES)
_TURNS: Final = {
    **dict.fromkeys(("smtp", "nntp", "irc", "managesieve"), _STARTTLS),
    "imap": re.compile(rb"^[^ \r\n]+ STARTTLS *\r?\n", _LINES),
    "pop3": re.compile(rb"^STLS *\r?\n", _LINES),
    "ftp": re.compile(rb"^AUTH (?:TLS|SSL|TLS-C|TLS-P) *\r?\n", _LINES),
    "xmpp": re.compile(rb"<(?:[\w.-]+:)?starttls\b[^>]*/>|<((?:[\w.-]+:)?)starttls\b[^>]*>\s*</\1starttls\s*>"),
}
"""By protocol: the client's last line (XMPP: element) before it switches to TLS."""
_AMQP: Final = b"AMQP"
_MYSQL_SSL: Final = b"\x20\0\0\1"
"""How a MySQL client's request for TLS begins: its length, and its number, for the server speaks first."""
_OLD_MYSQL: Final = b"\5\0\0\1"
"""The same of clients before MySQL 4.1: their capabilities have two bytes."""
_PRELOGIN: Final = b"\x12\1"
_RDP: Final = 3389
_LDAP_REQUESTS: Final = frozenset((0x42, 0x4A, 0x50, 0x60, 0x63, 0x66, 0x68, 0x6C, 0x6E, 0x77))
"""The BER tags of LDAP requests (RFC 4511 §4.2 to §4.12)."""
_NONE: Final = -2
_SSL_REQUEST: Final = b"\0\0\0\x08\x04\xd2\x16\x2f"
_GSS_REQUEST: Final = b"\0\0\0\x08\x04\xd2\x16\x30"
_LDAP_STARTTLS: Final = b"1.3.6.1.4.1.1466.20037"


def _protocol(client: bytes, server: bytes, dport: int) -> str | None:
    found = negotiated(client)
    if found is not None:
        return found
    if server[:1] == b'"' and _SIEVE.match(server):
        return "managesieve"
    if _COMMAND.match(client):
        if dport == _SIEVE_PORT:
            return "managesieve"
        for name, word in _WORDS:
            if word.search(client, 0, MAX_PREAMBLE):
                return name
        if _STARTTLS.search(client, 0, MAX_PREAMBLE):
            return {b"220": "smtp", b"200": "nntp", b"201": "nntp"}.get(server[:3], "irc")
        for name, greeting in _GREETINGS:
            if greeting.match(server):
                return name
    if _XMPP.match(client):
        return "xmpp"
    if _is_rdp(client, dport):
        return "rdp"
    # Many clients number their packets from 1, which servers ignore (MS-TDS §2.2.3.1.5).
    if len(client) >= 10 and _may_be_prelogin(client):
        return "tds"
    if client.startswith((_SSL_REQUEST, _GSS_REQUEST)) or (client[:2] == b"\0\0" and client[4:7] == b"\0\3\0"):
        return "postgresql"
    if client.startswith(_AMQP):
        return "amqp"
    if client[:1] == b"\x30" and _ldap(client) != _NONE:
        return "ldap"
    if (len(client) >= 36 and client[3] == 1 and _has_filler(client)) or _is_old_mysql(client):
        return "mysql"
    return None


def _is_rdp(client: bytes, dport: int) -> bool:
    """Returns whether this is an X.224 connection request (ITU-T X.224 §13.3, in RFC 1006's framing) of RDP."""
    size = int.from_bytes(client[2:4], "big")
    if client[:2] != b"\3\0" or len(client) < size or size < 11 or client[5] & 0xF0 != 0xE0 or client[4] + 5 != size:
        return False
    asks = client[size - 8 : size - 7] == b"\1" and client[size - 6 : size - 4] == b"\x08\0"
    return asks or client[11:19] == b"Cookie: " or dport == _RDP


def _may_be_one(client: bytes) -> bool:
    """Returns whether more bytes may show this to be one of these protocols."""
    begun = _OPEN.match(client) or _BEGUN.match(client) or _ELEMENT.match(client)
    if begun is not None or _begins_request(client) or _SSL_REQUEST.startswith(client):
        return True
    if may_be_negotiated(client) or _begins_ldap(client):
        return True
    if len(client) < 9 and client[:4] == _OLD_MYSQL[: len(client)]:
        return True
    return (len(client) < 10 and _may_be_prelogin(client)) or (
        len(client) < 36 and client[:4] == _MYSQL_SSL[: len(client)] and _has_filler(client)
    )


def _may_be_prelogin(client: bytes) -> bool:
    """Returns whether this is SQL Server's first packet (MS-TDS §2.2.3.1), as far as it has arrived."""
    begins = client[:2] == _PRELOGIN[: len(client)] and client[4:6] == b"\0\0"[: max(0, len(client) - 4)]
    return begins and not any(client[7:10])


def _has_filler(client: bytes) -> bool:
    """Returns whether the bytes are zero that are reserved in a MySQL client's first packet, as far as it has
    arrived. MariaDB's clients have capabilities of their own in the last four."""
    return not any(client[13:32])


def _is_old_mysql(client: bytes) -> bool:
    """Returns whether a client before MySQL 4.1 asks for TLS here, and nothing but TLS follows."""
    asks = len(client) >= 9 and client[:4] == _OLD_MYSQL and client[5] & 0x0A == 0x08
    return asks and client[9:10] in (b"", b"\x16")


def _begins_request(client: bytes) -> bool:
    """Returns whether this may be an incomplete X.224 connection request."""
    return client[:2] == b"\3\0"[: len(client)] and len(client) < (client[3] if len(client) > 3 else 4) < 128


def _begins_ldap(client: bytes) -> bool:
    """Returns whether this may be an LDAP message of which too little has arrived to tell: its lengths and number."""
    if client[:1] != b"\x30" or len(client) > 16:
        return False
    if len(client) == 1:
        return True
    start = 2 + (client[1] & 0x7F if client[1] >= 0x80 else 0)
    if client[1] == 0x80 or start > 6:
        return False
    if len(client) <= start + 1:
        return client[start : start + 1] in (b"", b"\x02")
    return client[start] == 2 and 1 <= client[start + 1] <= 4 and len(client) <= start + 2 + client[start + 1]


def _ldap(client: bytes) -> int:
    """Returns the offset after the request to start TLS; -1 if there is none yet, _NONE if this is not LDAP."""
    at = 0
    while at < len(client):
        if client[at] != 0x30:
            return _NONE if at == 0 else -1
        start, size = _ber(client, at + 1)
        number, length = _ber(client, start + 1)
        tag = number + length
        if start < 0 or number < 0 or client[start] != 2 or length > 4:
            return _NONE if at == 0 else -1
        if tag >= len(client) or client[tag] not in _LDAP_REQUESTS:
            return _NONE if at == 0 else -1
        if client[tag] == 0x77 and _LDAP_STARTTLS in client[tag : start + size]:
            return start + size
        at = start + size
    return -1


def _ber(data: bytes, at: int) -> tuple[int, int]:
    """Parses the BER length at `at`; returns the value's offset and length, or (-1, 0) if there is none."""
    if not 0 <= at < len(data):
        return -1, 0
    size = data[at]
    if size < 0x80:
        return (at + 1, size) if at + 1 < len(data) else (-1, 0)
    more = size & 0x7F
    if not 1 <= more <= 4 or at + 1 + more >= len(data):
        return -1, 0
    return at + 1 + more, int.from_bytes(data[at + 1 : at + 1 + more], "big")


def _in_packets(client: bytes, at: int) -> bytes:
    """Returns the joined contents of SQL Server's packets from `at` on, each without its 8-byte header."""
    parts: list[bytes] = []
    while at + 8 <= len(client) and client[at : at + 1] == _PRELOGIN[:1]:
        size = (client[at + 2] << 8) | client[at + 3]
        if size < 8:
            break
        parts.append(client[at + 8 : at + size])
        at += size
    return b"".join(parts)


def _turn(protocol: str, client: bytes) -> int:
    """Returns the offset at which TLS begins in the client's stream; -1 if it has not switched to TLS."""
    if protocol == "postgresql":
        at = 8 if client.startswith(_GSS_REQUEST) else 0
        return at + 8 if client.startswith(_SSL_REQUEST, at) else -1
    if protocol in NEGOTIATED:
        return turn_of(protocol, client)
    if protocol == "ldap":
        return _ldap(client)
    if protocol in ("rdp", "tds"):
        return (client[2] << 8) | client[3]
    if protocol == "amqp":
        return 8 if client[4:5] == b"\2" else -1
    if protocol == "mysql":
        if client[:4] == _OLD_MYSQL:
            return 9
        return 36 if client[:3] == b"\x20\0\0" and client[5] & 0x08 else -1
    found = _TURNS[protocol].search(client, 0, MAX_PREAMBLE)
    return found.end() if found else -1


class StartTls(TcpRecogniser):
    protocols = (
        *(
            "amqp",
            "ftp",
            "imap",
            "irc",
            "ldap",
            "managesieve",
            "mysql",
            "nntp",
            "pop3",
            "postgresql",
            "rdp",
            "smtp",
            "tds",
        ),
        "xmpp",
        *NEGOTIATED,
        *PROTOCOLS,
    )
    order = 85

    def recognise(self, client: bytes, server: bytes, dport: int, tolerance: Tolerance) -> Recognition | None:
        protocol = _protocol(client, server, dport)
        if protocol is None:
            asked = recognise_proxy(client, server, tolerance)
            if asked is not None and asked.protocol != UNKNOWN:
                return asked
            # A box that does not parse these protocols need not wait: half a line of plain text is nothing it knows.
            if tolerance.starttls and len(client) < MAX_PREAMBLE and _may_be_one(client):
                return Recognition(more=True)
            return asked
        at = _turn(protocol, client) if tolerance.starttls else -1
        if protocol == "tds" and at >= 0:
            client, at = _in_packets(client, at), 0
        if at < 0 or at >= len(client):
            return Recognition(protocol, None, tolerance.starttls and len(client) < MAX_PREAMBLE)
        inside = recognise_tls(client[at:], tolerance) if client[at] == HANDSHAKE else None
        if inside is None:
            return Recognition(protocol)
        inside.variant = f"in {protocol}"
        if inside.more_server:
            inside.certificate_names, inside.more_server = certificate_names(servers_tls(server))
        return inside
