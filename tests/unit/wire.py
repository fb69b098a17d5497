"""Packets for the engine's tests: a connection whose ends speak real bytes, with every field at hand to be wrong."""

from __future__ import annotations

from shutdownlab.inspection.conditions import Conditions
from shutdownlab.inspection.engine import Engine, FrameOutcome, Side
from shutdownlab.inspection.forge import flag_bits, ip_packet, tcp_body, udp_body
from shutdownlab.inspection.packet import Packet, decode
from shutdownlab.inspection.policy import InspectionPolicy, InspectionRule, Verdict
from shutdownlab.inspection.profile import Profile, shipped_profile

CLIENT_MAC = bytes.fromhex("020000000001")
SERVER_MAC = bytes.fromhex("020000000002")
SUBSCRIBER = bytes((100, 64, 1, 2))
FOREIGN = bytes((192, 0, 2, 10))


def packed(number: int, size: int) -> bytes:
    return number.to_bytes(size, "big")


ECH, ESNI = 0xFE0D, 0xFFCE


def client_hello(host: str | None = "blocked.example", extra: int = 0, encrypted: int = 0) -> bytes:
    """A TLS 1.3 ClientHello record; `extra` bytes of padding; `encrypted`: a further extension, ECH or ESNI."""
    extensions = b""
    if host is not None:
        name = host.encode()
        inner = b"\0" + packed(len(name), 2) + name
        extensions += b"\0\0" + packed(len(inner) + 2, 2) + packed(len(inner), 2) + inner
    extensions += bytes.fromhex("000a00040002001d" + "002b0003020304" + "000d000400020403")
    if encrypted:
        extensions += packed(encrypted, 2) + packed(64, 2) + bytes(range(64))
    if extra:
        extensions += b"\0\x15" + packed(extra, 2) + bytes(extra)
    body = b"\x03\x03" + bytes(range(32)) + b"\0" + b"\0\x02\x13\x01" + b"\x01\0"
    body += packed(len(extensions), 2) + extensions
    hello = b"\x01" + packed(len(body), 3) + body
    return b"\x16\x03\x01" + packed(len(hello), 2) + hello


def http_get(host: str = "blocked.example", path: str = "/") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: test\r\n\r\n".encode()


def dns_query(name: str = "blocked.example", qtype: int = 1, ident: int = 0x1234) -> bytes:
    labels = b"".join(bytes((len(label),)) + label.encode() for label in name.split("."))
    return packed(ident, 2) + bytes.fromhex("01000001000000000000") + labels + b"\0" + packed(qtype, 2) + b"\0\1"


