"""Packets per second by kind of traffic, whole process, against nDPI's own reader (`ndpiReader`, Debian's libndpi-bin).

    python -m benchmarks.kinds [--packets N] [--repeat R] [--corpus DIR]

Generates a capture of each kind, as real clients send it: TLS, QUIC, HTTP, DNS, random payload, SIP with RTP, and all
of them mixed. `--corpus` adds a folder of captures (such as nDPI's own, which `python -m benchmarks.corpus FOLDER`
fetches): those of one link type, concatenated. Both programs read the same file, in separate processes, in turns;
rates are per second of processor time.
"""

from __future__ import annotations

import argparse
import random
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Final
from urllib.parse import urlsplit

from benchmarks.corpus import captures, merge
from benchmarks.table import Figure, engine, load, markdown, number
from shutdownlab.config.numbers import TCP, UDP
from shutdownlab.inspection.forge import flag_bits, ip_packet, tcp_body, udp_body
from shutdownlab.verifier import speech

_ETHERNET: Final = bytes.fromhex("0200000000020200000000010800")
_READER: Final = "ndpiReader"
_OURS: Final = (sys.executable, "-P", "-c", "from shutdownlab.cli import main; main()", "inspect", "--summary")
_WITHIN: Final = 2.0
"""The target: by what factor a kind may be slower than the median."""

Flow = list[tuple[bool, bytes]]
"""Payloads in order; True for the client's."""


def _tls(draw: random.Random) -> Flow:
    name = f"www{draw.randrange(5000)}.example.org"
    return [(True, speech.client_hello(name, ("h2", "http/1.1"))), (False, speech.server_hello())]


def _http(draw: random.Random) -> Flow:
    url = urlsplit(f"http://www{draw.randrange(5000)}.example.org/page/{draw.randrange(100)}")
    return [(True, speech.http_request("GET", url)), (False, speech.http_response(b"<p>text</p>" * 60))]


def _random(draw: random.Random) -> Flow:
    return [(True, draw.randbytes(draw.randrange(200, 1200))), (False, draw.randbytes(draw.randrange(200, 1200)))]


def _quic(draw: random.Random) -> Flow:
    initial = speech.quic_initial(f"www{draw.randrange(40)}.example.org")
    return [*((True, datagram) for datagram in initial), (False, speech.quic_handshake())]


def _dns(draw: random.Random) -> Flow:
    name = f"www{draw.randrange(5000)}.example.org"
    return [(True, speech.dns_query(name, 4)), (False, speech.dns_answer(name, 4, ("192.0.2.1",)))]


