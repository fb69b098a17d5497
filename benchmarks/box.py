"""Measures a DPI box by itself, on one core: packets and new connections per second, and the latency that it adds.

    python -m benchmarks.box [--runs 5] [--connections 2000]

A running box between two hosts; frames cross it as in an emulated country (checksums left to offload), with enough in
flight that the box never waits. The box has a core of its own if the machine has two. Its rate is given by wall time
and by its own processor time, which other work on the machine disturbs less. The profile is `perfect`, which
reassembles and validates everything, with rules for 1,000 names. No switch offloads decided connections here.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import struct
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Final

from mininet.topo import Topo

from benchmarks.inspection import connection
from benchmarks.table import Figure, engine, load, markdown
from shutdownlab.box.dpi_box import BoxSpec, DpiBox
from shutdownlab.box.inspector import engine_maker
from shutdownlab.inspection.policy import InspectionPolicy
from shutdownlab.network.net import EmulatedNetwork
from shutdownlab.protocol.messages import Counters, decode, encode
from shutdownlab.system.child_process import Child, Forked, fork
from shutdownlab.system.kernel import MachineCannot
from shutdownlab.system.packet_socket import Batch, PacketSocket, open_wire
from shutdownlab.system.sandbox import run_in_sandbox
from shutdownlab.system.vnet_header import NEEDS_CSUM

_IP: Final = 14
_TCP: Final = _IP + 20
_OFFLOADED: Final = struct.pack("=BBHHHH", NEEDS_CSUM, 0, 0, 0, _TCP, 16)
_CLIENT: Final = 10
"""First byte of the clients' addresses that `connection` uses."""

_UNDER_WAY: Final = 128
_OPENING: Final = 4
"""SYN, SYN/ACK, ACK, ClientHello."""

_DEADLINE_S: Final = 20.0
_SINGLE: Final = 1500
"""Packets per run whose latency is measured, up to and including the ClientHello; as many are measured after it."""

Sent = tuple[int, bytes]
"""The side that a frame starts from (0 inside, 1 outside), and the frame with its offload header."""


def policy() -> InspectionPolicy:
    """Returns rules for 1,000 names, none of which the traffic contains."""
    names = [f"blocked{number}.example" for number in range(1000)]
    rule = {"name": "names", "when": {"name_suffix": names}, "verdict": {"action": "drop"}}
    return InspectionPolicy.model_validate({"name": "benchmark", "rules": [rule]})


def traffic(first: int, connections: int, packets: int | None) -> Iterator[Sent]:
    """Yields the packets of connections numbered from `first`, eight interleaved; only the first `packets` of each."""
    for start in range(first, first + connections, 8):
        group = [connection(number, True)[:packets] for number in range(start, min(start + 8, first + connections))]
        for step in range(len(group[0])):
            for frames in group:
                frame = frames[step]
                yield int(frame[_IP + 12] != _CLIENT), _OFFLOADED + frame


class Street:
    """A box between two hosts, or a cable in its place."""

    def __init__(self, with_box: bool) -> None:
        topo = Topo()
        left, right = topo.addHost("left", ip=None), topo.addHost("right", ip=None)
        self.box: Forked | None = None
        if not with_box:
            topo.addLink(left, right, intfName1="wire", intfName2="wire")
            self.net = EmulatedNetwork(topo, management=None)
        else:
            middle = topo.addHost("middle", ip=None)
            topo.addLink(left, middle, intfName1="wire", intfName2="inside")
            topo.addLink(middle, right, intfName1="outside", intfName2="wire")
            self.net = EmulatedNetwork(topo, management=None)
            spec = BoxSpec("box", self.net.get("middle").namespace.path, "inside", "outside", "perfect")
            self.box = _start(spec)
            self.box.wait_ready()
        self.ends = tuple(open_wire(self.net.get(name).namespace.path, "wire") for name in ("left", "right"))
        self.counters: Mapping[str, Any] = {}
        """The box's counters, once it is closed."""
        self._batch = Batch(64)

    def close(self) -> None:
        for wire in self.ends:
            wire.close()
        said = self.box.stop() if self.box is not None else []
        self.counters = next((message.counters for message in map(decode, said) if isinstance(message, Counters)), {})
        if self.box is not None:
            self.box.close()
        self.net.stop()

    def busy(self) -> float:
        """Returns the processor seconds that the box has used."""
        assert self.box is not None
        fields = Path(f"/proc/{self.box.pid}/schedstat").read_text().split()
        return int(fields[0]) / 1e9

    def _arrived(self, wire: PacketSocket) -> int:
        return self._batch.read(wire)

    def pour(self, frames: Sequence[Sent]) -> float:
        """Sends frames, with at most `_UNDER_WAY` in flight, until all have arrived; returns the seconds it took."""
        begin = time.perf_counter()
        deadline = begin + _DEADLINE_S
        sent = arrived = 0
        while arrived < len(frames):
            while sent < len(frames) and sent - arrived < _UNDER_WAY:
                side, frame = frames[sent]
                self.ends[side].send(frame)
                sent += 1
            left = deadline - time.perf_counter()
            ready = select.select(self.ends, [], [], max(left, 0.0))[0]
            if not ready:
                raise RuntimeError(f"{arrived} of {len(frames)} frames arrived within {_DEADLINE_S:g} s")
            for wire in ready:
                arrived += self._arrived(wire)
        return time.perf_counter() - begin

    def single(self, sent: Sent) -> float:
        """Sends one frame; returns the seconds until it arrives."""
        side, frame = sent
        target = self.ends[1 - side]
        begin = time.perf_counter()
        self.ends[side].send(frame)
        if not select.select([target], [], [], _DEADLINE_S)[0] or not self._arrived(target):
            raise RuntimeError(f"a frame did not arrive within {_DEADLINE_S:g} s")
        return time.perf_counter() - begin