class Connection:
    """Both ends of one connection, opened from the inside unless `opener` says otherwise."""

    def __init__(
        self,
        engine: Engine,
        *,
        sport: int = 40000,
        dport: int = 443,
        opener: Side = Side.INSIDE,
        client: bytes = SUBSCRIBER,
        server: bytes = FOREIGN,
        isn: int = 1000,
        server_isn: int = 5000,
        now: float = 0.0,
    ) -> None:
        self.engine = engine
        self.sport = sport
        self.dport = dport
        self.side = opener
        self.src = client
        self.dst = server
        self.seq = isn
        self.ack = server_isn
        self.now = now

    def tcp(
        self,
        flags: str,
        data: bytes = b"",
        *,
        seq: int | None = None,
        ack: int | None = None,
        ttl: int = 64,
        bad_checksum: bool = False,
        options: bytes = b"",
        offset: int | None = None,
        back: bool = False,
        cut: int | None = None,
        urgent: int = 0,
    ) -> bytes:
        """A frame from the client, or `back` from the server. Does not move the sequence numbers.

        `offset` is a false data offset in words, `cut` a false IP length.
        """
        src, dst = (self.dst, self.src) if back else (self.src, self.dst)
        sport, dport = (self.dport, self.sport) if back else (self.sport, self.dport)
        seq = (self.ack if back else self.seq) if seq is None else seq
        ack = (self.seq if back else self.ack) if ack is None else ack
        if "A" not in flags:
            ack = 0
        segment = bytearray(tcp_body(src, dst, sport, dport, seq, ack, flag_bits(flags), 64240, options + data))
        segment[12] = (((20 + len(options)) // 4) if offset is None else offset) << 4
        segment[18:20] = packed(urgent, 2)
        segment[16:18] = b"\0\0"
        total = checksum_of(src, dst, bytes(segment))
        segment[16:18] = packed(total ^ (0x5555 if bad_checksum else 0), 2)
        datagram = bytearray(ip_packet(src, dst, 6, bytes(segment), ttl=ttl, ipid=7))
        if cut is not None:
            datagram[2:4] = packed(cut, 2)
            datagram[10:12] = b"\0\0"
            datagram[10:12] = packed(header_checksum(bytes(datagram[:20])), 2)
        macs = CLIENT_MAC + SERVER_MAC if back else SERVER_MAC + CLIENT_MAC
        return macs + (b"\x08\0" if len(src) == 4 else b"\x86\xdd") + bytes(datagram)

    def send(self, frame: bytes, *, back: bool = False, **options: int | bool) -> FrameOutcome:
        side = self.side.other if back else self.side
        return self.engine.process(frame, side, self.now, **options)  # type: ignore[arg-type]

    def say(self, flags: str, data: bytes = b"", **fields: object) -> FrameOutcome:
        """Send from the client without moving its sequence number."""
        return self.send(self.tcp(flags, data, **fields))  # type: ignore[arg-type]

    def reply(self, flags: str, data: bytes = b"", **fields: object) -> FrameOutcome:
        """Send from the server without moving its sequence number."""
        return self.send(self.tcp(flags, data, back=True, **fields), back=True)  # type: ignore[arg-type]

    def open(self) -> list[FrameOutcome]:
        """The three-way handshake."""
        outcomes = [self.say("S")]
        self.seq += 1
        outcomes.append(self.reply("SA"))
        self.ack += 1
        outcomes.append(self.say("A"))
        return outcomes

    def data(self, payload: bytes) -> FrameOutcome:
        """Client data, in order."""
        outcome = self.say("PA", payload)
        self.seq += len(payload)
        return outcome

    def answer(self, payload: bytes) -> FrameOutcome:
        """Server data, in order."""
        outcome = self.reply("PA", payload)
        self.ack += len(payload)
        return outcome

    def udp(self, payload: bytes, *, back: bool = False) -> FrameOutcome:
        src, dst = (self.dst, self.src) if back else (self.src, self.dst)
        sport, dport = (self.dport, self.sport) if back else (self.sport, self.dport)
        body = udp_body(src, dst, sport, dport, payload)
        macs = CLIENT_MAC + SERVER_MAC if back else SERVER_MAC + CLIENT_MAC
        kind = b"\x08\0" if len(src) == 4 else b"\x86\xdd"
        return self.send(macs + kind + ip_packet(src, dst, 17, body, ttl=64, ipid=9), back=back)


def checksum_of(src: bytes, dst: bytes, segment: bytes) -> int:
    """Computed the long way round, so that the tests do not lean on the code they test."""
    if len(src) == 4:
        pseudo = src + dst + b"\0\x06" + packed(len(segment), 2)
    else:
        pseudo = src + dst + packed(len(segment), 4) + b"\0\0\0\x06"
    return header_checksum(pseudo + segment)


def header_checksum(data: bytes) -> int:
    if len(data) % 2:
        data += b"\0"
    total = sum(int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def checksums_hold(packet: Packet) -> bool:
    """Of an injected TCP packet."""
    frame = packet.frame
    header = frame[packet.ip : packet.l4]
    ip_good = packet.version == 6 or header_checksum(header) == 0
    return ip_good and checksum_of(packet.src, packet.dst, frame[packet.l4 : packet.end]) == 0


def rule(verdict: str | dict[str, object] = "block", name: str = "rule", **when: object) -> InspectionRule:
    return InspectionRule(name=name, when=Conditions(**when), verdict=Verdict.model_validate(verdict))  # type: ignore[arg-type]


def engine(
    profile: str | Profile, *rules: InspectionRule, classify: bool = False, seed: int = 0, **policy: object
) -> Engine:
    """An engine with rules, or with one that blocks blocked.example and everything below."""
    chosen = shipped_profile(profile) if isinstance(profile, str) else profile
    rules = rules or (rule(name_suffix="blocked.example"),)
    return Engine(InspectionPolicy(rules=rules, **policy), chosen, classify=classify, seed=seed)  # type: ignore[arg-type]


def injected(outcome: FrameOutcome, towards: Side) -> list[Packet]:
    return [decode(injection.frame) for injection in outcome.inject if injection.towards == towards]
