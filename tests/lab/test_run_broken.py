"""Runs that are interrupted, or in which something dies: told, recorded, nothing lost and nothing left."""

from __future__ import annotations

import signal
from functools import partial
from pathlib import Path

import outside
import pytest
from invocation import (
    Done,
    Json,
    Record,
    cut_off_inside,
    finished,
    invoke,
    kill_inside,
    signal_inside,
    small,
    under_way,
    wait_for_event,
)


def test_an_interrupted_run_is_resumed_with_the_same_results(tmp_path: Path) -> None:
    path = small(tmp_path)
    with under_way(tmp_path, path) as (process, record):
        wait_for_event(process, record, "confirmed", "blackout")
        process.send_signal(signal.SIGINT)
        finished(process)

    done = invoke(tmp_path, "resume", "run")

    assert done.code == 0, done.output
    assert "All 54 expectations met." in done.output
    assert [row["phase"] for row in record.rows] == ["baseline"] * 18 + ["blackout"] * 18 + ["restored"] * 18
    assert all(row["outcome"] == row["expected"] for row in record.rows)
    assert len(record.measurements) == 54
    assert record.manifest["status"] == "finished"

    again = invoke(tmp_path, "resume", "run")
    assert again.code == 2
    assert "run: found a run that is finished; expected one that was interrupted, killed or broke off" in again.output


def test_a_run_is_not_resumed_with_another_scenario(tmp_path: Path) -> None:
    path = small(tmp_path)
    with under_way(tmp_path, path) as (process, record):
        wait_for_event(process, record, "confirmed", "blackout")
        process.send_signal(signal.SIGINT)
        finished(process)
    path.write_text(path.read_text().replace("tcp/179", "tcp/3785"))

    done = invoke(tmp_path, "resume", "run")

    assert done.code == 2
    assert "found a scenario that has changed since" in done.output
    assert {row["phase"] for row in record.rows} == {"baseline"}


def test_ctrl_c_keeps_what_was_measured_and_leaves_no_process(tmp_path: Path) -> None:
    with under_way(tmp_path, small(tmp_path)) as (process, record):
        wait_for_event(process, record, "confirmed", "blackout")
        spaces = outside.namespaces(outside.descendants(process.pid))
        process.send_signal(signal.SIGINT)
        done = finished(process)
    assert done.code == 130
    assert "Interrupted. What was measured is in run." in done.output
    assert "Traceback" not in done.output
    assert {row["phase"] for row in record.rows} == {"baseline"}
    assert len(record.measurements) >= len(record.rows) > 0
    assert record.manifest["status"] == "interrupted"
    assert [event["event"] for event in record.events[-2:]] == ["interrupted", "finished"]
    assert spaces
    outside.wait_until(lambda: not outside.in_namespaces(spaces), "the end of every process of the run")


def test_kill_9_of_a_whole_run_loses_nothing_that_was_measured(tmp_path: Path) -> None:
    with under_way(tmp_path, small(tmp_path)) as (process, record):
        wait_for_event(process, record, "confirmed", "blackout")
        spaces = outside.namespaces(outside.descendants(process.pid))
        kill_inside(process, "lab-worker")
        done = finished(process)
    assert done.code == 3
    assert "The run was killed by SIGKILL. What was measured until then is in run." in done.output
    assert [row["phase"] for row in record.rows] == ["baseline"] * 18
    assert record.manifest["status"] == "killed"
    outside.wait_until(lambda: not outside.in_namespaces(spaces), "nothing of the run is left")


RIGHT = {("kaspi.kz", "blocked"), ("ping", "blocked"), ("bridge-179", "ok")}
"""Of an ordinary subscriber in SMALL's blackout."""


def struck(place: Path, name: str, number: int, *arguments: object) -> tuple[Done, Record]:
    """SMALL up to its blackout, during which all processes of this name get a signal."""
    with under_way(place, small(place), "--until", "blackout", *arguments) as (process, record):
        wait_for_event(process, record, "confirmed", "blackout")
        signal_inside(process, name, number)
        done = finished(process)
    return done, record


def confirmed_more_than(record: Record, times: int) -> bool:
    """Whether the blackout's order has been confirmed so often."""
    try:
        return sum(event["phase"] == "blackout" for event in record.events_of("confirmed")) > times
    except (FileNotFoundError, ValueError):  # not there yet, or a line under way
        return False


def right(record: Record) -> bool:
    """Every row is as in a run without a fault."""
    met = [row["outcome"] == row["expected"] for row in record.rows]
    return len(met) == 36 and all(met)


@pytest.mark.parametrize("name", ["ctl-southcell", "ovs-vswitchd", "bird", "relay", "probe southcell"])
def test_what_dies_in_a_phase_is_told_and_the_phase_is_measured_in_a_country_built_anew(
    tmp_path: Path, name: str
) -> None:
    done, record = struck(tmp_path, name, signal.SIGKILL)

    assert right(record), done.output
    assert done.code == 0, done.output
    assert "blackout is measured in a country built anew" in done.output
    assert record.manifest["faults"]
    assert [event["anew"] for event in record.events_of("voided")] == [True]
    assert record.events_of("resumed")[0]["phase"] == "blackout"
    assert len(record.measurements) == 36, "none of the measurements that say nothing"


@pytest.mark.parametrize("name", ["ovs-vswitchd", "nginx", "dpi-southcell-b"])
def test_what_was_stopped_goes_on_and_the_phase_is_measured_again(tmp_path: Path, name: str) -> None:
    done, record = struck(tmp_path, name, signal.SIGSTOP)

    assert right(record), done.output
    assert done.code == 0, done.output
    assert "was stopped for a while" in done.output
    assert len(record.measurements) == 36


