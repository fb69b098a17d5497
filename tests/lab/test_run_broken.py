"""Runs that are interrupted, or in which something dies: told, recorded, nothing lost and nothing left."""

from __future__ import annotations

import signal
from pathlib import Path

import outside
from invocation import Json, Record, finished, invoke, kill_inside, small, under_way, wait_for_event


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


def test_a_controller_that_dies_is_told_and_its_rules_stay(tmp_path: Path) -> None:
    with under_way(tmp_path, small(tmp_path), "--until", "blackout") as (process, record):
        wait_for_event(process, record, "confirmed", "blackout")
        kill_inside(process, "ctl-southcell")
        done = finished(process)
    died = "the controller of southcell was killed by SIGKILL; its switches keep the rules they have"
    assert f"note: {died}" in done.output
    assert f"went wrong: {died}" in done.output
    assert "All 36 expectations met, but not everything went well." in done.output
    assert done.code == 1
    assert record.manifest["faults"] == [died]
    assert [event["text"] for event in record.events_of("fault")] == [died]
    seen = {(row["target"], row["outcome"]) for row in record.rows[18:] if row["operator"] == "southcell"}
    assert seen == {("kaspi.kz", "blocked"), ("ping", "blocked"), ("bridge-179", "ok")}


def test_without_the_authority_the_run_breaks_off_at_the_next_order(tmp_path: Path) -> None:
    with under_way(tmp_path, small(tmp_path)) as (process, record):
        wait_for_event(process, record, "confirmed", "blackout")
        kill_inside(process, "ctl-authority")
        done = finished(process)
    assert done.code == 3
    assert "Traceback" not in done.output
    lines = done.output.splitlines()
    start = lines.index("The run broke off:")
    assert lines[start + 1] == "    the authority's controller has ended; the switches keep the rules they have"
    assert lines[start + 2 :] == [
        "The 36 measurements made until then are in run.",
        "Logs of every process are in run/logs.",
    ]
    assert {row["phase"] for row in record.rows} == {"baseline", "blackout"}
    assert record.manifest["status"] == "broken"
    assert record.events_of("broken")[0]["error"] == "ControlError"
    assert "Traceback" in (record.path / "logs" / "run.log").read_text()


def test_a_dpi_box_and_a_web_server_that_die_are_told_and_end_the_run_with_1(tmp_path: Path) -> None:
    with under_way(tmp_path, small(tmp_path), "--until", "blackout") as (process, record):
        wait_for_event(process, record, "confirmed", "blackout")
        kill_inside(process, "dpi-southcell-b")
        kill_inside(process, "nginx")
        done = finished(process)
    assert done.code == 1
    went_wrong = [line for line in done.output.splitlines() if line.startswith("went wrong: ")]
    assert "went wrong: dpi-southcell-box was killed by SIGKILL, and is started again" in went_wrong
    for node in ("transit-one-servers", "transit-two-servers", "northnet-capital-datacentre"):
        assert [line for line in went_wrong if line.startswith(f"went wrong: nginx on {node} was killed by SIGKILL")]
    assert len(record.manifest["faults"]) == 4


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
        f"    baseline: port-4444 from {who}: expected ok, saw blocked (connection_refused)",
        "The run stops here: what does not work by itself cannot be shut down.",
        "Logs of every server are in run/logs.",
    ]
    record = Record(tmp_path / "run")
    assert record.manifest["status"] == "self-check failed"
    assert len(record.events_of("self-check")[0]["broken"]) == 6
    assert record.rows == []
