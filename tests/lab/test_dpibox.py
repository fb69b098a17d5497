"""The DPI box between real interfaces: what passes, what it sends, and how it and its controller talk."""

from __future__ import annotations

import ipaddress
import os
import select
import signal
import socket
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
from cables import Cables

from shutdownlab.box.dpi_box import BoxSpec, start_box
from shutdownlab.inspection.policy import InspectionPolicy, InspectionRule
from shutdownlab.inspection.verdict import Action, Decision, FrameOutcome, Injection, Side
from shutdownlab.protocol.messages import (
    Applied,
    BoxPolicy,
    Counters,
    CountersRequest,
    Decisions,
    Failure,
    Hello,
    Message,
    Notice,
    RacesRequest,
    RacesRun,
    decode,
    encode,
)
from shutdownlab.system.child_process import Forked
from shutdownlab.system.line_socket import LineSocket
from shutdownlab.system.netns import inside
from shutdownlab.system.packet_socket import Batch, PacketSocket, open_wire

KIND = struct.pack("!H", 0x88B5)  # IEEE 802: local experimental
CONTROL, SUBSCRIBER, SERVER = (ipaddress.ip_address(f"192.0.2.{n}").packed for n in (9, 10, 80))
DEADLINE_S = 60.0
M = TypeVar("M")


def frame(payload: bytes) -> bytes:
    return b"\xff" * 6 + b"\x02\0\0\0\0\1" + KIND + payload.ljust(46, b".")


class KeywordInspector:
    """Looks for its rules' keywords anywhere in a frame; the word CRASH in a frame makes it raise."""

    def __init__(self, policy: InspectionPolicy, profile: str, seed: int) -> None:
        if profile == "unknown":
            raise ValueError("no such profile")
        self.on_path = profile == "beside"
        self.intercepts = False
        self.rules = policy.rules
        self.frames = 0
        self.now = 0.0

    @property
    def counters(self) -> Mapping[str, Any]:
        return {"frames": self.frames, "now": self.now}

    def expire(self, now: float) -> None: ...

    def process(
        self, frame: bytes, side: Side, now: float, *, checksum_trusted: bool = False, segment: int = 0
    ) -> FrameOutcome:
        self.frames += 1
        self.now = now
        if b"CRASH" in frame:
            raise RuntimeError("engine bug")
        for rule in self.rules:
            if rule.when.keyword[0].encode() in frame:
                break
        else:
            return FrameOutcome()
        action = rule.verdict.action
        inject: tuple[Injection, ...] = ()
        if action is Action.RESET:
            inject = tuple(Injection(towards, frame.replace(b"secret", b"RESET!")) for towards in Side)
        decision = Decision("10.0.0.1", 1, "10.0.0.2", 2, 6, side, action, rule.name, "tls", None, "a.example")
        return FrameOutcome(
            forward=action is not Action.DROP,
            replacement=frame.replace(b"secret", b"masked") if action is Action.REDIRECT else None,
            inject=inject,
            decision=decision,
        )


def rule(action: str, keyword: str = "secret") -> InspectionRule:
    verdict = {"action": action} | ({"location": "http://blocked.example/"} if action == "redirect" else {})
    return InspectionRule.model_validate({"name": f"{action}-it", "when": {"keyword": keyword}, "verdict": verdict})


class Controller:
    """The other end of the box's channel."""

    def __init__(self, netns: Path) -> None:
        with inside(netns):
            self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(DEADLINE_S)
        self.address: tuple[str, int] = self.listener.getsockname()
        self.said: list[Message] = []

    def accept(self) -> None:
        self.connection = LineSocket(self.listener.accept()[0])

    def send(self, message: Message) -> None:
        assert self.connection.send(encode(message)), self.connection.ended

    def next(self, kind: type[M]) -> M:
        """Return the next message of `kind`, leaving out others."""
        while True:
            while self.said:
                message = self.said.pop(0)
                if isinstance(message, kind):
                    return message
            assert select.select([self.connection], [], [], DEADLINE_S)[0], f"the box sent no {kind.__name__}"
            self.said += map(decode, self.connection.receive())
            assert self.said or self.connection.ended is None, f"it closed before it sent a {kind.__name__}"

    def order(self, policy: BoxPolicy) -> None:
        self.send(policy)
        assert self.next(Applied).serial == policy.serial

    def close(self) -> None:
        self.listener.close()
        with suppress(AttributeError):
            self.connection.close()


