"""What a DPI box is told means what the policies say, connection by connection; and it sees just what it must."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
import random_policies
from hypothesis import given
from hypothesis import strategies as st
from pipeline import Fields, PaperSwitch

from shutdownlab import library
from shutdownlab.compiler.boxes import compile_box
from shutdownlab.compiler.program import compile_switch
from shutdownlab.config.addresses import Address
from shutdownlab.config.document import Expected
from shutdownlab.inspection.policy import InspectionRule
from shutdownlab.model.network import Network
from shutdownlab.model.policy import Policy
from shutdownlab.model.topology import Vantage

APPS = library.catalogue()


@cache
def country() -> Network:
    return library.network("two-operators")


@dataclass(frozen=True)
class Connection:
    """As a box knows it in the end: which app, which name it gave away, where it went, who opened it."""

    subscriber: Address
    app: str | None
    name: str
    remote: Address
    port: int
    by_subscriber: bool = True


@dataclass(frozen=True)
class Answer:
    """What the subscriber's packets and those to the subscriber meet. Rates in kbit/s."""

    reset: bool = False
    drop_up: bool = False
    drop_down: bool = False
    up: int | None = None
    down: int | None = None


def as_told(rules: Iterable[InspectionRule], connection: Connection) -> Answer:
    """The first rule that matches, read as the engine reads it."""
    for rule in rules:
        if not _matches(rule, connection):
            continue
        verdict = rule.verdict
        if verdict.action == "drop":
            sender_up = {"client": connection.by_subscriber, "server": not connection.by_subscriber}
            both = verdict.directions == "both"
            up = both or sender_up[verdict.directions]
            return Answer(drop_up=up, drop_down=both or not up)
        return Answer(reset=verdict.action == "reset", up=verdict.rate_up, down=verdict.rate_down)
    return Answer()


def _matches(rule: InspectionRule, connection: Connection) -> bool:
    when = rule.when
    return (
        any(connection.subscriber in subnet for subnet in when.subscriber)
        and (not when.app or connection.app in when.app)
        and (not when.name_suffix or any(_below(connection.name, suffix) for suffix in when.name_suffix))
        and (not when.address or any(connection.remote in prefix for prefix in when.address))
        and (not when.port or any(ports.contains("tcp", connection.port) for ports in when.port))
        and when.opener in {None, "inside" if connection.by_subscriber else "outside"}
    )


def _below(name: str, suffix: str) -> bool:
    return name == suffix or name.endswith(f".{suffix}")


def as_meant(active: Mapping[str, Policy], vantage: Vantage, connection: Connection) -> Answer:
    """Every policy by itself, then the worst of it."""
    hits = [policy for policy in active.values() if policy.concerns(vantage) and _hit(policy, connection)]
    drops = [policy for policy in hits if policy.block is not None and policy.action == "drop"]
    if drops:
        up = any(policy.direction != "inbound" for policy in drops)
        return Answer(drop_up=up, drop_down=any(policy.direction != "outbound" for policy in drops))
    if any(policy.block is not None for policy in hits):
        return Answer(reset=True)
    up_rates = [p.throttle for p in hits if p.throttle and p.direction != "inbound"]
    down_rates = [p.throttle for p in hits if p.throttle and p.direction != "outbound"]
    return Answer(up=min(up_rates, default=None), down=min(down_rates, default=None))


def _hit(policy: Policy, connection: Connection) -> bool:
    targets, spared = policy.targets, policy.except_
    named = connection.app in targets.apps or any(_below(connection.name, site) for site in targets.sites)
    left_alone = (
        connection.app in spared.apps
        or any(_below(connection.name, site) for site in spared.sites)
        or any(connection.remote in prefix for prefix in spared.addresses)
        or any(ports.contains("tcp", connection.port) for ports in spared.ports)
        or "tcp" in spared.protocols
    )
    return named and not left_alone


@st.composite
def connections(draw: st.DrawFn, vantage: Vantage) -> Connection:
    hosted = draw(st.sampled_from(country().hosted))
    remote = draw(st.sampled_from(hosted.addresses))
    name = draw(st.sampled_from([*hosted.names, "elsewhere.example"]))
    subnet = next(s for s in country().subnets[vantage.id] if s.version == remote.version)
    port = draw(st.sampled_from([443, 80, 179, 5060, 53, 2000]))
    return Connection(subnet.network_address + 10, hosted.app, name, remote, port, draw(st.booleans()))


