"""What a scenario wants broken breaks in a running country, and is whole again after: each cell as the model has it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tiny
from foretold import run_as_foretold
from invocation import invoke

import shutdownlab as sl
from shutdownlab.model.scenario import Outcome

BREAKDOWNS = Path(__file__).parents[2] / "examples" / "breakdowns.yaml"


def events(run: Path, kind: str) -> list[dict[str, Any]]:
    told = map(json.loads, (run / "events.jsonl").read_text().splitlines())
    return [event for event in told if event["event"] == kind]


@pytest.mark.thorough
def test_every_breakdown_takes_away_what_the_model_says_and_is_mended(tmp_path: Path) -> None:
    done = invoke(tmp_path, "run", BREAKDOWNS, "--out", "run", "--verify", longest=600)
    assert done.code == 0, done.output
    assert "The model says the same of all 714 cells." in done.output
    assert "went wrong" not in done.output  # what breaks on purpose is no fault of the run
    assert [event["phase"] for event in events(tmp_path / "run", "damaged")] == [
        phase.phase for phase in sl.load(BREAKDOWNS).scenario.timeline if phase.faults
    ]


def test_what_is_down_bears_the_controls_that_show_it(tmp_path: Path) -> None:
    made = {
        "format": 1, "name": "cut", "title": "A cable is cut", "policies": {},
        "topology": tiny.country("northnet", serves=["bbc"]),
        "faults": {"fibre": {"title": "", "cut": ["northnet to northnet/capital"], "source": "made up"}},
        "probes": {"www.bbc.com": {"test": "web", "url": "https://www.bbc.com/"}},
        "timeline": [
            {"phase": "whole", "at": "2030-05-01T08:00Z", "title": ""},
            {"phase": "fibre", "at": "2030-05-01T09:00Z", "title": "", "faults": ["fibre"]},
            {"phase": "mended", "at": "2030-05-01T10:00Z", "title": ""},
        ],
        "ends": "2030-05-02T00:00Z",
    }  # fmt: skip
    measured = run_as_foretold(made, tmp_path)
    assert [(r.phase, r.outcome, r.failure) for r in measured.results if r.outcome is not Outcome.OK] == [
        ("fibre", Outcome.DOWN, "fault: fibre"),
    ]
    down = [record for record in measured.measurements() if record["test_keys"]["x_outcome"] == "down"]
    assert len(down) == 1
    for record in down:
        shown = record["test_keys"]["x_control"]
        assert shown and all(control["failure"] for control in shown)
    assert [event["phase"] for event in events(tmp_path / "run", "damaged")] == ["fibre"]


@pytest.mark.thorough
def test_a_country_built_anew_gives_those_who_hear_nothing_the_rules_they_had(tmp_path: Path) -> None:
    """Dead switches are whole in another country only; the controller that dies then has its old policies there."""
    made = {
        "format": 1, "name": "anew", "title": "Built anew", "topology": "two-operators",
        "faults": {
            "gateway": {"title": "", "kill": {"switches": ["gateway"]}, "source": "made up"},
            "controller": {"title": "", "kill": {"controllers": ["northnet"]}, "source": "made up"},
        },
        "policies": {
            "messengers": {"title": "", "block": {"apps": ["whatsapp"]}, "source": "made up"},
            "blackout": {"title": "", "block": "everything", "source": "made up"},
        },
        "probes": {
            "whatsapp": {"test": "app", "app": "whatsapp"},
            "www.bbc.com": {"test": "web", "url": "https://www.bbc.com/"},
        },
        "timeline": [
            {"phase": "dead", "at": "2030-05-01T08:00Z", "title": "", "start": ["messengers"], "faults": ["gateway"]},
            {"phase": "deaf", "at": "2030-05-01T09:00Z", "title": "", "start": ["blackout"], "faults": ["controller"]},
        ],
        "ends": "2030-05-02T00:00Z",
    }  # fmt: skip
    measured = sl.run(made, tmp_path / "run")
    assert [event["phase"] for event in events(tmp_path / "run", "resumed")] == ["deaf"]
    found = {(r.phase, r.target, r.operator): (r.outcome, r.failure) for r in measured.results}
    assert found["dead", "www.bbc.com", "northnet"] == (Outcome.DOWN, "fault: gateway")
    assert found["deaf", "www.bbc.com", "northnet"] == (Outcome.OK, None)
    assert found["deaf", "whatsapp", "northnet"][0] is Outcome.BLOCKED
    assert found["deaf", "www.bbc.com", "southcell"][0] is Outcome.BLOCKED
    assert [r.outcome for r in sl.verify(made)] == [r.outcome for r in measured.results]


@pytest.mark.thorough
def test_a_switch_that_bypasses_its_dead_box_is_no_fault_though_no_authority_hears_it_confirmed(tmp_path: Path) -> None:
    made = {
        "format": 1, "name": "unheard", "title": "Nobody hears", "topology": "two-operators",
        "faults": {
            "both": {
                "title": "", "kill": {"controllers": ["authority"], "boxes": ["northnet"]}, "source": "made up",
            },
        },
        "policies": {"named": {"title": "", "block": {"sites": ["www.bbc.com"]}, "source": "made up"}},
        "probes": {"bbc": {"test": "web", "url": "https://www.bbc.com/", "from": {"regions": ["coast"]}}},
        "timeline": [
            {"phase": "named", "at": "2030-05-01T08:00Z", "title": "", "start": ["named"]},
            {"phase": "dead", "at": "2030-05-01T09:00Z", "title": "", "faults": ["both"]},
            {"phase": "back", "at": "2030-05-01T10:00Z", "title": ""},
        ],
        "ends": "2030-05-02T00:00Z",
    }  # fmt: skip
    measured = run_as_foretold(made, tmp_path)
    got_through = {(r.phase, r.operator) for r in measured.results if r.outcome is Outcome.OK}
    assert got_through == {("dead", "northnet")}
    assert events(tmp_path / "run", "voided") == []


@pytest.mark.thorough
def test_a_router_that_hung_while_its_routes_were_withdrawn_withdraws_them_once_it_goes_on(tmp_path: Path) -> None:
    made = {
        "format": 1, "name": "late", "title": "Withdrawn late", "topology": "two-operators",
        "faults": {"hangs": {"title": "", "stop": {"routers": ["northnet"]}, "source": "made up"}},
        "policies": {"gone": {"title": "", "withdraw": {}, "where": {"operators": ["northnet"]}, "source": "made up"}},
        "probes": {"ping": {"test": "ping", "host": "8.8.8.8"}},
        "observations": {"routes": {"observer": "bgp"}},
        "timeline": [
            {"phase": "hangs", "at": "2030-05-01T08:00Z", "title": "", "start": ["gone"], "faults": ["hangs"]},
            {"phase": "gone", "at": "2030-05-01T09:00Z", "title": ""},
            {"phase": "back", "at": "2030-05-01T10:00Z", "title": "", "stop": ["gone"]},
        ],
        "ends": "2030-05-02T00:00Z",
    }  # fmt: skip
    measured = sl.run(made, tmp_path / "run")
    seen = {(r.phase, r.operator): r.outcome for r in measured.results if r.target == "routes"}
    assert seen["gone", "northnet"] is Outcome.BLOCKED
    assert seen["back", "northnet"] is Outcome.OK
    assert [(r.outcome, r.failure) for r in sl.verify(made)] == [(r.outcome, r.failure) for r in measured.results]


@pytest.mark.thorough
def test_a_lab_is_as_broken_as_its_phase() -> None:
    with sl.lab(BREAKDOWNS, at="fibre") as lab:

        def outcome() -> str:
            return str(lab.probe("northnet/coast", "www.bbc.com").outcome)

        assert outcome() == "down"
        for phase, found in (("baseline", "ok"), ("messengers", "ok"), ("cable", "down"), ("baseline", "ok")):
            lab.phase(phase)
            assert outcome() == found, phase
