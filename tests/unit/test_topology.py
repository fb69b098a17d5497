"""What a topology says of its subscribers and of what it hosts. Its mistakes: tests/golden."""

from __future__ import annotations

import conditioned
import pytest

from shutdownlab import library
from shutdownlab.config.document import parse
from shutdownlab.config.problems import BadInput
from shutdownlab.model.network import Role
from shutdownlab.model.topology import Topology, VantageId
from shutdownlab.model.topology_checks import check_topology

APPS = library.catalogue()
COUNTRIES = [name for name, _ in library.shipped("topologies")]


@pytest.mark.parametrize("name", COUNTRIES)
def test_the_weights_of_ordinary_subscribers_add_up_to_the_operators_millions(name: str) -> None:
    country = library.topology(name)
    for operator, data in country.operators.items():
        weights = [v.weight for v in country.vantages() if v.id.operator == operator]
        assert sum(weights) == pytest.approx(data.subscribers)


@pytest.mark.parametrize("name", COUNTRIES)
def test_only_ordinary_subscribers_have_weight(name: str) -> None:
    for vantage in library.topology(name).vantages():
        assert (vantage.weight > 0) == vantage.is_ordinary


def test_vantage_points_come_in_the_files_order() -> None:
    names = [str(vantage.id) for vantage in library.topology("two-operators").vantages()]
    assert names == [
        "northnet/capital/ordinary",
        "northnet/capital/government",
        "northnet/capital/datacentre",
        "northnet/coast/ordinary",
        "southcell/capital/ordinary",
        "southcell/coast/ordinary",
    ]


def test_a_topology_is_frozen() -> None:
    country = library.topology("two-operators")
    with pytest.raises(ValueError, match="frozen"):
        country.name = "other"


def test_all_problems_of_a_file_come_at_once_in_the_order_of_their_lines() -> None:
    text = dict(library.shipped("topologies"))["two-operators"].read_bytes()
    for right, wrong in ((b"asn: 64502", b"asn: 64501"), (b"100.65.0.0/16", b"100.64.0.0/17"), (b"[northnet]", b"[x]")):
        text = text.replace(right, wrong)
    with pytest.raises(BadInput) as raised:
        check_topology(parse(text, "bad.yaml"), APPS)
    lines = [problem.line for problem in raised.value.problems]
    assert len(lines) == 3
    assert lines == sorted(lines)


def test_operators_may_buy_transit_from_each_other_as_long_as_one_leads_abroad() -> None:
    text = dict(library.shipped("topologies"))["two-operators"].read_bytes()
    both = text.replace(b"transit: [transit-one, transit-two]", b"transit: [southcell, transit-one]")
    assert isinstance(check_topology(parse(both, "both.yaml"), APPS), Topology)
    neither = text.replace(b"transit: [transit-one, transit-two]", b"transit: [southcell]")
    with pytest.raises(BadInput, match="without a way abroad"):
        check_topology(parse(neither, "neither.yaml"), APPS)


def test_the_ends_of_a_line_know_what_its_longest_packet_is_and_others_have_the_ethernets() -> None:
    made = conditioned.topology()
    made["links"]["mobile"]["mtu"] = 1400
    network = library.load(conditioned.scenario() | {"topology": made}).network
    mobile = network.subscriber(VantageId("one", "capital", "people"))
    fixed = network.subscriber(VantageId("one", "capital", "centre"))
    assert {route.mtu for route in mobile.routes} == {1400}
    assert {route.mtu for route in fixed.routes} == {None}
    [border] = network.by_role(Role.BORDER)
    short = {block for vantage in network.vantages if vantage.access == "mobile" for block in vantage.subnets}
    assert {route.prefix for route in border.routes if route.mtu == 1400} == short
