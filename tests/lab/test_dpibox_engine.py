"""The DPI box with the real engine, between a real client and a real server."""

from __future__ import annotations

import json
import select
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cables import Cables

from shutdownlab.box.dpi_box import BoxSpec, start_box
from shutdownlab.box.inspector import engine_maker
from shutdownlab.inspection.policy import InspectionRule
from shutdownlab.inspection.verdict import Decision, Side
from shutdownlab.probes.handshake import client_context
from shutdownlab.protocol.messages import (
    Applied,
    BoxPolicy,
    Counters,
    Decisions,
    Hello,
    Message,
    decode,
    encode,
)
from shutdownlab.system.line_socket import LineSocket
from shutdownlab.system.netns import inside

DEADLINE_S = 60.0
SHORT_S = 0.5
"""How long something is waited for that must not come."""

SERVERS = [(socket.AF_INET, "10.9.0.2"), (socket.AF_INET6, "fd09::2")]


def client_hello(name: str) -> bytes:
    sent = ssl.MemoryBIO()
    client = client_context().wrap_bio(ssl.MemoryBIO(), sent, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return sent.read()


class Border:
    """A client's namespace, a box with a controller, and a server's namespace."""

    def __init__(self, cables: Cables) -> None:
        self.near, middle, self.far = cables.netns(), cables.netns(), cables.netns()
        cables.veth(self.near, "client", middle, "in")
        cables.veth(middle, "out", self.far, "server")
        cables.address(self.near, "client", "10.9.0.1/24", "fd09::1/64")
        cables.address(self.far, "server", "10.9.0.2/24", "fd09::2/64")
        with inside(middle):
            listener = socket.create_server(("127.0.0.1", 0))
        listener.settimeout(DEADLINE_S)
        self.box = start_box(
            BoxSpec("kcell", middle, "in", "out", "perfect", controllers=(listener.getsockname(),)), engine_maker()
        )
        self.box.wait_ready()
        self.controller = LineSocket(listener.accept()[0])
        listener.close()
        self.said: list[Message] = []

    def order(self, serial: int, *rules: InspectionRule) -> None:
        """Give the box its rules and wait until it has applied them."""
        self.controller.send(encode(BoxPolicy(serial, "perfect", rules)))
        while not isinstance(message := self.next(), Applied):
            assert isinstance(message, Hello | Decisions), message
        assert message.serial == serial

    def decision(self, *, host: str | None = None, rule: str | None = None) -> Decision:
        """Return the decision on a connection to `host`, or by `rule`; others are left out."""
        while True:
            message = self.next()
            for decision in message.decisions if isinstance(message, Decisions) else ():
                if (host is None or decision.host == host) and (rule is None or decision.rule == rule):
                    return decision

    def next(self) -> Message:
        while not self.said:
            assert select.select([self.controller], [], [], DEADLINE_S)[0], "the box says nothing"
            self.said += map(decode, self.controller.receive())
            assert self.said or self.controller.ended is None, "the box closed its connection"
        return self.said.pop(0)

    def connect(self, family: socket.AddressFamily, address: str) -> tuple[socket.socket, socket.socket]:
        """Return both ends of a connection from the client to the server."""
        with inside(self.far):
            listener = socket.create_server((address, 0), family=family)
        with inside(self.near):
            client = socket.socket(family)
        for end in (client, listener):
            end.settimeout(DEADLINE_S)
        client.connect(listener.getsockname())
        server, _ = listener.accept()
        server.settimeout(DEADLINE_S)
        listener.close()
        return client, server

    def close(self) -> dict[str, Any]:
        last = decode(self.box.stop()[-1])
        self.box.close()
        self.controller.close()
        assert isinstance(last, Counters)
        return last.counters


@pytest.fixture
def border() -> Iterator[Border]:
    with Cables() as cables:
        border = Border(cables)
        yield border
        counters = border.close()
        assert counters["engine_failures"] == 0
        assert counters["inside"]["refused"] == counters["outside"]["refused"] == 0


def rule(action: str) -> InspectionRule:
    return InspectionRule.model_validate(
        {"name": "messengers", "when": {"app": ["whatsapp", "signal"]}, "verdict": action}
    )


@pytest.mark.parametrize(("family", "address"), SERVERS)
def test_a_blocked_app_connects_and_is_black_holed_after_its_name(
    border: Border, family: socket.AddressFamily, address: str
) -> None:
    border.order(1, rule("drop"))
    client, server = border.connect(family, address)
    client.sendall(client_hello("e1.whatsapp.net"))
    decision = border.decision(host="e1.whatsapp.net")
    assert (decision.app, decision.protocol, decision.action, decision.opener) == (
        "whatsapp",
        "tls",
        "drop",
        Side.INSIDE,
    )
    assert (decision.src, decision.sport) == client.getsockname()[:2]
    assert not select.select([server], [], [], SHORT_S)[0], "the ClientHello reached the server"


@pytest.mark.parametrize(("family", "address"), SERVERS)
def test_another_name_passes_and_both_ends_go_on_talking(
    border: Border, family: socket.AddressFamily, address: str
) -> None:
    border.order(1, rule("drop"))
    client, server = border.connect(family, address)
    hello = client_hello("www.wikipedia.org")
    client.sendall(hello)
    assert server.recv(65536) == hello
    assert border.decision(host="www.wikipedia.org").action == "pass"
    server.sendall(b"welcome")
    assert client.recv(100) == b"welcome"


@pytest.mark.parametrize(("family", "address"), SERVERS)
def test_a_reset_ends_the_connection_at_both_ends(border: Border, family: socket.AddressFamily, address: str) -> None:
    border.order(1, rule("reset"))
    client, server = border.connect(family, address)
    client.sendall(client_hello("chat.signal.org"))
    for end in (client, server):
        with pytest.raises(ConnectionResetError):
            end.recv(100)


def test_a_name_in_a_segmentation_offload_frame_is_found(border: Border) -> None:
    late = {"name": "late", "when": {"keyword": "forbidden"}, "verdict": "drop"}
    border.order(1, InspectionRule.model_validate(late))
    client, server = border.connect(*SERVERS[0])
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
    client.sendall(b"GET /" + b"a" * 20_000 + b"forbidden HTTP/1.1\r\nHost: example.org\r\n\r\n")
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
    assert border.decision(rule="late").action == "drop"
    arrived = b""
    while select.select([server], [], [], SHORT_S)[0]:
        arrived += server.recv(65536)
    assert b"forbidden" not in arrived


def test_lifting_the_block_lets_new_connections_through(border: Border) -> None:
    border.order(1, rule("drop"))
    border.order(2)
    client, server = border.connect(*SERVERS[0])
    hello = client_hello("e1.whatsapp.net")
    client.sendall(hello)
    assert server.recv(65536) == hello


def test_a_box_can_be_run_by_hand_and_prints_its_counters(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("format: 1\nrules:\n  - {name: w, when: {app: whatsapp}, verdict: drop}\n")
    with Cables() as cables:
        near, middle, far = cables.netns(), cables.netns(), cables.netns()
        cables.veth(near, "client", middle, "in")
        cables.veth(middle, "out", far, "server")
        cables.address(near, "client", "10.9.0.1/24")
        cables.address(far, "server", "10.9.0.2/24")
        box = cables.start(
            middle,
            *(sys.executable, "-m", "shutdownlab.box.dpi_box"),
            *("--inside", "in", "--outside", "out", "--policy", str(policy)),
        )
        end = time.monotonic() + 30  # until it has been imported
        while subprocess.run(
            ["nsenter", f"--net={near}", "ping", "-c1", "-W1", "10.9.0.2"], capture_output=True
        ).returncode:
            assert time.monotonic() < end, "the box passes nothing on"
        box.send_signal(signal.SIGTERM)
        out, complaints = box.communicate(timeout=DEADLINE_S)
        assert (box.returncode, complaints) == (0, "")
        assert json.loads(out)["engine"]["rules"] == {"w": 0}
        assert json.loads(out)["inside"]["received"] >= 1
