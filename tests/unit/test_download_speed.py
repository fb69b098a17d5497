"""How fast a download was: what lay unread while the machine was busy is no sign of a fast line."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from types import SimpleNamespace

import pytest

from shutdownlab.measure.belief import Try, judge
from shutdownlab.model.scenario import Family, Outcome
from shutdownlab.model.tool import ToolUse
from shutdownlab.probes import program, session
from shutdownlab.probes.conclusion import Conclusion
from shutdownlab.probes.equipment import Equipment
from shutdownlab.probes.session import ProbeSession
from shutdownlab.probes.throughput import DownloadMeter, concluded
from shutdownlab.protocol.probing import ProbeRequest
from shutdownlab.tools.using import Exit, Using, through


def measured(*, at_once: int, then: int, waited: float) -> Conclusion:
    """A download of octets that are there when the probe first looks, and of some a quarter of a second later.

    waited: how long the probe had no processor before it looked, in seconds.
    """
    told: Iterator[float] = iter((1.0, 1.0 + waited))

    async def receive() -> Conclusion:
        meter = DownloadMeter(1.0, lambda: next(told))
        meter.count(at_once)
        began = asyncio.get_running_loop().time()
        await asyncio.sleep(0.25)
        meter.count(then)
        assert meter.elapsed >= 0.24 and asyncio.get_running_loop().time() >= began + 0.24
        return concluded(meter, 1600, 0.0, "kbit/s")

    return asyncio.run(receive())


def test_a_slow_line_is_throttled_and_a_fast_one_is_not() -> None:
    slow = measured(at_once=1_400, then=20_000, waited=0.0)
    assert (slow.outcome, slow.doubtful) == (Outcome.THROTTLED, True)
    assert slow.margin == pytest.approx(0.25 - 8 * 21_400 / 1_600_000, abs=0.1), "what else it may have lost"
    fast = measured(at_once=1_400, then=500_000, waited=0.0)
    assert (fast.outcome, fast.doubtful, fast.failure) == (Outcome.OK, False, None)
    assert fast.margin == pytest.approx(8 * 501_400 / 1_600_000 - 0.25, abs=0.1), "what else it may have needed"


def test_what_came_all_at_once_after_a_wait_says_nothing_of_a_slow_line() -> None:
    lump = measured(at_once=100_000, then=20_000, waited=0.8)  # 1 Mbit/s for 1.05 s, or nearly 4 in a quarter
    assert (lump.outcome, lump.doubtful, lump.unit) == (Outcome.UNKNOWN, True, "kbit/s")
    assert lump.failure is not None and "kept this probe waiting 0.80 s" in lump.failure


def test_a_wait_takes_nothing_from_a_line_that_is_fast_all_the_same() -> None:
    assert measured(at_once=100_000, then=400_000, waited=0.8).outcome is Outcome.OK


def test_two_tries_that_could_not_tell_are_not_believed_and_a_third_that_can_is() -> None:
    twice = [Try(Outcome.UNKNOWN, 0.0, 1.0, doubtful=True), Try(Outcome.UNKNOWN, 2.0, 3.0, doubtful=True)]
    assert not judge(twice, {}).believed
    assert judge([*twice, Try(Outcome.OK, 4.0, 5.0)], {}).believed


def trickles(listener: socket.socket, at_once: int, asked: Callable[[], None]) -> None:
    """Answer one request with octets at once, and a few more each twentieth of a second until nobody reads on."""
    taken, _ = listener.accept()
    with taken:
        taken.recv(4096)
        asked()
        taken.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n" + bytes(at_once))
        try:
            while True:
                time.sleep(0.05)
                taken.sendall(bytes(2_000))
        except OSError:
            return


@pytest.mark.parametrize(("waited", "outcome"), [(0.0, Outcome.OK), (0.8, Outcome.UNKNOWN)])
def test_what_lay_at_a_tools_client_that_had_no_processor_says_nothing_of_a_slow_line(
    waited: float, outcome: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = threading.Event()  # once the page is asked for, the client has no processor
    waits = SimpleNamespace(read=lambda: waited if asked.is_set() else 0.0)
    monkeypatch.setattr(program, "ProgramWaitedTime", lambda pid: waits)
    found = fetched_through_a_client(lambda pid: asked.set(), monkeypatch)
    assert found.outcome is outcome
    if outcome is Outcome.UNKNOWN:
        assert found.doubtful and found.failure is not None and "kept this probe waiting 0.80 s" in found.failure


def test_what_lay_at_a_tools_client_that_was_stopped_before_its_first_octet_says_nothing_of_a_slow_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The line fills what the kernel keeps for the client meanwhile, which then comes all at once."""

    def stopped(pid: int) -> None:
        os.kill(pid, signal.SIGSTOP)
        time.sleep(1.5)
        os.kill(pid, signal.SIGCONT)

    found = fetched_through_a_client(stopped, monkeypatch)
    assert found.outcome is Outcome.UNKNOWN and found.doubtful
    assert found.failure is not None and "so its speed is not known" in found.failure


def fetched_through_a_client(asked: Callable[[int], None], monkeypatch: pytest.MonkeyPatch) -> Conclusion:
    """180,000 octets and at most 40,000 more within a second: 1.5 Mbit/s or more, or 0.9 had it taken 0.8 s longer.

    asked: called with the client's process id when the page has been asked for, before any of it is sent.
    """
    monkeypatch.setattr(session, "waited_s", lambda: 0.0)  # what this busy machine keeps the test itself waiting
    clients: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        comes = partial(trickles, listener, 180_000, lambda: asked(clients[0]))
        serving = threading.Thread(target=comes, daemon=True)
        serving.start()

        class Direct:
            async def open(self, address: str, port: int) -> socket.socket:
                sock = socket.create_connection((address, port))
                sock.setblocking(False)
                return sock

        @asynccontextmanager
        async def client(using: Using) -> AsyncIterator[Exit]:
            with using.start("sleep", "600") as started:
                clients.append(started.pid)
                yield Direct()

        port = listener.getsockname()[1]
        url = f"http://127.0.0.1:{port}/bytes/1000000"
        use = ToolUse("x", "127.0.0.1", port, url, "127.0.0.1", "u", timeout=20.0, throttled_below=1000)
        request = ProbeRequest("x", "x", "", family=Family.IPV4, timeout=5.0)

        async def fetch() -> Conclusion:
            return await through(ProbeSession(request, Equipment()), use, client)

        found = asyncio.run(fetch())
        serving.join(20)
    return found
