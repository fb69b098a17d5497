"""A box's decisions as flow rules."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pipeline import Fields, PaperSwitch

from shutdownlab import library
from shutdownlab.compiler.ends import SwitchSides, classify_ends
from shutdownlab.compiler.program import compile_switch
from shutdownlab.compiler.rules import PipelineTable, Rule, SwitchProgram, policy_cookie
from shutdownlab.compiler.verdicts import METER_IDS, VerdictCompiler
from shutdownlab.inspection.actions.registry import installed_actions
from shutdownlab.inspection.verdict import Action, Decision, Residual, Side
from shutdownlab.model.policy import Policy

NETWORK = library.network("two-operators")
NODE = NETWORK.nodes["northnet-dpi"]
INSPECTED = {"named": Policy.model_validate({"title": "One", "block": {"apps": ["whatsapp"]}, "source": "test"})}
PROGRAM = compile_switch(NETWORK, library.catalogue(), INSPECTED, NODE.name)
SUBSCRIBER, SERVER = "100.64.1.10", "203.0.112.10"
ENDS = (SUBSCRIBER, 40000, SERVER, 443)
UNDECIDED = "undecided"


def decided(action: Action, **more: Any) -> Decision:
    base = Decision(*ENDS, 6, Side.INSIDE, action, "no-whatsapp", "tls", "whatsapp", "g.whatsapp.net")
    kind = installed_actions().get(action)
    return replace(base, **{"flow_rule": kind.flow_rule if kind else None, **more})


def rules(decision: Decision) -> tuple[Rule, ...]:
    return VerdictCompiler().compile(decision).rules


def packet(ends: tuple[str, int, str, int] = ENDS, *, inbound: bool = False, proto: int = 6) -> Fields:
    """What the end inside sends to the one outside, or gets from it."""
    src, sport, dst, dport = (*ends[2:], *ends[:2]) if inbound else ends
    version, kind = (6, 0x86DD) if ":" in src else (4, 0x0800)
    fields: Fields = {"in_port": NODE.port_for("gateway" if inbound else "border-intl").number, "eth_type": kind}
    fields |= {"eth_src": "02:ff:00:00:00:01", "eth_dst": "02:ff:00:00:00:02", "ip_proto": proto}
    fields |= {f"ipv{version}_src": src, f"ipv{version}_dst": dst}
    name = {6: "tcp", 17: "udp"}.get(proto)
    return fields | ({f"{name}_src": sport, f"{name}_dst": dport} if name else {})


def fate(rules: tuple[Rule, ...], packet: Fields, meters: tuple[Any, ...] = ()) -> str | int | None:
    """What the switch does by these rules: "dropped", "passed", its rate in kbit/s, or UNDECIDED by them."""
    switch = PaperSwitch(SwitchProgram((*PROGRAM.meters, *meters), (*PROGRAM.rules, *rules)))
    found = switch.run(packet)
    met = [rule.table for rule in found.rules]
    if found.rate is not None:
        return found.rate
    if found.dropped and met[-1] in (PipelineTable.RESIDUAL, PipelineTable.VERDICTS):
        return "dropped"
    return UNDECIDED if PipelineTable.INSPECT in met else "passed"


def fates(decision: Decision, ends: tuple[str, int, str, int] = ENDS, **more: Any) -> tuple[object, object]:
    """Of what goes out, and of what comes in."""
    enforced = VerdictCompiler().compile(decision)
    out, in_ = (fate(enforced.rules, packet(ends, inbound=inbound, **more), enforced.meters) for inbound in (0, 1))
    return out, in_


def timeouts(decision: Decision) -> set[tuple[PipelineTable, int, int]]:
    return {(rule.table, rule.idle_timeout, rule.hard_timeout) for rule in rules(decision)}


OTHER_PORT = (SUBSCRIBER, 40001, SERVER, 443)
OTHER_SERVICE = (SUBSCRIBER, 40000, SERVER, 80)
OTHER_SUBSCRIBER = ("100.64.1.11", 40000, SERVER, 443)
MIRRORED = (SERVER, 443, SUBSCRIBER, 40000)
NEITHER = (UNDECIDED, UNDECIDED)


def test_what_passes_goes_round_the_box_both_ways_by_one_rule() -> None:
    passed = decided(Action.PASS)
    assert fates(passed) == ("passed", "passed")
    assert timeouts(passed) == {(PipelineTable.VERDICTS, 60, 0)}
    assert len(rules(passed)) == 1
    for other in (OTHER_PORT, OTHER_SERVICE, OTHER_SUBSCRIBER, MIRRORED):
        assert fates(passed, other) == NEITHER
    assert fates(passed, proto=17) == NEITHER


@pytest.mark.parametrize("action", [Action.DROP, Action.RESET])
def test_what_is_blocked_is_dropped_both_ways_in_the_policys_name(action: Action) -> None:
    assert fates(decided(action)) == ("dropped", "dropped")
    (rule,) = rules(decided(action))
    assert (rule.goto, rule.outputs) == (None, ())
    assert rule.idle_timeout == 60
    assert rule.cookie == policy_cookie("no-whatsapp")


@pytest.mark.parametrize("opener", Side)
@pytest.mark.parametrize("directions", ["client", "server"])
def test_one_directions_packets_can_be_dropped_alone(directions: str, opener: Side) -> None:
    blocked = decided(Action.DROP, directions=directions, opener=opener)
    ends = ENDS
    if opener is Side.OUTSIDE:
        ends = MIRRORED  # the subscriber is the server
    out = (directions == "client") == (opener is Side.INSIDE)
    assert fates(blocked, ends) == (("dropped", UNDECIDED) if out else (UNDECIDED, "dropped"))


@pytest.mark.parametrize("refreshed", [True, False])
@pytest.mark.parametrize("key", ["4-tuple", "3-tuple"])
def test_a_residual_block_of_both_directions_is_one_rule_with_one_timer(key: str, refreshed: bool) -> None:
    blocked = decided(Action.DROP, residual=Residual(key, 89.5, refreshed))
    (residual,) = (rule for rule in rules(blocked) if rule.table is PipelineTable.RESIDUAL)
    assert (residual.idle_timeout, residual.hard_timeout) == ((90, 0) if refreshed else (0, 90))
    assert residual.cookie == policy_cookie("no-whatsapp")
    assert len(rules(blocked)) == 1, "nothing is left of the connection's own drop when it lapses"
    assert fates(blocked) == ("dropped", "dropped")
    assert fates(blocked, OTHER_PORT) == (("dropped", "dropped") if key == "3-tuple" else NEITHER)
    for other in (OTHER_SERVICE, OTHER_SUBSCRIBER, MIRRORED):
        assert fates(blocked, other) == NEITHER


@pytest.mark.parametrize("opener", Side)
@pytest.mark.parametrize("refreshed", [True, False])
@pytest.mark.parametrize("key", ["4-tuple", "3-tuple"])
@pytest.mark.parametrize("directions", ["client", "server"])
def test_a_residual_block_has_directions_of_its_own(directions: str, key: str, refreshed: bool, opener: Side) -> None:
    """What it spares meets the connection's own drop alone; and it refreshes the block, if anything does."""
    blocked = decided(Action.DROP, residual=Residual(key, 30, refreshed, directions), opener=opener)
    mirrored = opener is Side.OUTSIDE
    ends, other = (MIRRORED, (SERVER, 443, SUBSCRIBER, 40001)) if mirrored else (ENDS, OTHER_PORT)
    assert fates(blocked, ends) == ("dropped", "dropped"), "the connection's own packets, both ways"
    out = (directions == "client") != mirrored
    one_way = ("dropped", UNDECIDED) if out else (UNDECIDED, "dropped")
    assert fates(blocked, other) == (one_way if key == "3-tuple" else NEITHER)
    residual = tuple(rule for rule in rules(blocked) if rule.table is PipelineTable.RESIDUAL)
    assert len(residual) == 1
    assert (fate(residual, packet(ends)), fate(residual, packet(ends, inbound=True))) == one_way
    switch = PaperSwitch(SwitchProgram((), (*PROGRAM.rules, *residual)))
    refreshing = [residual[0] in switch.run(packet(ends, inbound=inbound)).rules for inbound in (False, True)]
    assert refreshing == ([True, True] if refreshed else [out, not out])


