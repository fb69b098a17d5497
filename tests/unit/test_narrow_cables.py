"""Cables of a lower MTU on the model: who knows it, what is told of it, and where that does not come to senders."""

from __future__ import annotations

from xml.etree import ElementTree

import narrowed
import pytest
from narrowed import ABROAD, BACKBONE, MEMBER, TUNNEL

from shutdownlab import library
from shutdownlab.model.network import Network, Role
from shutdownlab.model.routing import narrower
from shutdownlab.reporting.graph import draw
from shutdownlab.servers.routing import bird_config
from shutdownlab.verifier.explain import explain
from shutdownlab.verifier.explained import explanation_lines
from shutdownlab.verifier.explanation import Longest
from shutdownlab.verifier.verify import verify

ONE, TWO = "one/capital/people", "two/capital/people"


@pytest.fixture(scope="module")
def network() -> Network:
    return library.load(narrowed.scenario()).network


def test_the_interfaces_at_both_ends_of_a_cable_have_its_mtu_and_no_others_have(network: Network) -> None:
    ports = {(node.name, port.name): port.mtu for node in network.nodes.values() for port in node.ports.values()}
    low = {
        (network.one(Role.BORDER, "one").name, "intl"): TUNNEL,
        (network.one(Role.BORDER, "two").name, "ix"): MEMBER,
        (network.one(Role.TRANSIT, "cloud").name, "gateway"): ABROAD,
    }
    between = {place: mtu for place, mtu in ports.items() if mtu == BACKBONE}
    assert {node for node, _ in between} == {network.one(Role.TRANSIT, name).name for name in ("world", "cloud")}
    assert ports == dict.fromkeys(ports, 1500) | low | between


def test_a_router_knows_of_neighbours_whose_cable_carries_less_than_its_own(network: Network) -> None:
    def known(role: Role, owner: str) -> dict[str, int]:
        return {str(address): mtu for address, mtu in narrower(network, network.one(role, owner)).items()}

    def at(role: Role, owner: str, port: str, mtu: int) -> dict[str, int]:
        return {str(each.ip): mtu for each in network.one(role, owner).ports[port].addresses}

    tunnel, abroad = at(Role.BORDER, "one", "intl", TUNNEL), at(Role.TRANSIT, "cloud", "gateway", ABROAD)
    assert known(Role.BORDER, "one") == abroad | at(Role.BORDER, "two", "ix", MEMBER)
    assert known(Role.BORDER, "two") == tunnel | abroad
    assert known(Role.TRANSIT, "world") == tunnel | abroad
    assert known(Role.TRANSIT, "cloud") == {}, "its own cable carries less than the tunnel"


def test_kernels_have_their_routers_routes_with_the_mtu_and_are_told_of_none_where_none_is_lower(
    network: Network,
) -> None:
    config = bird_config(network, network.one(Role.TRANSIT, "world"))
    for via in network.one(Role.BORDER, "one").ports["intl"].addresses:
        assert f"if gw ~ [ {via.ip} ] then {{ krt_mtu = {TUNNEL}; krt_lock_mtu = true; }}" in config
    assert "krt_mtu" not in bird_config(network, network.one(Role.TRANSIT, "cloud"))


def test_the_mtu_of_the_kind_holds_for_each_transit_without_one_of_its_own() -> None:
    made = narrowed.scenario()
    made["topology"]["links"]["transit"]["mtu"] = 1450
    network = library.load(made).network
    mtus = {name: network.one(Role.TRANSIT, name).port_for("gateway").mtu for name in ("world", "cloud")}
    assert mtus == {"world": 1450, "cloud": ABROAD}


