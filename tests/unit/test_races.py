"""How soon an on-path box must be, by where servers are."""

from __future__ import annotations

from functools import cache

import pytest

from shutdownlab import library
from shutdownlab.compiler.races import Races
from shutdownlab.model.network import Network
from shutdownlab.model.policy import Policy
from shutdownlab.model.probe import Family, Surroundings, probe
from shutdownlab.model.scenario import vantage_named

NAMED = Policy.model_validate({"title": "A messenger, by name", "block": {"apps": ["whatsapp"]}, "source": "test"})
BLACKOUT = Policy.model_validate({"title": "All", "block": "everything", "source": "test"})


@cache
def country() -> Network:
    return library.network("two-operators")


def lead(url: str, where: str = "southcell/coast", policy: Policy = NAMED) -> float | None:
    vantage = vantage_named(country().topology, where)
    assert vantage is not None
    at = Surroundings(country(), vantage, Family.IPV4)
    found = Races(country()).rival(probe("web", url=url), at, {"policy": policy})
    return found and found.lead


def test_a_server_abroad_is_as_far_as_the_line_abroad_there_and_back_whatever_the_subscribers_is() -> None:
    """20 ms one way; the lines of the two are of 2 and of 10 ms, on the other side of the box."""
    assert lead("https://www.bbc.com/") == pytest.approx(0.04)
    assert lead("https://www.bbc.com/", "northnet/coast") == pytest.approx(0.04)


def test_a_server_in_another_operators_network_is_as_near_as_its_own_line() -> None:
    host = next(hosted for hosted in country().hosted if hosted.domestic)
    node = country().nodes[host.node]
    assert node.owner == "northnet"
    (line,) = (link.kind.delay for link in country().links if link.a.node == node.name)
    assert lead(f"https://{host.names[0]}/") == pytest.approx(2 * line) == pytest.approx(0.004)


def test_a_box_races_nobody_who_is_on_its_subscribers_side() -> None:
    host = next(hosted for hosted in country().hosted if hosted.domestic)
    assert lead(f"https://{host.names[0]}/", "northnet/coast") is None


def test_a_box_that_has_nothing_to_look_for_races_nobody() -> None:
    assert lead("https://www.bbc.com/", policy=BLACKOUT) is None
    elsewhere = NAMED.model_copy(update={"where": BLACKOUT.where.model_copy(update={"operators": ("northnet",)})})
    assert lead("https://www.bbc.com/", policy=elsewhere) is None


def test_the_lead_over_an_unknown_address_is_that_over_the_nearest_server() -> None:
    assert lead("https://192.0.2.99/") == pytest.approx(0.004)


def test_whom_a_box_races_for_a_page_is_its_server_and_the_resolver_that_asks_abroad_for_its_name() -> None:
    network = country()
    vantage = vantage_named(network.topology, "southcell/coast")
    assert vantage is not None
    at = Surroundings(network, vantage, Family.IPV4)
    found = Races(network).rival(probe("web", url="https://www.bbc.com/"), at, {"policy": NAMED})
    assert found is not None
    server, resolver = network.hosted_as("www.bbc.com"), network.resolver_of(vantage)
    assert server is not None
    assert {*server.texts, *map(str, resolver.addresses)} <= {*found.ends}
    other = network.hosted_as("kaspi.kz")
    assert other is not None and not {*other.texts} & {*found.ends}
    unknown = Races(network).rival(probe("web", url="https://192.0.2.99/"), at, {"policy": NAMED})
    assert unknown is not None and unknown.ends == ()
