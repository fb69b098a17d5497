"""DPI boxes in a whole run: each operator's by its own profile, counted phase by phase, and killed."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import pytest
from invocation import Json, Record, finished, invoke, kill_inside, small, under_way, wait_for_event

BLOCK: Json = {"title": "The BBC by name", "block": {"sites": ["bbc.com"]}, "source": "FACT"}
SLOW: Json = {
    "title": "The BBC slowed down for Southcell",
    "where": {"operators": ["southcell"]},
    "inspect": [
        {"name": "bbc", "when": {"name_suffix": "bbc.com"}, "verdict": {"action": "throttle", "rate": "64kbit"}}
    ],
    "source": "FACT",
}


def inspected(scenario: Json) -> None:
    """Northnet's box beside the path, Southcell's in it; and then other rules."""
    scenario["profiles"] = {"northnet": "gfw-tls", "southcell": "kazakhstan-sni"}
    scenario["policies"] = deepcopy({"bbc": BLOCK, "slow": SLOW})
    scenario["probes"] = {
        "www.bbc.com": {"test": "web", "url": "https://www.bbc.com/"},
        "www.wikipedia.org": {"test": "web", "url": "https://www.wikipedia.org/"},
        "speed": {"test": "throughput", "url": "https://www.bbc.com/bytes/1000000", "from": {"groups": ["ordinary"]}},
    }
    at = "2030-05-01T08:{}Z"
    everything: Json = {"outcome": "ok", "source": "FACT"}
    blocked: Json = {"probes": ["www.bbc.com", "speed"], "outcome": "blocked", "source": "FACT"}
    slowed: Json = {
        "who": {"operators": ["southcell"]}, "probes": ["speed"], "outcome": "throttled", "source": "FACT"
    }  # fmt: skip
    scenario["timeline"] = [
        {"phase": "baseline", "at": at.format("00"), "title": "An ordinary day", "expect": [everything]},
        {
            "phase": "blocked", "at": at.format("10"), "title": "No BBC", "start": ["bbc"],
            "expect": [everything, blocked],
        },
        {
            "phase": "slowed", "at": at.format("20"), "title": "A slow BBC", "stop": ["bbc"], "start": ["slow"],
            "expect": [everything, slowed],
        },
        {
            "phase": "restored", "at": at.format("30"), "title": "All back", "stop": ["slow"], "expect": [everything]
        },
    ]  # fmt: skip


def test_each_operators_box_behaves_as_its_profile_and_is_counted_phase_by_phase(tmp_path: Path) -> None:
    done = invoke(tmp_path, "run", small(tmp_path, inspected), "--out", "results")
    record = Record(tmp_path / "results")
    assert done.code == 0, done.output
    failures = {
        (row["operator"], row["failure"])
        for row in record.rows
        if row["phase"] == "blocked" and row["target"] == "www.bbc.com"
    }
    assert failures == {("northnet", "connection_reset"), ("southcell", "generic_timeout_error")}
    assert record.manifest["profiles"] == {"northnet": "gfw-tls", "southcell": "kazakhstan-sni"}
    counted = {
        (event["phase"], event["where"]): event["counters"]
        for event in record.events_of("counters")
        if "phase" in event
    }
    decided = {
        (event["phase"], event["where"], each["rule"], each["action"], each["host"], each["opener"])
        for event in record.events_of("decided")
        for each in event["decisions"]
    }
    assert ("blocked", "southcell-box", "bbc", "drop", "www.bbc.com", "inside") in decided
    assert not any(phase in {"baseline", "restored"} for phase, *_ in decided), "each is told in its own phase"
    north, south = counted["blocked", "northnet-box"], counted["blocked", "southcell-box"]
    assert north["injected"] >= 6
    assert north["held_back"] == 0
    assert south["injected"] == 0
    assert south["held_back"] >= 1
    assert north["engine"]["rules"]["bbc"] >= 1
    assert south["engine"]["verdicts"]["drop"] >= 1
    assert counted["slowed", "southcell-box"]["engine"]["rules"]["slow/bbc"] >= 1
    assert counted["restored", "southcell-box"]["engine"]["rules"] == {}


def test_interception_shows_users_an_authority_they_do_not_know(tmp_path: Path) -> None:
    def intercepted(scenario: Json) -> None:
        killed(scenario)
        scenario["profiles"] = {"northnet": "kazakhstan-mitm-2019"}
        scenario["policies"]["bbc"]["where"] = {"operators": ["northnet"]}
        northnet: Json = {"who": {"operators": ["northnet"]}, "probes": ["www.bbc.com"]}
        blocked = {**northnet, "outcome": "blocked", "source": "FACT"}
        for phase in scenario["timeline"][1:]:
            phase["expect"] = [{"outcome": "ok", "source": "FACT"}, blocked]

    done = invoke(tmp_path, "run", small(tmp_path, intercepted), "--out", "results")
    record = Record(tmp_path / "results")
    assert done.code == 0, done.output
    hit = [row for row in record.rows if row["target"] == "www.bbc.com" and row["phase"] == "blocked"]
    assert {row["failure"] for row in hit if row["operator"] == "northnet"} == {"ssl_unknown_authority"}
    by_phase = [event for event in record.events_of("counters") if event.get("phase") == "still-blocked"]
    (box,) = [event["counters"] for event in by_phase if event["where"] == "northnet-box"]
    assert box["intercepted"] >= 4
    assert box["not_intercepted"] == 0


def killed(scenario: Json) -> None:
    """Blocked by name, twice; an hour is six seconds."""
    inspected(scenario)
    del scenario["probes"]["speed"]
    expect: list[Json] = [
        {"outcome": "ok", "source": "FACT"},
        {"probes": ["www.bbc.com"], "outcome": "blocked", "source": "FACT"},
    ]
    baseline = {**scenario["timeline"][0], "at": "2030-05-01T08:00Z"}
    blocked = {"at": "2030-05-01T09:00Z", "title": "No BBC", "start": ["bbc"], "expect": expect}
    still = {"at": "2030-05-01T09:30Z", "title": "By the new box", "expect": expect}
    scenario["timeline"] = [baseline, {"phase": "blocked", **blocked}, {"phase": "still-blocked", **still}]


@pytest.mark.thorough
def test_a_box_that_is_killed_fails_open_and_what_went_past_it_meanwhile_is_no_result(tmp_path: Path) -> None:
    with under_way(tmp_path, small(tmp_path, killed), "--real-time", "600") as (process, record):
        wait_for_event(process, record, "phase-measured", "baseline")
        kill_inside(process, "dpi-southcell-b")
        done = finished(process)
        assert done.code == 0, done.output
    told = [event["text"] for event in record.events_of("notice")]
    assert any("lost the DPI box southcell-box; kazakhstan-sni fails open" in text for text in told), told
    assert any("dpi-southcell-box was killed by SIGKILL, and was started again" in f for f in record.manifest["faults"])
    seen = {(row["phase"], row["outcome"]) for row in record.rows if row["target"] == "www.bbc.com"}
    assert seen == {("baseline", "ok"), ("blocked", "blocked"), ("still-blocked", "blocked")}