def test_residual_times_fit_openflow_s_sixteen_bits() -> None:
    longest = decided(Action.DROP, residual=Residual("4-tuple", 1e6, True))
    shortest = decided(Action.DROP, residual=Residual("4-tuple", 0.01, False))
    assert timeouts(longest) == {(PipelineTable.RESIDUAL, 65535, 0)}
    assert timeouts(shortest) == {(PipelineTable.RESIDUAL, 0, 1)}


def test_connections_are_distinguished_only_where_some_are_inspected() -> None:
    assert not any(rule.moves for rule in compile_switch(NETWORK, library.catalogue(), {}, NODE.name).rules)
    ports = {rule.match[0] for rule in PROGRAM.rules if rule.moves}
    assert {"border-intl", "border-ix", "gateway", "exchange"} == {
        port.purpose for port in NODE.ports.values() if ("in_port", port.number) in ports
    }
    assert {rule.match[0] for rule in classify_ends(SwitchSides((1,), (2,))) if rule.moves} == {
        ("in_port", 1),
        ("in_port", 2),
    }


def test_what_the_box_must_go_on_seeing_gets_no_rule() -> None:
    assert rules(decided(Action.DROP, flow_rule=None)) == ()
    for action in (Action.DNS, Action.BLOCK_PAGE, Action.REDIRECT, Action.FREEZE, Action.INTERCEPT):
        assert rules(decided(action)) == ()


