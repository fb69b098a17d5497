"""The drawing of a topology: everything is on it, by its name, within its edges and above nothing else's text."""

from __future__ import annotations

import re
from itertools import pairwise
from xml.etree import ElementTree

import countries
import guests
import pytest

from shutdownlab import library
from shutdownlab.model.faults import Announced, Damage, DeclaredFault, Leaked, Nulled, Withdrawn, damage_of
from shutdownlab.model.network import Network, Role
from shutdownlab.reporting.graph import WIDTH, draw

SVG = "{http://www.w3.org/2000/svg}"
NETWORKS = {
    "two-operators": lambda: library.network("two-operators"),
    "kazakhstan": lambda: library.network("kazakhstan"),
    "twelve": lambda: countries.country([(["t0"], True), *[(["op0", "t1"], number % 2 == 0) for number in range(11)]]),
}


@pytest.fixture(params=NETWORKS, scope="module")
def network(request: pytest.FixtureRequest) -> Network:
    return NETWORKS[request.param]()


@pytest.fixture(scope="module")
def drawing(network: Network) -> ElementTree.Element:
    return ElementTree.fromstring(draw(network))


def words(drawing: ElementTree.Element) -> set[str]:
    return {"".join(text.itertext()) for text in drawing.iter(f"{SVG}text")}


def test_every_node_has_its_name_and_subscribers_their_addresses(
    network: Network, drawing: ElementTree.Element
) -> None:
    shown = words(drawing)
    for role in (Role.SUBSCRIBER, Role.BORDER, Role.DPI_SWITCH, Role.DPI_BOX, Role.TRANSIT, Role.SERVERS):
        for node in network.by_role(role):
            assert {node.name, f"…{node.name.removeprefix(f'{node.owner}-')}"} & shown, node.name
    for node in network.by_role(Role.SUBSCRIBER):
        assert str(node.address(4)) in shown


def test_it_says_who_buys_transit_from_whom_in_words_and_arrows(network: Network, drawing: ElementTree.Element) -> None:
    operators = network.topology.operators.values()
    arrows = [path for path in drawing.iter(f"{SVG}path") if "marker-end" in path.attrib]
    assert len(arrows) == 1 + sum(len(operator.transit) for operator in operators)  # one is in the legend
    assert len([word for word in words(drawing) if word.startswith("buys transit from ")]) >= 1


def test_every_app_that_is_served_is_named_whole(network: Network, drawing: ElementTree.Element) -> None:
    text = " ".join(words(drawing))
    for hosted in network.hosted:
        assert re.search(rf"(^|[ ,]){re.escape(hosted.app)}([ ,]|$)", text), hosted.app


def test_nothing_is_outside_the_page_and_no_lane_is_over_another(drawing: ElementTree.Element) -> None:
    height = float(drawing.attrib["height"])
    lanes = []
    for box in drawing.iter(f"{SVG}rect"):
        x, y = float(box.get("x", 0)), float(box.get("y", 0))
        assert x >= 0
        assert x + float(box.attrib["width"]) <= WIDTH
        assert y >= 0
        assert y + float(box.attrib["height"]) <= height
        if box.get("class") == "lane":
            lanes.append((y, y + float(box.attrib["height"])))
    assert all(above[1] < below[0] for above, below in pairwise(lanes))
    for text in drawing.iter(f"{SVG}text"):
        assert 0 <= float(text.attrib["x"]) <= WIDTH
        assert 0 < float(text.attrib["y"]) <= height


def test_headings_are_above_all_that_they_head(drawing: ElementTree.Element) -> None:
    top = min(float(box.attrib["y"]) for box in drawing.iter(f"{SVG}rect") if box.get("class") == "lane")
    headings = {"subscribers", "access switches", "border router", "DPI switch, box", "abroad"}
    for text in drawing.iter(f"{SVG}text"):
        if text.text in headings:
            assert float(text.attrib["y"]) < top


def test_a_legend_of_much_has_as_many_rows_as_it_takes() -> None:
    made = guests.topology()
    made["classes"] = {name: {"title": name, "is": "ordinary"} for name in ("universities-and-schools", "embassies")}
    made["links"] = {name: link | {"mtu": 1400, "hops": 3} for name, link in made["links"].items()}
    drawn = ElementTree.fromstring(draw(library.load(guests.scenario() | {"topology": made}).network))
    headings = next(float(text.attrib["y"]) for text in drawn.iter(f"{SVG}text") if text.text == "subscribers")
    rows: dict[float, list[tuple[float, str]]] = {}
    for text in drawn.iter(f"{SVG}text"):
        if 40 < float(text.attrib["y"]) < headings:
            rows.setdefault(float(text.attrib["y"]), []).append((float(text.attrib["x"]), text.text or ""))
    assert sum(map(len, rows.values())) == 8
    assert len(rows) > 1
    for row in rows.values():
        ends = [x + 5 * len(label) for x, label in row]  # Helvetica's letters are about 5 units wide
        assert all(end < following for end, (following, _) in zip(ends, [*row[1:], (WIDTH, "")], strict=True))
    top = min(float(box.attrib["y"]) for box in drawn.iter(f"{SVG}rect") if box.get("class") == "lane")
    assert headings < top


def test_every_colour_has_another_where_dark_is_preferred(drawing: ElementTree.Element) -> None:
    [style] = [element.text or "" for element in drawing.iter(f"{SVG}style")]
    assert style.startswith("@media (prefers-color-scheme: dark)")
    dark = dict(re.findall(r"[.]([a-z-]+) \{ (?:fill|stroke): (#[0-9a-f]{6}) \}", style))
    for element in drawing.iter():
        colours = [element.get(kind) for kind in ("fill", "stroke")]
        if any(colour and colour.startswith("#") for colour in colours):
            assert dark[element.attrib["class"]] not in colours


def test_of_a_phase_it_says_what_has_become_of_routes_and_marks_what_is_cut() -> None:
    country = library.network("two-operators")
    north, south = (country.topology.operators[name].prefixes[0] for name in ("northnet", "southcell"))
    fibre = DeclaredFault(title="", source="made up", cut=("northnet to northnet/coast",))
    damage = damage_of(country, [fibre]) | Damage(
        withdrawn=frozenset({Withdrawn("southcell", south, True)}),
        nulled=frozenset({Nulled("northnet", north)}),
        announced=frozenset({Announced("southcell", north, False, True)}),
        leaked=frozenset({Leaked("northnet", south, "transit-one")}),
    )
    drawn = ElementTree.fromstring(draw(country, damage, "dark"))
    assert words(drawn) >= {
        "dark", "cut",
        f"withdrawn abroad: {south}",
        f"null-routed, what comes from abroad: {north}",
        f"announces {north}, which is northnet's, and discards it",
        f"its {north} is announced by southcell",
        f"leaks {south} to transit-one",
    }  # fmt: skip
    cut = [path for path in drawn.iter(f"{SVG}path") if path.get("class") == "s-gone"]
    assert len(cut) == 2, "the fibre, and what it looks like"
    quiet = ElementTree.fromstring(draw(country))
    assert not [path for path in quiet.iter(f"{SVG}path") if path.get("class") == "s-gone"]
