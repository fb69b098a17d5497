"""What a probe agent is asked: the right endpoints, with their true addresses, for the vantage point and the family."""

from __future__ import annotations

from functools import cache

from shutdownlab import library
from shutdownlab.library import Shutdown
from shutdownlab.measure.requests import request_at, surroundings
from shutdownlab.model.scenario import Family
from shutdownlab.protocol.probing import ProbeRequest
from shutdownlab.results.cells import Cell, cells_of


@cache
def scenario() -> Shutdown:
    return library.load("kazakhstan-2022")


def asked_for(cell: Cell) -> ProbeRequest:
    probe = scenario().scenario.probes[cell.target]
    return request_at(probe, cell.target, surroundings(scenario(), cell), "ca.pem")


def targets(probe: str, family: Family = Family.IPV4, vantage: int = 0) -> dict[str, tuple[str, ...]]:
    point = scenario().network.vantages[vantage]
    cell = Cell("baseline", point.id.operator, point, probe, family)
    return {target.host: target.addresses for target in asked_for(cell).ask.targets}


def test_the_app_tests_go_to_the_addresses_that_the_apps_really_have() -> None:
    whatsapp = targets("whatsapp")
    assert "34.194.71.217" in whatsapp["e1.whatsapp.net"]
    assert "31.13.86.51" in whatsapp["web.whatsapp.com"]
    assert "149.154.167.99" in targets("telegram")["web.telegram.org"]
    assert {"76.223.92.165", "13.248.212.111"} <= set(targets("signal")["chat.signal.org"])


def test_each_vantage_point_tries_another_of_whatsapps_endpoints() -> None:
    names = [next(name for name in targets("whatsapp", vantage=n) if name.startswith("e")) for n in range(3)]
    assert names == ["e1.whatsapp.net", "e2.whatsapp.net", "e3.whatsapp.net"]


def test_an_endpoint_is_not_asked_for_in_a_family_it_has_no_address_of() -> None:
    over_6 = targets("whatsapp", Family.IPV6)
    assert {"v.whatsapp.net", "web.whatsapp.com", "g.whatsapp.net"} <= set(over_6)
    assert not any(name.startswith("e") for name in over_6)


def test_a_page_of_the_web_is_compared_with_its_true_addresses() -> None:
    point = scenario().network.vantages[0]
    cell = Cell("baseline", point.id.operator, point, "www.bbc.com", Family.IPV6)
    asked = asked_for(cell)
    assert asked.addresses == ("2a04:4e42::81",)
    assert asked.ask.marker == "<title>www.bbc.com</title>"


def test_what_is_seen_from_outside_is_an_operators_own_and_no_subscribers() -> None:
    """BGP visibility was once a probe of each operator's subscribers in the capital: as many cells, expected alike."""
    shutdown = scenario()
    timeline, choices = shutdown.scenario.timeline, shutdown.scenario.default_choices()
    capital = {str(v.id): v.id.operator for v in shutdown.network.vantages if v.id[1:] == ("nur-sultan", "ordinary")}
    as_it_was = {(phase.phase, operator, "ok") for phase in timeline for operator in capital.values()}
    outside = [(phase, cell) for phase in timeline for cell in cells_of(shutdown, phase) if cell.vantage is None]
    expected = [shutdown.scenario.expected_outside(p, choices, c.operator, c.target) for p, c in outside]
    as_it_is = {(c.phase, c.operator, fact.outcome) for (_, c), fact in zip(outside, expected, strict=True) if fact}
    assert as_it_is == as_it_was
    assert len(outside) == len(as_it_was) == 110
    assert sum(1 for phase in timeline for _ in cells_of(shutdown, phase)) == 10_972
    assert {(c.target, c.family) for _, c in outside} == {("routes", Family.IPV4)}
