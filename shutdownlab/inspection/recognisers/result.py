"""The result of recognising a flow."""

from __future__ import annotations

from typing import Final

UNKNOWN: Final = "unknown"
UNENDED: Final = -1
"""A message's length while its end has not arrived."""


class Recognition:
    """What is known about one flow. Cheap to create: fingerprints are computed on access."""

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
        "possible",
        "preamble",
        "protocol",
        "qtype",
        "resume",
        "sample",
        "url",
        "user_agent",
        "variant",
        "versions",
    )

    def __init__(self, protocol: str = UNKNOWN, host: str | None = None, more: bool = False) -> None:
        self.protocol = protocol
        """The protocol, as a recogniser names it, or "unknown"."""
        self.host = host
        """SNI, HTTP Host or DNS question: lower case, IDN as A-labels, no final dot or port. May come while `more`."""
        self.more = more
        """Whether further bytes *of the client* (for DNS: of either end) might still change this result."""
        self.possible: tuple[str, ...] | None = None
        """While `more`: the protocols that it may turn out to be; None: any."""
        self.more_server: bool = False
        """Whether further bytes of the server might add `certificate_names`; wait only if a rule needs them."""
        self.length: int = 0
        """Bytes of the client's stream that this message takes, if others may follow it; UNENDED while its end has not
        arrived; 0 if unknown."""
        self.resume: int = 0
        """While its end has not arrived: the offset up to which it may be dropped, so that the rest is still parsed; it
        may be beyond the bytes there are. 0: none."""
        self.header: int = 0
        """Bytes of the relay's header before this message in its datagram. The flow's other datagrams may be for other
        targets."""
        self.preamble: bool = False
        """Whether it only introduces another protocol, which follows after `length` bytes and is to be recognised."""
        self.others: tuple[Recognition, ...] = ()
        """With a `header`: the request in it."""
        self.alpn: tuple[str, ...] = ()
        self.versions: tuple[int, ...] = ()
        """The offered TLS/DTLS code points (0x0304 is TLS 1.3), or the one QUIC version; without GREASE."""
        self.ech: bool = False
        """Whether the ClientHello has Encrypted Client Hello or GREASE for it: `host` is then the outer name."""
        self.esni: bool = False
        """Whether it has an encrypted name, ECH's predecessor (draft-ietf-tls-esni-01 to -06): `host` is then None."""
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
        """The protocol's variant: mtproto's "abridged", bittorrent's "dht", openvpn's "tls-crypt", quic's "doq" …"""
        self.hello: bytes | None = None
        """The ClientHello's body as far as it has arrived, without the 4-byte handshake header."""
        self.hello_transport: str = "t"
        """The transport of `hello`: "t" TCP, "q" QUIC, "d" DTLS (the first letter of JA4)."""
        self.sample: bytes | None = None
        """The client's first bytes, kept if no cleartext protocol was recognised ("fet" and "unknown")."""

    @property
    def entropy(self) -> float | None:
        """Shannon entropy of `sample` in bits per byte (0 to 8); None without a sample."""
        if not self.sample:
            return None
        from shutdownlab.inspection.recognisers.encrypted import entropy

        return entropy(self.sample)

    @property
    def ja4(self) -> str | None:
        """The ClientHello's JA4 fingerprint (FoxIO's specification); None until the hello is complete."""
        if self.hello is None or self.more:
            return None
        from shutdownlab.inspection.recognisers.ja4 import ja4

        return ja4(self.hello, self.hello_transport)
