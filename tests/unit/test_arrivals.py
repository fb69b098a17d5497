"""Frames of several sockets come out in the order in which they came in."""

from __future__ import annotations

import random
import socket
import time
from contextlib import ExitStack

from shutdownlab.network.arrivals import SETTLED_S, Arrivals, stamp


def test_what_came_first_comes_out_first_whichever_socket_it_waits_in() -> None:
    """Datagram sockets stand in for packet sockets: the kernel stamps both alike."""
    with ExitStack() as stack:
        ends = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(3)]
        for end in ends:
            end.bind(("127.0.0.1", 0))
            stamp(end)
            end.setblocking(False)
        sender = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        order = [random.Random(5).randrange(3) for _ in range(300)]
        arrivals: Arrivals[int] = Arrivals()
        out: list[tuple[int, int, bytes]] = []
        for number, which in enumerate(order):
            sender.sendto(number.to_bytes(2, "big"), ends[which].getsockname())
            if number % 70 == 69:
                began = time.time_ns()
                for each in (2, 0, 1):
                    arrivals.read(ends[each], each, began)
                out += arrivals.settled(began)
        assert len(out) < len(order), "what has just come is held back"
        end = time.monotonic() + 10
        while len(out) + len(arrivals) < len(order):  # a busy kernel delivers what was sent a little later
            assert time.monotonic() < end, "not all has come"
            for each in (2, 0, 1):
                arrivals.read(ends[each], each, None)
        out += arrivals.settled(None)
    assert [int.from_bytes(frame, "big") for _, _, frame in out] == list(range(300))
    assert [tag for _, tag, _ in out] == order
    assert [at for at, _, _ in out] == sorted(at for at, _, _ in out)
    assert not arrivals


def test_a_frame_that_is_read_late_is_still_reported_before_those_after_it() -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as to,
    ):
        end.bind(("127.0.0.1", 0))
        stamp(end)
        end.setblocking(False)
        arrivals: Arrivals[str] = Arrivals()
        began = time.time_ns()  # before the kernel stamps it, however long this process waits then
        to.sendto(b"one", end.getsockname())
        arrivals.read(end, "end", began)
        assert list(arrivals.settled(began)) == []
        assert arrivals
        later = time.time_ns() + int(2 * SETTLED_S * 1e9)
        assert [frame for _, _, frame in arrivals.settled(later)] == [b"one"]
