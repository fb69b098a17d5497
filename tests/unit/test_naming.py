"""No user's name can collide with another, or with one of ours, at any length."""

from __future__ import annotations

import keyword
from typing import Any

import pytest
from countries import catalogue
from hypothesis import given, settings
from hypothesis import strategies as st

from shutdownlab.config.document import parse
from shutdownlab.country.prompt import Prompt
from shutdownlab.model.layout import lay_out
from shutdownlab.model.lookup import node_named
from shutdownlab.model.network import Network
from shutdownlab.model.routing import routers, sessions
from shutdownlab.model.topology_checks import check_topology
from shutdownlab.reporting.graph import draw

GROUPS = ("ordinary", "government")


def country(operators: dict[str, dict[str, tuple[str, ...]]], transits: tuple[str, ...] = ("abroad-one",)) -> Network:
    """`operators`: the groups of each by region."""
    fixed = {"access": "fixed"}
    regions = {region for found in operators.values() for region in found}
    data: dict[str, Any] = {
        "format": 1,
        "name": "names",
        "title": "Names",
        "country": "ZZ",
        "links": {},
        "regions": {region: {"title": region, "weight": round(1 / len(regions), 6)} for region in sorted(regions)},
        "operators": {
            name: {
                "title": name,
                "asn": 64600 + number,
                "subscribers": 1,
                "prefixes": [f"100.{64 + number}.0.0/16", f"2001:db8:{number + 1:x}::/48"],
                "transit": [transits[0]],
                "regions": {region: dict.fromkeys(groups, fixed) for region, groups in found.items()},
            }
            for number, (name, found) in enumerate(operators.items())
        },
        "gateway": {"title": "Gateway"},
        "exchange": {"title": "Exchange", "asn": 64900},
        "transits": {
            name: {
                "title": name,
                "asn": 64700 + number,
                "prefixes": [f"203.0.{100 + 4 * number}.0/22", f"2001:db8:f{number}::/48"],
                "serves": [],
            }
            for number, name in enumerate(transits)
        },
    }
    return lay_out(check_topology(parse(data, "names"), catalogue()), catalogue())


def assert_all_apart(network: Network) -> None:
    topology = network.topology
    operators = topology.operators.values()
    regions = sum(len(operator.regions) for operator in operators)
    expected = 3 + 2 * len(topology.transits) + 6 * len(operators) + regions + len(network.vantages)
    assert len(network.nodes) == expected
    assert {network.subscriber(v.id).vantage for v in network.vantages} == set(network.vantages)
    for vantage in network.vantages:
        assert node_named(network, str(vantage.id), "node").vantage == vantage
    for node in network.nodes.values():
        ports = list(node.ports.values())
        assert len({port.peer for port in ports}) == len(ports)
        assert all(len(port.name) <= 15 for port in ports), "longer than an interface's name may be"
        for port in ports:
            assert network.nodes[port.peer.node].ports[port.peer.port].peer == (node.name, port.name)
    for router in routers(network):
        names = [session.name for session in sessions(network, router)]
        assert len(set(names)) == len(names)
        assert all(name.replace("_", "").isalnum() for name in names), "no symbol of bird's"
    assert draw(network).count("<svg") == 1


ORDINARY = ("ordinary",)
OURS = ("border", "resolver", "telephone", "dpi", "box", "control")


@pytest.mark.parametrize(
    ("operators", "transits"),
    [
        pytest.param({"north": {"net-capital": ORDINARY}, "north-net": {"capital": ORDINARY}}, ("t",), id="hyphens"),
        pytest.param({"a": {"b": ("c", "ordinary"), "b-c": ORDINARY}}, ("t",), id="a group and a region"),
        pytest.param(
            {"a": dict.fromkeys(("border", "resolver", "telephone", "dpi", "box", "control"), ORDINARY)},
            ("t",),
            id="ours",
        ),
        pytest.param({"a": {"b": ("sw", "ordinary")}}, ("t",), id="an access switch"),
        pytest.param({"a": {"b": ORDINARY}}, ("a-border", "a-b", "a-b-sw", "route-server"), id="transits"),
        pytest.param({"t": {"servers": ORDINARY}}, ("t-servers", "u"), id="servers"),
        pytest.param(
            {"same-for-13-letters-1": {"r" * 40: ORDINARY}, "same-for-13-letters-2": {"r" * 40: ORDINARY}},
            ("same-for-13-letters-3", "same-for-13-letters-4", "same-for-13-letters-5", "x" * 40),
            id="alike at their beginning",
        ),
        pytest.param({"x" * 40: {"y" * 40: ("z" * 40, "ordinary")}}, ("t",), id="as long as may be"),
    ],
)
def test_names_that_would_collide_are_kept_apart(
    operators: dict[str, dict[str, tuple[str, ...]]], transits: tuple[str, ...]
) -> None:
    assert_all_apart(country(operators, transits))


WORDS = st.sampled_from(["a", "b", "a-b", "border", "dpi", "box", "sw", "servers", "resolver", "telephone", "ordinary"])
GROUP_SETS = st.lists(st.one_of(WORDS, st.just("ordinary")), min_size=1, max_size=3, unique=True).map(tuple)
OPERATORS = st.dictionaries(WORDS, st.dictionaries(WORDS, GROUP_SETS, min_size=1, max_size=3), min_size=1, max_size=4)


@given(
    OPERATORS, st.lists(st.sampled_from(["t", "a-border", "b-sw", "a-b-box", "route-server"]), min_size=1, unique=True)
)
@settings(max_examples=50, deadline=None)
def test_no_names_whatever_collide(operators: dict[str, dict[str, tuple[str, ...]]], transits: list[str]) -> None:
    assert_all_apart(country(operators, tuple(name for name in transits if name not in operators) or ("t",)))


COMMANDS = {name.removeprefix("do_") for name in dir(Prompt) if name.startswith("do_")}
WORDS_AT_THE_PROMPT = sorted(word for word in COMMANDS | set(keyword.kwlist) if word.islower())


@pytest.mark.parametrize("turn", range(0, len(WORDS_AT_THE_PROMPT), 16))
def test_no_node_is_called_by_a_word_that_means_something_else_at_the_prompt(turn: int) -> None:
    words = WORDS_AT_THE_PROMPT[turn : turn + 16]
    network = country({"a": {"b": ORDINARY}}, (*words, "other"))
    assert_all_apart(network)
    assert network.nodes.keys().isdisjoint(words)
    assert {"other", *(f"{word}_transit" for word in words)} <= set(network.nodes)


def test_no_node_is_called_like_a_number_of_python() -> None:
    numbers = ("0", "17", "1e3", "0x10", "0b1", "4j")
    network = country({"a": {"b": ORDINARY}}, (*numbers, "9mobile", "0xyz"))
    assert_all_apart(network)
    assert network.nodes.keys().isdisjoint(numbers), "`py 17 + 4` would be about a node"
    assert {"9mobile", "0xyz", *(f"{number}_transit" for number in numbers)} <= set(network.nodes)


def test_where_nothing_collides_names_are_as_people_expect() -> None:
    network = country({"north-net": {"capital": GROUPS}})
    assert {"north-net-capital", "north-net-capital-government", "north-net-dpi", "north-net-capital-sw"} <= set(
        network.nodes
    )
