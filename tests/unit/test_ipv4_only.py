"""An operator without IPv6 prefixes: no address, session or route of IPv6, no cell over it, and nobody is misled."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from xml.etree import ElementTree

import pytest
from three_kinds import Json, scenario, topology

import shutdownlab as sl
from shutdownlab.config.problems import BadInput
from shutdownlab.library import Shutdown, load
from shutdownlab.model.network import Network, Role
from shutdownlab.model.routing import routers, sessions
from shutdownlab.reporting.graph import draw
from shutdownlab.results.result import Result
from shutdownlab.servers import dns
from shutdownlab.servers.routing import bird_config
from shutdownlab.servers.zones import zones
from shutdownlab.verifier.routes import Routes
from shutdownlab.verifier.ways import Ways


@pytest.fixture(scope="module")
def shutdown() -> Shutdown:
    return load(scenario())


@pytest.fixture(scope="module")
def network(shutdown: Shutdown) -> Network:
    return shutdown.network


@pytest.fixture(scope="module")
def results() -> list[Result]:
    return list(sl.verify(scenario()).results)


def test_none_of_its_nodes_has_an_ipv6_address_and_those_of_others_have(network: Network) -> None:
    by_owner: dict[str, set[int]] = {}
    for node in network.nodes.values():
        by_owner.setdefault(node.owner, set()).update(a.version for a in node.addresses)
    assert by_owner["oldnet"] == {4}
    assert all(by_owner[owner] == {4, 6} for owner in ("bothnet", "newcell", "exchange", "transit-one"))
    hosts = [network.nodes[hosted.node].owner for hosted in network.hosted if hosted.app == "kaspi"]
    assert set(hosts) == {"oldnet"} and {a.version for a in network.addresses_of("kaspi")} == {4}


def test_its_router_has_no_session_and_no_route_over_ipv6_and_nobody_one_with_it(network: Network) -> None:
    numbers = {node.name: node.addresses for node in routers(network)}
    old = network.one(Role.BORDER, "oldnet")
    assert {session.version for session in sessions(network, old)} == {4}
    for node in routers(network):
        over = {s.version for s in sessions(network, node) if s.neighbour in numbers[old.name]}
        assert over <= {4}
    config = bird_config(network, old)
    assert "kernel6" not in config and "ipv6 {" not in config
    assert "kernel6" in bird_config(network, network.one(Role.BORDER, "bothnet"))


def test_a_customer_of_both_sends_ipv6_by_the_carrier_that_has_it(network: Network) -> None:
    routes = Routes(network)
    assert routes.next_hop("bothnet", "newcell", version=4).owner == "oldnet"  # who is at the exchange
    assert routes.next_hop("bothnet", "newcell", version=6).owner == "transit-two"
    with pytest.raises(KeyError):
        routes.next_hop("oldnet", "newcell", version=6)
    way = Ways(network).between(network.one(Role.RESOLVER, "oldnet").name, "2001:db8:66:1::a")
    assert not way.arrives and way.nodes == ("oldnet-resolver",)


def test_its_resolver_answers_for_ipv6_names_over_ipv4_alone(network: Network, tmp_path: Path) -> None:
    addresses = network.one(Role.RESOLVER, "oldnet").addresses
    assert {address.version for address in addresses} == {4}
    config = dns.unbound_config(addresses, [ip_network("100.64.0.0/16")], tmp_path / "control")
    assert "  do-ip6: no\n" in config
    own = network.one(Role.RESOLVER, "bothnet").addresses
    assert "do-ip6" not in dns.unbound_config(own, [], tmp_path / "control")
    records = [line for zone in zones(network) for line in zone.records if line.startswith("kaspi.kz. ")]
    assert records and not any(" AAAA " in line for line in records)


def test_a_server_of_an_anycast_address_there_has_the_ipv4_one_and_ipv6_goes_abroad(network: Network) -> None:
    here = {a.version for hosted in network.instances for a in hosted.addresses}
    assert here == {4}
    ways, host = Ways(network), network.subscriber(network.vantages_of("newcell")[0][1].id).name
    four, six = ways.reached(host, "8.8.8.8"), ways.reached(host, "2001:4860:4860::8888")
    assert four is not None and six is not None
    assert (four.owner, six.owner) == ("oldnet", "transit-one")


def test_nothing_is_measured_or_observed_over_ipv6_there(results: list[Result]) -> None:
    six = {(r.operator, r.subscriber) for r in results if r.family.value == "ipv6"}
    assert six == {
        ("bothnet", "ordinary"), ("newcell", "ordinary"), ("oldnet", "visitors"), ("bothnet", ""), ("newcell", ""),
    }  # fmt: skip
    assert all(r.outcome.got_through for r in results if r.phase == "baseline")


def test_orders_about_ipv6_leave_it_alone_and_reach_the_others(results: list[Result]) -> None:
    stopped = {
        (r.operator, r.family.value)
        for r in results
        if r.phase == "ipv6-withdrawn" and r.target in {"bbc", "routes"} and not r.outcome.got_through
    }
    assert stopped == {("bothnet", "ipv6"), ("newcell", "ipv6")}


def test_a_question_over_ipv6_from_there_is_refused_and_the_first_family_is_ipv4() -> None:
    asked = scenario()
    asked["probes"]["bbc"]["families"] = ["ipv6", "ipv4"]
    told = sl.explain(asked, at="baseline", vantage="oldnet/valley", target="bbc")
    assert told.family == "ipv4"
    with pytest.raises(BadInput, match=r"family: found ipv6 from oldnet/valley/ordinary, which is IPv4-only"):
        sl.explain(asked, at="baseline", vantage="oldnet/valley", target="bbc", family="ipv6")
    with pytest.raises(BadInput, match=r"IPv4-only; expected ipv4, or a target with IPv4 addresses"):
        sl.explain(asked, at="baseline", vantage="oldnet/valley", target="2001:4860:4860::8888")
    assert sl.explain(asked, at="baseline", vantage="oldnet/hills/visitors", target="bbc").family == "ipv6"


def test_an_order_of_ipv6_addresses_that_concerns_nobody_else_is_said_to_have_no_effect() -> None:
    old = {"where": {"operators": ["oldnet"], "regions": ["valley"]}}
    rule = {"name": "one", "when": {"address": ["2001:db8:71::/48"]}, "verdict": {"action": "drop"}}
    made = scenario(
        {
            "addresses": {"block": {"addresses": ["2001:4860:4860::/48"]}} | old,
            "rule": {"inspect": [rule]} | old,
            "of-both": {"block": {"addresses": ["2001:4860:4860::/48", "8.8.8.0/24"]}} | old,
            "everywhere": {"block": {"addresses": ["2001:4860:4860::/48"]}},
        }
    )
    idle = {each.where: each.reason for each in load(made).idle}
    assert set(idle) == {"policies.addresses.block.addresses", "policies.rule.inspect[0].when"}
    assert all("no subscriber that the policy covers has IPv6" in reason for reason in idle.values())


def test_the_drawing_says_which_subscribers_have_ipv4_alone(network: Network) -> None:
    drawing = draw(network)
    ElementTree.fromstring(drawing)
    assert drawing.count("IPv4 alone") == 3
    assert drawing.count("IPv6 alone") == 1


def test_a_country_may_be_without_ipv6_at_all() -> None:
    country = topology()
    for operator in country["operators"].values():
        operator["prefixes"] = operator["prefixes"][:1]
        operator.pop("nat64", None)
    made: Json = scenario({"off": {"block": "everything"}}) | {"topology": country}
    for each in (*made["probes"].values(), *made["observations"].values()):
        each["families"] = ["ipv4"]
    found = list(sl.verify(made).results)
    assert found and {r.family.value for r in found} == {"ipv4"}
    assert all(r.outcome.got_through for r in found if r.phase == "baseline")
