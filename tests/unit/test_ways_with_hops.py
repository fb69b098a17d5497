"""Routers on the ways of the model: what is worked out does not change for them, but where a TTL ends."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

import shutdownlab as sl
from shutdownlab.model.scenario import Outcome
from shutdownlab.reporting.graph import draw
from shutdownlab.verifier.explain import explain
from shutdownlab.verifier.explained import explanation_lines
from shutdownlab.verifier.explanation import Explanation
from shutdownlab.verifier.verify import verify

ROOT = Path(__file__).parents[2]
HOPS = {"fixed": 3, "mobile": 5, "transit": 8}


def country(place: Path, hops: dict[str, int], forged_ttl: int | None = None) -> Path:
    """`first-shutdown` with routers on its links; its boxes as China's, giving their resets a TTL."""
    topology = yaml.safe_load((ROOT / "topologies/two-operators.yaml").read_text())
    for kind, count in hops.items():
        topology["links"][kind]["hops"] = count
    (place / "far.yaml").write_text(yaml.safe_dump(topology, sort_keys=False))
    scenario = yaml.safe_load((ROOT / "scenarios/first-shutdown.yaml").read_text()) | {"topology": "far.yaml"}
    if forged_ttl is not None:
        profile = yaml.safe_load((ROOT / "shutdownlab/inspection/profiles/gfw-tls.yaml").read_text())
        profile |= {"name": "near"}
        profile["block"]["default"]["ttl"] = forged_ttl
        (place / "near.yaml").write_text(yaml.safe_dump(profile, sort_keys=False))
        scenario["profile"] = "near.yaml"
        del scenario["policies"]["whatsapp-dropped"], scenario["policies"]["whatsapp-reset"]["action"]
        scenario["timeline"][1]["start"] = ["whatsapp-reset"]
        for phase in scenario["timeline"]:
            phase["stop"] = [name for name in phase.get("stop", []) if name != "whatsapp-dropped"]
    path = place / "first.yaml"
    path.write_text(yaml.safe_dump(scenario, sort_keys=False))
    return path


def whatsapp(scenario: Path) -> Explanation:
    return explain(scenario, at="messenger", vantage="northnet/coast", target="whatsapp")


def test_every_cell_comes_out_as_without_routers_on_the_links(tmp_path: Path) -> None:
    far, near = verify(sl.load(country(tmp_path, HOPS))), verify(sl.load("first-shutdown"))
    told = [
        {(r.phase, str(r.vantage), r.target, r.family): (r.outcome, r.failure) for r in v.results} for v in (far, near)
    ]
    assert told[0] == told[1]
    assert len(told[0]) == 454


def test_explain_tells_where_the_routers_are_and_which_ttl_gets_how_far(tmp_path: Path) -> None:
    found = whatsapp(country(tmp_path, HOPS))
    assert [hop.node for hop in found.hops] == [
        "northnet-coast", "3 routers", "northnet-coast-sw", "northnet-border", "northnet-dpi", "northnet-box",
        "gateway", "8 routers", "transit-one", "transit-one-servers",
    ]  # fmt: skip
    assert found.ttls == (("northnet-box", 5), ("transit-one-servers", 14))
    assert "  The smallest TTL that gets there: northnet-box 5, transit-one-servers 14" in explanation_lines(found)
    back = explain(country(tmp_path, HOPS), at="one-way", vantage="southcell/coast", target="ping")
    assert back.ttls == (("southcell-coast", 8 + 1 + 1 + 5 + 1),), "transit and border, and those on both links"


def test_without_routers_on_links_only_those_of_the_model_count(tmp_path: Path) -> None:
    found = whatsapp(country(tmp_path, {}))
    assert found.ttls == (("northnet-box", 2), ("transit-one-servers", 3))
    assert not any("TTL" in line for line in explanation_lines(found)), "a path of two routers is no path to measure"


@pytest.mark.parametrize(("ttl", "outcome"), [(4, Outcome.OK), (5, Outcome.BLOCKED)])
def test_a_forged_reset_whose_ttl_ends_on_the_way_blocks_nobody(tmp_path: Path, ttl: int, outcome: Outcome) -> None:
    """Between box and subscriber there are the border and three routers; between box and server nine."""
    assert whatsapp(country(tmp_path, HOPS, ttl)).verdict.outcome is outcome


def test_the_drawing_says_how_many_routers_are_on_links(tmp_path: Path) -> None:
    far = draw(sl.load(country(tmp_path, HOPS)).network)
    for text in ("fixed access · 3 routers", "mobile access · 5 routers", "links abroad · 8 routers"):
        assert text in far
    assert " · 3 router" not in draw(sl.load("first-shutdown").network)
