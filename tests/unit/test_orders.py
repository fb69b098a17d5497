"""Orders survive their way through JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shutdownlab.inspection.policy import InspectionRule
from shutdownlab.model.policy import Policy
from shutdownlab.protocol.messages import MessageError, Order, encode
from shutdownlab.protocol.orders import (
    Command,
    box_rules_as_json,
    decode_line,
    encode_command,
    policies_as_json,
    policies_from_json,
)

POLICIES: dict[str, dict[str, Any]] = {
    "blackout": {"title": "Everything", "block": "everything", "source": "s"},
    "holes": {
        "title": "Everything but",
        "block": "everything",
        "except": {"subscribers": ["government"], "sites": ["kaspi.kz"], "ports": [179, "udp/5060", "16384-16399"]},
        "where": {"operators": ["kcell"], "access": ["mobile"]},
        "direction": "inbound",
        "at": "gateway",
        "source": "s",
    },
    "lists": {
        "title": "Lists",
        "block": {"addresses": ["10.0.0.0/8", "2001:db8::/32"], "protocols": ["quic"], "apps": ["whatsapp"]},
        "by": "address",
        "source": "s",
    },
    "slow": {"title": "Slow", "throttle": "150kbit", "only": {"apps": ["youtube"]}, "source": "s"},
    "slower": {"title": "Slower", "throttle": "1.5mbit", "source": "s"},
    "reset": {"title": "Reset", "block": {"sites": ["bbc.com"]}, "action": "reset", "source": "s"},
    "rules": {
        "title": "Rules",
        "inspect": [
            {
                "name": "everything a verdict can say",
                "when": {
                    "app": "whatsapp",
                    "name_regex": ["^a+$"],
                    "address": "203.0.113.0/24",
                    "port": ["tcp/443", 53],
                    "hours": "22:00-06:00",
                    "probability": 0.25,
                    "opener": "inside",
                    "subscriber_class": "ordinary",
                },
                "verdict": {
                    "action": "reset",
                    "to": "client",
                    "flags": "R",
                    "ttl": 3,
                    "ipid": "copy",
                    "seq_steps": [0, 1460],
                    "residual": {"key": "3-tuple", "for": "90s", "refreshed": True},
                },
            },
            {"name": "slow", "when": {"protocol": "quic"}, "verdict": {"action": "throttle", "rate": "150kbit"}},
            {"name": "lie", "verdict": {"action": "dns", "addresses": ["127.0.0.1", "::1"], "rcode": "NOERROR"}},
        ],
        "source": "s",
    },
    "by-nature": {"title": "No rules", "inspect": [], "source": "s"},
    "protocols": {"title": "Tunnels", "block": {"protocols": ["openvpn", "gre"]}, "action": "drop", "source": "s"},
    "voice": {"title": "Voice", "block": {"voice": True, "sms": True}, "source": "s"},
}


def test_policies_come_out_of_json_as_they_went_in() -> None:
    active = {name: Policy.model_validate(value) for name, value in POLICIES.items()}
    found = policies_from_json(json.loads(json.dumps(policies_as_json(active))))
    assert found == active
    assert list(found) == list(active)


def test_box_rules_come_out_of_json_as_they_went_in() -> None:
    rules = [
        InspectionRule.model_validate(value)
        for value in (
            {"name": "a", "when": {"app": "whatsapp", "subscriber": ["100.64.1.0/24"]}, "verdict": "drop"},
            {
                "name": "b",
                "when": {"name_suffix": ["bbc.com"], "port": ["tcp/443"], "hours": "22:00-06:00"},
                "verdict": {"action": "reset", "residual": {"key": "3-tuple", "for": "90s", "refreshed": True}},
            },
            {"name": "c", "verdict": {"action": "throttle", "rate_up": "150kbit", "rate_down": "2mbit"}},
        )
    ]
    told = json.loads(json.dumps(box_rules_as_json(rules)))
    assert [InspectionRule.model_validate(rule) for rule in told] == rules


def test_an_order_with_an_unknown_key_says_where() -> None:
    with pytest.raises(MessageError, match=r"policy\.blok"):
        policies_from_json([{"name": "x", "policy": {"title": "t", "blok": "everything", "source": "s"}}])


def test_an_order_with_a_policy_twice_is_refused() -> None:
    item = {"name": "x", "policy": POLICIES["blackout"]}
    with pytest.raises(MessageError, match="x twice"):
        policies_from_json([item, item])


def test_a_command_is_a_line_with_an_order_and_a_delay_for_each_operator() -> None:
    command = Command(Order(3, "blackout", [], "operators", 0.5), {"kcell": 2.0})
    line = encode_command(command)
    assert line.endswith(b"\n")
    assert decode_line(line) == command
    assert command.for_operator("kcell").delay_s == 2.0
    assert command.for_operator("beeline").delay_s == 0.5


def test_in_direct_mode_no_operator_delays_anything() -> None:
    command = Command(Order(3, "blackout", [], "direct", 0.5), {"kcell": 2.0})
    assert command.for_operator("kcell").delay_s == 0.0


def test_other_lines_are_messages() -> None:
    order = Order(1, "baseline", [], "operators")
    assert decode_line(encode(order)) == order


def test_a_command_that_is_none_is_refused() -> None:
    for line in (
        b'{"type": "command"}\n',
        b'{"type": "command", "order": {"type":"ready","where":"x"}, "delays": {}}\n',
    ):
        with pytest.raises(MessageError, match="command"):
            decode_line(line)