def _sip_and_rtp(draw: random.Random) -> Flow:
    """Returns an invitation (RFC 3261, 24.2) or a call's media: 20 ms of speech per packet (RFC 3550, payload 0)."""
    if draw.random() < 0.2:
        call = draw.randrange(1 << 32)
        heads = (
            f"Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK{call}",
            "From: <sip:100@example.org>;tag=1",
            "To: <sip:200@example.org>",
            f"Call-ID: {call}@10.0.0.1",
            "CSeq: 1 INVITE",
            "Max-Forwards: 70",
            "Contact: <sip:100@10.0.0.1>",
            "Content-Length: 0",
        )
        return [(True, "\r\n".join(("INVITE sip:200@example.org SIP/2.0", *heads, "", "")).encode())]
    source, first = draw.randrange(1 << 32), draw.randrange(1 << 15)
    return [
        (
            step % 2 == 0,
            struct.pack("!BBHII", 0x80, 0, first + step // 2, 160 * step // 2, source) + draw.randbytes(160),
        )
        for step in range(8)
    ]


def _rtp(sequence: int, timestamp: int, source: int) -> bytes:
    return struct.pack("!BBHII", 0x80, 0, sequence, timestamp, source)


_KINDS: Final[dict[str, tuple[int, int, Callable[[random.Random], Flow]]]] = {
    "TLS": (TCP, 443, _tls),
    "QUIC": (UDP, 443, _quic),
    "HTTP": (TCP, 80, _http),
    "DNS": (UDP, 53, _dns),
    "random payload": (TCP, 8443, _random),
    "SIP and RTP": (UDP, 5060, _sip_and_rtp),
}
MIXED: Final = "mixed"


def _frames(index: int, proto: int, port: int, flow: Flow) -> Iterator[bytes]:
    """Yields the frames of one connection; for TCP with its handshake."""
    client = bytes((10, (index >> 16) & 0xFF, (index >> 8) & 0xFF, index & 0xFF))
    server, own = bytes((203, 0, 113, index % 250 + 1)), 1024 + index % 60000
    numbers = {True: 1, False: 1}

    def frame(ours: bool, flags: str, data: bytes) -> bytes:
        source, target = (client, server) if ours else (server, client)
        ports = (own, port) if ours else (port, own)
        if proto == UDP:
            return _ETHERNET + ip_packet(source, target, UDP, udp_body(source, target, *ports, data), ttl=64, ipid=1)
        bits = flag_bits(flags)
        body = tcp_body(source, target, *ports, numbers[ours], numbers[not ours], bits, 64240, data)
        return _ETHERNET + ip_packet(source, target, TCP, body, ttl=64, ipid=1)

    if proto == TCP:
        numbers = {True: 0, False: 0}
        yield frame(True, "S", b"")
        numbers[True] = 1
        yield frame(False, "SA", b"")
        numbers[False] = 1
        yield frame(True, "A", b"")
    for ours, data in flow:
        yield frame(ours, "PA", data)
        numbers[ours] += len(data)


def write_capture(path: Path, kind: str, packets: int) -> int:
    """Writes a capture of a kind with at least `packets` packets, eight connections interleaved; returns how many."""
    draw, written, index = random.Random(1), 0, 0
    with path.open("wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
        while written < packets:
            group = []
            for _ in range(8):
                proto, port, flow = _KINDS[kind] if kind != MIXED else draw.choice(list(_KINDS.values()))
                group.append(list(_frames(index, proto, port, flow(draw))))
                index += 1
            for step in range(max(map(len, group))):
                for frames in group:
                    if step < len(frames):
                        length = len(frames[step])
                        head = struct.pack("<IIII", written // 100_000, written % 100_000 * 10, length, length)
                        out.write(head + frames[step])
                        written += 1
    return written


def _seconds(argv: list[str]) -> float:
    """Returns the processor seconds that a command takes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(file: Path, packets: int, repeat: int) -> tuple[list[float], list[float]]:
    """Measures in turns; returns packets per second of our engine and of nDPI (empty if that is not installed)."""
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(repeat):
        ours.append(packets / _seconds([*_OURS, str(file)]))
        if shutil.which(_READER):
            theirs.append(packets / _seconds([_READER, "-q", "-i", str(file)]))
    return ours, theirs


def version() -> str:
    """Returns the version of nDPI's reader, as it prints it, or that it is not installed."""
    if not shutil.which(_READER):
        return f"{_READER} is not installed (libndpi-bin)."
    said = subprocess.run([_READER, "-h"], capture_output=True, text=True, check=False).stdout
    return f"{said.split(chr(10), 1)[0].removeprefix('Welcome to ')}."


def run(packets: int, repeat: int, corpus: Path | None) -> int:
    """Measures all kinds and prints the table; returns 0, or 2 if the corpus has no readable capture."""
    figures: list[Figure] = []
    rates: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        for kind in (*_KINDS, MIXED, *(("corpus",) if corpus else ())):
            if corpus and kind == "corpus":
                merged = merge(captures(corpus), place)
                if merged is None:
                    print(f"no capture in {corpus} is read", file=sys.stderr)
                    return 2
                file, count = merged
            else:
                file = place / "kind.pcap"
                count = write_capture(file, kind, packets)
            ours, theirs = measure(file, count, repeat)
            rates[kind] = median(ours)
            ratio = f"nDPI: {number(median(theirs))}, so {median(ours) / median(theirs):.2f} times it" if theirs else ""
            figures.append(Figure(kind, "packets/s", ours, ratio))
    made = [rate for kind, rate in rates.items() if kind in _KINDS]
    slow = [kind for kind in _KINDS if rates[kind] * _WITHIN < median(made)]
    told = f"Slower than half of the median: {', '.join(slow)}." if slow else "All kinds are within 2 times the median."
    print(markdown("Inspection by kind of traffic", figures, f"{engine()} {version()} {told} Load average: {load()}."))
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--packets", type=int, default=200_000, help="of each kind (default %(default)s)")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each (default %(default)s)")
    parser.add_argument("--corpus", type=Path, help="a folder of captures, measured as one more kind")
    given = parser.parse_args()
    return run(given.packets, given.repeat, given.corpus)


if __name__ == "__main__":
    sys.exit(main())