class Street:
    """A wire at each side of a running box, and its controller."""

    def __init__(self, cables: Cables, profile: str = "perfect") -> None:
        self.middle = cables.netns()
        left, right = cables.netns(), cables.netns()
        cables.veth(left, "sub", self.middle, "in")
        cables.veth(self.middle, "out", right, "net")
        self.controller = Controller(self.middle)
        controllers = (self.controller.address,)
        self.spec = BoxSpec("test", self.middle, "in", "out", profile, controllers, controls=frozenset((CONTROL,)))
        self.box = start_box(self.spec, KeywordInspector)
        self.box.wait_ready()
        self.controller.accept()
        assert self.controller.next(Hello) == Hello("test")
        self.inside = open_wire(left, "sub")
        self.outside = open_wire(right, "net")

    def close(self) -> None:
        for wire in (self.inside, self.outside):
            wire.close()
        self.box.stop()
        self.box.close()
        self.controller.close()


def read_until(wire: PacketSocket, last: bytes) -> list[bytes]:
    """Return the payloads that arrive, dots left out, up to and with `last`."""
    batch, found, end = Batch(), list[bytes](), time.monotonic() + DEADLINE_S
    while last not in found:
        left = end - time.monotonic()
        assert left > 0 and select.select([wire], [], [], left)[0], f"{last!r} did not come, only {found}"
        read = [batch.frame(i) for i in range(batch.read(wire))]
        found += [data[14:].rstrip(b".") for data in read if data[12:14] == KIND]
    return found


def told(box: Forked, kind: type[M], matching: Callable[[M], bool] = lambda _: True) -> M:
    """Return the first message of `kind` that the box's process tells its parent."""
    end = time.monotonic() + DEADLINE_S
    while True:
        for message in map(decode, box.receive()):
            if isinstance(message, kind) and matching(message):
                return message
        left = end - time.monotonic()
        assert left > 0 and select.select([box], [], [], left)[0], f"no {kind.__name__} within {DEADLINE_S} s"


@pytest.fixture
def cables() -> Iterator[Cables]:
    with Cables() as cables:
        yield cables


@pytest.fixture
def street(cables: Cables) -> Iterator[Street]:
    street = Street(cables)
    yield street
    street.close()


@pytest.fixture
def on_path(cables: Cables) -> Iterator[Street]:
    street = Street(cables, "beside")
    yield street
    street.close()


def send(wire: PacketSocket, *payloads: bytes) -> None:
    for payload in payloads:
        wire.send_frame(frame(payload))


def test_without_a_policy_everything_passes_both_ways_in_order(street: Street) -> None:
    numbered = [b"%d" % i for i in range(100)]
    send(street.inside, *numbered)
    send(street.outside, b"secret", b"back")
    assert read_until(street.outside, b"99") == numbered
    assert read_until(street.inside, b"back") == [b"secret", b"back"]


def test_what_a_control_address_sends_and_is_sent_passes_the_box_but_not_its_engine(street: Street) -> None:
    """Whatever the policy is: it shows that the box is at work."""

    def packet(source: bytes, target: bytes) -> bytes:
        return b"\xff" * 6 + b"\x02\0\0\0\0\1\x08\0" + bytes(12) + source + target + b"secret".ljust(26, b".")

    street.controller.order(BoxPolicy(1, "perfect", (rule("drop"),)))
    for wire, far, ends in (
        (street.inside, street.outside, (CONTROL, SERVER)),
        (street.outside, street.inside, (SERVER, CONTROL)),
    ):
        wire.send_frame(packet(*ends))
        wire.send_frame(packet(SUBSCRIBER, SERVER))
        send(wire, b"end")
        assert packets_until(far, b"end") == [packet(*ends)]


def packets_until(wire: PacketSocket, last: bytes) -> list[bytes]:
    """Return the IPv4 packets that arrive before `last` does, in their frames."""
    batch, found, end = Batch(), list[bytes](), time.monotonic() + DEADLINE_S
    while frame(last) not in found:
        left = end - time.monotonic()
        assert left > 0 and select.select([wire], [], [], left)[0], f"{last!r} did not come"
        found += [batch.frame(i) for i in range(batch.read(wire))]
    return [data for data in found if data[12:14] == b"\x08\0"]


