"""Control messages: what one end encodes the other decodes, and nothing else passes."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_policies import dpi_policies, several

from shutdownlab.box.inspector import inspection_policy
from shutdownlab.inspection.policy import InspectionRule
from shutdownlab.inspection.verdict import Action, Decision, Residual, Side
from shutdownlab.model.policy import Policy
from shutdownlab.model.scenario import Mode, Outcome
from shutdownlab.protocol.messages import (
    Ack,
    Applied,
    BoxJoined,
    BoxPolicy,
    Command,
    Counters,
    CountersRequest,
    Decisions,
    Failure,
    Hello,
    Message,
    MessageError,
    Notice,
    Obeyed,
    Order,
    Parted,
    RacesRequest,
    RacesRun,
    Ready,
    Standing,
    decode,
    encode,
)
from shutdownlab.protocol.probing import Measurement, ProbeJob, ProbeRequest, ProbeResult

RULE = {"name": "r", "when": {"app": "whatsapp", "port": "tcp/443"}, "verdict": {"action": "throttle", "rate": "1mbit"}}
BLACKOUT = Policy.model_validate({"title": "Everything", "block": "everything", "source": "s"})
EVERY_MESSAGE: list[Message] = [
    Hello("kcell"),
    Decisions(
        (
            Decision("10.0.0.1", 40000, "2001:db8::1", 443, 6, Side.INSIDE, Action.DROP, rule="r1", host="signal.org"),
            Decision("10.0.0.2", 40001, "192.0.2.1", 80, 6, Side.OUTSIDE, Action.THROTTLE, rate_up_kbit=150),
            Decision(
                "10.0.0.2",
                40002,
                "192.0.2.1",
                80,
                6,
                Side.INSIDE,
                Action.DROP,
                residual=Residual("4-tuple", 120.0, True),
                flow_rule="drop",
            ),
        )
    ),
    Decisions(()),
    BoxPolicy(7, "perfect", (InspectionRule.model_validate(RULE),), 1641378600.0),
    Applied(7),
    CountersRequest(),
    Counters("kcell", {"frames": 3, "engine": {"flows": 1}}),
    RacesRequest(3, 1234.5, ("192.0.2.1", "2001:db8::1")),
    RacesRun(3, 2, 0.25),
    Order(1, "blackout", {"all": BLACKOUT}, delay_s=1.5),
    Order(2, "restored", {}, Mode.DIRECT),
    Command(Order(1, "blackout", {"all": BLACKOUT}), {"kcell": 2.0}),
    Ack(1, "kcell-dpi", Standing(12, {"BLACKOUT": 2**63, "meters": 7}), 0.25),
    Obeyed(1, "kcell"),
    Ready("kcell"),
    BoxJoined("kcell", "kcell-box"),
    Parted("kcell", "kcell-dpi"),
    Notice("kcell", "the controller is back"),
    ProbeJob(7, ProbeRequest("x", "web", "some.module:test", {"url": "https://bbc.com/"}, addresses=("192.0.2.1",))),
    ProbeResult(7, Measurement(Outcome.OK, None, 1.5, 0.25, {"requests": [{"failure": None}], "x": 0.1}, unit="ms")),
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
        (b'{"type":"order","serial":1,"phase":"p","policies":{},"mode":"army"}', "mode: Input should be"),
        (b'{"type":"applied","serial":"soon"}', "serial: Input should be a valid integer"),
        (b'{"type":"command","order":{"where":"x"}}', "bad `command` message: order.serial: Field required"),
        (
            b'{"type":"order","serial":1,"phase":"p","policies":{"x":{"title":"t","blok":"everything","source":"s"}}}',
            r"policies\.x\.blok: Extra inputs are not permitted",
        ),
        (
            b'{"type":"policy","serial":1,"profile":"tspu-2022","rules":[{"name":"x","verdict":"explode"}]}',
            r"rules\.0\.verdict\.action: Value error, one of block-page",
        ),
        (
            b'{"type":"decisions","decisions":[{"src":"a","sport":1,"dst":"b","dport":2,"proto":6,"opener":"inside",'
            b'"action":5}]}',
            r"decisions\.0\.action: Value error, the name of an action",
        ),
        (
            b'{"type":"decisions","decisions":[{"src":"a","sport":1,"dst":"b","dport":2,"proto":6,"opener":"left",'
            b'"action":"drop"}]}',
            r"decisions\.0\.opener: Value error, one of inside, outside",
        ),
    ],
)
def test_a_line_that_is_no_message_says_why(line: bytes, complaint: str) -> None:
    with pytest.raises(MessageError, match=complaint):
        decode(line)


def test_a_decision_is_the_engines_own_at_both_ends_and_reported_in_words() -> None:
    decision = Decision(
        "10.0.0.1", 40000, "1.2.3.4", 443, 6, Side.OUTSIDE, Action.THROTTLE, "r", "tls", "whatsapp", "web.whatsapp.com",
        Residual("3-tuple", 60.0, True, "client"), 130, 150, 16384, "server", "meter", 9000,
    )  # fmt: skip
    line = encode(Decisions((decision,)))
    assert json.loads(line)["decisions"] == [
        {
            "src": "10.0.0.1", "sport": 40000, "dst": "1.2.3.4", "dport": 443, "proto": 6, "opener": "outside",
            "action": "throttle", "rule": "r", "protocol": "tls", "app": "whatsapp", "host": "web.whatsapp.com",
            "residual": {"key": "3-tuple", "seconds": 60.0, "refreshed": True, "directions": "client"},
            "rate_up_kbit": 130, "rate_down_kbit": 150, "cap_bytes": 16384, "directions": "server",
            "flow_rule": "meter", "burst_bytes": 9000,
        }
    ]  # fmt: skip
    told = decode(line)
    assert told == Decisions((decision,))
    assert isinstance(told, Decisions)
    assert (told.decisions[0].opener, told.decisions[0].action) == (Side.OUTSIDE, Action.THROTTLE)


def test_policies_are_reported_as_a_person_writes_them_in_their_order() -> None:
    slow = Policy.model_validate(
        {"title": "Slow", "throttle": "1.5mbit", "only": {"ports": ["tcp/443"]}, "except": {"sites": ["kaspi.kz"]},
         "source": "s"}
    )  # fmt: skip
    order = Order(1, "p", {"z": slow, "a": BLACKOUT})
    policies = json.loads(encode(order))["policies"]
    assert list(policies) == ["z", "a"]
    assert policies["z"] == {
        "title": "Slow", "throttle": "1500kbit", "only": {"ports": ["tcp/443"]}, "except": {"sites": ["kaspi.kz"]},
        "source": "s",
    }  # fmt: skip
    told = decode(encode(order))
    assert isinstance(told, Order)
    assert list(told.policies.items()) == list(order.policies.items())


@given(st.one_of(several(), several(at="gateway"), st.dictionaries(st.just("a"), dpi_policies())))
def test_any_policies_survive_the_wire(policies: Mapping[str, Policy]) -> None:
    order = Order(1, "p", policies)
    assert decode(encode(order)) == order


def test_a_box_inspects_by_the_very_rules_of_its_message() -> None:
    message = decode(encode(BoxPolicy(7, "perfect", tuple(InspectionRule.model_validate(RULE) for _ in range(3)))))
    assert isinstance(message, BoxPolicy)
    policy = inspection_policy(message)
    assert [id(rule) for rule in policy.rules] == [id(rule) for rule in message.rules], "validated once, on arrival"
    assert (policy.name, policy.profile) == ("order 7", "perfect")


def test_each_operator_is_told_its_own_delay() -> None:
    command = Command(Order(3, "blackout", {}, delay_s=0.5), {"kcell": 2.0})
    assert command.for_operator("kcell").delay_s == 2.0
    assert command.for_operator("beeline").delay_s == 0.5


def test_in_direct_mode_no_operator_delays_anything() -> None:
    command = Command(Order(3, "blackout", {}, Mode.DIRECT, 0.5), {"kcell": 2.0})
    assert command.for_operator("kcell").delay_s == 0.0
