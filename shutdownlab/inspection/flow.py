"""The state that a box keeps for one connection."""

from __future__ import annotations

from typing import Final

from shutdownlab.inspection.first_packets import Trace
from shutdownlab.inspection.policy import Verdict
from shutdownlab.inspection.recognisers.http2 import Requests
from shutdownlab.inspection.recognition import Recognition, UdpSession
from shutdownlab.inspection.residual import ResidualBlock
from shutdownlab.inspection.stream import Stream
from shutdownlab.inspection.token_bucket import Bucket

NEW: Final = 0
SYN_SEEN: Final = 1
SYN_ACK_SEEN: Final = 2
ESTABLISHED: Final = 3
CLOSED: Final = 4


class Flow:
    """One connection. The client is the end that the box takes for the opener; `swapped`: it is now the other end."""

    __slots__ = (
        "acks_early",
        "after",
        "app",
        "buckets",
        "chunked",
        "client",
        "client_syn",
        "client_ttl",
        "counted",
        "decided",
        "decided_at",
        "dport",
        "draws",
        "dst",
        "extra",
        "fins",
        "fins_early",
        "first_seq",
        "followed",
        "given_up",
        "host",
        "http2",
        "inside",
        "inspected",
        "key",
        "last",
        "limit",
        "matched",
        "message",
        "opener",
        "packets",
        "passed",
        "proto",
        "protocol",
        "recognition",
        "reported",
        "requests",
        "residual",
        "resync",
        "resynced",
        "rule",
        "server",
        "server_syn",
        "server_ttl",
        "sport",
        "src",
        "state",
        "stays",
        "swapped",
        "syn_ack_loads",
        "syn_acks",
        "syns",
        "told",
        "trace",
        "tracked",
        "udp",
        "untold",
        "verdict",
    )

    def __init__(
        self, key: bytes, src: bytes, sport: int, dst: bytes, dport: int, proto: int, opener: int, now: float
    ) -> None:
        self.key = key
        self.src = src
        self.sport = sport
        self.dst = dst
        self.dport = dport
        self.proto = proto
        self.opener = opener
        """The side that opened it (a `Side`'s number)."""
        self.last = now
        self.first_seq = 0
        """TCP: the opener's initial sequence number, as far as the first packet shows it."""
        self.state = NEW
        self.tracked = True
        """Whether the box still tracks it; otherwise its packets pass until one of them recreates the state."""
        self.swapped = False
        self.given_up = False
        self.resync = False
        """Whether the client's sequence number is to be taken from its next packet."""
        self.resynced = False
        """Whether such a resynchronisation has happened."""
        self.client: Stream | None = None
        self.server: Stream | None = None
        self.client_syn = -1
        self.server_syn = False
        """Whether a SYN without ACK has come from the server."""
        self.client_ttl = 0
        self.server_ttl = 0
        self.fins = 0
        self.fins_early = 0
        self.acks_early = 0
        self.requests = 0
        self.syn_ack_loads = 0
        self.syn_acks: tuple[int, ...] = ()
        """The sequence numbers at which the server's data would begin by its SYN/ACKs after the first."""
        self.syns: tuple[int, ...] = ()
        """The sequence numbers at which the client's data would begin by its SYNs, if there is more than one."""
        self.inspected = 0
        """Packets with payload inspected."""
        self.http2: Requests | None = None
        """The parser of its HTTP/2 requests, if it judges each."""
        self.chunked = False
        """Whether the client's stream goes on within a long chunked body, which is passed over."""
        self.inside: str | None = None
        """The proxy protocol that the current messages are carried in; None outside a proxy."""
        self.stays = False
        """Whether its messages are matched one by one, so that no flow rule may take it past the box."""
        self.untold = False
        """Whether a rule has let one of its messages pass and that is not reported yet."""
        self.message = b""
        """The bytes of the current message: the one that rules are being matched against, or that one matched."""
        self.limit = 0
        self.packets = 0
        self.udp: UdpSession | None = None
        self.recognition: Recognition | None = None
        self.rule = 0
        """Index of the first rule that may still match."""
        self.matched = -1
        """Index of the rule that matched, -1 if none has."""
        self.draws: dict[int, float] | None = None
        """Random numbers drawn for it (see `Lots`)."""
        self.decided = False
        self.passed = False
        """Offline: the box has let it pass, and it is followed only to recognise its protocol."""
        self.followed: Flow | None = None
        """Offline: the flow that is followed further to recognise it; this one is what the box itself still tracks."""
        self.decided_at = 0
        """Number of the packet (of all that the engine saw) that decided it, 0 while undecided."""
        self.reported = False
        self.told: tuple[str, int, int] | None = None
        """Offline: its first decision as (action, rule index or -1, packet number)."""
        self.verdict: Verdict | None = None
        """The matching rule's verdict; None while undecided, and for a connection that passes."""
        self.residual: ResidualBlock | None = None
        self.after = 0
        self.counted = 0
        self.buckets: tuple[Bucket | None, Bucket | None] | None = None
        self.protocol = "unknown"
        self.app: str | None = None
        self.host: str | None = None
        self.trace: Trace | None = None
        """Its first packets, if a rule asks about them."""
        self.extra: object = None
        """Free for callers that keep their own record of the flow."""
