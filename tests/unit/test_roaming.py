"""Subscribers who roam: everything that they send goes home in a tunnel, and of it the country sees but that."""

from __future__ import annotations

from collections import defaultdict
from xml.etree import ElementTree

import pytest
from guests import POLICIES, STOP_GUESTS, scenario

import shutdownlab as sl
from shutdownlab.inspection.packet import decode
from shutdownlab.inspection.tunnels import tunnel_name, unwrapped
from shutdownlab.library import load
from shutdownlab.model.network import Network, Role
from shutdownlab.network.home_tunnels import address_in
from shutdownlab.protocol import gtp
from shutdownlab.reporting.graph import draw
from shutdownlab.results.result import Result
from shutdownlab.verifier.packets import LINK_HEADER, FiveTuple, Segment
from shutdownlab.verifier.ways import Ways

NORTH, SOUTH = "northnet/coast/guests", "southcell/capital/guests"
ABROAD = {"bbc", "wikipedia", "ping"}


@pytest.fixture(scope="module")
def network() -> Network:
    return load(scenario()).network


@pytest.fixture(scope="module")
def results() -> list[Result]:
    report = sl.verify(scenario())
    assert not report.undecided
    return list(report.results)


def lost(results: list[Result], vantage: str) -> dict[str, set[str]]:
    """What does not get through from a vantage point, by phase."""
    found = defaultdict(set)
    for each in results:
        if each.vantage == vantage and not each.outcome.got_through:
            found[each.phase].add(each.target)
    return dict(found)


def test_what_keeps_a_tunnel_from_its_home_takes_everything_away(results: list[Result]) -> None:
    for vantage, boxes in ((NORTH, "named"), (SOUTH, None)):
        gone = lost(results, vantage)
        expected = STOP_GUESTS - {"named"} | ({boxes} if boxes else set())
        assert {phase for phase, targets in gone.items() if targets == ABROAD | {"bank"}} == expected


def test_resolvers_that_lie_and_blocked_addresses_are_nothing_to_who_roams(results: list[Result]) -> None:
    for phase in ("resolvers", "addresses"):
        assert phase not in lost(results, NORTH)
        assert phase in lost(results, "northnet/coast/ordinary")


def test_a_box_sees_names_in_a_tunnel_only_where_its_profile_looks_into_it(results: list[Result]) -> None:
    assert "boxes" not in lost(results, NORTH)
    assert lost(results, SOUTH)["boxes"] == {"bbc"}


def test_who_roams_keeps_what_is_abroad_while_the_country_is_dark(results: list[Result]) -> None:
    assert lost(results, NORTH)["own-alone"] == {"bank"}
    assert lost(results, "northnet/coast/ordinary")["own-alone"] == ABROAD | {"bank"}


def test_a_tunnel_is_of_ipv4_whatever_is_in_it(results: list[Result]) -> None:
    assert "ipv6-alone" not in lost(results, NORTH)
    assert lost(results, "northnet/coast/ordinary")["ipv6-alone"] == {"bbc"}


def test_a_home_whose_cable_is_cut_is_reached_by_another_network_abroad(results: list[Result]) -> None:
    assert "cable" not in lost(results, NORTH)


def test_an_order_that_rejects_is_silence_to_who_roams(results: list[Result]) -> None:
    told = {each.failure for each in results if each.phase == "refused" and each.vantage == NORTH}
    assert told == {"generic_timeout_error"}


def test_what_is_in_the_country_is_reached_by_way_of_the_home(network: Network) -> None:
    there = Ways(network).between("northnet-coast-guests", "100.64.3.80")
    assert [each for each in there.nodes if each in {"northnet-border", "transit-two"}] == [
        "northnet-border", "transit-two", "northnet-border"
    ]  # fmt: skip
    inside = [(each.switch, each.tunnelled) for each in there.crossings]
    assert inside[:3] == [("northnet-coast-sw", True), ("northnet-dpi", True), ("gateway", True)]
    assert inside[3:] == [("gateway", False), ("northnet-dpi", False), ("northnet-capital-sw", False)]


