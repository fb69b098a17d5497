"""BGP as it is configured: who talks to whom, what is announced, and that no one carries traffic for nothing."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, replace
from ipaddress import ip_address

from countries import countries, country, small_country
from hypothesis import given, settings

from shutdownlab.model.convergence import Convergence
from shutdownlab.model.network import Network, Role
from shutdownlab.model.routing import (
    Relation,
    asn,
    originated,
    routers,
    served_routes,
    sessions,
)
from shutdownlab.servers.routing import bird_config

MIRRORED = {
    Relation.CUSTOMER: Relation.PROVIDER,
    Relation.PROVIDER: Relation.CUSTOMER,
    Relation.PEER: Relation.PEER,
    Relation.EXCHANGE: Relation.CLIENT,
    Relation.CLIENT: Relation.EXCHANGE,
}


@dataclass(frozen=True)
class Bird:
    """What matters of one router's configuration: for each session's name its neighbour's, import tag and export."""

    tags: dict[str, str]
    exports: dict[str, str]


def parse(config: str) -> Bird:
    blocks = re.findall(r"protocol bgp (\w+) \{(.*?)\n\}", config, re.DOTALL)
    tags, exports = {}, {}
    for name, body in blocks:
        added = re.search(r"bgp_large_community\.add\((\w+)_ROUTE\)", body)
        tags[name] = added[1] if added else ""
        rule = re.search(r"export (.*?);", body)
        exports[name] = rule[1] if rule else "none"
    return Bird(tags, exports)


def exported(rule: str, tag: str) -> bool:
    """Whether an export rule lets a route pass that was tagged so on import (`OWN` for the router's own)."""
    return (
        rule == "all"
        or f"{tag}_ROUTE ~" in rule
        or (tag == "OWN" and "OWN ~" in rule)
        or (tag != "OWN" and "source = RTS_BGP" in rule)
    )


def reached(network: Network, origin: str, version: int = 4) -> dict[str, set[tuple[str, ...]]]:
    """Every way an announcement of `origin` can travel by the configurations, as the roles of its hops' importers."""
    birds = {node.name: parse(bird_config(network, node)) for node in routers(network)}
    owner = {
        str(address.ip): node.name for node in routers(network) for p in node.ports.values() for address in p.addresses
    }
    queue: deque[tuple[tuple[str, ...], str]] = deque([((origin,), "OWN")])
    ways: dict[str, set[tuple[str, ...]]] = {node.name: set() for node in routers(network)}
    while queue:
        path, tag = queue.popleft()
        here = network.nodes[path[-1]]
        ways[here.name].add(path)
        for session in sessions(network, here):
            there = owner[str(session.neighbour)]
            if session.version != version or there in path or not exported(birds[here.name].exports[session.name], tag):
                continue
            back = next(s for s in sessions(network, network.nodes[there]) if str(s.neighbour) == str(session.local))
            queue.append(((*path, there), birds[there].tags[back.name]))
    return ways


@given(countries())
@settings(max_examples=30, deadline=None)
def test_every_session_has_its_mirror_image_at_the_other_end(network: Network) -> None:
    every = {(str(s.local), str(s.neighbour)): (node, s) for node in routers(network) for s in sessions(network, node)}
    for (local, neighbour), (node, session) in every.items():
        other, mirrored = every[neighbour, local]
        assert mirrored.relation is MIRRORED[session.relation]
        assert session.asn == asn(network, other)
        assert mirrored.asn == asn(network, node)


@given(countries())
@settings(max_examples=15, deadline=None)
def test_no_one_carries_traffic_between_two_networks_that_do_not_pay_it(network: Network) -> None:
    sold = {(name, carrier) for name, op in network.topology.operators.items() for carrier in op.transit}
    for origin in (node for node in routers(network) if node.role is not Role.ROUTE_SERVER):
        for ways in reached(network, origin.name).values():
            for path in ways:
                owners = [
                    network.nodes[name].owner for name in path if network.nodes[name].role is not Role.ROUTE_SERVER
                ]
                for before, middle, after in zip(owners, owners[1:], owners[2:], strict=False):
                    assert (before, middle) in sold or (after, middle) in sold, owners


@given(countries())
@settings(max_examples=15, deadline=None)
def test_everyone_can_reach_everyone(network: Network) -> None:
    for origin in (node for node in routers(network) if node.role is not Role.ROUTE_SERVER):
        unreached = {name for name, ways in reached(network, origin.name).items() if not ways}
        assert unreached <= {"route-server"}


@given(countries())
@settings(max_examples=15, deadline=None)
def test_over_ipv6_everyone_who_has_it_can_reach_everyone_who_has_it(network: Network) -> None:
    of_both = {node.name for node in routers(network) if 6 in node.versions}
    for origin in (node for node in routers(network) if node.role is not Role.ROUTE_SERVER and 6 in node.versions):
        heard = {name for name, ways in reached(network, origin.name, 6).items() if ways}
        assert of_both - {"route-server"} <= heard <= of_both


@given(countries())
@settings(max_examples=15, deadline=None)
def test_a_router_expects_what_is_announced_in_the_versions_that_it_has(network: Network) -> None:
    converged = Convergence.of(network)
    for node in (node for node in routers(network) if node.role is not Role.ROUTE_SERVER):
        there = {(prefix.version, prefix) for prefix in converged.expected(node)}
        assert {version for version, _ in there} <= set(node.versions)
        for origin in (each for each in routers(network) if each.role is not Role.ROUTE_SERVER):
            for prefix in originated(network, origin):
                comes = bool(reached(network, origin.name, prefix.version)[node.name]) or origin is node
                assert ((prefix.version, prefix) in there) == comes


