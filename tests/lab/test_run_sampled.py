"""A run of nights by the clock, of which a sample is measured: real packets, real routes, and what is held says so."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from invocation import finished, invoke, under_way, wait_for_event

import shutdownlab as sl

NIGHTS = {
    "format": 1,
    "name": "nights",
    "title": "Nights in a small country",
    "topology": "two-operators",
    "policies": {
        "dark": {"title": "Routes go", "withdraw": {}, "where": {"operators": ["southcell"]}, "source": "made up"}
    },
    "probes": {
        "ping": {"test": "ping", "host": "8.8.8.8", "from": {"subscribers": ["ordinary"]}},
    },
    "observations": {"routes": {"observer": "bgp"}},
    "expectations": {
        "open": [{"outcome": "ok", "source": "made up"}],
        "dark": [{"who": {"operators": ["southcell"]}, "outcome": "blocked", "source": "made up"}],
    },
    "repeats": {
        "night": {
            "every": {"from": "01:00", "to": "09:00", "zone": "Asia/Almaty"},
            "title": "Night {number}",
            "start": ["dark"],
            "expect": ["dark"],
            "after": {"phase": "day"},
        }
    },
    "timeline": [{"phase": "before", "at": "2022-01-05T08:00Z", "title": "Before", "expect": ["open"]}],
    "ends": "2022-01-12T00:00Z",
}


def test_a_sample_of_the_nights_is_measured_the_others_are_held_and_all_are_as_the_model_has_them(
    tmp_path: Path,
) -> None:
    run = sl.run(NIGHTS, tmp_path / "run", sample=0.2)
    assert run.unmet == []
    measured = [result for result in run.results if not result.held]
    phases = list(dict.fromkeys(result.phase for result in run.results))
    assert phases[:4] == ["before", "night-1", "day-1", "night-2"]
    assert len(phases) == 14
    assert {"before", "night-1"} < {result.phase for result in measured} < set(phases)
    assert len(list(run.measurements())) == sum(bool(result.region) for result in measured)
    assert all(result.tries == 0 and result.certainty == "held" for result in run.results if result.held)
    expected = sl.verify(NIGHTS, sample=0.2)
    assert [(r.phase, r.vantage, r.outcome, r.held) for r in run.results] == [
        (r.phase, r.vantage, r.outcome, r.held) for r in expected
    ]
    manifest = json.loads((tmp_path / "run/manifest.json").read_text())
    assert manifest["sample"] == 0.2
    assert manifest["held"] == len(run.results) - len(measured)
    table = sl.Run.open(tmp_path / "run").table
    assert str(table["night-1", "ping"]).rstrip("=") == str(table["night-6", "ping"]).rstrip("=")


@pytest.mark.thorough
def test_a_sampled_run_that_is_watched_from_abroad_is_resumed_as_if_nothing_had_been(tmp_path: Path) -> None:
    (tmp_path / "nights.yaml").write_text(json.dumps(NIGHTS))
    expected = list(sl.verify(NIGHTS, sample=0.2))
    to_measure = list(dict.fromkeys(result.phase for result in expected if not result.held))
    with under_way(tmp_path, tmp_path / "nights.yaml", "--sample", "0.2", "--observe") as (process, record):
        wait_for_event(process, record, "confirmed", to_measure[2])
        process.send_signal(signal.SIGINT)
        finished(process)
    assert to_measure[2] not in {row["phase"] for row in record.rows}

    done = invoke(tmp_path, "resume", "run")

    assert done.code == 0, done.output
    resumed = sl.Run.open(tmp_path / "run")
    assert [(r.phase, r.vantage, r.outcome, r.held) for r in resumed.results] == [
        (r.phase, r.vantage, r.outcome, r.held) for r in expected
    ]
    seen = dict.fromkeys(reading.phase for reading in resumed.readings if reading.signal == "bgp")
    assert list(seen) == list(dict.fromkeys(result.phase for result in expected)), "each was watched, held or not"
    assert len(resumed.readings) == len({(r.phase, r.signal, r.scope, r.of, r.family) for r in resumed.readings})
    tables = sorted(each.name for each in (tmp_path / "run/observations/bgp").glob("rib.*.mrt"))
    assert len(tables) == len(seen)
