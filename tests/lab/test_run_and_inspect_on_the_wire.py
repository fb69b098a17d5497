"""What `inspect` says of a recording of the switch is what the box did, with real packets: every profile."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from crossing import SERVER, Crossing
from payloads import dns_query, hello, http_get, quic_initial
from switches import until

from shutdownlab.inspection.capture import open_capture
from shutdownlab.inspection.conditions import Conditions
from shutdownlab.inspection.forge import flag_bits, ip_packet, tcp_body
from shutdownlab.inspection.offline import OfflineInspection
from shutdownlab.inspection.policy import InspectionPolicy, InspectionRule, Verdict
from shutdownlab.inspection.vocabulary import profile_names
from shutdownlab.system.netns import inside

pytestmark = pytest.mark.thorough

HAPPENS_S = 0.3
"""How long something is waited for that may come, or not."""
RULES = (
    InspectionRule(name="name", when=Conditions(name_suffix=("blocked.example",)), verdict=Verdict(action="block")),
    InspectionRule(
        name="sometimes",
        when=Conditions(name_suffix=("half.example",), probability=0.5),
        verdict=Verdict(action="block"),
    ),
)
Told = tuple[str, int, str, int, str, str | None]


class Place:
    """A crossing whose switch is recorded."""

    def __init__(self, crossing: Crossing, directory: Path) -> None:
        self.crossing, self.directory = crossing, directory
        self.recorder = crossing.record(directory)
        self.listeners: dict[tuple[int, bool], socket.socket] = {}

    def speak(self, client_port: int, server_port: int, *payloads: bytes, from_outside: bool = False) -> None:
        """A connection on which the client says this, waiting each time for what comes of it."""
        crossing, from_inside = self.crossing, not from_outside
        if (server_port, from_inside) not in self.listeners:
            self.listeners[server_port, from_inside] = crossing.listener(server_port, outside=from_inside)
        listener = self.listeners[server_port, from_inside]
        client = crossing.end(socket.SOCK_STREAM, outside=from_outside)
        client.bind((SERVER[4] if from_outside else crossing.subscriber[4], client_port))
        with client:
            client.settimeout(HAPPENS_S)
            try:
                client.connect(listener.getsockname())
            except OSError:
                return  # blocked since before
            listener.settimeout(HAPPENS_S)
            with suppress(TimeoutError):  # the server was reset before it was connected
                server, (_, port) = listener.accept()
                while port != client_port:
                    server.close()  # of one whose client was reset before it knew
                    server, (_, port) = listener.accept()
                with server:
                    self._say(client, server, payloads)

    def _say(self, client: socket.socket, server: socket.socket, payloads: tuple[bytes, ...]) -> None:
        for payload in payloads:
            before = len(self.crossing.decided)
            with suppress(OSError):
                client.sendall(payload)
            ends = (client, server)
            end = time.monotonic() + HAPPENS_S
            while len(self.crossing.decided) == before and time.monotonic() < end:
                if select.select(ends, [], [], 0.01)[0]:
                    break
            for each in select.select(ends, [], [], 0)[0]:
                with suppress(OSError):
                    each.recv(65536)

    def send(self, client_port: int, server_port: int, *datagrams: bytes) -> None:
        """Datagrams to a server, until each has got to it, has been dropped or has been answered on the way."""
        asker, resolver = self.crossing.end(socket.SOCK_DGRAM), self.crossing.end(socket.SOCK_DGRAM, outside=True)
        asker.bind((self.crossing.subscriber[4], client_port))
        resolver.bind((SERVER[4], server_port))
        for datagram in datagrams:
            before = len(self.crossing.decided)
            asker.sendto(datagram, (SERVER[4], server_port))
            until(
                "a datagram has come somewhere",
                lambda: len(self.crossing.decided) > before or bool(select.select([asker, resolver], [], [], 0)[0]),  # noqa: B023
            )
            for each in select.select([asker, resolver], [], [], 0)[0]:
                each.recv(65536)

    def slip(self, flags: str, client_port: int, server_port: int, *, from_server: bool = False) -> None:
        """A lone segment that no kernel would send, from either end; until it is over, and the reset that answers it.

        That comes from the other side: with what the test sends next it would cross, and the switch may take the two
        in another order than that of the clock.
        """
        crossing = self.crossing
        ours, theirs = (socket.inet_aton(each) for each in (crossing.subscriber[4], SERVER[4]))
        ends = (ours, theirs, client_port, server_port)
        near, far = self._wire(crossing.near, "client"), self._wire(crossing.far, "server")
        if from_server:
            near, far, ends = far, near, (theirs, ours, server_port, client_port)
        with near, far:
            link = far.getsockname()[4] + near.getsockname()[4] + b"\x08\0"
            body = tcp_body(*ends, 77, 99, flag_bits(flags), 64240)
            near.send(link + ip_packet(ends[0], ends[1], 6, body, ttl=64, ipid=7))
        self._there_and_back(from_outside=from_server)

    def _there_and_back(self, *, from_outside: bool) -> None:
        """A datagram goes over and one comes back, each behind whatever goes the same way."""
        asker, answerer = (
            self.crossing.end(socket.SOCK_DGRAM, outside=end) for end in (from_outside, not from_outside)
        )
        addresses = (self.crossing.subscriber[4], SERVER[4])
        with asker, answerer:
            asker.bind((addresses[from_outside], 0))
            answerer.bind((addresses[not from_outside], 0))
            asker.sendto(b"", answerer.getsockname())
            answerer.sendto(b"", answerer.recvfrom(16)[1])
            asker.recv(16)

    def _wire(self, netns: Path, ifname: str) -> socket.socket:
        with inside(netns):
            made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
            made.bind((ifname, 0))
        return made

    def did(self) -> list[Told]:
        """What the box has decided to stop."""
        counted = self.crossing.counters()
        until("the box has told all", lambda: len(self.crossing.decided) >= counted["decisions"])
        return [
            (each.src, each.sport, each.dst, each.dport, str(each.action), each.rule)
            for each in self.crossing.decided
            if each.action != "pass"
        ]

    def inspected(self) -> list[Told]:
        """What `inspect` says of the recording."""
        self.recorder.stop()
        inspection = OfflineInspection(InspectionPolicy(rules=RULES), self.crossing.profile)
        inspection.run(open_capture(self.directory / "northnet-dpi.pcapng"))
        written = {rule.name for rule in RULES}  # the others are the profile's own, which has them in no policy
        return [
            (*ends, each["verdict"], f"test/{each['rule']}" if each["rule"] in written else each["rule"])
            for each in inspection.records()
            if each["verdict"] != "pass"
            for ends in [(each["src"], each["sport"], each["dst"], each["dport"])]
        ]


@pytest.fixture(params=profile_names())
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    with Crossing(tmp_path, request.param) as crossing:
        crossing.inspect(*(rule.model_dump(mode="json", exclude_defaults=True) for rule in RULES))
        yield Place(crossing, tmp_path / "pcap")


def test_inspect_of_the_switchs_recording_says_what_the_box_did(place: Place) -> None:
    blocked, fine, half = hello("www.blocked.example"), hello("fine.example"), hello("half.example")
    for number in range(4):
        place.speak(41000 + number, 443, half)
    place.speak(42000, 443, fine, b"\x17\x03\x03\0\x20" + bytes(32))
    place.speak(42001, 443, blocked)
    place.speak(42002, 443, blocked[:100], blocked[100:])
    place.speak(42003, 80, http_get())
    place.speak(42004, 80, http_get("fine.example"), http_get())
    place.speak(42005, 80, http_get()[:12], http_get()[12:])
    place.speak(42006, 8080, b"\x01\x02\x03\x04 not a protocol", b"\x01\x02 at all", http_get())
    place.speak(42007, 443, blocked, from_outside=True)
    place.slip("SA", 42008, 443, from_server=True)
    place.speak(42008, 443, blocked)
    place.slip("SA", 42009, 443)
    place.speak(42009, 443, blocked)
    place.slip("FA", 42010, 443)
    place.slip("FA", 42010, 443)
    place.speak(42010, 443, blocked)
    place.send(42011, 53, dns_query("fine.example"), dns_query("blocked.example"))
    place.send(42012, 443, quic_initial(1, 1200, "blocked.example"))
    did = place.did()
    assert did, "nothing of this reaches the box"
    told = place.inspected()
    assert set(did) <= set(told)
    # What is blocked for some time thereafter, the switch drops in the box's stead, which never hears of it.
    ends = {(frozenset((src, dst)), rule) for src, _, dst, _, _, rule in did}
    beside = [each for each in told if each not in did]
    assert all((frozenset((src, dst)), rule) in ends for src, _, dst, _, _, rule in beside)
    assert not beside or place.crossing.profile.block.default.residual
