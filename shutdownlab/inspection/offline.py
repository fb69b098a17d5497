"""Runs the engine over captures: one record per connection, and a summary."""

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
"""How many packets of a capture show whether its checksums are usable."""
SMALLEST_MSS: Final = 48
"""Linux's minimum (`tcp_min_snd_mss`)."""
DEFAULT_MSS: Final = 1460
"""Ethernet's, for an end whose SYN is not in the capture."""


class FlowRecord(TypedDict):
    """One connection of a capture. `packet`: the number (from 1) of the packet that decided it, 0 if none did."""

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
    """Wall time spent, reading included."""

    @property
    def packets_per_second(self) -> float:
        return self.packets / self.seconds if self.seconds > 0 else 0.0


class OfflineInspection:
    """Runs an engine over the packets of a capture.

    From a recording of a run's DPI switch (`run --pcap`) the engine gets what the box got: packets from subscribers and
    from abroad, not those that the box sent. In other captures, the policy's `inside` says which addresses are inside,
    or the end that opened a connection is. `policy` None: only recognise; every verdict is then "pass", except those of
    the rules in `profile`. `seed`: the run's.
    """

    def __init__(
        self, policy: InspectionPolicy | None, profile: Profile, *, seed: int = 0, apps: AppLookup | None = None
    ) -> None:
        policy = policy or InspectionPolicy()
        self.engine = Engine(policy, profile, seed=seed, apps=apps, classify=True)
        self.engine.table.born = []
        self._inside = PrefixSet(policy.inside) if policy.inside else None
        self.warnings: list[str] = []
        """Warnings about the captured traffic; those about the file are in `Capture.warnings`."""
        self._trusts_all = False
        self._trusted: set[bytes] = set()
        self._splits = not self.engine.tracker.assembles or self.engine.rules.traced > 0
        """Whether packets matter one by one, so that offload frames must be split into their packets."""
        self._segments: dict[bytes, int] = {}
        """The MSS that each end announced (RFC 9293 3.7.1), by the flow key of its packets."""
        self._seconds = 0.0
        self._packets = 0

    def run(self, capture: Iterable[tuple[float, int, bytes]]) -> None:
        """Inspects all packets of a capture, each as `(time in seconds, link type, frame)`."""
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
        """Returns the payload bytes per packet of a segmentation-offload frame; 0: it is one packet.

        The capture does not have it; it follows from the MSS that both ends announced (Linux takes the smaller one and
        subtracts the options).
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
        """Decides from a sample of packets whose checksums to ignore.

        Captures are anonymised, rewritten, or taken before the network card filled checksums in. If most in the sample
        are wrong, or at least 80% of one sender's (of three or more), they do not show what the other end would have
        accepted, and are ignored. A few wrong ones among good ones are wrong on purpose.
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
            self.warnings.append(f"{wrong} of the first {total} checksums are wrong: all checksums are ignored")
            return
        for source, (count, bad) in seen.items():
            if count >= 3 and bad * 5 >= count * 4:
                self._trusted.add(source)
                self.warnings.append(f"the checksums of {address_text(source)} are wrong: they are ignored")

    def records(self) -> Iterator[FlowRecord]:
        """Yields one record per connection, in the order of their first packets."""
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
    """Yields (number, side, time, link type, frame) of each packet, numbered from `before` + 1.

    The side is where the box got it, `UNKNOWN_SIDE` if the capture does not say.
    """
    number = before
    known = capture if isinstance(capture, Capture) else None
    for now, link, frame in capture:
        number += 1
        yield number, UNKNOWN_SIDE if known is None else known.side, now, link, frame
