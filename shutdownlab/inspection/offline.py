"""The engine on captures: one record a connection, and a summary."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final, TypedDict

from shutdownlab.config.garbage import nothing_is_garbage
from shutdownlab.config.numbers import PROTOCOL_NAMES, TCP, UDP
from shutdownlab.inspection.capture import FROM_BOX, UNKNOWN_SIDE, Capture
from shutdownlab.inspection.checksum import header_checksum_good, transport_checksum_good
from shutdownlab.inspection.engine import Engine
from shutdownlab.inspection.flow import Flow
from shutdownlab.inspection.links import decode_frame
from shutdownlab.inspection.matching import AppLookup, PrefixSet, address_text
from shutdownlab.inspection.packet import OPTION_MSS, SYN, Packet
from shutdownlab.inspection.policy import InspectionPolicy
from shutdownlab.inspection.profile import Profile
from shutdownlab.inspection.recognition import Recognition
from shutdownlab.inspection.table import flow_key, reverse_key

SAMPLE: Final = 2000
"""Packets by which a capture's checksums are judged."""
SMALLEST_MSS: Final = 48
"""What Linux goes down to (`tcp_min_snd_mss`)."""
DEFAULT_MSS: Final = 1460
"""Of an end whose SYN the capture does not have: an Ethernet's."""


class FlowRecord(TypedDict):
    """One connection of a capture. `packet`: the number (from 1) of the packet that decided, 0 if none did."""

    src: str
    sport: int
    dst: str
    dport: int
    proto: str
    app: str | None
    protocol: str
    host: str | None
    verdict: str
    rule: str | None
    packet: int


@dataclass(frozen=True, slots=True)
class Summary:
    packets: int
    flows: int
    seconds: float
    """Spent, reading included."""

    @property
    def packets_per_second(self) -> float:
        return self.packets / self.seconds if self.seconds > 0 else 0.0