def test_a_satellites_cable_to_its_gateway_abroad_has_an_mtu_too() -> None:
    made = narrowed.scenario()
    made["topology"]["links"]["satellite"] = {"delay": "15ms"}
    made["topology"]["operators"]["two"] |= {
        "exchange": False, "regions": {"capital": {"people": {"access": "satellite"}}}
    }  # fmt: skip
    del made["topology"]["cables"]["exchange to two"]
    made["topology"]["cables"]["two to cloud"] = {"mtu": 1300}
    network = library.load(made).network
    assert network.one(Role.BORDER, "two").port_for("intl").mtu == 1300
    assert network.one(Role.TRANSIT, "cloud").port_for("to two").mtu == 1300
    found = explain(made, at="quiet", vantage=TWO, target="bbc").longest
    assert found == Longest(1300, "two to cloud", network.one(Role.BORDER, "two").name, True)


@pytest.mark.parametrize(
    ("vantage", "target", "octets", "link"),
    [
        (ONE, "wikipedia", TUNNEL, "one to gateway"),
        (ONE, "bbc", BACKBONE, "world to cloud"),
        (TWO, "bbc", ABROAD, "cloud to gateway"),
        (TWO, "bank", MEMBER, "two to exchange"),
    ],
)
def test_the_longest_packet_and_the_first_cable_that_carries_no_longer_one_are_explained(
    vantage: str, target: str, octets: int, link: str
) -> None:
    found = explain(narrowed.scenario(), at="quiet", vantage=vantage, target=target)
    assert found.longest is not None and found.longest.is_told
    assert f"  The longest packet that gets there: {octets:,} octets ({link})" in list(explanation_lines(found))


def test_a_line_that_carries_less_than_every_cable_is_what_counts_and_its_own_sender_knows() -> None:
    made = narrowed.scenario()
    made["topology"]["links"]["mobile"]["mtu"] = 1300
    found = explain(made, at="no-icmp", vantage=ONE, target="wikipedia").longest
    assert found == Longest(1300, f"the mobile line of {ONE}", "", True)


def test_nothing_is_said_of_a_way_that_carries_what_ethernet_does() -> None:
    made = narrowed.scenario()
    made["topology"]["cables"] = {"two to gateway": {"mtu": 1476}}
    found = explain(made, at="quiet", vantage=ONE, target="wikipedia")
    assert found.longest is None
    assert not any("longest packet" in line for line in explanation_lines(found))


def test_where_icmp_is_dropped_it_is_explained_that_senders_of_longer_packets_are_not_told() -> None:
    found = explain(narrowed.scenario(), at="no-icmp", vantage=ONE, target="wikipedia")
    assert found.longest is not None and not found.longest.is_told
    assert any("the reports are lost: it waits" in line for line in explanation_lines(found))


def test_a_policy_that_makes_a_black_hole_is_warned_of_with_each_cable_and_who_sends_into_it() -> None:
    said = [each.text for each in verify(narrowed.scenario()).warnings if "octets: longer packets" in each.text]
    drops = "`no-icmp` drops the ICMP errors that tell senders that"
    assert sorted(said) == [
        f"{drops} one to gateway carries at most 1,476 octets: longer packets to wikipedia never arrive; "
        "verdicts do not consider this",
        f"{drops} two to exchange carries at most 1,440 octets: longer packets of bank never arrive; "
        "verdicts do not consider this",
        f"{drops} world to cloud carries at most 1,400 octets: longer packets to bbc never arrive; "
        "verdicts do not consider this",
    ]


def test_without_that_policy_nobody_is_warned_of_black_holes() -> None:
    made = narrowed.scenario()
    made["policies"]["no-icmp"]["where"] = {"operators": ["two"]}
    made["policies"]["no-icmp"]["block"] = {"protocols": ["gre"]}
    assert not any("octets: longer" in each.text for each in verify(made).warnings)


def test_the_drawing_says_which_cables_carry_less(network: Network) -> None:
    texts = [
        "".join(text.itertext())
        for text in ElementTree.fromstring(draw(network)).iter("{http://www.w3.org/2000/svg}text")
    ]
    for said in ("cables: MTU 1,476 to gateway", "cables: MTU 1,440 to exchange", "MTU 1,420 to gateway"):
        assert texts.count(said) == 1
    assert "MTU 1,400 to cloud" in texts
