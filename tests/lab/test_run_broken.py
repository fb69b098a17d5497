"""Runs that are interrupted, or in which something dies: told, recorded, nothing lost and nothing left."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Interrupted:
    """A run of SMALL that Ctrl-C has ended in its blackout. `spaces`: the namespaces that it had."""

    place: Path
    done: Done
    spaces: set[str]

    @property
    def record(self) -> Record:
        return Record(self.place / "run")


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Interrupted:
    place = tmp_path_factory.mktemp("interrupted")
    with under_way(place, small(place)) as (process, record):
        wait_for_event(process, record, "confirmed", "blackout")
        spaces = outside.namespaces(outside.descendants(process.pid))
        process.send_signal(signal.SIGINT)
        return Interrupted(place, finished(process), spaces)


def test_ctrl_c_keeps_what_was_measured_and_leaves_no_process(interrupted: Interrupted) -> None:
    done, record = interrupted.done, interrupted.record
    assert done.code == 130
    assert "Interrupted. What was measured is in run." in done.output
    assert "Traceback" not in done.output
    assert {row["phase"] for row in record.rows} == {"baseline"}
    assert len(record.measurements) >= len(record.rows) > 0
    assert record.manifest["status"] == "interrupted"
    assert [event["event"] for event in record.events[-2:]] == ["interrupted", "finished"]
    assert interrupted.spaces
    outside.wait_until(lambda: not outside.in_namespaces(interrupted.spaces), "the end of every process of the run")


def copied(run: Interrupted, place: Path) -> Record:
    """Its record in another place, to be gone on with there."""
    shutil.copytree(run.place / "run", place / "run")
    return Record(place / "run")


def test_an_interrupted_run_is_resumed_with_the_same_results(interrupted: Interrupted, tmp_path: Path) -> None:
    record = copied(interrupted, tmp_path)

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


def test_a_run_is_not_resumed_with_another_scenario(interrupted: Interrupted, tmp_path: Path) -> None:
    record, path = copied(interrupted, tmp_path), interrupted.place / "small.yaml"
    written = path.read_text()
    path.write_text(written.replace("tcp/179", "tcp/3785"))
    try:
        done = invoke(tmp_path, "resume", "run")
    finally:
        path.write_text(written)

    assert done.code == 2
    assert "found a scenario that has changed since" in done.output
    assert {row["phase"] for row in record.rows} == {"baseline"}


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


def several(scenario: Json, blackouts: int) -> None:
    """So many blackouts, one after the other, with the phase in between in which all is back."""
    baseline, blackout, restored = scenario["timeline"]
    scenario["timeline"] = [baseline]
    for number in range(1, blackouts + 1):
        for hour, phase in ((2 * number, blackout), (2 * number + 1, restored)):
            at = f"2030-05-01T{8 + hour:02}:00Z"
            scenario["timeline"].append(phase | {"phase": f"{phase['phase']}-{number}", "at": at})
    scenario["ends"] = "2030-05-02T10:00Z"


def struck_in_turn(place: Path, names: Sequence[str], number: int) -> tuple[Done, Record, list[str]]:
    """A run with a blackout for each name, in which all processes of that name get a signal; and the blackouts."""
    blackouts = [f"blackout-{place}" for place in range(1, len(names) + 1)]
    path = small(place, lambda scenario: several(scenario, len(names)))
    with under_way(place, path, "--until", blackouts[-1]) as (process, record):
        for name, phase in zip(names, blackouts, strict=True):
            wait_for_event(process, record, "confirmed", phase)
            signal_inside(process, name, number)
        done = finished(process)
    cells = 18 * 2 * len(names)
    assert [row["outcome"] for row in record.rows] == [row["expected"] for row in record.rows], done.output
    assert len(record.rows) == len(record.measurements) == cells, "none of the measurements that say nothing"
    assert done.code == 0, done.output
    return done, record, blackouts


def test_what_dies_in_a_phase_is_told_and_the_phase_is_measured_in_a_country_built_anew(tmp_path: Path) -> None:
    names = ("ctl-southcell", "ovs-vswitchd", "bird", "relay", "probe southcell")
    done, record, blackouts = struck_in_turn(tmp_path, names, signal.SIGKILL)

    for phase in blackouts:
        assert f"{phase} is measured in a country built anew" in done.output
        assert any(fault.startswith(f"{phase}: ") for fault in record.manifest["faults"]), record.manifest["faults"]
    assert [(event["phase"], event["anew"]) for event in record.events_of("voided")] == [(p, True) for p in blackouts]
    assert [event["phase"] for event in record.events_of("resumed")] == blackouts


def test_what_was_stopped_goes_on_and_the_phase_is_measured_again(tmp_path: Path) -> None:
    names = ("ovs-vswitchd", "nginx", "dpi-southcell-b")
    done, record, blackouts = struck_in_turn(tmp_path, names, signal.SIGSTOP)

    assert "was stopped for a while" in done.output
    for phase in blackouts:
        told = [
            reason for event in record.events_of("voided") if event["phase"] == phase for reason in event["reasons"]
        ]
        assert any("was stopped for a while" in reason for reason in told), (phase, told)


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
