"""Fuzz every parser of the inspection layer, and the engine over whole frames.

    python tests/fuzz/fuzz_inspection.py --packets 1000000 [--seed 1] [--workers 2]
    python tests/fuzz/fuzz_inspection.py --atheris -max_total_time=300 [CORPUS]     # coverage-guided, needs atheris

An exception, an input that takes longer than `STALL` seconds of processor time, or memory growing beyond `GROWTH` ends
the run with status 1 and the input in hexadecimal. Prints one JSON object. The short run in the tests uses `fuzz`.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import struct
import sys
import time
import traceback
from dataclasses import dataclass

from fuzz_mutator import Mutator
from fuzz_seeds import TCP_SEEDS, UDP_SEEDS, certificate, hello, quic_frames, seal

from shutdownlab.inspection.catalogue import AppCatalogue
from shutdownlab.inspection.engine import Engine, Side
from shutdownlab.inspection.policy import load_policy
from shutdownlab.inspection.profile import shipped_profile
from shutdownlab.inspection.recognisers.certificate import certificate_names, names_of
from shutdownlab.inspection.recognisers.ja4 import ja4
from shutdownlab.inspection.recognisers.names import host_name
from shutdownlab.inspection.recognisers.quic_protection import V1, V2
from shutdownlab.inspection.recognition import (
    TOLERANT,
    Recognition,
    Tolerance,
    installed_recognisers,
    recognise_tcp,
    udp_session,
)
from shutdownlab.inspection.vocabulary import profile_names

STALL = 0.5
"""Seconds of processor time one input may take (the largest stream is 64 KiB)."""
GROWTH = 300 << 10
"""KiB of resident memory a run may grow by, flow tables of every profile included."""

POLICY = b"""
format: 1
name: fuzz
rules:
  - name: names
    when: {name_suffix: [blocked.example], port: 443}
    verdict: {action: reset, to: both, residual: {seconds: 60s}}
  - name: questions
    when: {protocol: dns, name_regex: ["fuz+"]}
    verdict: {action: dns, rcode: NXDOMAIN, race: true}
  - name: pages
    when: {url_contains: [path]}
    verdict: {action: block-page}
  - name: slow
    when: {protocol: [ssh, quic]}
    verdict: {action: throttle, rate: 150kbit}
  - name: frozen
    when: {protocol: [bittorrent, fet]}
    verdict: {action: freeze, cap_bytes: 100}
  - name: keywords
    when: {keyword: [forbidden]}
    verdict: drop
  - name: answers
    when: {answer: [0.0.0.0/1, "2000::/4"], not: {cname: [fuzz.example]}}
    verdict: drop
  - name: software
    when: {user_agent: [curl, "4"], not: {name_contains: fuzz, port: [80, 8080]}}
    verdict: reset
  - name: odd
    when: {protocol_except: [tls, http, dns], port: [53, 80, 443], probability: 0.5}
    verdict: drop
