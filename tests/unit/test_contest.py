"""Which route each router selects to a prefix: one that several announce, one that somebody leaks, an ordinary one."""

from __future__ import annotations

import ipaddress

import pytest
from countries import countries
from countries import country as made_up
from hypothesis import given, settings

from shutdownlab.library import network, shipped
from shutdownlab.model.faults import Announced, Damage, Leaked
from shutdownlab.model.network import Network, Role
from shutdownlab.model.routing import originated, routers
from shutdownlab.verifier.contest import Contest, Neighbours, NextHop
from shutdownlab.verifier.routes import Routes
from shutdownlab.verifier.ways import Ways

BBC = ipaddress.ip_network("151.101.0.0/24")
NORTH, SOUTH = ipaddress.ip_network("100.64.0.0/16"), ipaddress.ip_network("100.65.0.0/16")


@pytest.mark.parametrize("name", [name for name, _ in shipped("topologies")])
def test_what_one_network_announces_goes_the_same_way_played_out_and_by_rule(name: str) -> None:
    country = network(name)
    routes = Routes(country)
    speakers = [node for node in routers(country) if node.role is not Role.ROUTE_SERVER]
    for to in speakers:
        for prefix in originated(country, to)[:1]:
            for node in speakers:
                heard = routes.selected(node.owner, prefix)
                assert heard is not None
                if node is not to:
                    assert heard.hop == routes.next_hop(node.owner, to.owner)


@given(countries())
@settings(max_examples=20, deadline=None)
def test_both_ip_versions_go_the_same_way_played_out_and_by_rule(network: Network) -> None:
    routes = Routes(network)
    speakers = [node for node in routers(network) if node.role is not Role.ROUTE_SERVER]
    for to in speakers:
        for prefix in originated(network, to):
            for node in (each for each in speakers if each is not to):
                heard = routes.selected(node.owner, prefix)
                assert (heard is not None) == (prefix.version in node.versions)
                assert routes.leads(node.owner, to.owner, prefix) == (heard is not None)
                if heard is not None:
                    assert heard.hop == routes.next_hop(node.owner, to.owner, version=prefix.version)


def test_the_route_server_gives_who_sent_it_the_best_route_no_other() -> None:
    made = made_up([(["t0"], True), (["op0"], False), (["t1", "t0"], True), (["op1", "op2"], False)])
    routes = Routes(made)
    assert routes.next_hop("op2", "op3") == NextHop("op3", "gateway")  # its own customer, at one hop
    assert routes.next_hop("op0", "op3") == NextHop("op2", "exchange")


def test_of_two_equal_providers_the_lower_router_identifier_wins_in_whatever_order_they_are_written() -> None:
    for carriers in (["t0", "t1"], ["t1", "t0"]):
        made = made_up([(carriers, True)], transits=3)
        assert Routes(made).next_hop("op0", "t2") == NextHop("t0", "gateway")


def test_who_is_nearer_gets_the_packets_of_a_prefix_that_two_announce() -> None:
    near = Neighbours(
        {"a": ["one"], "b": ["two"], "c": ["one"], "d": ["two"]}, [], ["one", "two"], joined("one", "two")
    )
    contest = Contest(near, {"a": False, "b": False})
    origin = {name: (name, *found.path)[-1] for name in "abcd" if (found := contest.selected(name))}
    assert origin == {"a": "a", "b": "b", "c": "a", "d": "b"}


def test_what_is_announced_at_home_alone_is_not_heard_of_abroad() -> None:
    near = Neighbours({"a": ["one"], "b": ["one"], "c": ["a"]}, ["a", "b"], ["one"], set())
    contest = Contest(near, {"a": True})
    assert contest.selected("one") is None
    for name, hop in (("b", NextHop("a", "exchange")), ("c", NextHop("a", "gateway"))):
        found = contest.selected(name)
        assert found is not None
        assert found.hop == hop


def test_a_leak_leaves_those_where_they_are_who_would_wait_for_each_other() -> None:
    near = Neighbours({"x": ["one", "two"], "far": ["two"]}, [], ["one", "two", "three"],
                      joined("one", "two") | joined("two", "three") | joined("one", "three"))  # fmt: skip
    contest = Contest(near, {"three": False}, {("x", "two")})
    paths = {name: found.path for name in ("x", "far", "one", "two") if (found := contest.selected(name))}
    assert paths == {
        "x": ("one", "three"),
        "far": ("two", "x", "one", "three"),
        "one": ("three",),
        "two": ("x", "one", "three"),
    }


def test_the_longest_prefix_counts_unless_the_router_has_a_longer_one_itself() -> None:
    country = network("two-operators")
    stolen = ipaddress.ip_network("100.64.2.0/24")
    ways = Ways(country, Damage(announced=frozenset({Announced("southcell", stolen, False, True)})))
    hosts = {str(v.id): country.subscriber(v.id) for v in country.vantages}
    subnets = {str(v.id): country.subnets[v.id] for v in country.vantages}
    hit = next(name for name, own in subnets.items() if stolen in own)
    spared = next(name for name, own in subnets.items() if name.startswith("northnet") and stolen not in own)
    inside = str(hosts[hit].address(4))
    assert not ways.between("transit-one-servers", inside).arrives
    assert ways.between("transit-one-servers", inside).silent
    assert ways.between(hosts[spared].name, inside).arrives  # its router has the subnet itself
    assert ways.between("transit-one-servers", str(hosts[spared].address(4))).arrives
    assert not ways.between(hosts["southcell/coast/ordinary"].name, inside).arrives  # who hijacks it, discards it


def test_a_hijack_of_the_whole_is_answered_by_announcing_its_halves() -> None:
    country = network("two-operators")
    halves = [Announced("northnet", half, False, False) for half in NORTH.subnets()]
    stolen = Damage(announced=frozenset({Announced("southcell", NORTH, False, True)}))
    defended = stolen | Damage(announced=frozenset(halves))
    host = country.subscriber(country.vantages[0].id)
    for damage, arrives in ((stolen, False), (defended, True)):
        way = Ways(country, damage).between("southcell-coast", str(host.address(4)))
        assert way.arrives is arrives


def test_leaked_packets_pass_the_router_that_leaks() -> None:
    country = network("two-operators")
    damage = Damage(leaked=frozenset({Leaked("northnet", BBC, "transit-one")}))
    way = Ways(country, damage).between("transit-one-servers", "151.101.0.81")
    assert way.arrives
    assert "northnet-border" in way.nodes
    assert "northnet-border" not in Ways(country).between("transit-one-servers", "151.101.0.81").nodes


def joined(a: str, b: str) -> set[tuple[str, str]]:
    return {(a, b), (b, a)}
