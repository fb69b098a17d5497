"""Rules are summed up alike from a program and from what a switch writes of it; what is altered shows."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from shutdownlab import library
from shutdownlab.compiler.program import compile_operator
from shutdownlab.compiler.rules import Meter, PipelineTable, Rule, SwitchProgram
from shutdownlab.compiler.standing import altered, held_digest, standing_of, summed

RULE = Rule(
    PipelineTable.BLACKOUT,
    30,
    (("eth_type", 0x0800), ("ipv4_dst", ("192.0.2.0", "255.255.255.0"))),
    goto=PipelineTable.FORWARD,
    policy="blackout",
)
METER = Meter(1, 150, 30)


@pytest.mark.parametrize("scenario", ["first-shutdown", "kazakhstan-2022"])
def test_every_rule_that_shipped_scenarios_come_to_is_summed_up(scenario: str) -> None:
    shutdown = library.load(scenario)
    for phase in shutdown.scenario.timeline:
        active = shutdown.scenario.active(phase.phase, shutdown.scenario.default_choices())
        for owner in (*shutdown.topology.all_gateways, *shutdown.topology.operators):
            for program in compile_operator(shutdown.network, shutdown.apps, active, owner).values():
                assert standing_of(program).rules == len(program.rules)


@pytest.mark.parametrize(
    ("rule", "meter", "what"),
    [
        (replace(RULE, goto=None), METER, ["rules of the table BLACKOUT"]),
        (replace(RULE, priority=31), METER, ["rules of the table BLACKOUT"]),
        (replace(RULE, policy="other"), METER, ["rules of the table BLACKOUT"]),
        (
            replace(RULE, table=PipelineTable.FORWARD),
            METER,
            ["rules of the table BLACKOUT", "rules of the table FORWARD"],
        ),
        (RULE, replace(METER, kbit=9000), ["meters"]),
        (RULE, METER, []),
    ],
)
def test_what_differs_is_named(rule: Rule, meter: Meter, what: list[str]) -> None:
    ordered = standing_of(SwitchProgram((METER,), (RULE,)))
    assert list(altered(ordered, standing_of(SwitchProgram((meter,), (rule,))))) == what


def test_a_rule_is_the_same_however_a_switch_writes_its_match() -> None:
    """With its fields in another order, and the bits that a mask leaves out set."""
    address = struct.pack("!HBB4s4s", 0x8000, 12 << 1 | 1, 8, bytes((192, 0, 2, 7)), bytes((255, 255, 255, 0)))
    kind = struct.pack("!HBBH", 0x8000, 5 << 1, 2, 0x0800)
    goto = struct.pack("!HHB3x", 1, 8, PipelineTable.FORWARD)
    match = struct.pack("!HH", 1, 4 + len(address) + len(kind)) + address + kind
    written = struct.pack("!H", 30) + match + bytes(-len(match) % 8) + goto
    told = held_digest(int(RULE.table), RULE.cookie, written)
    assert {"BLACKOUT": told} == standing_of(SwitchProgram((), (RULE,))).digests


def test_a_rule_in_a_table_that_the_pipeline_does_not_have_is_told_by_the_table_s_number() -> None:
    """As `sh ovs-ofctl add-flow SWITCH table=200,actions=drop` at the lab's prompt makes one."""
    ordered = standing_of(SwitchProgram((), (RULE,)))
    held = summed(2, [(int(RULE.table), ordered.digests["BLACKOUT"]), (200, 7)])
    assert list(altered(ordered, held)) == ["rules of the table 200"]