def test_a_dropped_frame_does_not_pass_and_the_decision_is_reported(street: Street) -> None:
    street.controller.order(BoxPolicy(1, "perfect", (rule("drop"),)))
    send(street.inside, b"before", b"secret", b"after")
    assert read_until(street.outside, b"after") == [b"before", b"after"]
    (decision,) = street.controller.next(Decisions).decisions
    assert (decision.src, decision.dport, decision.opener) == ("10.0.0.1", 2, Side.INSIDE)
    assert (decision.action, decision.rule, decision.host) == ("drop", "drop-it", "a.example")


def test_a_policy_can_be_replaced_and_withdrawn(street: Street) -> None:
    street.controller.order(BoxPolicy(1, "perfect", (rule("drop"),)))
    street.controller.order(BoxPolicy(2, "perfect", (rule("drop", keyword="other"),)))
    send(street.inside, b"secret", b"other", b"end")
    assert read_until(street.outside, b"end") == [b"secret", b"end"]
    street.controller.order(BoxPolicy(3, "perfect"))
    send(street.inside, b"other", b"end")
    assert read_until(street.outside, b"end") == [b"other", b"end"]


def test_injections_leave_by_the_side_they_are_meant_for_before_the_frame(street: Street) -> None:
    street.controller.order(BoxPolicy(1, "perfect", (rule("reset"),)))
    send(street.inside, b"before", b"secret", b"after")
    assert read_until(street.outside, b"after") == [b"before", b"RESET!", b"secret", b"after"]
    assert read_until(street.inside, b"RESET!") == [b"RESET!"]


def test_a_replacement_goes_in_the_frames_place(street: Street) -> None:
    street.controller.order(BoxPolicy(1, "perfect", (rule("redirect"),)))
    send(street.inside, b"before", b"secret", b"after")
    assert read_until(street.outside, b"after") == [b"before", b"masked", b"after"]


def test_an_on_path_box_forwards_nothing_but_injects_and_tells(on_path: Street) -> None:
    on_path.controller.order(BoxPolicy(1, "beside", (rule("reset"),)))
    send(on_path.inside, b"before", b"secret", b"after")
    assert read_until(on_path.outside, b"RESET!") == [b"RESET!"]
    assert read_until(on_path.inside, b"RESET!") == [b"RESET!"]
    assert on_path.controller.next(Decisions).decisions[0].action == "reset"
    on_path.controller.send(CountersRequest())
    counters = on_path.controller.next(Counters).counters
    assert counters["injected"] == 2
    assert counters["outside"]["sent"] == 1


def test_an_on_path_box_says_how_long_it_took_to_answer_a_frame_once_it_has_seen_all_there_are(on_path: Street) -> None:
    """It is stopped while the frame comes: it finds the question beside the frame when it goes on."""
    on_path.controller.order(BoxPolicy(1, "beside", (rule("reset"),)))
    began = time.monotonic()

    def races(number: int, since: float) -> RacesRun:
        on_path.box.send(encode(RacesRequest(number, since)))
        return told(on_path.box, RacesRun, lambda run: run.number == number)

    assert races(1, began) == RacesRun(1, 0, 0.0)
    send(on_path.inside, b"secret")
    prompt = races(2, began)
    assert prompt.injected == 1
    assert 0 < prompt.slowest <= time.monotonic() - began
    stopped = time.monotonic()
    os.kill(on_path.box.pid, signal.SIGSTOP)
    send(on_path.inside, b"secret")
    on_path.box.send(encode(RacesRequest(3, stopped)))
    time.sleep(0.3)  # the time that it must tell
    os.kill(on_path.box.pid, signal.SIGCONT)
    late = told(on_path.box, RacesRun)
    assert (late.number, late.injected) == (3, 1)
    assert 0.3 <= late.slowest <= time.monotonic() - stopped
    assert races(4, time.monotonic()) == RacesRun(4, 0, 0.0)


def test_the_profile_that_comes_with_a_policy_says_whether_the_box_is_on_path(street: Street) -> None:
    street.controller.order(BoxPolicy(1, "beside", (rule("reset"),)))
    send(street.inside, b"before", b"secret", b"after")
    assert read_until(street.outside, b"RESET!") == [b"RESET!"]
    street.controller.order(BoxPolicy(2, "perfect", (rule("reset"),)))
    send(street.inside, b"secret")
    assert read_until(street.outside, b"secret") == [b"RESET!", b"secret"]


