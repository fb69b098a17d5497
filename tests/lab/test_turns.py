"""Operators obey one after another, and packets show whose turn has come."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import shutdownlab as sl
from shutdownlab.model.scenario import Outcome

pytestmark = pytest.mark.thorough

MADE_UP = {"title": "All", "source": "made up"}


def scenario() -> dict[str, Any]:
    turns = {"order": ["southcell", "northnet"], "apart": "10min", "jitter": "5min"}
    return {
        "format": 1, "name": "turns", "title": "Turns", "topology": "two-operators",
        "policies": {
            "dark": MADE_UP | {"block": "everything"},
            "gone": MADE_UP | {"withdraw": {}},
        },
        "probes": {"ping": {"test": "ping", "host": "8.8.8.8"}},
        "observations": {"routes": {"observer": "bgp"}},
        "timeline": [
            {"phase": "quiet", "at": "2030-05-01T08:00Z", "title": ""},
            {"phase": "dark", "at": "2030-05-01T09:00Z", "title": "", "start": ["dark"], "stagger": turns},
            {"phase": "gone", "at": "2030-05-01T10:00Z", "title": "", "stop": ["dark"], "start": ["gone"],
             "stagger": {"order": ["northnet", "southcell"]}},
            {"phase": "back", "at": "2030-05-01T12:00Z", "title": "", "stop": ["gone"], "stagger": turns},
        ],
        "ends": "2030-05-02T00:00Z",
    }  # fmt: skip


def test_operators_carry_orders_out_one_after_another(tmp_path: Path) -> None:
    measured = sl.run(scenario(), tmp_path / "run")
    model = [(r.phase, r.vantage, r.operator, r.target, r.outcome, r.failure) for r in sl.verify(scenario())]
    assert [(r.phase, r.vantage, r.operator, r.target, r.outcome, r.failure) for r in measured.results] == model
    assert [phase.phase for phase in measured.phases] == ["quiet", "dark", "dark-2", "gone", "gone-2", "back", "back-2"]
    found = {(r.phase, r.operator, r.target): r.outcome for r in measured.results}
    ok, blocked = Outcome.OK, Outcome.BLOCKED
    assert (found["dark", "southcell", "ping"], found["dark", "northnet", "ping"]) == (blocked, ok)
    assert (found["gone", "northnet", "routes"], found["gone", "southcell", "routes"]) == (blocked, ok)
    assert found["back-2", "northnet", "routes"] is ok
