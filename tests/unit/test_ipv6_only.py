"""Subscribers whose lines carry IPv6 alone: who sees what of their IPv4 packets, and what stops them."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_network
from pathlib import Path
from xml.etree import ElementTree

import pytest
from behind import through
from ipv6_only import INNER, SHARED, STANDING, scenario

import shutdownlab as sl
from shutdownlab.compiler.ipv6_only import translated
from shutdownlab.compiler.program import compile_switch
from shutdownlab.compiler.rules import PipelineTable, Rule
from shutdownlab.compiler.translation import ruleset
from shutdownlab.config.numbers import ETHER_IPV4, ETHER_IPV6, ICMP, ICMPV6
from shutdownlab.library import load
from shutdownlab.model.address_plan import as_ipv6
from shutdownlab.model.network import Network, Role
from shutdownlab.reporting.graph import draw
from shutdownlab.results.result import Result
from shutdownlab.servers.dns import unbound_config
from shutdownlab.servers.translators import border_config, daemons
from shutdownlab.verifier.explained import explanation_lines
from shutdownlab.verifier.ways import Ways

CAPITAL, COAST = "southcell/capital/ordinary", "southcell/coast/ordinary"
WHOLE = ip_network(f"{STANDING}0:0/96")


@pytest.fixture(scope="module")
def network() -> Network:
    return load(scenario()).network


@pytest.fixture(scope="module")
def results() -> list[Result]:
    return list(sl.verify(scenario()).results)


def test_everything_gets_through_a_nat64_on_a_quiet_day(results: list[Result]) -> None:
    assert all(r.outcome.got_through for r in results if r.phase == "baseline")


def test_an_order_of_an_ipv4_prefix_holds_on_a_line_of_ipv6_alone(results: list[Result]) -> None:
    for phase in ("prefix", "standing"):  # as IPv4, and as what stands for it
        came = through(results, phase, CAPITAL)
        assert ("ping", "ipv4") not in came and ("dns", "ipv4") not in came
        assert {("bbc", "ipv4"), ("bbc", "ipv6"), ("whatsapp", "ipv4")} <= came
    assert ("ping", "ipv4") in through(results, "prefix", "northnet/capital/ordinary")


def test_the_gateway_knows_the_shared_address_and_access_switches_the_subscribers_own(results: list[Result]) -> None:
    assert ("ping", "ipv4") not in through(results, "gateway-inner", CAPITAL)
    assert ("ping", "ipv4") in through(results, "gateway-shared", CAPITAL)
    assert ("ping", "ipv4") in through(results, "access-inner", CAPITAL)
    assert ("ping", "ipv4") not in through(results, "gateway-shared", COAST)
    assert ("bbc", "ipv6") not in through(results, "gateway-shared", CAPITAL)  # nobody translates that
    assert ("whatsapp", "ipv4") not in through(results, "box-shared", CAPITAL)
    assert ("whatsapp", "ipv4") in through(results, "box-shared", COAST)


def test_what_an_order_spares_by_its_ipv4_address_is_spared(results: list[Result]) -> None:
    came = through(results, "allowed", CAPITAL)
    assert {("bank", "ipv4"), ("bank", "ipv6"), ("ping", "ipv4"), ("dns", "ipv4")} <= came
    assert not {("bbc", "ipv4"), ("whatsapp", "ipv4"), ("http3", "ipv4")} & came


def test_calls_end_with_voice_over_either_family_and_with_nothing_else(results: list[Result]) -> None:
    calls = {("call", "ipv4"), ("call", "ipv6")}
    assert not calls & through(results, "silent", CAPITAL)
    assert all(calls <= through(results, phase, CAPITAL) for phase in ("prefix", "allowed", "echoes", "withdrawn"))


def test_a_rule_of_ipv4_addresses_has_a_twin_and_one_of_none_has_not() -> None:
    match = (("eth_type", ETHER_IPV4), ("ipv4_dst", ("8.8.8.0", "255.255.255.0")), ("ip_proto", ICMP))
    twin = translated(Rule(PipelineTable.ACCESS_LISTS, 7, match, policy="prefix"), WHOLE)
    assert twin is not None
    mask = str(ip_network(f"{STANDING}808:800/120").netmask)
    expected = (("eth_type", ETHER_IPV6), ("ipv6_dst", (f"{STANDING}808:800", mask)), ("ip_proto", ICMPV6))
    assert (twin.match, twin.priority, twin.policy) == (expected, 7, "prefix")
    assert translated(Rule(PipelineTable.ACCESS_LISTS, 7, (("eth_type", ETHER_IPV4), ("ip_proto", 6))), WHOLE) is None
    assert translated(Rule(PipelineTable.ACCESS_LISTS, 7, (("eth_type", ETHER_IPV6),)), WHOLE) is None


def test_only_access_switches_before_a_nat64_know_what_stands_for_ipv4(network: Network) -> None:
    def named(switch: str) -> bool:
        rules = compile_switch(network, load(scenario()).apps, {}, switch).rules
        fields = [each for rule in rules for each in rule.match if each[0] in ("ipv6_src", "ipv6_dst")]
        return any(IPv6Address(value[0]) in WHOLE for _, value in fields if isinstance(value, tuple))

    assert named(network.one(Role.ACCESS_SWITCH, "southcell").name)
    assert not any(
        named(node.name)
        for node in network.nodes.values()
        if node.role.is_openflow and (node.role is not Role.ACCESS_SWITCH or node.owner != "southcell")
    )


def test_addresses_that_stand_for_others_are_written_as_rfc_6052_has_it() -> None:
    well_known = ip_network("64:ff9b::/96")
    assert str(as_ipv6(well_known, ip_network("192.0.2.33/32"))) == "64:ff9b::c000:221/128"  # its section 2.4
    assert str(as_ipv6(well_known, ip_network("192.0.2.0/24"))) == "64:ff9b::c000:200/120"


def test_the_border_and_every_subscriber_have_a_translator_and_the_resolver_dns64(network: Network) -> None:
    assert [d.node for d in daemons(network, Path("/x"))] == [
        "southcell-border",
        "southcell-capital",
        "southcell-coast",
    ]
    assert border_config(network, "southcell").splitlines() == [
        "tun-device nat64",
        "ipv4-addr 100.65.0.69",
        f"prefix {WHOLE}",
        "map 100.65.1.4 2001:db8:65:1::a",
        "map 100.65.2.4 2001:db8:65:2::a",
    ]
    rules = ruleset(network, network.one(Role.BORDER, "southcell"))
    assert f"ip saddr 100.65.1.0/24 ip saddr != 100.65.1.9 snat ip to {SHARED}" in rules
    config = unbound_config([], [], Path("/x/control"), dns64=WHOLE)
    assert 'module-config: "dns64 iterator"' in config and f"dns64-prefix: {WHOLE}" in config
    assert "dns64" not in unbound_config([], [], Path("/x/control"))


def test_translators_are_routers_on_the_way_of_ipv4_and_not_of_ipv6(network: Network) -> None:
    ways, host = Ways(network), network.subscriber(network.vantages_of("southcell")[0][1].id).name
    passed = {version: ways.between(host, address).passed[-1] for version, address in (
        (4, "8.8.8.8"), (6, "2001:4860:4860::8888"),
    )}  # fmt: skip
    assert passed[4] == passed[6] + 4  # two at the subscriber and two at the border, as pings' TTLs have it
    neighbour = ways.between(host, "100.65.2.10")  # of the same operator: IPv6 from end to end
    assert neighbour.passed[-1] == 1 + 4


def test_an_explanation_and_the_drawing_tell_the_addresses(network: Network) -> None:
    told = "\n".join(
        explanation_lines(sl.explain(scenario(), at="baseline", vantage="southcell/capital", target="ping"))
    )
    assert f"southcell-capital     translator:  translates it to IPv6, to {STANDING}808:808" in told
    assert "southcell-border      translator:  translates it back to IPv4" in told
    assert f"southcell-border      border:  sends it with the source address {SHARED}" in told
    blocked = sl.explain(scenario(), at="prefix", vantage="southcell/capital", target="ping")
    assert f"ipv6_dst {STANDING}808:800/" in "\n".join(explanation_lines(blocked))
    assert blocked.stream is not None and blocked.stream.client == INNER
    drawing = draw(network)
    ElementTree.fromstring(drawing)
    assert f"IPv6 alone; beyond the border router: {SHARED}" in drawing