def test_the_local_time_of_a_policy_is_the_engines_time(street: Street) -> None:
    morning, noon = 7 * 3600.0, 12 * 3600.0
    street.controller.order(BoxPolicy(1, "perfect", (rule("drop", "late"),), local_time=morning))
    send(street.inside, b"time", b"end")
    read_until(street.outside, b"end")
    street.controller.send(CountersRequest())
    assert morning <= street.controller.next(Counters).counters["engine"]["now"] < morning + DEADLINE_S
    street.controller.order(BoxPolicy(2, "perfect", (rule("drop", "late"),), local_time=noon))
    send(street.inside, b"time", b"end")
    read_until(street.outside, b"end")
    street.controller.send(CountersRequest())
    assert noon <= street.controller.next(Counters).counters["engine"]["now"] < noon + DEADLINE_S


def test_counters_say_what_the_box_saw_and_did(street: Street) -> None:
    street.controller.order(BoxPolicy(4, "perfect", (rule("drop"),)))
    send(street.inside, b"secret", b"end")
    read_until(street.outside, b"end")
    street.controller.send(CountersRequest())
    answer = street.controller.next(Counters)
    assert answer.where == "test"
    assert answer.counters["serial"] == 4
    assert answer.counters["held_back"] == 1
    assert answer.counters["decisions"] == 1
    assert answer.counters["inside"]["received"] == answer.counters["outside"]["sent"] + 1
    assert answer.counters["engine"]["frames"] >= 2


def test_an_engine_that_raises_lets_the_frame_pass_and_both_ends_hear_of_it(street: Street) -> None:
    send(street.inside, b"before", b"CRASH", b"after")
    assert read_until(street.outside, b"after") == [b"before", b"CRASH", b"after"]
    assert "RuntimeError: engine bug" in told(street.box, Failure).text
    assert "RuntimeError: engine bug" in street.controller.next(Failure).text


def crashed(street: Street) -> tuple[int, int]:
    """Have the engine raise twenty times, and ask for counters; how many failures were told, and counted in all."""
    send(street.inside, *[b"CRASH %d" % i for i in range(20)], b"end")
    read_until(street.outside, b"end")
    street.controller.send(CountersRequest())
    failures = 0
    while not isinstance(message := street.controller.next(object), Counters):
        failures += isinstance(message, Failure)
    return failures, message.counters["engine_failures"]


def test_an_engine_that_keeps_raising_is_reported_five_times_and_counted_always(street: Street) -> None:
    assert crashed(street) == (5, 20)


def test_an_engine_that_raised_too_often_is_reported_again_once_its_counters_were_asked_for(street: Street) -> None:
    """As at each phase's end: one whose policies are those of the phase before has failures of its own."""
    assert [crashed(street) for _ in range(2)] == [(5, 20), (5, 40)]


def test_a_policy_that_cannot_be_applied_is_refused_and_the_old_one_stays(street: Street) -> None:
    street.controller.order(BoxPolicy(1, "perfect", (rule("drop"),)))
    street.controller.send(BoxPolicy(2, "unknown"))
    failure = street.controller.next(Failure)
    assert "refuses policy 2 and keeps 1" in failure.text
    assert "no such profile" in failure.text
    send(street.inside, b"secret", b"end")
    assert read_until(street.outside, b"end") == [b"end"]


def test_a_policy_that_is_none_ends_the_connection_says_why_and_the_old_one_stays(street: Street) -> None:
    street.controller.order(BoxPolicy(1, "perfect", (rule("drop"),)))
    bad = b'{"type":"policy","serial":2,"profile":"perfect","rules":[{"name":"bad","verdict":"explode"}]}\n'
    street.controller.connection.send(bad)
    assert "rules.0.verdict.action" in told(street.box, Failure).text
    street.controller.said.clear()
    street.controller.accept()
    assert "rules.0.verdict.action" in street.controller.next(Failure).text
    send(street.inside, b"secret", b"end")
    assert read_until(street.outside, b"end") == [b"end"]


