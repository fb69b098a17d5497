"""A topology worked out: no two things share what must be their own, and both ends of a link agree."""

from __future__ import annotations

import itertools
from collections import Counter
from functools import cache

import pytest

from shutdownlab import library
from shutdownlab.model.network import Network, Node, Role
from shutdownlab.model.topology import VantageId

COUNTRIES = [name for name, _ in library.shipped("topologies")]


@cache
def country(name: str) -> Network:
    return library.network(name)


def nodes(network: Network) -> list[Node]:
    return list(network.nodes.values())


@pytest.mark.parametrize("name", COUNTRIES)
def test_macs_dpids_and_addresses_are_each_given_once(name: str) -> None:
    network = country(name)
    ports = [port for node in nodes(network) for port in node.ports.values()]
    macs = Counter(port.mac for port in ports)
    dpids = Counter(node.dpid for node in nodes(network) if node.role.is_openflow)
    addresses = Counter(a.ip for port in ports for a in port.addresses)
    addresses.update(address for hosted in network.hosted for address in set(hosted.addresses))
    for counter in (macs, dpids, addresses):
        assert [value for value, count in counter.items() if count > 1] == []
    assert 0 not in dpids


@pytest.mark.parametrize("name", COUNTRIES)
def test_interface_names_fit_the_kernel_and_are_unique_where_switches_share_a_namespace(name: str) -> None:
    network = country(name)
    assert all(len(port) <= 15 for node in nodes(network) for port in node.ports)
    of_switches = Counter(port for node in nodes(network) if "switch" in node.role for port in node.ports)
    assert set(of_switches.values()) == {1}


@pytest.mark.parametrize("name", COUNTRIES)
def test_both_ends_of_a_link_name_each_other_and_share_its_subnets(name: str) -> None:
    network = country(name)
    for link in network.links:
        a, b = (network.nodes[end.node].ports[end.port] for end in (link.a, link.b))
        assert (a.peer, b.peer) == (link.b, link.a)
        if a.addresses and b.addresses:
            assert {x.network for x in b.addresses} <= {x.network for x in a.addresses}


@pytest.mark.parametrize("name", COUNTRIES)
def test_openflow_port_numbers_count_from_one(name: str) -> None:
    for node in nodes(country(name)):
        assert sorted(port.number for port in node.ports.values()) == list(range(1, len(node.ports) + 1))


@pytest.mark.parametrize("name", COUNTRIES)
def test_subscriber_subnets_are_disjoint_and_within_their_operators_prefixes(name: str) -> None:
    network = country(name)
    subnets = [subnet for pair in network.subnets.values() for subnet in pair]
    assert not any(a.version == b.version and a.overlaps(b) for a, b in itertools.combinations(subnets, 2))
    for vantage in network.vantages:
        prefixes = network.topology.operators[vantage.id.operator].prefixes
        assert [subnet.prefixlen for subnet in network.subnets[vantage.id]] == [24, 64]
        for subnet in network.subnets[vantage.id]:
            assert any(subnet.version == p.version and subnet.subnet_of(p) for p in prefixes)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", COUNTRIES)
def test_every_subscriber_has_a_default_route_by_its_border_router_in_both_versions(name: str) -> None:
    network = country(name)
    for vantage in network.vantages:
        host = network.subscriber(vantage.id)
        gateways = {
            a.ip for port in network.one(Role.BORDER, vantage.id.operator).ports.values() for a in port.addresses
        }
        defaults = [route for route in host.routes if route.prefix.prefixlen == 0]
        assert sorted(route.prefix.version for route in defaults) == [4, 6]
        assert all(route.via in gateways for route in defaults)


@pytest.mark.parametrize("name", COUNTRIES)
def test_every_operator_has_its_equipment(name: str) -> None:
    network = country(name)
    for operator, data in network.topology.operators.items():
        for role in (Role.BORDER, Role.DPI_SWITCH, Role.DPI_BOX, Role.RESOLVER, Role.TELEPHONE):
            assert len(list(network.by_role(role, operator))) == 1
        assert len(list(network.by_role(Role.ACCESS_SWITCH, operator))) == len(data.regions)


@pytest.mark.parametrize("name", COUNTRIES)
def test_every_served_app_answers_somewhere_at_home_or_abroad(name: str) -> None:
    network = country(name)
    for path, app in network.topology.served():
        hosted = [item for item in network.hosted if item.app == app]
        assert hosted, app
        assert {item.domestic for item in hosted} == {path[0] == "operators"}
        for item in hosted:
            assert all(network.hosted_as(name) is not None for name in (*item.names, *map(str, item.addresses)))


def test_the_same_topology_is_always_laid_out_the_same() -> None:
    again = library.network("two-operators")
    assert again.nodes == country("two-operators").nodes
    assert again.hosted == country("two-operators").hosted


def test_ordinary_subscribers_are_named_by_operator_and_region_alone() -> None:
    network = country("two-operators")
    assert network.subscriber(VantageId("northnet", "capital", "ordinary")).name == "northnet-capital"
    assert network.subscriber(VantageId("northnet", "capital", "government")).name == "northnet-capital-government"


def test_an_unknown_purpose_is_reported_with_the_nodes_name() -> None:
    with pytest.raises(KeyError, match="gateway has no port for nobody"):
        country("two-operators").nodes["gateway"].port_for("nobody")
