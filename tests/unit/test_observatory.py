"""The observatory: a network that is observed has one, and is otherwise as it was."""

from __future__ import annotations

import pytest
from countries import country, small_country

from shutdownlab.model import address_plan as plan
from shutdownlab.model import routing
from shutdownlab.model.network import Network, Role
from shutdownlab.model.observatory import NAME, collector_asn, feeds, homes_of, observatory, observed, peers
from shutdownlab.servers.routing import bird_config


def test_who_is_observed_has_the_nodes_links_and_routes_that_it_had() -> None:
    before = small_country()
    after = observed(before)
    assert observatory(before) is None and observatory(after) is after.nodes[NAME]
    assert [name for name in after.nodes if name not in before.nodes] == [NAME]
    assert after.links[: len(before.links)] == before.links and after.hosted == before.hosted
    for name, node in before.nodes.items():
        now = after.nodes[name]
        assert {port: now.ports[port] for port in node.ports} == node.ports
        if node.role in routing.ROUTER_ROLES:
            assert routing.sessions(after, now) == routing.sessions(before, node)
            assert routing.originated(after, now) == routing.originated(before, node)
        if node.role in {Role.BORDER, Role.ROUTE_SERVER}:
            assert bird_config(after, now) == bird_config(before, node)


def test_at_least_eight_networks_abroad_have_the_whole_table_each_by_transits_of_its_own() -> None:
    found = peers(small_country().topology)
    assert len(found) >= 8 and len({peer.asn for peer in found}) == len(found)
    assert {peer.homes for peer in found} >= {
        ("transit-one",),
        ("transit-two",),
        ("transit-one", "transit-two"),
        ("transit-two", "transit-one"),
    }


def test_no_network_abroad_has_the_number_of_one_that_is_there() -> None:
    network = small_country()
    topology = network.topology
    northnet = topology.operators["northnet"].model_copy(update={"asn": 65536})
    taken = topology.model_copy(update={"operators": {**topology.operators, "northnet": northnet}})
    numbers = {collector_asn(taken), *(peer.asn for peer in peers(taken))}
    assert len(numbers) == 9 and 65536 in {collector_asn(topology)} and 65536 not in numbers


@pytest.mark.parametrize(
    "network", [small_country(), country([(["t0"], True)], transits=1), country([(["t0", "t4"], True)], transits=5)]
)
def test_every_session_of_a_transit_with_a_peer_has_the_same_two_ends_at_both(network: Network) -> None:
    network = observed(network)
    transits = [
        (session.local, session.neighbour) for node in network.by_role(Role.TRANSIT) for session in feeds(network, node)
    ]
    theirs = [(s.neighbour, s.local) for peer in peers(network.topology) for s in homes_of(network, peer)]
    assert sorted(map(str, transits)) == sorted(map(str, theirs))
    ends = [address for pair in transits for address in pair]
    assert len(ends) == len(set(ends)), "bird has no two sessions with one address"
    held = {interface.ip for port in network.nodes[NAME].ports.values() for interface in port.addresses}
    assert {local for _, local in transits} == held
    assert all(any(address in block for block in plan.OBSERVATORY) for address in ends)


def test_no_two_interfaces_of_an_observed_country_are_alike() -> None:
    network = observed(small_country())
    macs = [port.mac for node in network.nodes.values() for port in node.ports.values()]
    assert len(macs) == len(set(macs))
