"""The engine on captures: one record a connection, and a summary."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final, TypedDict

from shutdownlab.config.numbers import PROTOCOL_NAMES, TCP, UDP
from shutdownlab.inspection.checksum import header_checksum_good, transport_checksum_good
from shutdownlab.inspection.engine import Engine
from shutdownlab.inspection.flow import Flow
from shutdownlab.inspection.links import decode_frame
from shutdownlab.inspection.matching import AppLookup, PrefixSet, address_text
from shutdownlab.inspection.packet import Packet
from shutdownlab.inspection.policy import InspectionPolicy
from shutdownlab.inspection.profile import Profile
from shutdownlab.inspection.recognition import Recognition

UNKNOWN_SIDE: Final = -1
SAMPLE: Final = 2000
"""Packets by which a capture's checksums are judged."""


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

    Which end is inside: addresses in the policy's `inside`, else whoever opened the connection. `policy` None only
    recognises: every verdict is then "pass", but for what the box of `profile` blocks by its nature.
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
        self._seconds = 0.0
        self._packets = 0

    def run(self, capture: Iterable[tuple[float, int, bytes]]) -> None:
        """Inspect all packets, `(time, link type, frame)` each."""
        # The engine makes no reference cycles, and millions of live connections make each collection long.
        collects = gc.isenabled()
        gc.disable()
        try:
            self._run(capture)
        finally:
            if collects:
                if gc.get_freeze_count() == 0:  # all to the oldest generation, unseen; else the next collection sees it
                    gc.freeze()
                    gc.unfreeze()
                gc.enable()

    def _run(self, capture: Iterable[tuple[float, int, bytes]]) -> None:
        started = time.perf_counter()
        packets = iter(capture)
        sample = list(islice(packets, SAMPLE))
        if self._packets == 0:
            self._judge_checksums([decode_frame(link, frame) for _, link, frame in sample])
        self._feed(sample)
        self._feed(packets)
        self._seconds += time.perf_counter() - started

    def _feed(self, packets: Iterable[tuple[float, int, bytes]]) -> None:
        engine = self.engine
        enforcer = engine.enforcer
        inside = self._inside
        number = self._packets
        trusts_all = self._trusts_all
        trusted = self._trusted
        for now, link, frame in packets:
            number += 1
            packet = decode_frame(link, frame)
            enforcer.packets = number - 1
            side = UNKNOWN_SIDE
            if inside is not None and packet.src:
                side = 0 if packet.src in inside else 1
            trust = trusts_all
            if trusted and not trust:
                trust = packet.src in trusted
            engine.inspect(packet, side, now, trust)
        self._packets = number

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
        verdict = flow.verdict
        rule = self.engine.rules.matchers[flow.matched].name if flow.matched >= 0 else None
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
            "verdict": "pass" if verdict is None else str(verdict.action),
            "rule": rule,
            "packet": flow.decided_at,
        }
