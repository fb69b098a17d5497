"""What `inspect` says of a capture of a run is what the box did in it: every profile, random traffic, run and read.

A box and the switch that it stands at are played, and recorded as a run is: each frame where it comes in, what the box
sends among them. The traffic has what boxes are known to stumble over: split and turned-round handshakes, decoys, cut
copies, resets, ports used again, long silences.
"""

from __future__ import annotations

import io
import random
import struct
from dataclasses import dataclass, field

import pytest
from quic_initials import crypto, hello, seal
from test_capture import block
from wire import FOREIGN, SUBSCRIBER, Connection, client_hello, dns_query, engine, http_get, rule

from shutdownlab.config.numbers import TCP
from shutdownlab.inspection.capture import read_capture
from shutdownlab.inspection.engine import Engine, FrameOutcome, Side
from shutdownlab.inspection.offline import OfflineInspection
from shutdownlab.inspection.packet import OPTION_MSS, SYN, decode
from shutdownlab.inspection.policy import InspectionPolicy, InspectionRule
from shutdownlab.inspection.profile import shipped_profile
from shutdownlab.inspection.recognisers.quic_protection import V1, V2
from shutdownlab.inspection.vocabulary import profile_names

PORTS = ("border-intl", "gateway", "box-inside", "box-outside")
JUNK = bytes.fromhex("8b04d97fa0c311ee5d2c94e1b3760fa8c95e12d74b8f30e6a1957c2bd84ef063") * 3
UTO, MD5 = b"\x01\x01\x1c\x04\x80\x0f\x01\x01", b"\x01\x01\x13\x12" + bytes(16)
Decided = tuple[int, str, int, str, int, str, str | None]
"""Number of the deciding frame in the capture, source and destination, action and rule."""


@dataclass
class Switch:
    """A box in its place, whose switch records what comes in at each port."""

    box: Engine
    blocks: list[bytes] = field(default_factory=list)
    decided: list[Decided] = field(default_factory=list)
    opened: set[tuple[bytes, int, bytes, int]] = field(default_factory=set)
    """Connections whose ends have said how long segments may be."""

    def process(self, frame: bytes, side: Side, now: float, segment: int = 0) -> FrameOutcome:
        self._record(int(side), frame, now)
        number = len(self.blocks)
        outcome = self.box.process(frame, side, now, segment=segment)
        decision = outcome.decision
        if decision is not None and decision.action != "pass":
            who = (decision.src, decision.sport, decision.dst, decision.dport)
            self.decided.append((number, *who, str(decision.action), decision.rule))
        for injection in outcome.inject:
            self._record(2 + int(injection.towards), injection.frame, now)
        if outcome.forward and not self.box.on_path:
            self._record(3 - int(side), outcome.replacement or frame, now)
        return outcome

    def _record(self, port: int, frame: bytes, now: float) -> None:
        ticks = round(now * 1e9)
        head = struct.pack("<IIIII", port, ticks >> 32, ticks & 0xFFFFFFFF, len(frame), len(frame))
        self.blocks.append(block(6, head + frame, "<"))

    def capture(self) -> bytes:
        result = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1), "<")
        for purpose in PORTS:
            name = purpose.encode()
            option = struct.pack("<HH", 3, len(name)) + name + bytes(-len(name) % 4)
            option += struct.pack("<HHB3xHH", 9, 1, 9, 0, 0)
            result += block(1, struct.pack("<HHI", 1, 0, 65535) + option, "<")
        return result + b"".join(self.blocks)


INITIALS = [
    seal(crypto(0, hello(name)), version=version)
    for name in (b"blocked.example", b"fine.example")
    for version in (V1, V2)
]
"""Datagrams that begin a QUIC connection."""
SEGMENTS = {40000: 1460, 40001: 1400, 40002: 536, 40003: 120, 40004: 90}
"""What either end of connections from these ports takes."""


class Talk(Connection):
    """A connection whose ends say in their SYNs how long segments may be; longer payload goes in offload frames."""

    def tcp(self, flags: str, data: bytes = b"", *, options: bytes = b"", **fields: object) -> bytes:  # type: ignore[override]
        if "S" in flags and not options:
            options = b"\x02\x04" + SEGMENTS[self.sport].to_bytes(2, "big")
        return super().tcp(flags, data, options=options, **fields)  # type: ignore[arg-type]

    def send(self, frame: bytes, *, back: bool = False, **options: int | bool) -> FrameOutcome:
        packet = decode(frame)
        ends = (self.src, self.sport, self.dst, self.dport)
        if packet.flags & SYN and packet.option(OPTION_MSS) is not None:
            self.engine.opened.add(ends)  # type: ignore[attr-defined]
        size = SEGMENTS[self.sport] - (packet.payload - packet.l4 - 20)
        known = ends in self.engine.opened  # type: ignore[attr-defined]
        if known and packet.proto == TCP and not packet.flags & SYN and packet.data_length > size:
            options["segment"] = size
        return super().send(frame, back=back, **options)