def _start(spec: BoxSpec) -> Forked:
    """Starts the box in a process as `start_box` does, but with rules from the start, and on the last core."""
    make, rules = engine_maker(), policy()

    def main(child: Child) -> None:
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        box = DpiBox(spec, make, lambda message: child.send(encode(message)), rules)
        child.ready()
        box.serve(child.stop_fd)
        child.send(encode(Counters(spec.name, box.counters())))
        box.close()

    return fork("box", main)


@contextmanager
def _street(with_box: bool) -> Iterator[Street]:
    street = Street(with_box)
    try:
        yield street
    finally:
        street.close()


def _rates(seen: dict[str, list[float]], connections: int, first: int) -> None:
    with _street(True) as street:
        for name, packets in (("packets", None), ("connections", _OPENING)):
            frames = list(traffic(first, connections, packets))
            street.pour(list(traffic(first + 1_000_000, 64, packets)))  # warm
            before = street.busy()
            seconds = street.pour(frames)
            count = len(frames) if packets is None else connections
            seen[name].append(count / seconds)
            seen[f"{name} busy"].append(count / (street.busy() - before))
            first += connections
    recognised = street.counters["engine"]["protocols"].get("tls", 0)
    if recognised < 2 * connections:
        raise RuntimeError(f"the box saw {recognised} ClientHellos of {2 * connections}: it did not inspect")


def _latencies(seen: dict[str, list[float]], first: int) -> None:
    """Measures packets before the ClientHello (undecided), the ClientHello, and packets after it (decided)."""
    for with_box in (False, True):
        took: dict[str, list[float]] = {"undecided": [], "hello": [], "decided": []}
        with _street(with_box) as street:
            number = first
            while len(took["hello"]) < _SINGLE // _OPENING:
                for step, sent in enumerate(traffic(number, 1, 2 * _OPENING)):
                    kind = "decided" if step >= _OPENING else "hello" if step == _OPENING - 1 else "undecided"
                    took[kind].append(street.single(sent))
                number += 1
        for kind, seconds in took.items():
            seen[f"{kind} {'box' if with_box else 'cable'}"].append(median(seconds) * 1e6)


def measure(payload: Mapping[str, Any]) -> int:
    """In the sandbox: measures, and writes the figures to the file `result`."""
    names = ["packets", "packets busy", "connections", "connections busy"]
    names += [f"{kind} {way}" for kind in ("undecided", "hello", "decided") for way in ("box", "cable")]
    seen: dict[str, list[float]] = {name: [] for name in names}
    cores = os.sched_getaffinity(0)
    for number in range(payload["runs"]):
        os.sched_setaffinity(0, cores)
        _rates(seen, payload["connections"], number * 4_000_000 % 12_000_000)
        _latencies(seen, 2_000_000)
    Path(payload["result"]).write_text(json.dumps(seen))
    return 0


def _figures(seen: Mapping[str, Sequence[float]]) -> list[Figure]:
    added = {
        kind: [with_box - cable for with_box, cable in zip(seen[f"{kind} box"], seen[f"{kind} cable"], strict=True)]
        for kind in ("undecided", "hello", "decided")
    }
    return [
        Figure("whole connections (20 packets)", "packets/s", seen["packets"], "≥ 50,000"),
        Figure("the same", "packets/s of its processor time", seen["packets busy"]),
        Figure("new connections (4 packets, one a ClientHello)", "connections/s", seen["connections"], "≥ 5,000"),
        Figure("the same", "connections/s of its processor time", seen["connections busy"]),
        Figure("latency added to a packet of the handshake", "µs, median", added["undecided"], "≤ 500 µs"),
        Figure("latency added to the ClientHello, which decides", "µs, median", added["hello"], "≤ 500 µs"),
        Figure("latency added to a decided packet still in the box", "µs, median", added["decided"]),
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Measures and prints; returns 0, 1 if it failed, 3 if the machine lacks something."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.box", description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--connections", type=int, default=2000, help="in each run (default 2000)")
    options = parser.parse_args(argv)
    before = load()
    with TemporaryDirectory(prefix="shutdownlab-benchmark-") as place:
        result = Path(place) / "result"
        payload = {"runs": options.runs, "connections": options.connections, "result": str(result)}
        try:
            status = run_in_sandbox("benchmarks.box:measure", payload, run_dir=Path(place))
        except MachineCannot as problem:
            print(problem, file=sys.stderr)
            return 3
        if status:
            return 1
        seen = json.loads(result.read_text())
    notes = f"Load average: {before} before, {load()} after (its own included). {engine()}"
    print(markdown("A DPI box on one core", _figures(seen), notes))
    return 0


if __name__ == "__main__":
    sys.exit(main())
