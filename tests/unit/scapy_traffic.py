"""Captures made by scapy, which shares no code with what reads them here."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from scapy.all import DNS, DNSQR, IP, TCP, UDP, Ether, Raw, wrpcap

from shutdownlab.inspection.capture import open_capture
from shutdownlab.inspection.offline import FlowRecord, OfflineInspection
from shutdownlab.inspection.policy import load_policy
from shutdownlab.inspection.profile import shipped_profile

CLIENT, SERVER = "10.0.0.1", "192.0.2.1"


class TcpTraffic:
    """A TCP connection: its handshake, and what either end then says."""

    def __init__(self, sport: int = 40000, dport: int = 80, isn: int = 100, server_isn: int = 500) -> None:
        self.ports = sport, dport
        self.next = {True: isn, False: server_isn}
        self.frames: list[Any] = []
        self.segment("S")
        self.segment("SA", client=False)
        self.segment("A")

    def segment(self, flags: str, data: bytes = b"", *, client: bool = True, **fields: int) -> None:
        source, target = (CLIENT, SERVER) if client else (SERVER, CLIENT)
        sport, dport = self.ports if client else self.ports[::-1]
        numbers = {"seq": self.next[client], "ack": self.next[not client] if "A" in flags else 0, **fields}
        segment = IP(src=source, dst=target) / TCP(sport=sport, dport=dport, flags=flags, **numbers)
        self.frames.append(Ether() / segment / Raw(data) if data else Ether() / segment)
        self.next[client] = numbers["seq"] + len(data) + ("S" in flags or "F" in flags)

    def says(self, *parts: bytes, client: bool = True) -> TcpTraffic:
        """Each part in a segment of its own."""
        for part in parts:
            self.segment("PA", part, client=client)
        return self


def datagram(data: bytes, dport: int, sport: int = 5000, *, client: bool = True) -> Any:
    source, target = (CLIENT, SERVER) if client else (SERVER, CLIENT)
    ports = {"sport": sport, "dport": dport} if client else {"sport": dport, "dport": sport}
    return Ether() / IP(src=source, dst=target) / UDP(**ports) / Raw(data)


def question(name: str, kind: int = 1, ident: int = 1) -> bytes:
    return bytes(DNS(id=ident, rd=1, qd=DNSQR(qname=name, qtype=kind)))


def http_request(host: bytes | str, path: bytes | str = b"/", more: bytes = b"") -> bytes:
    host, path = (text.encode() if isinstance(text, str) else text for text in (host, path))
    return b"GET " + path + b" HTTP/1.1\r\nHost: " + host + b"\r\n" + more + b"\r\n"


def inspected(
    folder: Path, frames: Iterable[Any], rules: str = "[]", profile: str = "perfect", **written: Any
) -> list[FlowRecord]:
    """What `inspect` makes of a capture of these frames, a millisecond apart from 22:13 UTC; `rules` as YAML."""
    path, frames = folder / "scapy.pcap", list(frames)
    for number, frame in enumerate(frames):  # scapy has them as old as they are: some are made with the module
        frame.time = 1_700_000_000 + number / 1000
    wrpcap(str(path), frames, **written)
    policy = load_policy(f"format: 1\nrules: {rules}\n", "policy.yaml")
    inspection = OfflineInspection(policy, shipped_profile(profile))
    inspection.run(open_capture(path))
    return list(inspection.records())