@given(st.data(), st.lists(random_policies.dpi_policies(), min_size=1, max_size=4))
def test_a_box_is_told_what_the_policies_mean(data: st.DataObject, policies: list[Policy]) -> None:
    active = {f"policy-{number}": policy for number, policy in enumerate(policies)}
    for operator in country().topology.operators:
        rules = compile_box(country(), active, operator)
        for vantage in (v for v in country().vantages if v.id.operator == operator):
            connection = data.draw(connections(vantage))
            assert as_told(rules, connection) == as_meant(active, vantage, connection)


@given(st.lists(random_policies.recognised(), min_size=2, max_size=4))
def test_any_policies_can_be_in_force_together(policies: list[Policy]) -> None:
    active = {f"policy-{number}": policy for number, policy in enumerate(policies)}
    rules = [rule for operator in country().topology.operators for rule in compile_box(country(), active, operator)]
    assert all(rule.name in {*active, "spared"} for rule in rules)


def order(**fields: Any) -> Policy:
    return Policy.model_validate({"title": "test", "source": "test", **fields})


def test_a_box_gets_the_rules_of_its_own_operators_subscribers_and_no_others() -> None:
    active = {"messengers": order(block={"apps": ["signal"]}, where={"operators": ["northnet"], "regions": ["coast"]})}
    (rule,) = compile_box(country(), active, "northnet")
    assert rule.name == "messengers"
    assert rule.when.subscriber == next(s for v, s in country().subnets.items() if str(v) == "northnet/coast/ordinary")
    assert compile_box(country(), active, "southcell") == ()


def test_a_site_and_a_protocol_without_names_are_blocked_at_once_each_in_its_own_way() -> None:
    active = {
        "site": order(block={"sites": ["kaspi.kz"]}, action="reset"),
        "tunnels": order(block={"protocols": ["wireguard", "quic"]}, action="drop"),
    }
    rules = compile_box(country(), active, "southcell")
    alone = [rule for rule in rules if bool(rule.when.name_suffix) != bool(rule.when.protocol)]
    assert [(rule.name, rule.verdict.action) for rule in alone] == [("site", "reset"), ("tunnels", "drop")]


def test_subscribers_alike_share_their_rules() -> None:
    active = {"messengers": order(block={"apps": ["signal"]}, where={"subscribers": ["ordinary"]})}
    (rule,) = compile_box(country(), active, "southcell")
    assert len(rule.when.subscriber) == 4


def test_a_box_is_told_nothing_of_blackouts_ports_and_blocks_by_address() -> None:
    active = {
        "blackout": order(block="everything"),
        "ports": order(block={"ports": [1194]}),
        "by-address": order(block={"apps": ["signal"]}, by="address"),
    }
    assert compile_box(country(), active, "northnet") == ()


def steered(
    active: Mapping[str, Policy], subscriber: str, *, inbound: bool = False, on_path: bool = False
) -> tuple[str, ...]:
    """Where the DPI switch of northnet sends a packet between a subscriber and abroad: the purposes of its ports."""
    node = country().nodes["northnet-dpi"]
    border = country().nodes["northnet-border"].port_for("intl")
    foreign = "203.0.113.9"
    fields: Fields = {
        "in_port": node.port_for("gateway" if inbound else "border-intl").number,
        "eth_type": 0x0800,
        "eth_src": "02:ff:00:00:00:01" if inbound else border.mac,
        "eth_dst": border.mac if inbound else "02:ff:00:00:00:01",
        "ipv4_src": foreign if inbound else subscriber,
        "ipv4_dst": subscriber if inbound else foreign,
        "ip_proto": 6,
        "tcp_src": 443 if inbound else 50000,
        "tcp_dst": 50000 if inbound else 443,
    }
    fate = PaperSwitch(compile_switch(country(), APPS, active, node.name, on_path=on_path)).run(fields)
    purposes = {port.number: port.purpose for port in node.ports.values()}
    return tuple(purposes[number] for number in fate.outputs)