def test_a_box_that_loses_its_controller_goes_on_as_it_was_and_comes_back(street: Street) -> None:
    street.controller.order(BoxPolicy(1, "perfect", (rule("drop"),)))
    street.controller.connection.close()
    assert "lost the controller" in told(street.box, Notice).text
    send(street.inside, b"secret", b"end")
    assert read_until(street.outside, b"end") == [b"end"]
    street.controller.said.clear()
    street.controller.accept()
    assert street.controller.next(Hello).box == "test"
    assert "reached again" in told(street.box, Notice).text
    send(street.inside, b"secret", b"end")
    assert read_until(street.outside, b"end") == [b"end"]
    assert street.controller.next(Decisions).decisions[0].rule == "drop-it"


def test_a_failure_without_a_controller_is_told_when_it_is_back(street: Street) -> None:
    street.controller.connection.close()
    told(street.box, Notice)
    send(street.inside, b"CRASH")
    assert "engine bug" in told(street.box, Failure).text
    street.controller.accept()
    assert "engine bug" in street.controller.next(Failure).text


def test_a_controller_that_talks_nonsense_is_reported(street: Street) -> None:
    street.controller.connection.send(b"GET / HTTP/1.1\r\n\r\n")
    street.controller.accept()
    assert "an invalid message" in street.controller.next(Failure).text


def test_a_box_starts_and_works_before_its_controller_does(cables: Cables, street: Street) -> None:
    left, middle, right = cables.netns(), cables.netns(), cables.netns()
    cables.veth(left, "sub", middle, "in")
    cables.veth(middle, "out", right, "net")
    box = start_box(replace(street.spec, netns=middle, controllers=(("127.0.0.1", 9),)), KeywordInspector)
    box.wait_ready()
    assert "cannot reach the controller at 127.0.0.1:9 (Connection refused)" in told(box, Notice).text
    inside, outside = open_wire(left, "sub"), open_wire(right, "net")
    send(inside, b"hello")
    assert read_until(outside, b"hello") == [b"hello"]
    assert isinstance(decode(box.stop()[-1]), Counters)
    for closed in (inside, outside, box):
        closed.close()


def test_a_box_without_its_interface_says_which(cables: Cables) -> None:
    box = start_box(BoxSpec("lonely", cables.netns(), "in", "out", "perfect"), KeywordInspector)
    with pytest.raises(RuntimeError, match=r"dpi-lonely did not start[^$]*cannot open in in ") as caught:
        box.wait_ready()
    assert "no interface with this name" in str(caught.value)
    assert not box.alive()
    box.close()


def test_sigterm_ends_a_box_and_ctrl_c_does_not(street: Street) -> None:
    signal.pidfd_send_signal(street.box._pidfd, signal.SIGINT)
    send(street.inside, b"still here")
    read_until(street.outside, b"still here")
    assert isinstance(decode(street.box.stop()[-1]), Counters)
    assert street.box.status == 0


def test_offloaded_tcp_goes_through_uncut_and_with_valid_checksums(cables: Cables) -> None:
    a, middle, b = cables.netns(), cables.netns(), cables.netns()
    cables.veth(a, "a", middle, "in")
    cables.veth(middle, "out", b, "b")
    cables.address(a, "a", "10.9.0.1/24", "fd09::1/64")
    cables.address(b, "b", "10.9.0.2/24", "fd09::2/64")
    box = start_box(BoxSpec("tso", middle, "in", "out", "perfect"), KeywordInspector)
    box.wait_ready()
    # A receiver that has to verify every checksum itself, and a sender that leaves them all unfinished.
    cables.run(b, "ethtool", "-K", "b", "rx", "off", "gro", "off")
    sent = bytes(range(256)) * 40_000
    for family, address in ((socket.AF_INET, "10.9.0.2"), (socket.AF_INET6, "fd09::2")):
        assert cables.through_tcp(a, b, family, address, sent) == sent
    counters = told_counters(box)
    frames = counters["inside"]["received"]
    assert frames < 2 * len(sent) / 1400, f"{frames} frames for {len(sent)} bytes: segmentation offload is lost"
    assert counters["outside"]["refused"] == 0
    assert cables.tcp_checksum_errors(b) == 0


def told_counters(box: Forked) -> dict[str, Any]:
    last = decode(box.stop()[-1])
    box.close()
    assert isinstance(last, Counters)
    return last.counters
