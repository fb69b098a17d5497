"""A delay line or a prober that gets no turn for a while makes no slow line fast.

What lies before the line is one window of the sender's; what lies before the prober may be more, and so it tells. They
are stopped by a signal: what waits for a processor, is frozen or swapped out does no more.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

import pytest
from cables import Cables

from shutdownlab.measure.confirmation import Prober
from shutdownlab.model.scenario import Outcome
from shutdownlab.network.delay_line import DelayedLink, start_relay
from shutdownlab.probes.equipment import Equipment
from shutdownlab.probes.kinds import Download, Throughput
from shutdownlab.probes.run import run_probe
from shutdownlab.protocol.probing import Measurement, ProbeRequest
from shutdownlab.system.child_process import Forked
from shutdownlab.system.netns import inside
from shutdownlab.system.syscalls import CLONE_NEWNET, setns

SERVER = "192.0.2.1"
LINE_MBIT, BELOW_KBIT = 1.4, 1600
FIRST_WINDOW_KBIT = 8 * 10 * 1448 / 1000
"""RFC 6928: ten segments."""
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + bytes(1_000_000)
REQUEST = ProbeRequest(
    "x", "x", Throughput.runs, Download(f"http://{SERVER}/bytes/1000000", throttled_below=BELOW_KBIT), timeout=5.0
)


@contextmanager
def stopped(pid: int, after_s: float, for_s: float) -> Iterator[None]:
    """Stops a process so long after the context is entered, for so long."""

    def stop() -> None:
        time.sleep(after_s)
        os.kill(pid, signal.SIGSTOP)
        time.sleep(for_s)
        os.kill(pid, signal.SIGCONT)

    stopping = threading.Thread(target=stop)
    stopping.start()
    yield
    stopping.join()


class Line:
    """A caller, a slow line by a delay line, and a server of one large file."""

    def __init__(self, cables: Cables) -> None:
        caller, middle, server = (cables.netns() for _ in range(3))
        cables.veth(caller, "eth0", middle, "near")
        cables.veth(server, "eth0", middle, "far")
        cables.address(caller, "eth0", "192.0.2.2/24")
        cables.address(server, "eth0", f"{SERVER}/24")
        self.caller = caller
        self.prober = Prober()
        with caller.open("rb") as namespace:
            self.prober.start({"caller": lambda: setns(namespace.fileno(), CLONE_NEWNET)})
        self.relay: Forked = start_relay([DelayedLink("line", middle, "near", "far", 20.0, rate_mbit=LINE_MBIT)], 1)
        self.relay.wait_ready(60)
        with inside(server):
            self.listener = socket.create_server((SERVER, 80))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                taken, _ = self.listener.accept()
                with taken, suppress(OSError):
                    taken.recv(4096)
                    taken.sendall(ANSWER)

    def download(self, stopped_after_s: float, stopped_for_s: float) -> Measurement:
        """Measure the line's speed while the delay line is stopped for a part of it."""

        with inside(self.caller), stopped(self.relay.pid, stopped_after_s, stopped_for_s):
            return asyncio.run(run_probe(REQUEST, Equipment()))

    def judged(self, stopped_after_s: float, stopped_for_s: float) -> Measurement:
        """What is believed of the line's speed where the prober is stopped for a part of its first try."""
        with stopped(self.prober.pids["caller"], stopped_after_s, stopped_for_s):
            [(_, _, found)] = self.prober.run({"caller": [replace(REQUEST, alone=True)]})
        return found

    def close(self) -> None:
        self.prober.stop()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.relay.stop()
        self.relay.close()


@pytest.fixture(scope="module")
def line() -> Iterator[Line]:
    with Cables() as cables:
        line = Line(cables)
        yield line
        line.close()


@pytest.mark.parametrize("stopped_after_s", [0.0, 0.03, 0.06, 0.1, 0.15])
def test_what_a_stopped_delay_line_lets_go_all_at_once_makes_no_slow_line_fast(
    line: Line, stopped_after_s: float
) -> None:
    """From before the connection to when the first octets are under way."""
    found = line.download(stopped_after_s, 0.5)
    assert found.outcome in {Outcome.THROTTLED, Outcome.BLOCKED}, found.test_keys.get("x_throughput")
    if found.outcome is Outcome.THROTTLED:
        assert found.doubtful, "a second try must say the same"
        assert found.value is not None and found.value < 1000 * LINE_MBIT * 1.02 + FIRST_WINDOW_KBIT


@pytest.mark.parametrize("stopped_after_s", [0.02, 0.05, 0.08, 0.11, 0.14])
def test_what_lay_before_a_stopped_prober_makes_no_slow_line_fast(line: Line, stopped_after_s: float) -> None:
    """From when it connects to when the first octets come: 64 KiB, its window, may wait for it after a second."""
    found = line.judged(stopped_after_s, 1.5)
    assert found.outcome is Outcome.THROTTLED, (found.failure, found.test_keys.get("x_throughput"))
