"""Lines are made slower, longer and lossy while a country runs: what is measured, and what the model says of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from foretold import run_as_foretold

pytestmark = pytest.mark.thorough

MOBILE = {"where": {"access": ["mobile"]}}
MADE_UP = {"title": "Made up", "source": "made up"}


def scenario() -> dict[str, Any]:
    phases = [
        {"phase": "before"},
        {"phase": "second", "start": ["2g", "rough", "encyclopedia"]},
        {"phase": "after", "stop": ["2g", "rough", "encyclopedia"]},
    ]
    return {
        "format": 1, "name": "degraded", "title": "Degraded", "topology": "two-operators",
        "policies": {
            "2g": MADE_UP | MOBILE | {"degrade": {"generation": "2G"}},
            "rough": MADE_UP | {
                "degrade": {"delay": "50ms", "jitter": "20ms", "loss": 0.02},
                "where": {"operators": ["northnet"], "regions": ["coast"]},
            },
            "encyclopedia": MADE_UP | {
                "degrade": {"rate": {"down": "200kbit"}}, "only": {"apps": ["wikipedia"]},
                "where": {"operators": ["northnet"], "regions": ["capital"]},
            },
        },
        "probes": {
            "www.bbc.com": {"test": "web", "url": "https://www.bbc.com/"},
            "ping": {"test": "ping", "host": "8.8.8.8"},
            "download": {"test": "throughput", "url": "https://www.wikipedia.org/bytes/1000000",
                         "from": {"subscribers": ["ordinary"], "regions": ["capital"]}},
        },
        "timeline": [
            {"at": f"2030-05-01T{hour:02}:00Z", "title": "", **phase} for hour, phase in enumerate(phases, 1)
        ],
        "ends": "2030-05-02T00:00Z",
    }  # fmt: skip


def test_degraded_lines_are_as_slow_and_as_long_as_ordered_and_whole_again_after(tmp_path: Path) -> None:
    made = scenario()
    measured = run_as_foretold(made, tmp_path)
    ping = {(r.phase, r.operator, r.region): r.value or 0.0 for r in measured.results if r.target == "ping"}
    # There and back: what a line adds each way, and what it and the transit's have in the topology.
    assert ping["second", "southcell", "capital"] >= 2 * (400 + 10 + 20)
    assert ping["second", "northnet", "coast"] >= 2 * (50 - 20 + 2 + 20)
    assert ping["after", "southcell", "capital"] < 800
    down = {
        (r.phase, r.operator): (r.outcome.value, r.value or 0.0) for r in measured.results if r.target == "download"
    }
    assert down["second", "southcell"][0] == down["second", "northnet"][0] == "throttled"
    assert down["second", "southcell"][1] < 400
    assert down["before", "southcell"][0] == down["after", "northnet"][0] == "ok"
