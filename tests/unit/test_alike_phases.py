"""What came of a cell in one phase goes for another in which all is the same; and for no other."""

from __future__ import annotations

from typing import Any

import pytest

from shutdownlab.library import load
from shutdownlab.model.scenario import Outcome
from shutdownlab.results.cells import Cell
from shutdownlab.verifier.verdicts import Verifier
from shutdownlab.verifier.verify import verify


def outcomes(faults: tuple[str, ...] = (), **policy: Any) -> list[list[Outcome]]:
    """What comes of a page in each of four phases, from everywhere: with the policy in the second, at noon, and in the
    fourth, at midnight. Each is as if there were no other phase. `faults`: in the third."""
    cables = ["northnet to gateway", "southcell to gateway"]
    shutdown = load(
        {
            "format": 1, "name": "four-phases", "title": "", "topology": "two-operators",
            "policies": {"one": {"title": "", "source": "made up"} | policy},
            "probes": {
                "page": {"test": "web", "url": "https://www.wikipedia.org/", "families": ["ipv4"]},
                "other": {"test": "ping", "host": "www.bbc.com", "families": ["ipv4"]},
            },
            "timeline": [
                {"phase": "free", "at": "2030-01-01T10:00Z", "title": ""},
                {"phase": "cut", "at": "2030-01-01T12:00Z", "title": "", "start": ["one"]},
                {"phase": "free-again", "at": "2030-01-01T18:00Z", "title": "", "stop": ["one"], "faults": [*faults]},
                {"phase": "cut-again", "at": "2030-01-02T00:00Z", "title": "", "start": ["one"]},
            ],
            "faults": {"digger": {"title": "", "source": "made up", "cut": cables}},
            "ends": "2030-01-02T05:00Z",
        }
    )  # fmt: skip
    found: dict[str, list[Outcome]] = {}
    for group in verify(shutdown).groups:
        for vantage in group.vantages:
            cell = Cell(group.phase.phase, vantage.id.operator, vantage, group.target, group.family)
            assert group.verdict == Verifier(shutdown, {}).measure(group.phase, cell, vantage), cell
            if group.target == "page":
                found.setdefault(group.phase.phase, []).append(group.verdict.outcome)
    return [sorted(set(each)) for each in found.values()]


ALL_OK, ALL_BLOCKED = [Outcome.OK], [Outcome.BLOCKED]


@pytest.mark.parametrize(
    "policy",
    [{"block": {"sites": ["www.wikipedia.org"]}}, {"block": {"everything": True}}],
    ids=["a site", "everything"],
)
def test_phases_with_the_same_in_force_come_out_alike(policy: dict[str, Any]) -> None:
    assert outcomes(**policy) == [ALL_OK, ALL_BLOCKED, ALL_OK, ALL_BLOCKED]


def test_a_rule_for_hours_of_the_day_counts_in_those_phases_alone() -> None:
    rule = {"name": "night", "when": {"name_exact": "www.wikipedia.org", "hours": "22:00-06:00"}, "verdict": "drop"}
    assert outcomes(inspect=[rule]) == [ALL_OK, ALL_OK, ALL_OK, ALL_BLOCKED]


def test_what_a_fault_takes_away_in_one_phase_is_there_in_the_others() -> None:
    assert outcomes(("digger",), block={"sites": ["www.bbc.com"]}) == [ALL_OK, ALL_OK, [Outcome.DOWN], ALL_OK]
