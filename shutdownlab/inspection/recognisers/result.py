"""What the recognisers found out about a flow."""

from __future__ import annotations

from typing import Final

UNKNOWN: Final = "unknown"
UNENDED: Final = -1
"""A message's length while its end is still to come."""


class Recognition:
    """The state of knowledge about one flow; cheap to make, fingerprints are computed when asked for."""

    __slots__ = (
        "alpn",
        "answers",
        "certificate_names",
        "ech",
        "esni",
        "header",
        "hello",
        "hello_transport",
        "host",
        "length",
        "method",
        "more",
        "more_server",
        "others",
        "preamble",
        "protocol",
        "qtype",
        "sample",
        "url",
        "user_agent",
        "variant",
        "versions",
    )

    def __init__(self, protocol: str = UNKNOWN, host: str | None = None, more: bool = False) -> None:
        self.protocol = protocol
        """One of the protocols of some recogniser, or "unknown"."""
        self.host = host
        """SNI, HTTP Host, DNS question: lower-case, IDN as A-labels, no last dot, no port. May come while `more`."""
        self.more = more
        """Further bytes *of the client* (for DNS: of either end) might still change what is said here."""
        self.more_server: bool = False
        """Further bytes of the server might still add `certificate_names`; wait for it only if a rule asks for them."""
        self.length: int = 0
        """Bytes of the client's stream that this message takes, where others may follow it; UNENDED while its end has
        not come; 0 where that is not known."""
        self.header: int = 0
        """Bytes ahead of it in its datagram that say who it is for: other datagrams of its flow are for others."""
        self.preamble: bool = False
        """It but leads to another protocol, which follows on the same connection after `length` bytes, and is read."""
        self.others: tuple[Recognition, ...] = ()
        """Further messages that are in these bytes already, of protocols that cannot be read from their middle; where
        there is a `header`, what that asks for."""
        self.alpn: tuple[str, ...] = ()
        self.versions: tuple[int, ...] = ()
        """TLS/DTLS code points offered (0x0304 is TLS 1.3), or the one QUIC version; GREASE left out."""
        self.ech: bool = False
        """The ClientHello carries Encrypted Client Hello (or GREASE of it): `host` is then the outer name."""
        self.esni: bool = False
        """It carries an encrypted name, ECH's forerunner (draft-ietf-tls-esni-01 to -06); `host` is None then."""
        self.method: str | None = None
        """HTTP or SIP method as sent, BitTorrent or STUN message name, DNS "query"/"response"."""
        self.url: str | None = None
        """HTTP: absolute URL (scheme and Host added to a path); SIP: the request URI."""
        self.user_agent: str | None = None
        self.qtype: str | None = None
        """DNS question type: "A", "HTTPS", "TYPE65400" …"""
        self.answers: tuple[str, ...] = ()
        """Addresses and CNAME targets of a DNS response."""
        self.certificate_names: tuple[str, ...] = ()
        """Subject CN and SAN DNS names of the server's first certificate (TLS <= 1.2 only), normalised like `host`."""
        self.variant: str | None = None
        """What kind of it: "abridged" of mtproto, "dht" of bittorrent, "tls-crypt" of openvpn, "doq" of quic …"""
        self.hello: bytes | None = None
        """The ClientHello's body as far as it has come (without the four bytes of handshake header)."""
        self.hello_transport: str = "t"
        """What carried `hello`: "t" TCP, "q" QUIC, "d" DTLS (the first letter of JA4)."""
        self.sample: bytes | None = None
        """The client's first bytes, kept where no cleartext protocol was recognised ("fet" and "unknown")."""

    @property
    def entropy(self) -> float | None:
        """Bits per byte (0 to 8) of `sample`."""
        if not self.sample:
            return None
        from shutdownlab.inspection.recognisers.encrypted import entropy

        return entropy(self.sample)

    @property
    def ja4(self) -> str | None:
        """JA4 of the ClientHello (FoxIO's specification); None until the hello is complete."""
        if self.hello is None or self.more:
            return None
        from shutdownlab.inspection.recognisers.ja4 import ja4

        return ja4(self.hello, self.hello_transport)