class Traffic:
    """A few connections at a time, each doing the next thing that comes to mind."""

    def __init__(self, seed: int, switch: Switch) -> None:
        self.random = random.Random(seed)
        self.switch = switch
        self.now = 1_000_000.0
        self.talking = [self._connection() for _ in range(4)]

    def play(self, steps: int) -> None:
        for _ in range(steps):
            self.now += self.random.choice((0.001, 0.001, 0.01, 0.01, 0.5, 3.0, 12.0, 70.0, 130.0, 500.0))
            at = self.random.randrange(len(self.talking))
            if self.random.random() < 0.08:
                self.talking[at] = self._connection()
            connection = self.talking[at]
            connection.now = self.now
            self._step(connection)

    def _connection(self) -> Connection:
        choose = self.random.choice
        opener = choose((Side.INSIDE, Side.INSIDE, Side.INSIDE, Side.OUTSIDE))
        ends = (SUBSCRIBER, FOREIGN) if opener is Side.INSIDE else (FOREIGN, SUBSCRIBER)
        return Talk(
            self.switch,  # type: ignore[arg-type]
            sport=choose((40000, 40001, 40002, 40003, 40004)), dport=choose((53, 80, 443, 443, 8080)),
            opener=opener, client=ends[0], server=ends[1], isn=self.random.randrange(1 << 32),
            server_isn=self.random.randrange(1 << 32), now=self.now,
        )  # fmt: skip

    def _payload(self) -> bytes:
        host = self.random.choice(("blocked.example", "fine.example"))
        whole = self.random.choice((
            client_hello(host), client_hello(host), client_hello(host, extra=300), http_get(host), http_get(host),
            http_get("fine.example") + http_get(host), b"\0\x21" + dns_query("blocked.example"), JUNK, JUNK[:7],
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", b"GET / HTTP1.",
        ))  # fmt: skip
        cut = self.random.randrange(1, len(whole))
        return self.random.choice((whole, whole, whole, whole[:cut], whole[cut:]))

    def _step(self, connection: Connection) -> None:
        choose = self.random.choice
        kind = self.random.random()
        if kind < 0.25:
            connection.open()
        elif kind < 0.5:
            connection.data(self._payload())
        elif kind < 0.6:
            connection.answer(self._payload())
        elif kind < 0.66:
            connection.udp(
                choose((dns_query("blocked.example"), dns_query("fine.example"), JUNK, JUNK * 13, *INITIALS))
            )
        else:
            flags = choose(("S", "S", "SA", "SA", "A", "PA", "F", "FA", "R", "RA", "FS", "", "FRAPUE"))
            fields: dict[str, object] = {"seq": choose((None, None, None, 0x0BAD0BAD))}
            fields |= {"ack": choose((None, None, 0x77777777))}
            if choose((True, False)):
                fields |= choose(({"bad_checksum": True}, {"ttl": 5}, {"options": UTO}, {"options": MD5}, {"cut": 52}))
            load = self._payload() if choose((True, False, False)) else b""
            speak = choose((connection.say, connection.say, connection.reply))
            speak(flags, load, **fields)


def rules() -> tuple[InspectionRule, ...]:
    return (
        rule(name="name", name_suffix="blocked.example"),
        rule("drop", name="by-port", port="udp/443", probability=0.5),
        rule("drop", name="by-shape", first_packets=[{"size_at_most": 200}, {"from": "server", "gap_at_most": "20s"}]),
        rule(name="sometimes", name_suffix="fine.example", opener="inside", probability=0.3),
    )


def run(profile: str, seed: int) -> tuple[list[Decided], list[Decided]]:
    """What the box did, and what `inspect` says of the capture."""
    switch = Switch(engine(profile, *rules()))
    Traffic(seed, switch).play(250)
    inspection = OfflineInspection(InspectionPolicy(rules=rules()), shipped_profile(profile))
    inspection.run(read_capture(io.BytesIO(switch.capture()), "run.pcapng"))
    told = [
        (each["packet"], each["src"], each["sport"], each["dst"], each["dport"], each["verdict"], each["rule"])
        for each in inspection.records()
        if each["verdict"] != "pass"
    ]
    return sorted(switch.decided), sorted(told)


@pytest.mark.parametrize(
    "seeds", [range(8), pytest.param(range(8, 30), marks=pytest.mark.thorough)], ids=["some", "more"]
)
@pytest.mark.parametrize("profile", profile_names())
def test_inspect_of_a_runs_capture_says_what_the_box_did(profile: str, seeds: range) -> None:
    acted = 0
    for seed in seeds:
        done, told = run(profile, seed)
        assert told == done, f"seed {seed}"
        acted += len(done)
    assert acted >= len(seeds), "random traffic does not reach this box"


def test_a_flow_that_begins_with_a_syn_ack_is_reported_as_the_box_took_it() -> None:
    """It made a connection for the record which the box did not have, and the SYN then had it the wrong way round."""
    for profile in profile_names():
        switch = Switch(engine(profile))
        connection = Connection(switch, now=1_000_000.0)  # type: ignore[arg-type]
        connection.reply("SA")
        connection.open()
        connection.data(client_hello())
        policy = InspectionPolicy(rules=(rule(name_suffix="blocked.example"),))
        inspection = OfflineInspection(policy, shipped_profile(profile))
        inspection.run(read_capture(io.BytesIO(switch.capture()), "run.pcapng"))
        verdicts = [record["verdict"] for record in inspection.records() if record["verdict"] != "pass"]
        assert verdicts == [decided[5] for decided in switch.decided], profile


def test_a_connections_lot_is_the_same_whether_its_syn_or_its_syn_ack_is_read_first() -> None:
    """Two copies of either direction race to a box beside the path."""
    hit = []
    for first in ("S", "SA"):
        machine = engine("turkmenistan-dns", rule("reset", probability=0.5, name_suffix="blocked.example"))
        acted = []
        for number in range(64):
            connection = Connection(machine, sport=2000 + number)
            order = (connection.say, connection.reply) if first == "S" else (connection.reply, connection.say)
            for speak in order:
                if speak == connection.say:
                    speak("S")
                else:
                    speak("SA", ack=connection.seq + 1)
            connection.seq += 1
            acted.append(bool(connection.data(client_hello()).inject))
        hit.append(acted)
    assert hit[0] == hit[1]
    assert 16 < sum(hit[0]) < 48
