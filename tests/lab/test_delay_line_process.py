"""The delay line between real interfaces: its delay is what was asked for, and nothing else changes."""

from __future__ import annotations

import os
import re
import select
import signal
import socket
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cables import Cables

from shutdownlab.country.replies import lost_by
from shutdownlab.network.delay_line import DelayedLink, start_relay
from shutdownlab.protocol.messages import Counters, decode
from shutdownlab.system.child_process import Forked
from shutdownlab.system.packet_socket import Batch, PacketSocket, open_wire

KIND = struct.pack("!H", 0x88B5)  # IEEE 802: local experimental
DEADLINE_S = 60.0


def frame(number: int, length: int = 64) -> bytes:
    return (b"\xff" * 6 + b"\x02\0\0\0\0\1" + KIND + struct.pack("!I", number)).ljust(length, b"\0")


@pytest.fixture
def cables() -> Iterator[Cables]:
    with Cables() as cables:
        yield cables


class Delayed:
    """Links of one relay process, with a wire at each end of each."""

    def __init__(self, cables: Cables, *figures: dict[str, float]) -> None:
        middle = cables.netns()
        ends = cables.netns(), cables.netns()
        links = list[DelayedLink]()
        for i, given in enumerate(figures):
            cables.veth(ends[0], f"left{i}", middle, f"a{i}")
            cables.veth(ends[1], f"right{i}", middle, f"b{i}")
            links.append(DelayedLink(f"link{i}", middle, f"a{i}", f"b{i}", **given))  # type: ignore[arg-type]
        self.relay = start_relay(links, seed=1)
        self.relay.wait_ready()
        self.ends = ends
        self.left = [open_wire(ends[0], f"left{i}") for i in range(len(figures))]
        self.right = [open_wire(ends[1], f"right{i}") for i in range(len(figures))]

    def wakes(self) -> int:
        """Return how often the relay has waited for something."""
        status = Path(f"/proc/{self.relay.pid}/status").read_text()
        return int(re.findall(r"^voluntary_ctxt_switches:\s*(\d+)", status, re.M)[0])

    def close(self) -> dict[str, dict[str, int]]:
        """Stop the relay and return its counters."""
        for wire in (*self.left, *self.right):
            wire.close()
        return stopped(self.relay)


def stopped(relay: Forked) -> dict[str, dict[str, int]]:
    last = decode(relay.stop()[-1])
    relay.close()
    assert isinstance(last, Counters)
    return last.counters


def arrivals(wire: PacketSocket, count: int) -> list[tuple[int, float]]:
    """Return (number, arrival time) of the next `count` frames."""
    batch, found, end = Batch(), list[tuple[int, float]](), time.monotonic() + DEADLINE_S
    while len(found) < count:
        left = end - time.monotonic()
        assert left > 0 and select.select([wire], [], [], left)[0], f"{len(found)} of {count} frames came"
        read = batch.read(wire)
        now = time.monotonic()
        frames = [batch.frame(i) for i in range(read)]
        found += [(struct.unpack_from("!I", data, 14)[0], now) for data in frames if data[12:14] == KIND]
    return found


@pytest.mark.parametrize("delay_ms", [1.0, 5.0, 20.0, 50.0])
def test_the_delay_is_what_was_asked_for(cables: Cables, delay_ms: float) -> None:
    delayed = Delayed(cables, {"delay_ms": delay_ms})
    taken = list[float]()
    for number in range(30):
        start = time.monotonic()
        delayed.left[0].send_frame(frame(number))
        ((_, end),) = arrivals(delayed.right[0], 1)
        taken.append((end - start) * 1000)
    delayed.close()
    assert min(taken) >= delay_ms
    assert min(taken) < delay_ms + 2.0  # the rest of the spread is the machine's other work
    assert statistics.median(taken) < delay_ms + 5


def test_a_busy_line_gathers_frames_and_delays_each_from_when_it_came(cables: Cables) -> None:
    delayed = Delayed(cables, {"delay_ms": 20.0})
    delayed.right[0].close()
    far = open_wire(delayed.ends[1], "right0", stamped=True)
    before, start, sent = delayed.wakes(), time.monotonic(), list[int]()
    for number in range(1000):
        sent.append(time.time_ns())
        delayed.left[0].send_frame(frame(number))
        time.sleep(0.001)
    batch, taken = Batch(stamped=True), list[float]()
    while len(taken) < len(sent):
        assert select.select([far], [], [], DEADLINE_S)[0], f"{len(taken)} of {len(sent)} frames came"
        for i in range(batch.read(far)):
            if (data := batch.frame(i))[12:14] == KIND:
                taken.append((batch.came_ns(i) - sent[struct.unpack_from("!I", data, 14)[0]]) / 1e6)
    woke, lasted = delayed.wakes() - before, time.monotonic() - start
    far.close()
    delayed.close()
    assert min(taken) >= 20.0
    assert statistics.median(taken) < 20.0 + 4.0 + 2.0  # it rests for 4 ms at most
    assert woke < 2 * (250 * lasted + 32) + 50, "a round waits twice at most: for its frames, and to rest"


def test_frames_keep_their_order_and_their_distance_in_both_directions(cables: Cables) -> None:
    delayed = Delayed(cables, {"delay_ms": 30.0})
    for number in range(200):
        delayed.left[0].send_frame(frame(number))
        delayed.right[0].send_frame(frame(1000 + number))
    assert [number for number, _ in arrivals(delayed.right[0], 200)] == list(range(200))
    assert [number for number, _ in arrivals(delayed.left[0], 200)] == list(range(1000, 1200))
    delayed.close()