def test_an_operator_that_buys_from_another_is_announced_abroad_by_its_carrier() -> None:
    ways = reached(small_country(), "southcell-border")["transit-one"]
    assert ("southcell-border", "northnet-border", "transit-one") in ways


def test_the_exchange_is_preferred_and_providers_are_the_last_resort() -> None:
    preferences = {relation: relation.value[1] for relation in Relation}
    assert preferences[Relation.EXCHANGE] > preferences[Relation.CUSTOMER] > preferences[Relation.PEER]
    assert preferences[Relation.PEER] > preferences[Relation.PROVIDER]


def test_no_router_logs_by_syslog_which_would_write_to_the_terminal() -> None:
    network = small_country()
    assert {bird_config(network, node).splitlines()[1] for node in routers(network)} == {"log stderr all;"}


def test_a_customer_best_reached_over_the_exchange_is_still_announced_upstream() -> None:
    network = small_country()
    config = bird_config(network, network.nodes["northnet-border"])
    assert "ipv4 table master4 sorted;" in config
    upstream = re.search(r"protocol bgp provider_transit_one_4 \{.*?\n\}", config, re.DOTALL)
    assert upstream is not None
    assert "secondary;" in upstream[0]


def test_only_the_members_of_the_exchange_have_sessions_with_its_route_server() -> None:
    network = country([(["t0"], True), (["op0"], False)])
    clients = sessions(network, network.nodes["route-server"])
    assert {session.asn for session in clients} == {64600}
    assert all("rs client;" not in bird_config(network, n) for n in routers(network) if n.role is not Role.ROUTE_SERVER)
    assert bird_config(network, network.nodes["route-server"]).count("rs client;") == 2


def test_transits_announce_the_blocks_around_what_they_serve() -> None:
    network = country([(["t0"], True)], served={"t0": ["google-dns"]})
    announced = set(map(str, originated(network, network.nodes["t0"])))
    assert {"8.8.8.0/24", "8.8.4.0/24", "2001:4860:4860::/48", "203.0.100.0/22"} <= announced
    hosts = {str(route.prefix) for route in served_routes(network, network.nodes["t0"])}
    assert {"8.8.8.8/32", "2001:4860:4860::8888/128"} <= hosts


def test_an_app_is_announced_in_its_own_prefixes_whatever_else_lives_in_them() -> None:
    network = country([(["t0"], True)], served={"t0": ["facebook", "whatsapp", "telegram"], "t1": ["wikipedia"]})
    announced = set(map(str, originated(network, network.nodes["t0"])))
    assert {"157.240.0.0/16", "2a03:2880::/32", "149.154.160.0/20", "34.194.71.0/24"} <= announced
    assert {"91.198.174.0/24", "2620:0:860::/46"} <= set(map(str, originated(network, network.nodes["t1"])))
    assert not any(prefix.startswith("91.198") for prefix in announced)


def test_two_transits_that_share_an_apps_prefix_announce_what_is_longer() -> None:
    network = country([(["t0"], True)], served={"t0": ["facebook"], "t1": ["whatsapp"]})
    facebook, whatsapp = (set(map(str, originated(network, network.nodes[name]))) for name in ("t0", "t1"))
    assert {"157.240.13.0/24", "2a03:2880:f126::/48", "31.13.86.37/32"} <= facebook
    assert {"157.240.241.0/24", "2a03:2880:f208::/48", "31.13.86.51/32", "31.13.66.0/24"} <= whatsapp
    assert not facebook & whatsapp


def test_two_transits_that_share_a_block_each_announce_their_own_addresses() -> None:
    network = country([(["t0"], True)], served={"t0": ["google-dns"]})
    first = next(hosted for hosted in network.hosted if hosted.app == "google-dns")
    network.hosted.append(replace(first, node="t1-servers", addresses=(ip_address("8.8.8.9"),)))
    assert "8.8.8.8/32" in map(str, originated(network, network.nodes["t0"]))
    assert "8.8.8.9/32" in map(str, originated(network, network.nodes["t1"]))
    assert "8.8.8.0/24" not in map(str, originated(network, network.nodes["t0"]))


def test_a_converged_router_knows_every_network_and_the_route_server_only_members() -> None:
    network = country([(["t0"], True), (["op0"], False)])
    everything = {"100.64.0.0/16", "100.65.0.0/16", "203.0.100.0/22", "203.0.104.0/22"}
    assert everything <= set(map(str, Convergence.of(network).expected(network.nodes["t0"])))
    members = set(map(str, Convergence.of(network).expected(network.nodes["route-server"])))
    assert "100.64.0.0/16" in members
    assert "203.0.100.0/22" not in members


def test_only_members_reach_each_other_over_the_exchange() -> None:
    network = country([(["t0"], True), (["t0"], True), (["op0"], False)])
    first, second, third = network.by_role(Role.BORDER)
    converged = Convergence.of(network)
    over = {str(prefix): session for prefix, session in converged.at_the_exchange(first).items()}
    assert over["100.65.0.0/16"].startswith("exchange_") and over["100.65.0.0/16"].endswith("_4")
    assert set(over) == set(map(str, originated(network, second)))
    assert converged.at_the_exchange(third) == {}


def test_router_ids_are_unique() -> None:
    network = small_country()
    identities = [re.search(r"router id (\S+);", bird_config(network, node)) for node in routers(network)]
    found = [each[1] for each in identities if each]
    assert len(set(found)) == len(list(routers(network)))