"""


@dataclass
class Failure(Exception):
    """What went wrong, and the input that did it."""

    target: str
    data: bytes
    what: str

    def __str__(self) -> str:
        return f"{self.target}: {self.what}\n  input: {self.data.hex()}"


STRICT = Tolerance(**{name: False for name in Tolerance.model_fields if name != "quic_datagrams"})


def check(found: Recognition, tolerance: Tolerance = TOLERANT) -> None:
    """What holds for every recognition, whatever the input."""
    assert found.protocol in installed_recognisers().protocols, found.protocol
    host = found.host
    if host is not None:
        assert host, "an empty host"
        assert host == host.lower(), host
        assert host.isascii(), host
        assert not tolerance.trailing_dot or not host.endswith("."), host
        assert len(host) <= 4 * 255, host  # a byte that is no text is four characters
    fingerprint = found.ja4
    assert fingerprint is None or len(fingerprint) == 36, fingerprint
    entropy = found.entropy
    assert entropy is None or -0.001 <= entropy <= 8.001, entropy


def parse_tcp(client: bytes, server: bytes, port: int) -> None:
    check(recognise_tcp(client, server, port))
    check(recognise_tcp(client, server, port, STRICT), STRICT)


def parse_udp(payloads: list[bytes], port: int) -> None:
    for tolerance in (TOLERANT, STRICT):
        recogniser = udp_session(tolerance)
        for index, payload in enumerate(payloads):
            check(recogniser.feed(payload, index != 1, port), tolerance)


def parse_pieces(data: bytes) -> None:
    """The parsers that only deeper layers call."""
    assert all(name == name.lower() for name in names_of(data))
    certificate_names(data)
    ja4(data, "t")
    ja4(data, "d")
    host_name(data[:300])


ADDRESSES = (b"\x64\x40\x01\x02", b"\xc0\x00\x02\x0a")


def frame(payload: bytes, proto: int, dport: int, seq: int, flags: int, outbound: bool, kind: int) -> bytes:
    """Ethernet, IPv4 or IPv6, TCP or UDP around a payload; checksums are left zero."""
    ports = (40000, dport) if outbound else (dport, 40000)
    if proto == 6:
        transport = struct.pack("!HHIIBBHHH", *ports, seq & 0xFFFFFFFF, 1, 0x50, flags, 8192, 0, 0) + payload
    else:
        transport = struct.pack("!HHHH", *ports, (8 + len(payload)) & 0xFFFF, 0) + payload
    source, target = ADDRESSES if outbound else ADDRESSES[::-1]
    if kind == 1:
        header = struct.pack("!IHBB", 0x60000000, len(transport) & 0xFFFF, proto, 64)
        return bytes(12) + b"\x86\xdd" + header + source * 4 + target * 4 + transport
    header = struct.pack("!BBHHHBBH", 0x45, 0, (20 + len(transport)) & 0xFFFF, 7, 0, 64, proto, 0) + source + target
    tag = b"\x81\x00\x00\x05" if kind == 2 else b""
    return bytes(12) + tag + b"\x08\x00" + header + transport


def engines() -> list[Engine]:
    """One engine a shipped profile."""
    policy = load_policy(POLICY, "fuzz")
    apps = AppCatalogue()
    return [
        Engine(policy, shipped_profile(name), seed=1, apps=apps, classify=index % 2 == 0)
        for index, name in enumerate(profile_names())
    ]


class Fuzzer:
    """Feeds mutated packets to all targets in turn."""

    def __init__(self, seed: int) -> None:
        self.mutator = Mutator(seed)
        self.rng = self.mutator.rng
        self.engines = engines()
        self.streams = [seed[0] for seed in TCP_SEEDS] + [seed[1] for seed in TCP_SEEDS if seed[1]]
        self.datagrams = [seed[0] for seed in UDP_SEEDS]
        self.pieces = [certificate(), hello(), hello(dtls=True), b"xn--e1afmkfd.xn--p1ai", "қаз.қаз".encode()]
        self.now = 0.0
        self.slowest = 0.0

    def step(self) -> int:
        """One input to one target; how many packets it was."""
        choice = self.rng.randrange(10)
        if choice < 4:
            return self._stream()
        if choice < 7:
            return self._datagrams()
        if choice < 8:
            data = self.mutator.mutate(self.rng.choice(self.pieces), self.pieces)
            self._timed("pieces", data, lambda: parse_pieces(data))
            return 1
        return self._frames()

    def _timed(self, target: str, data: bytes, call) -> None:  # type: ignore[no-untyped-def]
        start = time.process_time()
        try:
            call()
        except Exception as error:
            raise Failure(target, data, "".join(traceback.format_exception(error))) from None
        spent = time.process_time() - start
        self.slowest = max(self.slowest, spent)
        if spent > STALL:
            raise Failure(target, data, f"took {spent:.2f} s")

    def _stream(self) -> int:
        client, server, port = self.rng.choice(TCP_SEEDS)
        client = self.mutator.mutate(client, self.streams)
        server = self.mutator.mutate(server, self.streams) if self.rng.random() < 0.5 else server
        self._timed("tcp", client + b"|" + server, lambda: parse_tcp(client, server, port))
        return 1

    def _datagrams(self) -> int:
        payload, port = self.rng.choice(UDP_SEEDS)
        if self.rng.random() < 0.3:
            # Mutate beneath the encryption, where only a well-sealed packet gets to.
            frames = self.mutator.mutate(quic_frames())
            version = self.rng.choice((V1, V2))
            payloads = [seal(frames, version), seal(self.mutator.mutate(frames), version, 1)]
            port = 443
        else:
            count = self.rng.choice((1, 1, 2, 4))
            payloads = [self.mutator.mutate(payload, self.datagrams) for _ in range(count)]
        self._timed("udp", b"|".join(payloads), lambda: parse_udp(payloads, port))
        return len(payloads)

    def _frames(self) -> int:
        """A short connection with mutated payloads and headers through one of the engines."""
        rng = self.rng
        kind = rng.randrange(3)
        if rng.random() < 0.5:
            client, server, port = rng.choice(TCP_SEEDS)
            client = self.mutator.mutate(client, self.streams)
            cut = rng.randrange(len(client) + 1)
            frames = [frame(b"", 6, port, 100, 0x02, True, kind), frame(b"", 6, port, 500, 0x12, False, kind)]
            pieces = [(101, client[:cut]), (101 + cut, client[cut:]), (101 + rng.randrange(-5, 50), client)]
            rng.shuffle(pieces)
            frames += [frame(piece, 6, port, seq, 0x18, True, kind) for seq, piece in pieces]
            frames.append(frame(server, 6, port, 501, 0x18, False, kind))
        else:
            payload, port = rng.choice(UDP_SEEDS)
            frames = [frame(self.mutator.mutate(payload, self.datagrams), 17, port, 0, 0, True, kind) for _ in range(2)]
        frames = [self.mutator.mutate(one) if rng.random() < 0.3 else one for one in frames]
        self.now += 400.0 if rng.random() < 0.002 else rng.choice((0.0, 0.001, 0.01))
        engine = rng.choice(self.engines)
        trusted = rng.random() < 0.5
        for index, one in enumerate(frames):
            side = Side.INSIDE if index != 1 else Side.OUTSIDE
            self._timed(
                f"engine {engine.profile.name}",
                one,
                lambda f=one, s=side: engine.process(f, s, self.now, checksum_trusted=trusted),
            )
        engine.expire(self.now)
        return len(frames)


def fuzz(packets: int, seed: int) -> dict[str, float]:
    """Feed at least `packets` packets; raises `Failure`. Returns figures of the run."""
    fuzzer = Fuzzer(seed)
    for _ in range(200):
        fuzzer.step()  # caches and engines are filled before memory is looked at
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    done = 0
    while done < packets:
        done += fuzzer.step()
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    if grown > GROWTH:
        raise Failure("memory", b"", f"grew by {grown // 1024} MiB in {done} packets")
    seconds = time.perf_counter() - start
    return {
        "packets": done,
        "seed": seed,
        "seconds": round(seconds, 1),
        "slowest_ms": round(1000 * fuzzer.slowest, 1),
        "grown_mib": round(grown / 1024, 1),
    }


def _worker(arguments: tuple[int, int]) -> dict[str, float] | str:
    try:
        return fuzz(*arguments)
    except Failure as failure:
        return str(failure)
    except Exception as error:  # must travel between processes as text
        return "".join(traceback.format_exception(error))


def guided(arguments: list[str]) -> None:
    """Coverage-guided: the first byte chooses the target, the rest is the input."""
    import atheris  # type: ignore[import-untyped,import-not-found,unused-ignore]

    chosen = engines()

    def one(data: bytes) -> None:
        target, rest = data[:1], data[1:]
        number = target[0] if target else 0
        port = (443, 80, 53, 5060, 1194, 5353, 853, 4444)[number & 7]
        match (number >> 3) % 6:
            case 0:
                parse_tcp(rest, b"", port)
            case 1:
                parse_tcp(TCP_SEEDS[0][0], rest, port)
            case 2:
                parse_udp([rest], port)
            case 3:
                parse_udp([seal(rest)], 443)
            case 4:
                parse_pieces(rest)
            case _:
                for engine in chosen:
                    engine.process(rest, Side.INSIDE, 0.0)

    atheris.instrument_all()
    atheris.Setup([sys.argv[0], *arguments], one)
    atheris.Fuzz()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packets", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--atheris", action="store_true", help="coverage-guided; further arguments go to libFuzzer")
    options, rest = parser.parse_known_args()
    if options.atheris:
        guided(rest)
        return 0
    if rest:
        parser.error(f"unknown argument {rest[0]}")
    share = -(-options.packets // options.workers)
    with multiprocessing.Pool(options.workers) as pool:
        reports = pool.map(_worker, [(share, options.seed + number) for number in range(options.workers)])
    failures = [report for report in reports if isinstance(report, str)]
    print(json.dumps({"runs": [r for r in reports if not isinstance(r, str)], "failures": len(failures)}, indent=1))
    for failure in failures:
        print(failure, file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
