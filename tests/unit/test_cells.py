"""What a probe agent is asked: the right endpoints, with their true addresses, for the vantage point and the family."""

from __future__ import annotations

from functools import cache

from shutdownlab import library
from shutdownlab.library import Shutdown
from shutdownlab.measure.requests import request
from shutdownlab.model.scenario import Family
from shutdownlab.results.cells import Cell


@cache
def scenario() -> Shutdown:
    return library.load("kazakhstan-2022")


def targets(probe: str, family: Family = Family.IPV4, vantage: int = 0) -> dict[str, tuple[str, ...]]:
    cell = Cell("baseline", scenario().network.vantages[vantage], probe, family)
    return {target.host: target.addresses for target in request(scenario(), cell, "ca.pem").ask.targets}


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
    cell = Cell("baseline", scenario().network.vantages[0], "www.bbc.com", Family.IPV6)
    asked = request(scenario(), cell, "ca.pem")
    assert asked.addresses == ("2a04:4e42::81",)
    assert asked.ask.marker == "<title>www.bbc.com</title>"
