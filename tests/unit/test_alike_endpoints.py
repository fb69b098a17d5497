"""WhatsApp's end points, of which each vantage point asks for one, are told apart where anything could: else not."""

from __future__ import annotations

from typing import Any

import pytest

import shutdownlab as sl
from shutdownlab.library import load
from shutdownlab.model.probe import Surroundings
from shutdownlab.model.scenario import Family, Outcome
from shutdownlab.probes.kinds import AppTargets
from shutdownlab.results.cells import cells_of
from shutdownlab.verifier.verdicts import Verifier

SECOND = "e2.whatsapp.net"


def scenario(**policy: Any) -> dict[str, Any]:
    return {
        "format": 1, "name": "one-policy", "title": "", "topology": "two-operators",
        "policies": {"one": {"title": "", "source": "made up"} | policy},
        "probes": {"whatsapp": {"test": "app", "app": "whatsapp"}},
        "timeline": [{"phase": "then", "at": "2030-01-01T00:00Z", "title": "", "start": ["one"]}],
        "ends": "2030-01-01T05:00Z",
    }  # fmt: skip


def kinds_and_outcomes(shutdown: sl.Shutdown) -> tuple[set[object], dict[str, Outcome]]:
    """The kinds of end points by what is picked; and what came of each, which is what comes of it followed alone."""
    phase, verifier = shutdown.scenario.timeline[0], Verifier(shutdown, {})
    kinds, outcomes = set[object](), dict[str, Outcome]()
    for cell in cells_of(shutdown, phase):
        assert cell.vantage is not None
        asked = shutdown.scenario.probes["whatsapp"].ask(Surroundings(shutdown.network, cell.vantage, Family.IPV4))
        assert isinstance(asked, AppTargets)
        picked = next(t.host for t in asked.targets if t.host.startswith("e") and t.host.endswith(".whatsapp.net"))
        kinds.add(verifier.classes.surroundings(cell.vantage))
        outcomes[picked] = verifier.verdict(phase, cell).outcome
        assert verifier.verdict(phase, cell) == Verifier(shutdown, {}).measure(phase, cell, cell.vantage), picked
    return kinds, outcomes


@pytest.mark.parametrize(
    "policy",
    [
        {"block": {"apps": ["whatsapp"]}},
        {"block": {"sites": ["whatsapp.net"]}},
        {"block": {"sites": ["www.bbc.com"]}},
        {"inspect": [{"name": "a", "when": {"name_suffix": "whatsapp.net"}, "verdict": "drop"}]},
    ],
    ids=["the app", "the domain above all", "another site", "a rule about all"],
)
def test_end_points_that_nothing_tells_apart_are_followed_once(policy: dict[str, Any]) -> None:
    kinds, outcomes = kinds_and_outcomes(load(scenario(**policy)))
    assert len(kinds) == 1
    assert len(outcomes) > 1
    assert len(set(outcomes.values())) == 1


@pytest.mark.parametrize(
    "policy",
    [
        {"block": {"sites": [SECOND]}},
        {"block": {"sites": [SECOND]}, "by": "dns"},
        {"block": {"apps": ["whatsapp"]}, "except": {"sites": [SECOND]}},
        {"inspect": [{"name": "a", "when": {"name_exact": SECOND}, "verdict": "drop"}]},
        {"inspect": [{"name": "a", "when": {"name_contains": "e2.wh"}, "verdict": "drop"}]},
        {"inspect": [{"name": "a", "when": {"name_regex": "^e2[.]"}, "verdict": "drop"}]},
        {"inspect": [{"name": "a", "when": {"keyword": "e2"}, "verdict": "drop"}]},
    ],
    ids=["blocked", "by DNS", "spared", "a rule", "a part of a name", "a pattern", "a keyword"],
)
def test_an_end_point_that_is_meant_by_itself_is_distinguished(policy: dict[str, Any]) -> None:
    kinds, outcomes = kinds_and_outcomes(load(scenario(**policy)))
    assert len(kinds) > 1
    assert len(outcomes) > 1


def test_the_vantage_point_that_asks_for_a_blocked_end_point_alone_is_blocked() -> None:
    _, outcomes = kinds_and_outcomes(load(scenario(block={"sites": [SECOND]}, by="dns")))
    assert {name for name, outcome in outcomes.items() if outcome is not Outcome.OK} == {SECOND}