def test_only_inspected_subscribers_pass_through_the_box_both_ways() -> None:
    active = {"messengers": order(block={"apps": ["signal"]}, where={"subscribers": ["ordinary"]})}
    subnets = {str(v): s for v, s in country().subnets.items()}
    ordinary, government = (
        str(ipaddress.ip_address(int(subnets[name][0].network_address) + 10))
        for name in ("northnet/capital/ordinary", "northnet/capital/government")
    )
    assert steered(active, ordinary) == ("box-inside",)
    assert steered(active, ordinary, inbound=True) == ("box-outside",)
    assert steered(active, government) == ("gateway",)
    assert steered(active, government, inbound=True) == ("border-intl",)
    assert steered({}, ordinary) == ("gateway",)


def test_the_controls_of_inspected_subscribers_pass_through_the_box_too_and_those_of_others_do_not() -> None:
    active = {"messengers": order(block={"apps": ["signal"]}, where={"subscribers": ["ordinary"]})}
    controls = {
        str(v.id): str(next(a for a in country().control_addresses(v.id) if a.version == 4)) for v in country().vantages
    }
    assert steered(active, controls["northnet/capital/ordinary"]) == ("box-inside",)
    assert steered(active, controls["northnet/capital/ordinary"], inbound=True) == ("box-outside",)
    assert steered(active, controls["northnet/capital/government"]) == ("gateway",)
    assert steered({}, controls["northnet/capital/ordinary"]) == ("gateway",)


def test_what_the_box_hands_back_is_not_steered_to_it_again() -> None:
    active = {"messengers": order(block={"apps": ["signal"]})}
    node = country().nodes["northnet-dpi"]
    border = country().nodes["northnet-border"].port_for("intl")
    switch = PaperSwitch(compile_switch(country(), APPS, active, node.name))
    out: Fields = {
        "in_port": node.port_for("box-outside").number,
        "eth_src": border.mac,
        "eth_dst": "02:ff:00:00:00:01",
    }
    back: Fields = {
        "in_port": node.port_for("box-inside").number,
        "eth_dst": border.mac,
        "eth_src": "02:ff:00:00:00:01",
    }
    assert switch.run(out).outputs == (node.port_for("gateway").number,)
    assert switch.run(back).outputs == (node.port_for("border-intl").number,)


@pytest.mark.parametrize(
    "fields",
    [
        {"block": {"apps": ["signal"]}, "at": "gateway"},
        {"block": {"apps": ["signal"]}, "action": "reset", "by": "address"},
        {"block": {"apps": ["signal"], "ports": [443]}, "action": "reset"},
        {"block": {"apps": ["signal"]}, "action": "reset", "direction": "inbound"},
        {"throttle": "64kbit", "action": "reset"},
    ],
    ids=["no box at the gateway", "reset by address", "reset of a port", "half a reset", "a throttle resets"],
)
def test_what_no_box_or_switch_can_do_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises((Expected, ValueError), match=r"."):
        order(**fields)


def inspecting(*rules: dict[str, Any], **fields: Any) -> Policy:
    return order(inspect=list(rules), **fields)


def subnets_of(*names: str) -> set[Any]:
    return {subnet for vantage, own in country().subnets.items() if str(vantage) in names for subnet in own}


def test_inspection_rules_reach_the_box_as_they_stand_for_the_subscribers_they_are_about() -> None:
    rule = {"name": "t.co", "when": {"name_contains": "t.co"}, "verdict": {"action": "throttle", "rate": "140kbit"}}
    active = {"twitter": inspecting(rule, where={"operators": ["northnet"]}, **{"except": {"regions": ["coast"]}})}
    (told,) = compile_box(country(), active, "northnet")
    assert told.name == "twitter/t.co"
    assert told.verdict == InspectionRule.model_validate(rule).verdict
    everywhere = [f"northnet/capital/{group}" for group in ("ordinary", "government", "datacentre")]
    assert set(told.when.subscriber) == subnets_of(*everywhere)
    assert told.when.name_contains == ("t.co",)
    assert compile_box(country(), active, "southcell") == ()


def test_a_rule_for_a_class_or_a_prefix_is_about_those_subscribers_alone() -> None:
    (capital,) = (s for s in subnets_of("northnet/capital/ordinary") if s.version == 4)
    part = str(next(capital.subnets(new_prefix=28)))
    active = {
        "some": inspecting(
            {"name": "state", "when": {"subscriber_class": "government"}, "verdict": "pass"},
            {"name": "few", "when": {"subscriber": part}, "verdict": "drop"},
            {"name": "nobody", "when": {"subscriber": "192.0.2.0/24"}, "verdict": "drop"},
        )
    }
    state, few = compile_box(country(), active, "northnet")
    assert set(state.when.subscriber) == subnets_of("northnet/capital/government")
    assert state.when.subscriber_class == ()
    assert [str(subnet) for subnet in few.when.subscriber] == [part]
    assert compile_box(country(), active, "southcell") == ()


