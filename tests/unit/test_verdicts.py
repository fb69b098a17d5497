"""A box's decisions as flow rules."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shutdownlab.compiler.rules import Rule, Table, policy_cookie
from shutdownlab.compiler.verdicts import METER_IDS, VerdictCompiler
from shutdownlab.inspection.verdict import Action, Decision, Residual, Side

FORWARD = (
    ("eth_type", 0x0800),
    ("ip_proto", 6),
    ("ipv4_src", "100.64.1.10"),
    ("ipv4_dst", "203.0.112.10"),
    ("tcp_dst", 443),
    ("tcp_src", 40000),
)
BACK = (
    ("eth_type", 0x0800),
    ("ip_proto", 6),
    ("ipv4_dst", "100.64.1.10"),
    ("ipv4_src", "203.0.112.10"),
    ("tcp_src", 443),
    ("tcp_dst", 40000),
)


def decided(action: Action, **more: Any) -> Decision:
    base = Decision(
        "100.64.1.10",
        40000,
        "203.0.112.10",
        443,
        6,
        Side.INSIDE,
        action,
        "no-whatsapp",
        "tls",
        "whatsapp",
        "g.whatsapp.net",
    )
    return replace(base, **more)


def rules(decision: Decision) -> tuple[Rule, ...]:
    return VerdictCompiler().compile(decision).rules


def test_what_passes_goes_round_the_box_both_ways() -> None:
    found = rules(decided(Action.PASS))
    assert [rule.match for rule in found] == [FORWARD, BACK]
    assert all(rule.table is Table.VERDICTS and rule.goto is Table.FORWARD for rule in found)
    assert all(rule.idle_timeout == 60 and rule.hard_timeout == 0 for rule in found)


@pytest.mark.parametrize("action", [Action.DROP, Action.RESET])
def test_what_is_blocked_is_dropped_both_ways_in_the_policys_name(action: Action) -> None:
    found = rules(decided(action))
    assert [rule.match for rule in found] == [FORWARD, BACK]
    assert all(rule.drops and rule.idle_timeout == 60 for rule in found)
    assert {rule.cookie for rule in found} == {policy_cookie("no-whatsapp")}


@pytest.mark.parametrize(("directions", "match"), [("client", FORWARD), ("server", BACK)])
def test_one_directions_packets_can_be_dropped_alone(directions: str, match: object) -> None:
    assert [rule.match for rule in rules(decided(Action.DROP, directions=directions))] == [match]


def test_a_refreshed_residual_block_ends_when_it_has_been_silent_for_long_enough() -> None:
    found = rules(decided(Action.DROP, residual=Residual("4-tuple", 89.5, True)))
    assert {(rule.match, rule.idle_timeout, rule.hard_timeout) for rule in found} == {(FORWARD, 90, 0), (BACK, 90, 0)}


def test_an_unrefreshed_residual_block_ends_at_its_time() -> None:
    found = rules(decided(Action.DROP, residual=Residual("4-tuple", 120, False)))
    assert {(rule.match, rule.idle_timeout, rule.hard_timeout) for rule in found} == {(FORWARD, 0, 120), (BACK, 0, 120)}


def test_a_residual_block_of_a_3_tuple_is_for_any_port_of_the_client() -> None:
    found = rules(decided(Action.DROP, residual=Residual("3-tuple", 60, True)))
    residual = [rule for rule in found if rule.priority == max(rule.priority for rule in found)]
    assert [rule.match for rule in residual] == [FORWARD[:-1], BACK[:-1]]
    assert {rule.match for rule in found} - {rule.match for rule in residual} == {FORWARD, BACK}


def test_a_residual_block_has_directions_of_its_own() -> None:
    found = rules(decided(Action.DROP, directions="both", residual=Residual("4-tuple", 30, False, "client")))
    assert {(rule.match, rule.hard_timeout) for rule in found} == {(FORWARD, 30), (BACK, 0)}


def test_residual_times_fit_openflow_s_sixteen_bits() -> None:
    longest = rules(decided(Action.DROP, residual=Residual("4-tuple", 1e6, True)))
    shortest = rules(decided(Action.DROP, residual=Residual("4-tuple", 0.01, False)))
    assert {rule.idle_timeout for rule in longest} == {65535}
    assert {rule.hard_timeout for rule in shortest} == {1}


def test_what_the_box_must_go_on_seeing_gets_no_rule() -> None:
    assert rules(decided(Action.DROP, in_box=True)) == ()
    for action in (Action.DNS, Action.BLOCK_PAGE, Action.REDIRECT, Action.FREEZE, Action.INTERCEPT):
        assert rules(decided(action)) == ()


def test_a_throttled_connection_has_a_meter_a_direction() -> None:
    found = VerdictCompiler().compile(decided(Action.THROTTLE, rate_up_kbit=100, rate_down_kbit=200))
    rates = {meter.id: meter.kbit for meter in found.meters}
    assert {(rule.match, rates[rule.meter or 0]) for rule in found.rules} == {(FORWARD, 100), (BACK, 200)}
    assert all(rule.goto is Table.FORWARD for rule in found.rules)
    assert not found.known_meters


def test_up_is_from_the_subscriber_whoever_opened_the_connection() -> None:
    found = VerdictCompiler().compile(
        decided(Action.THROTTLE, opener=Side.OUTSIDE, rate_up_kbit=100, rate_down_kbit=200)
    )
    rates = {meter.id: meter.kbit for meter in found.meters}
    assert {(rule.match, rates[rule.meter or 0]) for rule in found.rules} == {(BACK, 100), (FORWARD, 200)}


def test_a_direction_without_a_rate_has_no_meter() -> None:
    found = VerdictCompiler().compile(decided(Action.THROTTLE, rate_down_kbit=200))
    assert len(found.meters) == 1
    assert [rule.meter is None for rule in found.rules] == [True, False]


def test_throttled_connections_do_not_share_meters_until_all_are_given_away() -> None:
    compiler = VerdictCompiler()
    throttled = decided(Action.THROTTLE, rate_up_kbit=100, rate_down_kbit=200)
    connections = len(METER_IDS) // 2
    given_away = [meter.id for _ in range(connections) for meter in compiler.compile(throttled).meters]
    assert sorted(given_away) == list(METER_IDS)
    again = compiler.compile(throttled)
    assert again.known_meters
    assert {meter.id for meter in again.meters} == set(given_away[:2])


def test_ipv6_and_udp_have_their_own_fields() -> None:
    found = rules(decided(Action.PASS, src="2001:db8:64::a", dst="2001:db8:71::a", proto=17))
    assert found[0].match == (
        ("eth_type", 0x86DD),
        ("ip_proto", 17),
        ("ipv6_src", "2001:db8:64::a"),
        ("ipv6_dst", "2001:db8:71::a"),
        ("udp_dst", 443),
        ("udp_src", 40000),
    )


def test_protocols_without_ports_are_told_apart_by_addresses() -> None:
    assert rules(decided(Action.PASS, proto=47, sport=0, dport=0))[0].match == (
        ("eth_type", 0x0800),
        ("ip_proto", 47),
        ("ipv4_src", "100.64.1.10"),
        ("ipv4_dst", "203.0.112.10"),
    )


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
    assert [rule.goto for rule in passed] == [Table.FORWARD, Table.FORWARD]


@pytest.mark.parametrize(("kbit", "burst_bytes", "burst"), [(145, 8000, 64), (145, None, 36), (10_000, 8000, 500)])
def test_a_meter_has_the_burst_of_the_verdict_but_no_less_than_tcp_needs(
    kbit: int, burst_bytes: int | None, burst: int
) -> None:
    throttled = decided(Action.THROTTLE, rate_up_kbit=kbit, burst_bytes=burst_bytes)
    (meter,) = VerdictCompiler().compile(throttled).meters
    assert (meter.kbit, meter.burst) == (kbit, burst)
