"""Routes are withdrawn by real BGP, wholly and in part, and every cell comes out as the model has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from foretold import run_as_foretold

import shutdownlab as sl
from shutdownlab.model.scenario import Family, Outcome

pytestmark = pytest.mark.thorough

EVERYBODY = {"title": "All", "source": "made up"}


def scenario() -> dict[str, Any]:
    phases = [
        {},
        {"start": ["gone"]},
        {"stop": ["gone"], "start": ["gone-abroad"]},
        {"stop": ["gone-abroad"], "start": ["six"]},
        {"stop": ["six"], "start": ["half"]},
        {"stop": ["half"], "start": ["gone-abroad"], "faults": ["controller"]},
        {"stop": ["gone-abroad"], "start": ["six"], "faults": ["cable"]},
        {"stop": ["six"]},
    ]
    named = ("whole", "gone", "abroad", "six", "half", "deaf", "both", "back")
    return {
        "format": 1, "name": "withdrawn", "title": "Withdrawn", "topology": "two-operators",
        "policies": {
            "gone": EVERYBODY | {"withdraw": {}, "where": {"operators": ["northnet"]}},
            "gone-abroad": EVERYBODY | {"withdraw": {"from": "abroad"}},
            "six": EVERYBODY | {"withdraw": {"family": "ipv6"}},
            "half": EVERYBODY | {"withdraw": {"share": 0.5}, "where": {"operators": ["southcell"]}},
        },
        "faults": {
            "controller": EVERYBODY | {"kill": {"controllers": ["northnet"]}},
            "cable": EVERYBODY | {"cut": ["northnet to gateway"]},
        },
        "probes": {
            "whatsapp": {"test": "app", "app": "whatsapp"},
            "www.bbc.com": {"test": "web", "url": "https://www.bbc.com/", "families": ["ipv4", "ipv6"]},
            "kaspi.kz": {"test": "web", "url": "https://kaspi.kz/", "families": ["ipv4", "ipv6"]},
            "dns": {"test": "dns", "host": "www.bbc.com"},
            "ping": {"test": "ping", "host": "8.8.8.8"},
        },
        "observations": {"routes": {"observer": "bgp", "families": ["ipv4", "ipv6"]}},
        "timeline": [
            {"phase": name, "at": f"2030-05-01T{number:02}:00Z", "title": "", **phase}
            for number, (name, phase) in enumerate(zip(named, phases, strict=True))
        ],
        "ends": "2030-05-02T00:00Z",
    }  # fmt: skip


def test_withdrawn_routes_block_what_needs_them_and_are_seen_from_abroad(tmp_path: Path) -> None:
    made = scenario()
    measured = run_as_foretold(made, tmp_path)
    seen = {(r.phase, r.operator, r.family): r.outcome for r in measured.results if r.target == "routes"}
    assert seen["gone", "northnet", Family.IPV4] is Outcome.BLOCKED
    assert seen["gone", "southcell", Family.IPV4] is Outcome.OK
    assert seen["six", "southcell", Family.IPV4] is Outcome.OK
    assert seen["six", "southcell", Family.IPV6] is Outcome.BLOCKED
    assert seen["both", "northnet", Family.IPV4] is Outcome.DOWN
    bank = {(r.phase, r.operator): r.outcome for r in measured.results if r.target == "kaspi.kz"}
    assert bank["abroad", "southcell"] is Outcome.OK  # over the exchange
    assert bank["gone", "southcell"] is Outcome.BLOCKED
    blocked = [m for m in measured.measurements() if m["test_keys"]["x_outcome"] == "blocked"]
    assert all(control["failure"] for m in blocked for control in m["test_keys"]["x_control"])


def test_a_lab_tells_which_routes_transit_abroad_has() -> None:
    with sl.lab(scenario(), at="whole") as lab:
        whole = lab.routes()
        lab.phase("gone")
        gone = lab.routes()

    own = {str(prefix) for prefix in lab.plan.loaded.topology.operators["northnet"].prefixes}
    assert whole
    assert all(own <= prefixes for prefixes in whole.values())
    assert {name: prefixes - gone[name] for name, prefixes in whole.items()} == dict.fromkeys(whole, frozenset(own))
