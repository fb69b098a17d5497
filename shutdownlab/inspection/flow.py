"""The state a box keeps for one connection, and the table of them."""

from __future__ import annotations

from typing import Final

from shutdownlab.inspection.first_packets import Trace
from shutdownlab.inspection.policy import Verdict
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
    """One connection. "Client" is whom the box takes for the opener; `swapped` says that it changed its mind."""

    __slots__ = (
        "acks_early",
        "after",
        "app",
        "buckets",
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
        "inside",
        "inspected",
        "judged",
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
        """The side whose end opened it (a `Side`'s number)."""
        self.last = now
        self.first_seq = 0
        """Of TCP the opener's number with which it began, as far as its first packet told it."""
        self.state = NEW
        self.tracked = True
        """The box still follows it; else its packets go by until something creates it anew."""
        self.swapped = False
        self.given_up = False
        self.resync = False
        """The next packet that tells the client's sequence number is believed."""
        self.resynced = False
        """That has happened."""
        self.client: Stream | None = None
        self.server: Stream | None = None
        self.client_syn = -1
        self.server_syn = False
        """A SYN without ACK has come from the other end."""
        self.client_ttl = 0
        self.server_ttl = 0
        self.fins = 0
        self.fins_early = 0
        self.acks_early = 0
        self.requests = 0
        self.syn_ack_loads = 0
        self.syn_acks: tuple[int, ...] = ()
        """Where the server's data would begin by SYN/ACKs after its first."""
        self.syns: tuple[int, ...] = ()
        """Where the client's data would begin by its SYNs, once there is more than one."""
        self.inspected = 0
        """Packets with payload that were looked at."""
        self.judged = 0
        """Messages that no rule matched, of a protocol that cannot be read from the middle of its stream."""
        self.inside: str | None = None
        """The proxy's protocol that what is now said on it is inside of."""
        self.stays = False
        """Its messages are judged one by one, so that no flow rule may take it out of the box's sight."""
        self.untold = False
        """A rule has let a message of it pass, which nobody has been told."""
        self.message = b""
        """The one that a rule matched, of a connection that carries several."""
        self.limit = 0
        self.packets = 0
        self.udp: UdpSession | None = None
        self.recognition: Recognition | None = None
        self.rule = 0
        """Index of the first rule that is still open."""
        self.matched = -1
        """Index of the rule that decided, -1 while none did."""
        self.draws: dict[int, float] | None = None
        """What was drawn for it (`Lots`)."""
        self.decided = False
        self.passed = False
        """On files: the box has let it go, and it is followed only to tell what it is."""
        self.followed: Flow | None = None
        """Who is followed in the stead of this one, which is all that the box itself still knows."""
        self.decided_at = 0
        """Number of the packet (of all the engine saw) that decided, 0 while none did."""
        self.reported = False
        self.told: tuple[str, int, int] | None = None
        """On files, of its first decision: the action, the rule's index, and the number of the packet."""
        self.verdict: Verdict | None = None
        """Of the rule that matched; None while undecided and for a connection that passes."""
        self.residual: ResidualBlock | None = None
        self.after = 0
        self.counted = 0
        self.buckets: tuple[Bucket | None, Bucket | None] | None = None
        self.protocol = "unknown"
        self.app: str | None = None
        self.host: str | None = None
        self.trace: Trace | None = None
        """Its first packets, where a rule asks about them."""
        self.extra: object = None
        """For whoever keeps records of flows."""
