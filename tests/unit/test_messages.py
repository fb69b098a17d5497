"""Control messages: what one end encodes the other decodes, and nothing else passes."""

from __future__ import annotations

import json

import pytest

from shutdownlab.protocol.messages import (
    Ack,
    Applied,
    Counters,
    CountersRequest,
    Decisions,
    Failure,
    FlowDecision,
    Hello,
    Inbox,
    Message,
    MessageError,
    Notice,
    Obeyed,
    Order,
    Policy,
    Ready,
    ResidualBlock,
    decode,
    encode,
)

EVERY_MESSAGE: list[Message] = [
    Hello("kcell"),
    Decisions(
        (
            FlowDecision("10.0.0.1", 40000, "2001:db8::1", 443, 6, "inside", "drop", rule="r1", host="signal.org"),
            FlowDecision("10.0.0.2", 40001, "192.0.2.1", 80, 6, "outside", "throttle", rate_up_kbit=150),
            FlowDecision(
                "10.0.0.2",
                40002,
                "192.0.2.1",
                80,
                6,
                "inside",
                "drop",
                residual=ResidualBlock("4-tuple", 120.0, True),
                in_box=True,
            ),
        )
    ),
    Decisions(()),
    Policy(7, "perfect", [{"match": {"app": "whatsapp"}, "action": "drop"}]),
    Applied(7),
    CountersRequest(),
    Counters("kcell", {"frames": 3, "engine": {"flows": 1}}),
    Order(1, "blackout", [{"everything": True}], "operators", 1.5),
    Order(2, "restored", [], "direct"),
    Ack(1, "kcell-dpi", 12, 0.25),
    Obeyed(1, "kcell"),
    Ready("kcell"),
    Notice("kcell", "the controller is back"),
    Failure("kcell", "the engine raised:\nTraceback …"),
]


@pytest.mark.parametrize("message", EVERY_MESSAGE, ids=lambda m: type(m).__name__)
def test_a_message_survives_the_wire_as_one_line(message: Message) -> None:
    line = encode(message)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert decode(line) == message


def test_the_type_comes_first_and_is_the_documented_name() -> None:
    assert json.loads(encode(Hello("kcell"))) == {"type": "hello", "box": "kcell"}
    assert json.loads(encode(CountersRequest())) == {"type": "counters?"}
    assert list(json.loads(encode(Applied(3)))) == ["type", "serial"]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "an object with a `type`"),
        (b"{}", "an object with a `type`"),
        (b'{"type":5}', "an object with a `type`"),
        (b'{"type":"obey"}', "unknown message"),
        (b'{"type":"hello"}', "bad `hello` message: box: Field required"),
        (b'{"type":"hello","box":"a","colour":1}', "colour: Unexpected"),
        (b'{"type":"order","serial":1,"phase":"p","policies":[],"mode":"army"}', "mode: Input should be"),
        (b'{"type":"applied","serial":"soon"}', "serial: Input should be a valid integer"),
    ],
)
def test_a_line_that_is_no_message_says_why(line: bytes, complaint: str) -> None:
    with pytest.raises(MessageError, match=complaint):
        decode(line)


@pytest.mark.parametrize("step", [1, 2, 7, 1000])
def test_an_inbox_finds_the_messages_however_the_stream_is_cut(step: int) -> None:
    stream = b"".join(encode(message) for message in EVERY_MESSAGE) + b"\n"
    inbox = Inbox()
    found = [m for at in range(0, len(stream), step) for m in inbox.feed(stream[at : at + step])]
    assert found == EVERY_MESSAGE


def test_an_inbox_refuses_a_line_that_never_ends() -> None:
    inbox = Inbox(limit=100)
    with pytest.raises(MessageError, match="more than 100 bytes"):
        for _ in range(20):
            list(inbox.feed(b"x" * 10))