def test_routers_that_a_tunnel_passes_take_nothing_off_a_ttl(network: Network) -> None:
    ways = Ways(network)
    there, back = ways.between("northnet-coast-guests", "1.1.1.1"), ways.between("transit-two-servers", "203.0.113.196")
    assert there.passed[-1] == back.passed[-1] == 1  # its home's router alone
    assert back.nodes[-1] == "northnet-coast-guests"


def test_who_roams_has_addresses_and_a_resolver_of_its_home(network: Network) -> None:
    vantage = next(each for each in network.vantages if str(each.id) == NORTH)
    home = network.topology.transits["transit-two"].prefixes
    node, resolver = network.subscriber(vantage.id), network.resolver_of(vantage)
    assert (resolver.owner, resolver.role) == ("transit-two", Role.RESOLVER)
    for each in (node, resolver):
        assert all(any(each.address(version) in prefix for prefix in home) for version in (4, 6))


def test_who_roams_counts_among_nobody_s_subscribers(network: Network) -> None:
    with_guests = {each.id: each.weight for each in network.vantages}
    without = {each.id: each.weight for each in load("first-shutdown").network.vantages}
    assert {name: weight for name, weight in with_guests.items() if name.group != "guests"} == without
    assert {weight for name, weight in with_guests.items() if name.group == "guests"} == {0.0}
    assert not any(each.is_ordinary for each in network.vantages if each.home)


def test_why_a_site_gets_through_names_the_tunnel_and_its_ends() -> None:
    found = sl.explain(scenario(), vantage=NORTH, target="bbc", at="own-alone", family="ipv4")
    did = {hop.node: hop.did for hop in found.hops}
    assert did["northnet-coast-guests"] == "sends it in a GTP-U tunnel, udp/2152 from 100.64.5.10 to 203.0.113.1"
    assert did["transit-two"] == "takes it out of the tunnel"


def test_the_drawing_shows_where_tunnels_go(network: Network) -> None:
    drawing = draw(network)
    ElementTree.fromstring(drawing)
    assert "tunnel to transit-two (203.0.113.1)" in drawing
    assert "roaming, by a tunnel home" in drawing
    assert "roaming" not in draw(load("first-shutdown").network)


def test_what_is_wrapped_is_unwrapped_and_nothing_else_is() -> None:
    data = gtp.wrapped(7, b"packet")
    assert gtp.unwrapped(data) == (7, b"packet")
    echo_request = b"\x32\x01" + data[2:]
    for other in (data[:-1], data + b"x", b"", b"\x30\xff", echo_request, b"\x10" + data[1:], b"\x32" + data[1:]):
        assert gtp.unwrapped(other) is None


def test_boxes_call_a_tunnel_by_its_name_and_find_what_is_in_it() -> None:
    inner = FiveTuple(6, "203.0.113.196", "1.1.1.1", 40000, 443).frame(Segment(), by_client=True)
    outer = FiveTuple(17, "100.64.5.10", "203.0.113.1", gtp.PORT, gtp.PORT)
    data = gtp.wrapped(7, inner[LINK_HEADER:])
    assert tunnel_name(data, gtp.PORT, gtp.PORT) == "gtp"
    found = unwrapped(decode(outer.frame(Segment(data), by_client=True)), 1)
    assert (found.src, found.dport) == (bytes([203, 0, 113, 196]), 443)


@pytest.mark.parametrize("packet", [b"", b"\x45" + bytes(18), b"\x60" + bytes(38), b"\x20" + bytes(60)])
def test_a_frame_that_is_not_an_ip_packet_has_no_address(packet: bytes) -> None:
    assert address_in(packet, target=True) is None


def test_every_policy_of_the_made_up_country_is_tried(results: list[Result]) -> None:
    assert {each.phase for each in results} == set(POLICIES)
