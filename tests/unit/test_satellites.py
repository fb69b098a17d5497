"""Subscribers with dishes: their operator's gateway is abroad, and what the country orders passes them by."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from above import POLICIES, scenario

import shutdownlab as sl
from shutdownlab.config.problems import BadInput
from shutdownlab.library import load
from shutdownlab.model.network import Network, Role
from shutdownlab.model.routing import Relation, sessions
from shutdownlab.reporting.graph import draw
from shutdownlab.results.result import Result
from shutdownlab.verifier.ways import Ways

ABROAD = {"bbc", "wikipedia", "ping"}


@pytest.fixture(scope="module")
def network() -> Network:
    return load(scenario()).network


@pytest.fixture(scope="module")
def results() -> list[Result]:
    return list(sl.verify(scenario()).results)


@pytest.mark.parametrize("phase", [name for name in POLICIES if name not in {"ground-off", "hijacked"}])
def test_no_order_is_about_dishes_wherever_and_however_it_is_carried_out(phase: str, results: list[Result]) -> None:
    above = [r for r in results if r.phase == phase and r.operator == "dishes" and r.target in ABROAD | {"routes"}]
    assert {r.outcome.value for r in above} == {"ok"}


def test_on_the_ground_the_same_orders_are_felt(results: list[Result]) -> None:
    felt = {r.phase for r in results if r.vantage == "northnet/coast/ordinary" and not r.outcome.got_through}
    assert felt == set(POLICIES) - {"jammed", "ground-off"}


def test_what_is_hijacked_at_home_is_lost_by_way_of_the_transit_too(results: list[Result]) -> None:
    lost = {r.target for r in results if r.phase == "hijacked" and r.operator == "dishes" and not r.outcome.got_through}
    assert lost == {"wikipedia"}


@pytest.mark.parametrize("verb", ["hijack", "leak"])
def test_nobody_orders_an_operator_above_to_announce_anything(verb: str) -> None:
    made = scenario()
    order = {"prefix": "91.198.174.0/24", "by": "dishes"} | ({"to": "transit-two"} if verb == "leak" else {})
    made["policies"]["above"] = {"title": "", "source": "made up", verb: order}
    with pytest.raises(BadInput, match=f"policies.above.{verb}.by: found 'dishes', by satellite; expected an operator"):
        load(made)


def test_what_is_hosted_at_home_is_reached_through_the_national_gateway(results: list[Result]) -> None:
    bank = {r.phase: r.outcome.value for r in results if r.operator == "dishes" and r.target == "bank"}
    assert bank["boxes"] == "ok"
    assert bank["gateway"] == bank["access"] == "blocked"
    assert bank["gateway-dark"] == "down"


def test_without_its_ground_station_a_dish_reaches_nothing(results: list[Result]) -> None:
    above = [r for r in results if r.phase == "ground-off" and r.operator == "dishes"]
    assert {r.outcome.value for r in above} == {"down"}


def test_its_packets_pass_no_gateway_switch(network: Network) -> None:
    ways = Ways(network)
    for server in ("151.101.0.81", "8.8.8.8"):  # behind either transit
        crossed = [crossing.switch for crossing in ways.between("dishes-coast", server).crossings]
        assert crossed == ["dishes-coast-sw", "dishes-dpi"]
    home = ways.between("dishes-coast", str(network.subscriber(network.vantages[0].id).address(4)))
    assert "gateway" in [crossing.switch for crossing in home.crossings]


def test_its_router_speaks_bgp_with_its_transit_alone(network: Network) -> None:
    border, transit = network.one(Role.BORDER, "dishes"), network.one(Role.TRANSIT, "transit-two")
    mine, theirs = sessions(network, border), sessions(network, transit)
    assert [(s.relation, s.version) for s in mine] == [(Relation.PROVIDER, 4), (Relation.PROVIDER, 6)]
    back = {s.local: s.neighbour for s in theirs if s.relation is Relation.CUSTOMER}
    assert {s.neighbour: s.local for s in mine}.items() <= back.items()


def test_the_drawing_leads_it_past_the_gateway(network: Network) -> None:
    drawing = draw(network)
    ElementTree.fromstring(drawing)
    assert "satellite, past the gateway" in drawing
    assert "satellite" not in draw(load("first-shutdown").network)