def test_a_dpi_box_that_dies_is_replaced_and_the_phase_measured_again(tmp_path: Path) -> None:
    done, record = struck(tmp_path, "dpi-southcell-b", signal.SIGKILL)

    assert right(record), done.output
    fault = "blackout: dpi-southcell-box was killed by SIGKILL, and was started again"
    assert f"went wrong: {fault}" in done.output
    assert "All 36 expectations met, once what went wrong was mended." in done.output
    assert (done.code, record.manifest["faults"]) == (0, [fault])
    assert [event["anew"] for event in record.events_of("voided")] == [False]


def test_what_dies_again_and_again_leaves_rows_that_are_unknown_with_the_reason(tmp_path: Path) -> None:
    with under_way(tmp_path, small(tmp_path)) as (process, record):
        for attempt in range(3):
            begun = partial(confirmed_more_than, record, attempt)
            outside.wait_until(begun, f"attempt {attempt} at the blackout", 120)
            signal_inside(process, "bird", signal.SIGKILL)
        done = finished(process)
    assert done.code == 3, done.output
    outcomes = {row["phase"]: set() for row in record.rows}
    for row in record.rows:
        outcomes[row["phase"]].add(row["outcome"])
    assert outcomes == {"baseline": {"ok"}, "blackout": {"unknown"}, "restored": {"ok"}}
    failures = {row["failure"] for row in record.rows if row["phase"] == "blackout"}
    assert all(failure.startswith("unknown_failure: ") and "bird" in failure for failure in failures), failures


def test_a_link_that_no_policy_cut_blocks_nothing_its_cells_are_unknown_and_the_next_phase_has_a_country_built_anew(
    tmp_path: Path,
) -> None:
    with under_way(tmp_path, small(tmp_path)) as (process, record):
        wait_for_event(process, record, "confirmed", "blackout")
        cut_off_inside(process, "nginx")
        done = finished(process)

    assert done.code == 3, done.output
    hit = [row for row in record.rows if row["phase"] == "blackout" and row["outcome"] != row["expected"]]
    assert hit, done.output
    assert {row["outcome"] for row in hit} == {"unknown"}
    assert all("controls failed: " in row["failure"] for row in hit)
    assert all(row["outcome"] == row["expected"] for row in record.rows if row["phase"] == "restored"), done.output
    assert record.events_of("resumed")[0]["phase"] == "restored"
    refuted = [each for each in record.measurements if each["test_keys"]["x_outcome"] == "unknown"]
    assert all(proof["failure"] for each in refuted for proof in each["test_keys"]["x_control"])


def test_what_is_blocked_has_a_record_of_the_controls_that_vouch_for_it(tmp_path: Path) -> None:
    done = invoke(tmp_path, "run", small(tmp_path), "--until", "blackout", "--out", "run")
    assert done.code == 0, done.output
    for each in Record(tmp_path / "run").measurements:
        keys = each["test_keys"]
        names = [proof["name"] for proof in keys["x_control"]]
        assert bool(names) == (keys["x_outcome"] == "blocked"), keys
        assert not any(proof["failure"] for proof in keys["x_control"])
        if keys["x_probe"] == "kaspi.kz" and names:
            unanswered = any(query["failure"] for query in keys["queries"])
            there = "-resolver," if unanswered else "-datacentre,"
            assert [name.partition(" ")[0] for name in names] == ["path", "resolver" if unanswered else "server"]
            assert there in names[0], "the way to what it failed by"


def test_a_server_that_does_not_start_is_told_with_its_last_words(tmp_path: Path) -> None:
    programs = tmp_path / "run" / "programs"
    programs.mkdir(parents=True)
    nginx = programs / "nginx"
    nginx.write_text("#!/bin/sh\necho 'no space on this planet' >&2\nexit 1\n")
    nginx.chmod(0o755)
    path = f"{programs}:/usr/local/bin:/usr/bin:/bin"
    done = invoke(tmp_path, "run", small(tmp_path), "--out", "run", env={"PATH": path})
    assert done.code == 3
    assert "Traceback" not in done.output
    assert "The run broke off:" in done.output
    assert "nginx on transit-one-servers" in done.output
    assert "no space on this planet" in done.output
    assert "Logs of every process are in run/logs." in done.output
    record = Record(tmp_path / "run")
    assert record.rows == []
    assert record.manifest["status"] == "broken"
    assert record.events_of("broken")[0]["error"] == "ServicesNotReady"


def test_a_country_that_does_not_work_by_itself_is_not_shut_down(tmp_path: Path) -> None:
    def nobody_there(scenario: Json) -> None:
        scenario["probes"]["port-4444"] = {"test": "tcp", "host": "bridge.example.net", "port": "tcp/4444"}

    done = invoke(tmp_path, "run", small(tmp_path, nobody_there), "--out", "run")
    assert done.code == 3
    who = "northnet/capital/ordinary, northnet/capital/government, northnet/capital/datacentre and 3 more"
    assert done.output.splitlines()[2:] == [  # after the country and its datapath
        "The self-check failed: with nothing blocked, 6 measurements did not succeed.",
        f"    baseline: port-4444 from {who}: expected ok, saw unknown "
        "(unknown_failure: controls failed: server of port-4444, ipv4: connection_refused)",
        "The run stops here: what does not work by itself cannot be shut down.",
        "Logs of every server are in run/logs.",
    ]
    record = Record(tmp_path / "run")
    assert record.manifest["status"] == "self-check failed"
    assert len(record.events_of("self-check")[0]["broken"]) == 6
    assert record.rows == []
