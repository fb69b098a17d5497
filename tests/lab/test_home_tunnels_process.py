"""The process that carries what those who roam send: through real interfaces and sockets, and what it does not take."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest
from cables import Cables

from shutdownlab.country.replies import lost_by, lost_in
from shutdownlab.network.home_tunnels import Tunnel, TunnelEnd, start_tunnels
from shutdownlab.protocol.messages import Counters, decode
from shutdownlab.system.child_process import Forked

OPERATOR, HOME, GUEST, SITE = "10.9.0.1", "10.9.0.2", "203.0.113.196", "192.0.2.1"
NOBODY, GONE = "10.9.0.77", "203.0.113.198"
"""Where no operator is any more, and a guest of theirs."""


class Roaming:
    """A guest's node and its home's router, a cable between them, and the tunnel over it."""

    def __init__(self, cables: Cables) -> None:
        self.cables, self.guest, self.home = cables, cables.netns(), cables.netns()
        cables.veth(self.guest, "line", self.home, "line")
        for node, outer, inner in ((self.guest, OPERATOR, GUEST), (self.home, HOME, SITE)):
            cables.run(node, "ip", "address", "add", f"{outer}/24", "dev", "line")
            cables.run(node, "ip", "tuntap", "add", "home", "mode", "tun")
            cables.run(node, "ip", "address", "add", f"{inner}/32", "dev", "home")
            cables.run(node, "ip", "link", "set", "home", "mtu", "1464", "up")
        cables.run(self.guest, "ip", "route", "add", "default", "dev", "home")
        for guest in (GUEST, GONE):
            cables.run(self.home, "ip", "route", "add", guest, "dev", "home")
        inner, gone = (ip_address(GUEST).packed,), (ip_address(GONE).packed,)
        of_home = Tunnel(196, HOME, OPERATOR, inner), Tunnel(198, HOME, NOBODY, gone)
        self.process: Forked = start_tunnels(
            {
                "guest": TunnelEnd(self.guest, "home", False, (Tunnel(196, OPERATOR, HOME, inner),)),
                "home": TunnelEnd(self.home, "home", True, of_home),
            }
        )
        self.process.wait_ready()

    def python(self, node: Path, program: str) -> None:
        self.cables.run(node, sys.executable, "-c", program)

    def counted(self) -> dict[str, dict[str, int]]:
        """What it has counted, once it has ended."""
        last = decode(self.process.stop()[-1])
        self.process.close()
        assert isinstance(last, Counters)
        return {name: dict(end) for name, end in last.counters.items()}


@pytest.fixture
def roaming() -> Iterator[Roaming]:
    with Cables() as cables:
        yield Roaming(cables)


def test_a_guest_s_longest_packets_come_home_whole_and_answers_come_back(roaming: Roaming) -> None:
    roaming.cables.run(roaming.guest, "ping", "-c", "3", "-i", "0.2", "-M", "do", "-s", "1436", "-W", "30", SITE)
    counted = roaming.counted()
    assert (counted["guest"]["sent"], counted["home"]["received"]) == (3, 3)
    assert (counted["home"]["sent"], counted["guest"]["received"]) == (3, 3)
    assert lost_in(counted) == 0


def test_what_is_of_no_tunnel_is_neither_let_in_nor_let_out(roaming: Roaming) -> None:
    stray = (
        "import socket; from shutdownlab.protocol import gtp; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); "
        f"s.sendto(b'x', ('{HOME}', gtp.PORT)); s.sendto(gtp.wrapped(196, b'E' * 40), ('{HOME}', gtp.PORT))"
    )
    roaming.python(roaming.guest, stray)  # from a port that is not the tunnel's
    roaming.cables.run(roaming.guest, "ip", "address", "add", "203.0.113.9/32", "dev", "home")
    roaming.cables.run(roaming.guest, "sh", "-c", f"ping -c 1 -W 1 -I 203.0.113.9 {SITE} || true")  # as another guest
    roaming.cables.run(roaming.guest, "ping", "-c", "1", "-W", "30", "-I", GUEST, SITE)
    counted = roaming.counted()
    assert counted["guest"]["foreign"] >= 1
    assert counted["home"]["foreign"] >= 2
    assert (counted["guest"]["sent"], counted["home"]["received"]) == (1, 1)


def test_packets_that_overflow_while_the_process_waits_for_a_processor_are_counted_as_lost(roaming: Roaming) -> None:
    assert lost_by(roaming.process, 30, 0) == 0
    os.kill(roaming.process.pid, signal.SIGSTOP)
    flood = f"[s.sendto(b'x', ('{SITE}', 9)) for _ in range(3000)]"
    roaming.python(roaming.guest, f"import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); {flood}")
    os.kill(roaming.process.pid, signal.SIGCONT)
    lost = lost_by(roaming.process, 30, 0)
    assert lost > 0
    assert lost_by(roaming.process, 30, lost) == 0
    roaming.counted()


def test_what_goes_to_an_operator_that_is_not_there_keeps_nobody_else_s_packets(roaming: Roaming) -> None:
    flood = f"[(s.sendto(b'x', ('{GONE}', 9)), time.sleep(0.0001)) for _ in range(1500)]"
    begin = f"import socket, time; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('{SITE}', 0))"
    roaming.python(roaming.home, f"{begin}; {flood}")
    roaming.cables.run(roaming.home, "ping", "-c", "1", "-W", "30", "-I", SITE, GUEST)
    counted = roaming.counted()
    assert counted["home"]["sent"] == 1501
    assert lost_in(counted) == 0