def test_jitter_spreads_arrivals_and_never_reorders(cables: Cables) -> None:
    delayed = Delayed(cables, {"delay_ms": 10.0, "jitter_ms": 10.0})
    taken = list[float]()
    for number in range(30):
        start = time.monotonic()
        delayed.left[0].send_frame(frame(number))
        ((found, end),) = arrivals(delayed.right[0], 1)
        assert found == number
        taken.append((end - start) * 1000)
    delayed.close()
    assert max(taken) - min(taken) > 5


def test_one_process_serves_many_links_each_with_its_own_delay(cables: Cables) -> None:
    delays = [float(5 + 5 * i) for i in range(12)]
    delayed = Delayed(cables, *({"delay_ms": delay} for delay in delays))
    start = time.monotonic()
    for number, wire in enumerate(reversed(delayed.left)):
        wire.send_frame(frame(number))
    for delay, wire in zip(delays, delayed.right, strict=True):
        ((_, end),) = arrivals(wire, 1)
        assert delay <= (end - start) * 1000 < delay + 15
    delayed.close()


def test_loss_is_counted_and_near_the_share_asked_for(cables: Cables) -> None:
    delayed = Delayed(cables, {"delay_ms": 1.0, "loss": 0.3})
    survived, sent = 0, 0
    for sent in range(1, 1001):
        delayed.left[0].send_frame(frame(sent))
    batch = Batch()
    while select.select([delayed.right[0]], [], [], 0.5)[0]:
        survived += sum(batch.frame(i)[12:14] == KIND for i in range(batch.read(delayed.right[0])))
    counters = delayed.close()
    assert 0.2 < 1 - survived / sent < 0.4
    assert counters["link0:a0"]["lost"] >= sent - survived


def test_a_full_queue_overflows_and_says_so(cables: Cables) -> None:
    delayed = Delayed(cables, {"delay_ms": 200.0, "queue_bytes": 10 * 1010})
    for number in range(15):
        delayed.left[0].send_frame(frame(number, 1000))
    assert [number for number, _ in arrivals(delayed.right[0], 10)] == list(range(10))
    assert delayed.close()["link0:a0"]["overflowed"] == 5


def test_a_rate_limit_is_kept(cables: Cables) -> None:
    delayed = Delayed(cables, {"delay_ms": 1.0, "rate_mbit": 8.0})
    start = time.monotonic()
    for number in range(100):
        delayed.left[0].send_frame(frame(number, 1000))
    _, end = arrivals(delayed.right[0], 100)[-1]
    delayed.close()
    assert 0.101 <= end - start < 0.3  # 100 KB at a megabyte a second, and the delay


@pytest.mark.parametrize(("family", "address"), [(socket.AF_INET, "10.9.0.2"), (socket.AF_INET6, "fd09::2")])
def test_offloaded_tcp_goes_through_uncut_and_with_valid_checksums(
    cables: Cables, family: socket.AddressFamily, address: str
) -> None:
    a, middle, b = cables.netns(), cables.netns(), cables.netns()
    cables.veth(a, "a", middle, "in")
    cables.veth(middle, "out", b, "b")
    cables.address(a, "a", "10.9.0.1/24", "fd09::1/64")
    cables.address(b, "b", "10.9.0.2/24", "fd09::2/64")
    # A receiver that has to verify every checksum itself.
    cables.run(b, "ethtool", "-K", "b", "rx", "off", "gro", "off")
    relay = start_relay([DelayedLink("tso", middle, "in", "out", 2.0)])
    relay.wait_ready()
    sent = bytes(range(256)) * 40_000
    assert cables.through_tcp(a, b, family, address, sent) == sent
    assert cables.tcp_checksum_errors(b) == 0
    counters = stopped(relay)
    assert counters["tso:in"]["received"] < len(sent) / 1400
    assert counters["tso:out"]["refused"] == 0


def test_the_relay_dies_with_its_parent(cables: Cables) -> None:
    middle = cables.netns()
    cables.veth(middle, "a", middle, "b")
    program = (
        "import os, sys; from pathlib import Path; from shutdownlab.network.delay_line import *; "
        f"relay = start_relay([DelayedLink('x', Path('{middle}'), 'a', 'b', 1.0)]); relay.wait_ready(); "
        "print(relay.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    pid = int(done.stdout)
    end = time.monotonic() + DEADLINE_S
    while Path(f"/proc/{pid}").exists() and "State:\tZ" not in Path(f"/proc/{pid}/status").read_text():
        assert time.monotonic() < end, "the relay outlived its parent"
        select.select([], [], [], 0.01)


def test_frames_that_overflow_while_the_process_waits_for_a_processor_are_counted_as_lost(cables: Cables) -> None:
    delayed = Delayed(cables, {"delay_ms": 1})
    assert lost_by(delayed.relay, 30, 0) == 0
    os.kill(delayed.relay.pid, signal.SIGSTOP)
    for number in range(20_000):
        delayed.left[0].send_frame(frame(number, 1500))
    os.kill(delayed.relay.pid, signal.SIGCONT)
    lost = lost_by(delayed.relay, 30, 0)
    assert lost > 0
    assert lost_by(delayed.relay, 30, lost) == 0
    delayed.close()
