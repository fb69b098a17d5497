"""Two captures that a classifier can learn from: tunnels, whose every packet is noise, and web pages, which begin in
plain text and come in long packets. Made up; what counts is that the two differ in all that the classifier is shown."""

from __future__ import annotations

import random
from pathlib import Path

from scapy.all import IP, TCP, Ether, Raw, wrpcap

CLIENT, SERVER = "10.0.0.1", "192.0.2.1"
TUNNEL = ((True, 480, 560), (False, 120, 180), (True, 60, 110), (False, 300, 700), (True, 60, 110), (False, 300, 700))
FULL = (False, 1300, 1400)
PAGE = ((True, 200, 400), FULL, FULL, (False, 800, 1400), (True, 200, 400), FULL)


def capture(path: Path, *, tunnels: bool, flows: int, seed: int) -> Path:
    """A capture of so many connections of one kind."""
    draw, frames = random.Random(seed), []
    for flow in range(flows):
        now, sport, numbers = 1_700_000_000.0 + flow, 20_000 + flow, {True: 100, False: 500}
        for flags, client in (("S", True), ("SA", False), ("A", True)):
            frames.append(_segment(now, sport, numbers, client, flags, b""))
        for client, least, most in TUNNEL if tunnels else PAGE:
            size = draw.randint(least, most)
            now += draw.uniform(0.02, 0.06) if tunnels else draw.uniform(0.001, 0.1)
            text = b"<p>Lorem ipsum dolor sit amet</p>\n" * 60
            frames.append(_segment(now, sport, numbers, client, "PA", draw.randbytes(size) if tunnels else text[:size]))
    wrpcap(str(path), frames)
    return path


def _segment(now: float, sport: int, numbers: dict[bool, int], client: bool, flags: str, data: bytes) -> Ether:
    (source, target), ports = ((CLIENT, SERVER), (sport, 8443)) if client else ((SERVER, CLIENT), (8443, sport))
    ack = numbers[not client] if "A" in flags else 0
    tcp = TCP(sport=ports[0], dport=ports[1], flags=flags, seq=numbers[client], ack=ack)
    frame = (
        Ether() / IP(src=source, dst=target) / tcp / Raw(data) if data else Ether() / IP(src=source, dst=target) / tcp
    )
    frame.time = now
    numbers[client] += len(data) + ("S" in flags)
    return frame
