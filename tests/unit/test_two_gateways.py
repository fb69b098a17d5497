"""Several gateways on the model: who is at which, what is said of one, and what it leaves alone."""

from __future__ import annotations

import html
from xml.etree import ElementTree

import pytest
import two_gateways
from two_gateways import AWAY, DEPENDENT, ONE, TWO

from shutdownlab import library
from shutdownlab.config.problems import BadInput
from shutdownlab.model.network import Network, Role
from shutdownlab.reporting.graph import draw
from shutdownlab.verifier.explain import explain
from shutdownlab.verifier.verify import verify

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def network() -> Network:
    return library.load(two_gateways.scenario()).network


def test_each_gateway_is_a_switch_with_the_networks_that_are_at_it(network: Network) -> None:
    switches = {
        node.name: {port.purpose for port in node.ports.values()} for node in network.by_role(Role.GATEWAY_SWITCH)
    }
    assert switches == {"gateway": {"world", "one"}, "research-gateway": {"cloud", "two", "three"}}


def test_routers_at_different_gateways_are_on_different_lans(network: Network) -> None:
    lans: dict[str, set[object]] = {}
    for role, port in ((Role.BORDER, "intl"), (Role.TRANSIT, "gateway")):
        for node in network.by_role(role):
            own = {address.network for address in node.port_for(port).addresses}
            lans.setdefault(network.gateway_of(node.owner).name, set()).update(own)
    assert [len(subnets) for subnets in lans.values()] == [2, 2], "one of each IP version"
    assert not set.intersection(*lans.values())


def test_orders_and_faults_at_one_gateway_are_felt_by_those_who_are_at_it_alone() -> None:
    found = verify(two_gateways.scenario())
    stopped = {
        phase: {r.operator for r in found.results if r.phase == phase and r.target == "bbc" and r.outcome != "ok"}
        for phase in AWAY
    }
    assert stopped == AWAY
    at_home = {(r.operator, r.outcome.value) for r in found.results if r.target == "bank" and r.operator != "three"}
    assert at_home == {("one", "ok"), ("two", "ok")}, "between gateways there is the exchange"


@pytest.mark.parametrize(
    ("vantage", "phase", "switch"),
    [(ONE, "national", "gateway"), (TWO, "other", "research-gateway"), (DEPENDENT, "both", "research-gateway")],
)
def test_the_gateway_that_stops_it_is_explained(vantage: str, phase: str, switch: str) -> None:
    found = explain(two_gateways.scenario(), at=phase, vantage=vantage, target="wikipedia")
    assert [hop.node for hop in found.hops if hop.stops] == [switch]


def test_a_way_to_what_is_behind_the_other_gateway_leads_abroad_and_past_one_gateway_alone() -> None:
    found = explain(two_gateways.scenario(), at="quiet", vantage=ONE, target="bbc")
    assert [hop.node for hop in found.hops if hop.role == "gateway switch"] == ["gateway"]
    assert [hop.node for hop in found.hops if hop.role == "transit"] == ["world", "cloud"]


def test_a_cable_to_another_gateway_has_an_mtu_and_goes_by_that_gateways_name() -> None:
    made = two_gateways.scenario()
    made["topology"]["cables"] = {"two to research": {"mtu": 1400}}
    found = explain(made, at="quiet", vantage=TWO, target="bbc").longest
    assert found is not None and (found.octets, found.link) == (1400, "two to research")


def test_an_expectation_may_be_about_who_is_at_a_gateway() -> None:
    made = two_gateways.scenario()
    made["timeline"][1]["expect"] = [
        {"who": {"gateways": ["gateway"]}, "probes": ["bbc"], "outcome": "blocked", "source": "made up"},
        {"who": {"gateways": ["research"]}, "outcome": "ok", "source": "made up"},
    ]
    assert not verify(made).unmet
    made["timeline"][1]["expect"][1]["outcome"] = "blocked"
    assert {result.operator for result in verify(made).unmet} == {"two", "three"}


def test_a_gateway_that_is_not_there_is_reported_with_those_that_are() -> None:
    made = two_gateways.scenario()
    made["policies"]["at-the-other"]["where"] = {"gateways": ["reserch"]}
    with pytest.raises(BadInput, match="unknown gateway 'reserch'; expected one of gateway, research"):
        library.load(made)


def test_a_cable_to_a_gateway_at_which_a_network_is_not_cannot_be_cut() -> None:
    made = two_gateways.scenario()
    made["faults"]["cut"]["cut"] = ["two to gateway"]
    with pytest.raises(BadInput, match="expected a link that the topology has"):
        library.load(made)


def test_each_gateway_is_drawn_beside_those_who_are_at_it(network: Network) -> None:
    drawing = ElementTree.fromstring(draw(network))
    bars = {
        group.attrib["data-node"]: next(group.iter(f"{SVG}rect"))
        for group in drawing.iter(f"{SVG}g")
        if "data-node" in group.attrib
    }

    def reach(node: str) -> tuple[float, float]:
        top = float(bars[node].attrib["y"])
        return top, top + float(bars[node].attrib["height"])

    for switch in network.by_role(Role.GATEWAY_SWITCH):
        top, bottom = reach(switch.name)
        for operator in network.topology.operators:
            middle = sum(reach(network.one(Role.BORDER, operator).name)) / 2
            assert (top < middle < bottom) is (network.gateway_of(operator) is switch), (operator, switch.name)


@pytest.mark.parametrize(
    ("title", "shown"),
    [
        ("Research abroad", "Research abroad"),
        ("A research network's own way abroad", "research-gateway"),
    ],
)
def test_in_a_short_bar_a_gateway_has_a_whole_name(title: str, shown: str) -> None:
    made = two_gateways.scenario()
    made["topology"]["gateways"]["research"]["title"] = title
    del made["topology"]["operators"]["three"]
    made["policies"], made["faults"], made["timeline"] = {}, {}, made["timeline"][:1]
    drawn = draw(library.load(made).network)
    assert f">{shown}</text>" in drawn
    assert f"<title>research-gateway · {html.escape(title)}</title>" in drawn