def test_inspection_rules_come_first_in_the_order_of_their_policies_then_what_is_blocked_by_name() -> None:
    active = {
        "blocked": order(block={"sites": ["a.example"]}),
        "second": inspecting({"name": "one", "verdict": "pass"}, {"name": "two", "verdict": "drop"}),
        "first": inspecting({"name": "one", "verdict": "reset"}),
    }
    names = [rule.name for rule in compile_box(country(), active, "southcell")]
    assert names == ["second/one", "second/two", "first/one", "blocked"]


def test_what_is_blocked_without_an_action_meets_what_the_boxs_profile_does() -> None:
    active = {"blocked": order(block={"apps": ["signal"]}), "dropped": order(block={"sites": ["b.kz"]}, action="drop")}
    actions = {rule.name: rule.verdict.action for rule in compile_box(country(), active, "southcell")}
    assert actions == {"blocked": "block", "dropped": "drop"}


def test_a_protocol_that_is_recognised_is_the_boxs_and_one_of_ip_is_the_switches() -> None:
    active = {"tunnels": order(block={"protocols": ["openvpn", "quic", "gre"]})}
    (rule,) = compile_box(country(), active, "southcell")
    assert rule.when.protocol == ("openvpn", "quic")
    access = compile_switch(country(), APPS, active, "southcell-coast-sw")
    own = [dict(rule.match) for rule in access.rules if rule.policy == "tunnels"]
    assert {match["ip_proto"] for match in own} == {47}
    by_address = {"quic": order(block={"protocols": ["quic"]}, by="address")}
    assert compile_box(country(), by_address, "southcell") == ()
    matches = [
        dict(r.match) for r in compile_switch(country(), APPS, by_address, "southcell-coast-sw").rules if r.policy
    ]
    assert all(match["ip_proto"] == 17 and 443 in match.values() for match in matches)
    assert matches


def test_without_rules_the_box_is_told_none_but_sees_the_subscribers_for_what_it_does_by_nature() -> None:
    active = {"nature": inspecting(where={"subscribers": ["ordinary"]})}
    assert compile_box(country(), active, "northnet") == ()
    ordinary = next(iter(subnets_of("northnet/capital/ordinary"))).network_address + 10
    if ordinary.version == 6:
        ordinary = next(s for s in subnets_of("northnet/capital/ordinary") if s.version == 4).network_address + 10
    assert steered(active, str(ordinary)) == ("box-inside",)
    access = compile_switch(country(), APPS, active, "northnet-capital-sw")
    assert [rule for rule in access.rules if rule.policy == "nature"] == []


def test_an_on_path_box_is_sent_copies_by_direction_and_the_packet_goes_on() -> None:
    active = {"messengers": order(block={"apps": ["signal"]}, where={"subscribers": ["ordinary"]})}
    subscriber = str(next(s for s in subnets_of("northnet/capital/ordinary") if s.version == 4).network_address + 10)
    assert steered(active, subscriber, on_path=True) == ("box-inside", "gateway")
    assert steered(active, subscriber, inbound=True, on_path=True) == ("box-outside", "border-intl")


def test_what_an_on_path_box_injects_leaves_towards_the_end_it_is_for() -> None:
    active = {"messengers": order(block={"apps": ["signal"]})}
    node = country().nodes["northnet-dpi"]
    border = country().nodes["northnet-border"].port_for("intl")
    switch = PaperSwitch(compile_switch(country(), APPS, active, node.name, on_path=True))
    to_client: Fields = {"in_port": node.port_for("box-inside").number, "eth_src": "02:ff:00:00:00:01"}
    to_server: Fields = {"in_port": node.port_for("box-outside").number, "eth_src": border.mac}
    assert switch.run(to_client | {"eth_dst": border.mac}).outputs == (node.port_for("border-intl").number,)
    assert switch.run(to_server | {"eth_dst": "02:ff:00:00:00:01"}).outputs == (node.port_for("gateway").number,)