class OfflineInspection:
    """Runs an engine over the packets of a capture.

    Of a recording of a run's DPI switch (`run --pcap`) the box gets what it got in the run: what came in from
    subscribers and from abroad, not what it sent itself. Else who is inside is told by the policy's `inside`, or is
    whoever opened the connection. `policy` None only recognises: every verdict is then "pass", but for what the box of
    `profile` blocks by its nature. `seed`: the run's.
    """

    def __init__(
        self, policy: InspectionPolicy | None, profile: Profile, *, seed: int = 0, apps: AppLookup | None = None
    ) -> None:
        policy = policy or InspectionPolicy()
        self.engine = Engine(policy, profile, seed=seed, apps=apps, classify=True)
        self.engine.table.born = []
        self._inside = PrefixSet(policy.inside) if policy.inside else None
        self.warnings: list[str] = []
        """About the capture as a whole; those about its file are the `Capture`'s."""
        self._trusts_all = False
        self._trusted: set[bytes] = set()
        self._splits = not self.engine.tracker.assembles or self.engine.rules.traced > 0
        """Each packet counts by itself: of an offload frame it must be known of how many packets it is."""
        self._segments: dict[bytes, int] = {}
        """The longest segments that an end has said it takes (MSS, RFC 9293 3.7.1), by connection as it sends."""
        self._seconds = 0.0
        self._packets = 0

    def run(self, capture: Iterable[tuple[float, int, bytes]]) -> None:
        """Inspect all packets, `(time, link type, frame)` each."""
        # The engine makes no reference cycles, and millions of live connections make each collection long.
        with nothing_is_garbage():
            self._run(capture)

    def _run(self, capture: Iterable[tuple[float, int, bytes]]) -> None:
        started = time.perf_counter()
        packets = _numbered(capture, self._packets)
        sample = list(islice(packets, SAMPLE))
        if self._packets == 0:
            self._judge_checksums([decode_frame(link, frame) for _, _, _, link, frame in sample])
        self._feed(sample)
        self._feed(packets)
        if 0 < self._packets == self.engine.malformed:
            self.warnings.append(f"none of its {self._packets:,} packets is IP as far as it could be read")
        self._seconds += time.perf_counter() - started

    def _feed(self, packets: Iterable[tuple[int, int, float, int, bytes]]) -> None:
        engine = self.engine
        enforcer = engine.enforcer
        inside = self._inside
        number = self._packets
        trusts_all = self._trusts_all
        trusted = self._trusted
        splits = self._splits
        for number, side, now, link, frame in packets:
            if side == FROM_BOX:
                continue
            packet = decode_frame(link, frame)
            enforcer.packets = number - 1
            if side == UNKNOWN_SIDE and inside is not None and packet.src:
                side = 0 if packet.src in inside else 1
            trust = trusts_all
            if trusted and not trust:
                trust = packet.src in trusted
            segment = self._segment(packet) if splits and packet.proto == TCP else 0
            engine.inspect(packet, side, now, trust, segment)
        self._packets = number

    def _segment(self, packet: Packet) -> int:
        """Bytes of payload of each packet that a segmentation-offload frame stands for; 0: it is one packet.

        A capture does not say; it follows from what both ends said they take (Linux cuts to the lesser, and takes the
        options off).
        """
        if packet.problem is not None or packet.is_fragment:
            return 0
        if packet.flags & SYN:
            value = packet.option(OPTION_MSS)
            if value is not None and len(value) == 2:
                self._segments[flow_key(packet)] = int.from_bytes(value, "big")
            return 0
        length = packet.end - packet.payload
        if length <= SMALLEST_MSS:
            return 0
        most = min(
            self._segments.get(flow_key(packet), DEFAULT_MSS),
            self._segments.get(reverse_key(packet), DEFAULT_MSS),
        )
        size = max(most - (packet.payload - packet.l4 - 20), SMALLEST_MSS)
        return size if length > size else 0

    def _judge_checksums(self, sample: list[Packet]) -> None:
        """Captures are anonymised, rewritten, or taken before a network card filled checksums in.

        Where most of the sample's are wrong, or nearly all of one sender's, they say nothing about what the other end
        would have accepted, and are not looked at. A few wrong ones among good ones are meant to be wrong.
        """
        seen: dict[bytes, list[int]] = {}
        for packet in sample:
            if packet.problem is None and packet.proto in (TCP, UDP) and not packet.is_fragment:
                counts = seen.setdefault(packet.src, [0, 0])
                counts[0] += 1
                if not transport_checksum_good(packet) or not header_checksum_good(packet):
                    counts[1] += 1
        total = sum([counts[0] for counts in seen.values()])
        wrong = sum([counts[1] for counts in seen.values()])
        if wrong * 2 > total:
            self._trusts_all = True
            self.warnings.append(f"{wrong} of the first {total} checksums are wrong: none is taken into account")
            return
        for source, (count, bad) in seen.items():
            if count >= 3 and bad * 5 >= count * 4:
                self._trusted.add(source)
                self.warnings.append(f"the checksums of {address_text(source)} are wrong: not taken into account")

    def records(self) -> Iterator[FlowRecord]:
        """One record a connection, in the order of their first packets."""
        for flow in self.engine.table.born or ():
            if flow.packets:
                yield self._record(flow)

    def summary(self) -> Summary:
        return Summary(self._packets, sum(1 for flow in self.engine.table.born or () if flow.packets), self._seconds)

    def _record(self, flow: Flow) -> FlowRecord:
        verdict, matched, packet = flow.told or ("pass", -1, flow.decided_at)
        rule = self.engine.rules.matchers[matched].name if matched >= 0 else None
        app = flow.app
        if not flow.decided:
            known = flow.recognition or Recognition(flow.protocol, flow.host)
            app = self.engine.apps.app_of(known, flow.dst, flow.dport)
        return {
            "src": address_text(flow.src),
            "sport": flow.sport,
            "dst": address_text(flow.dst),
            "dport": flow.dport,
            "proto": PROTOCOL_NAMES.get(flow.proto, str(flow.proto)),
            "app": app,
            "protocol": flow.protocol,
            "host": flow.host,
            "verdict": verdict,
            "rule": rule,
            "packet": packet,
        }


def _numbered(capture: Iterable[tuple[float, int, bytes]], before: int) -> Iterator[tuple[int, int, float, int, bytes]]:
    """Each packet with its number in the file, from `before` + 1, and the side that the box got it from."""
    number = before
    known = capture if isinstance(capture, Capture) else None
    for now, link, frame in capture:
        number += 1
        yield number, UNKNOWN_SIDE if known is None else known.side, now, link, frame
