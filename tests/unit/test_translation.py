"""Subscribers behind a carrier-grade NAT: who sees which address of theirs, and who reaches them."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from behind import INNER, SHARED, scenario, through

import shutdownlab as sl
from shutdownlab.compiler.translation import ruleset
from shutdownlab.library import load
from shutdownlab.model.network import Network, Role
from shutdownlab.reporting.graph import draw
from shutdownlab.results.result import Result
from shutdownlab.verifier.explained import explanation_lines

CAPITAL, COAST = "southcell/capital/ordinary", "southcell/coast/ordinary"


@pytest.fixture(scope="module")
def network() -> Network:
    return load(scenario()).network


@pytest.fixture(scope="module")
def results() -> list[Result]:
    return list(sl.verify(scenario()).results)


def test_the_gateway_knows_the_shared_address_and_access_switches_the_subscribers_own(results: list[Result]) -> None:
    assert ("ping", "ipv4") not in through(results, "gateway-inner", CAPITAL)
    assert ("ping", "ipv4") in through(results, "gateway-shared", CAPITAL)
    assert ("ping", "ipv4") in through(results, "access-inner", CAPITAL)
    assert ("ping", "ipv4") not in through(results, "gateway-shared", COAST)
    assert ("bbc", "ipv6") not in through(results, "gateway-shared", CAPITAL)  # nobody translates that


def test_a_dpi_box_tells_subscribers_by_the_shared_address(results: list[Result]) -> None:
    assert ("whatsapp", "ipv4") not in through(results, "box-shared", CAPITAL)
    assert ("whatsapp", "ipv4") in through(results, "box-shared", COAST)


def test_another_operator_knows_the_shared_address_too_at_the_switches_of_its_own_subscribers(
    results: list[Result],
) -> None:
    """The bank is in its data centre: what answers is addressed to the shared address."""
    assert ("bank", "ipv4") in through(results, "elsewhere-inner", CAPITAL)
    assert ("bank", "ipv4") not in through(results, "elsewhere-shared", CAPITAL)
    assert ("bank", "ipv4") in through(results, "elsewhere-shared", COAST)


def test_a_router_translates_whom_it_is_told_to_but_not_controls(network: Network) -> None:
    rules = ruleset(network, network.one(Role.BORDER, "southcell"))
    beyond = "ifname { intl, ix }"
    assert f"o{beyond} ip saddr 100.65.1.0/24 ip saddr != 100.65.1.9 snat ip to {SHARED}" in rules
    assert f"i{beyond} ip daddr 100.65.1.0/24 ip daddr != 100.65.1.9 ct direction original drop" in rules
    assert ruleset(network, network.one(Role.BORDER, "northnet")) == ""


def test_an_explanation_and_the_drawing_tell_the_address(network: Network) -> None:
    explained = sl.explain(scenario(), at="gateway-inner", vantage="southcell/capital", target="ping")
    assert f"southcell-border      border:  sends it with the source address {SHARED}" in "\n".join(
        explanation_lines(explained)
    )
    assert explained.stream is not None
    assert explained.beyond is not None
    assert (explained.stream.client, explained.beyond.client) == (INNER, SHARED)
    drawing = draw(network)
    ElementTree.fromstring(drawing)
    assert f"beyond the border router: {SHARED}" in drawing