def test_a_throttled_connection_has_a_meter_a_direction() -> None:
    throttled = decided(Action.THROTTLE, rate_up_kbit=100, rate_down_kbit=200)
    assert fates(throttled) == (100, 200)
    assert not VerdictCompiler().compile(throttled).known_meters


def test_up_is_from_the_subscriber_whoever_opened_the_connection() -> None:
    throttled = decided(Action.THROTTLE, opener=Side.OUTSIDE, rate_up_kbit=100, rate_down_kbit=200)
    assert fates(throttled, MIRRORED) == (100, 200)


def test_a_direction_without_a_rate_has_no_meter() -> None:
    throttled = decided(Action.THROTTLE, rate_down_kbit=200)
    assert len(VerdictCompiler().compile(throttled).meters) == 1
    assert fates(throttled) == ("passed", 200)


def test_throttled_connections_do_not_share_meters_until_all_are_given_away() -> None:
    compiler = VerdictCompiler()
    throttled = decided(Action.THROTTLE, rate_up_kbit=100, rate_down_kbit=200)
    connections = len(METER_IDS) // 2
    given_away = [meter.id for _ in range(connections) for meter in compiler.compile(throttled).meters]
    assert sorted(given_away) == list(METER_IDS)
    again = compiler.compile(throttled)
    assert again.known_meters
    assert {meter.id for meter in again.meters} == set(given_away[:2])


def test_ipv6_and_udp_are_distinguished_from_ipv4_and_tcp() -> None:
    ends = ("2001:db8:64::a", 40000, "2001:db8:71::a", 443)
    passed = decided(Action.PASS, src=ends[0], dst=ends[2], proto=17)
    assert fates(passed, ends, proto=17) == ("passed", "passed")
    assert fates(passed, ends, proto=6) == NEITHER
    assert fates(passed, (*ends[:2], "2001:db8:71::b", 443), proto=17) == NEITHER


def test_protocols_without_ports_are_distinguished_by_addresses() -> None:
    passed = decided(Action.PASS, proto=47, sport=0, dport=0)
    assert fates(passed, proto=47) == ("passed", "passed")
    assert fates(passed, OTHER_SUBSCRIBER, proto=47) == NEITHER


@given(
    action=st.sampled_from(Action),
    directions=st.sampled_from(["both", "client", "server"]),
    residual=st.none()
    | st.builds(
        Residual,
        st.sampled_from(["3-tuple", "4-tuple"]),
        st.floats(0.001, 1e5),
        st.booleans(),
        st.sampled_from(["both", "client", "server"]),
    ),
    rates=st.tuples(st.none() | st.integers(1, 10**6), st.none() | st.integers(1, 10**6)),
)
def test_every_rule_ages_out_and_none_is_given_twice(
    action: Action, directions: str, residual: Residual | None, rates: tuple[int | None, int | None]
) -> None:
    up, down = rates
    decision = decided(action, directions=directions, residual=residual, rate_up_kbit=up, rate_down_kbit=down)
    found = rules(decision)
    assert all(0 < rule.idle_timeout + rule.hard_timeout <= 65535 for rule in found)
    assert len({rule.key for rule in found}) == len(found)


@pytest.mark.parametrize("action", [Action.RESET, Action.DNS, Action.BLOCK_PAGE])
def test_nothing_that_an_on_path_box_decides_against_is_stopped_by_the_switch(action: Action) -> None:
    assert VerdictCompiler(on_path=True).compile(decided(action)).rules == ()
    passed = VerdictCompiler(on_path=True).compile(decided(Action.PASS)).rules
    assert [rule.goto for rule in passed] == [PipelineTable.FORWARD]


@pytest.mark.parametrize(("kbit", "burst_bytes", "burst"), [(145, 8000, 64), (145, None, 36), (10_000, 8000, 500)])
def test_a_meter_has_the_burst_of_the_verdict_but_no_less_than_tcp_needs(
    kbit: int, burst_bytes: int | None, burst: int
) -> None:
    throttled = decided(Action.THROTTLE, rate_up_kbit=kbit, burst_bytes=burst_bytes)
    (meter,) = VerdictCompiler().compile(throttled).meters
    assert (meter.kbit, meter.burst) == (kbit, burst)
