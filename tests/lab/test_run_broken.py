"""Runs that are interrupted, or in which something dies: told, recorded, nothing lost and nothing left."""

from __future__ import annotations

import re
import shutil
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import harm
import outside
import pytest
import tiny
import yaml
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

from shutdownlab import library


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


def test_a_box_that_was_away_from_its_controller_for_a_moment_makes_its_phase_void(tmp_path: Path) -> None:
    """Nobody has died; but packets went past the box, or were lost, as its profile says."""
    with under_way(tmp_path, small(tmp_path)) as (process, record):
        wait_for_event(process, record, "phase", "baseline")
        (controller,) = (p for p in outside.descendants(process.pid) if outside.names(p) == "ctl-southcell")
        there = harm.connections(controller)
        served = Counter(own for own, _ in there)  # switches have several connections to their port, the box one
        (box,) = (each for each in there if served[each[0]] == 1 and each[0].split(":")[0] != each[1].split(":")[0])
        wait_for_event(process, record, "confirmed", "blackout")
        harm.hang_up(controller, *box)
        done = finished(process)
    assert done.code == 0, done.output
    (voided,) = record.events_of("voided")
    assert voided["phase"] == "blackout"
    assert voided["reasons"] == ["southcell-box and its controller had no connection for a while"]
    assert all(row["outcome"] == row["expected"] for row in record.rows)


@pytest.mark.thorough
def test_a_switch_that_was_away_from_its_controller_for_a_moment_makes_its_phase_void(tmp_path: Path) -> None:
    """It was given its rules anew, and what a DPI box had decided is forgotten."""
    with under_way(tmp_path, small(tmp_path)) as (process, record):
        wait_for_event(process, record, "phase", "baseline")
        (switches,) = (pid for pid in outside.descendants(process.pid) if is_of(pid, "ovs-vswitchd", "southcell"))
        (controller,) = (p for p in outside.descendants(process.pid) if outside.names(p) == "ctl-southcell")
        served = {own for own, _ in harm.connections(controller)}
        own, peer = next(each for each in harm.connections(switches) if each[1] in served)
        wait_for_event(process, record, "confirmed", "blackout")
        harm.hang_up(switches, own, peer)
        done = finished(process)
    assert done.code == 0, done.output
    (voided,) = record.events_of("voided")
    assert voided["phase"] == "blackout"
    (reason,) = voided["reasons"]
    assert re.fullmatch("southcell-[a-z-]+ and its controller had no connection for a while", reason)
    assert all(row["outcome"] == row["expected"] for row in record.rows)


def is_of(pid: int, program: str, owner: str) -> bool:
    """Whether a process is this program of an operator's."""
    return outside.names(pid) == program and f"/{owner}/" in Path(f"/proc/{pid}/cmdline").read_text()


@pytest.mark.thorough
def test_a_switch_that_has_lost_the_rules_of_a_policy_makes_its_phase_void_and_is_not_believed_again(
    tmp_path: Path,
) -> None:
    """Whoever it let through was no subscriber that got through: its controller believes the rules to be there."""
    with under_way(tmp_path, small_in_a_tiny_country(tmp_path)) as (process, record):
        wait_for_event(process, record, "confirmed", "blackout")
        for switch in harm.switches_of(process.pid):
            harm.forget_policies(switch)
        done = finished(process)
    assert [row["outcome"] for row in record.rows] == [row["expected"] for row in record.rows], done.output
    (voided,) = record.events_of("voided")
    assert (voided["phase"], voided["anew"]) == ("blackout", True)
    assert all(re.fullmatch(r"the switch [a-z-]+ holds \d+ rules, not \d+", reason) for reason in voided["reasons"])
    assert done.code == 0, done.output


@pytest.mark.thorough
def test_a_switch_whose_rules_somebody_has_altered_makes_its_phase_void(tmp_path: Path) -> None:
    """It has as many as were confirmed, and their policy's cookie; but they let pass what they should drop.

    They are altered as soon as they are confirmed, before anything is measured or looked at.
    """
    with under_way(tmp_path, small_in_a_tiny_country(tmp_path)) as (process, record):
        wait_for_event(process, record, "confirmed", "blackout")
        for switch in harm.switches_of(process.pid):
            harm.alter_policies(switch)
        done = finished(process)
    assert [row["outcome"] for row in record.rows] == [row["expected"] for row in record.rows], done.output
    (voided,) = record.events_of("voided")
    assert (voided["phase"], voided["anew"]) == ("blackout", True)
    altered = r"the switch [a-z-]+ has other (rules of the table [A-Z]+( and )?)+ than it confirmed"
    assert all(re.fullmatch(altered, reason) for reason in voided["reasons"]), voided["reasons"]
    assert done.code == 0, done.output


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        pytest.param("firewall", "nftables' rules", id="a firewall rule"),
        pytest.param("reroute", "a route", id="a route", marks=pytest.mark.thorough),
        pytest.param("xtables", "the tables of iptables-legacy", id="a legacy rule", marks=pytest.mark.thorough),
        pytest.param("neighbours", "a neighbour's address", id="a neighbour", marks=pytest.mark.thorough),
        pytest.param("flap", "an interface.*", id="a link", marks=pytest.mark.thorough),
    ],
)
def test_what_somebody_has_changed_of_a_subscriber_s_node_makes_its_phase_void(
    tmp_path: Path, kind: str, what: str
) -> None:
    """It drops what an order would, and the controls of the path and of the servers do not meet it."""
    with under_way(tmp_path, small_in_a_tiny_country(tmp_path)) as (process, record):
        wait_for_event(process, record, "phase", "restored")
        for agent in (pid for pid in outside.descendants(process.pid) if "probe southcell" in outside.names(pid)):
            harm.harm(process.pid, agent, kind)
        done = finished(process)
    assert [row["outcome"] for row in record.rows] == [row["expected"] for row in record.rows], done.output
    (voided,) = record.events_of("voided")
    assert (voided["phase"], voided["anew"]) == ("restored", True)
    assert any(re.fullmatch(f"somebody has changed {what} of southcell-[a-z-]+", why) for why in voided["reasons"])
    assert done.code == 0, done.output


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("program", "kind", "of", "what"),
    [
        pytest.param("bird", "deaf", "southcell-[a-z-]+", "a sysctl.*", id="a router that forwards nothing"),
        pytest.param("ovs-vswitchd", "lossy", "the switches of southcell", "a queueing discipline", id="slow links"),
    ],
)
def test_what_somebody_has_changed_of_routers_and_switches_makes_its_phase_void(
    tmp_path: Path, program: str, kind: str, of: str, what: str
) -> None:
    with under_way(tmp_path, small_in_a_tiny_country(tmp_path)) as (process, record):
        wait_for_event(process, record, "phase", "restored")
        for pid in (pid for pid in outside.descendants(process.pid) if outside.names(pid) == program):
            if "southcell" in Path(f"/proc/{pid}/cmdline").read_text():
                harm.harm(process.pid, pid, kind)
        done = finished(process)
    assert [row["outcome"] for row in record.rows] == [row["expected"] for row in record.rows], done.output
    (voided,) = record.events_of("voided")
    assert (voided["phase"], voided["anew"]) == ("restored", True)
    assert any(re.fullmatch(f"somebody has changed {what} of {of}", why) for why in voided["reasons"]), voided
    assert done.code == 0, done.output


@pytest.mark.thorough
def test_a_resolver_that_somebody_has_poisoned_is_not_believed(tmp_path: Path) -> None:
    """It answers at once, with an address that nobody has; whoever goes there is blocked by nobody."""
    with under_way(tmp_path, small_in_a_tiny_country(tmp_path)) as (process, record):
        wait_for_event(process, record, "confirmed", "blackout")
        for pid in (pid for pid in outside.descendants(process.pid) if outside.names(pid) == "unbound"):
            if "southcell" in Path(f"/proc/{pid}/cmdline").read_text():
                harm.harm(process.pid, pid, "poison")
        done = finished(process)
    assert [row["outcome"] for row in record.rows] == [row["expected"] for row in record.rows], done.output
    reasons = [reason for voided in record.events_of("voided") for reason in voided["reasons"]]
    assert reasons
    assert all("resolver of southcell for kaspi.kz" in reason for reason in reasons), reasons
    assert done.code == 0, done.output


@pytest.mark.thorough
def test_a_lie_that_somebody_has_put_into_a_resolver_is_no_order(tmp_path: Path) -> None:
    """Subscribers alone are told it, as an order says: the control subscriber, who asks the same resolver, is not."""
    with under_way(tmp_path, small_in_a_tiny_country(tmp_path)) as (process, record):
        wait_for_event(process, record, "confirmed", "blackout")
        for pid in (pid for pid in outside.descendants(process.pid) if outside.names(pid) == "unbound"):
            harm.harm(process.pid, pid, "lie")
        done = finished(process)
    assert [row["outcome"] for row in record.rows] == [row["expected"] for row in record.rows], done.output
    (voided,) = record.events_of("voided")
    assert (voided["phase"], voided["anew"]) == ("blackout", True)
    said = "the resolver [a-z]+-resolver tells a group of subscribers other lies than ordered"
    assert all(re.fullmatch(said, reason) for reason in voided["reasons"]), voided["reasons"]
    assert done.code == 0, done.output


@pytest.mark.thorough
def test_a_resolver_whose_file_somebody_has_changed_to_refuse_subscribers_makes_its_phase_void(tmp_path: Path) -> None:
    """It would block all in the next phase: the control subscriber is answered, as it asks from another address."""
    with under_way(tmp_path, small_in_a_tiny_country(tmp_path)) as (process, record):
        wait_for_event(process, record, "confirmed", "blackout")
        for pid in (pid for pid in outside.descendants(process.pid) if outside.names(pid) == "unbound"):
            harm.harm(process.pid, pid, "deny")
        done = finished(process)
    assert [row["outcome"] for row in record.rows] == [row["expected"] for row in record.rows], done.output
    (voided,) = record.events_of("voided")
    assert (voided["phase"], voided["anew"]) == ("blackout", True)
    said = "somebody has changed unbound.conf of unbound on [a-z]+-resolver"
    assert any(re.fullmatch(said, reason) for reason in voided["reasons"]), voided["reasons"]
    assert done.code == 0, done.output


def copied(run: Interrupted, place: Path) -> Record:
    """Its record in another place, to be gone on with there."""
    shutil.copytree(run.place / "run", place / "run")
    return Record(place / "run")


@pytest.fixture(scope="module")
def resumed(interrupted: Interrupted, tmp_path_factory: pytest.TempPathFactory) -> tuple[Done, Record]:
    """That run, gone on with to its end."""
    place = tmp_path_factory.mktemp("resumed")
    record = copied(interrupted, place)
    return invoke(place, "resume", "run"), record


def test_an_interrupted_run_is_resumed_with_the_same_results(resumed: tuple[Done, Record]) -> None:
    done, record = resumed
    assert done.code == 0, done.output
    assert "All 54 expectations met." in done.output
    assert [row["phase"] for row in record.rows] == ["baseline"] * 18 + ["blackout"] * 18 + ["restored"] * 18
    assert all(row["outcome"] == row["expected"] for row in record.rows)
    assert len(record.measurements) == 54
    assert record.manifest["status"] == "finished"

    again = invoke(record.path.parent, "resume", "run")
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


def so_far(record: Record) -> list[Json]:
    """The events that a run has written, none if it is writing one."""
    try:
        return record.events
    except (FileNotFoundError, ValueError):  # not there yet, or a line under way
        return []


def confirmed_more_than(record: Record, times: int) -> bool:
    """Whether the blackout's order has been confirmed so often."""
    return sum(event["event"] == "confirmed" and event["phase"] == "blackout" for event in so_far(record)) > times


Strike = tuple[str, signal.Signals]
"""What happens to all processes of that name."""
ONE_OF_EACH: tuple[Strike, ...] = (
    ("ovs-vswitchd", signal.SIGKILL),
    ("nginx", signal.SIGSTOP),
    ("dpi-southcell-b", signal.SIGKILL),
)
THE_OTHERS: tuple[Strike, ...] = (
    ("ctl-southcell", signal.SIGKILL),
    ("bird", signal.SIGKILL),
    ("relay", signal.SIGKILL),
    ("probe southcell", signal.SIGKILL),
    ("ovs-vswitchd", signal.SIGSTOP),
    ("dpi-southcell-b", signal.SIGSTOP),
)
REPLACED: Strike = ("dpi-southcell-b", signal.SIGKILL)
"""Which needs no country built anew."""


@dataclass(frozen=True)
class Struck:
    """A run in which that happened, in one blackout after another."""

    strikes: dict[str, Strike]
    done: Done
    record: Record

    @property
    def stopped(self) -> list[str]:
        return [phase for phase, (_, number) in self.strikes.items() if number == signal.SIGSTOP]

    @property
    def replaced(self) -> list[str]:
        return [phase for phase, strike in self.strikes.items() if strike == REPLACED]

    @property
    def built_anew(self) -> list[str]:
        return [phase for phase in self.strikes if phase not in self.stopped + self.replaced]


def small_in_a_tiny_country(place: Path, change: Callable[[Json], None] = lambda _: None) -> Path:
    """SMALL with a subscriber at each of two operators and nobody else, changed."""
    tiny.written(place, "northnet", "southcell", serves=("kaspi", "google-dns", "bridge"))

    def changed(scenario: Json) -> None:
        scenario["topology"] = "tiny.yaml"
        scenario["policies"]["blackout"]["except"] = {"ports": ["tcp/179"]}
        blackout = scenario["timeline"][1]
        blackout["expect"] = [each for each in blackout["expect"] if "who" not in each]
        change(scenario)

    return small(place, changed)


def in_turn(times: int, scenario: Json) -> None:
    """So many of those blackouts, each with the phase after it in which all is back."""
    baseline, blackout, restored = scenario["timeline"]
    scenario["timeline"] = [baseline]
    for number in range(1, times + 1):
        for hour, phase in ((2 * number, blackout), (2 * number + 1, restored)):
            at = f"2030-05-{1 + hour // 24:02}T{hour % 24:02}:30Z"
            scenario["timeline"].append(phase | {"phase": f"{phase['phase']}-{number}", "at": at})
    baseline["at"], scenario["ends"] = "2030-05-01T00:30Z", "2030-05-03T00:00Z"


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(ONE_OF_EACH, id="one of each kind"),
        pytest.param(THE_OTHERS, id="the others", marks=pytest.mark.thorough),
    ],
)
def struck(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Struck:
    place = tmp_path_factory.mktemp("struck")
    strikes = {f"blackout-{number}": strike for number, strike in enumerate(request.param, start=1)}
    path = small_in_a_tiny_country(place, partial(in_turn, len(strikes)))
    with under_way(place, path, "--until", list(strikes)[-1]) as (process, record):
        for phase, (name, number) in strikes.items():
            wait_for_event(process, record, "confirmed", phase)
            signal_inside(process, name, number)
        done = finished(process)
    return Struck(strikes, done, record)


def test_whatever_was_struck_every_row_is_as_in_a_run_without_a_fault(struck: Struck) -> None:
    done, record = struck.done, struck.record
    assert [row["outcome"] for row in record.rows] == [row["expected"] for row in record.rows], done.output
    cells = 6 * 2 * len(struck.strikes)
    assert len(record.rows) == len(record.measurements) == cells, "none of the measurements that say nothing"
    assert f"All {cells} expectations met, after faults of the testbed were repaired." in done.output
    assert done.code == 0, done.output


def test_a_process_that_dies_in_a_phase_is_reported_and_the_phase_measured_in_a_rebuilt_country(struck: Struck) -> None:
    assert struck.built_anew
    record = struck.record
    for phase in struck.built_anew:
        assert f"{phase} is measured in a country built anew" in struck.done.output
        assert any(fault.startswith(f"{phase}: ") for fault in record.manifest["faults"]), record.manifest["faults"]
    voided = [event for event in record.events_of("voided") if event["phase"] in struck.built_anew]
    assert [(event["phase"], event["anew"]) for event in voided] == [(phase, True) for phase in struck.built_anew]
    assert [event["phase"] for event in record.events_of("resumed")] == struck.built_anew


def test_what_was_stopped_goes_on_and_the_phase_is_measured_again(struck: Struck) -> None:
    assert struck.stopped
    assert "was stopped for a while" in struck.done.output
    for phase in struck.stopped:
        voided = [event for event in struck.record.events_of("voided") if event["phase"] == phase]
        told = [reason for event in voided for reason in event["reasons"]]
        assert any("was stopped for a while" in reason for reason in told), (phase, told)


def test_a_dpi_box_that_dies_is_replaced_and_the_phase_measured_again(struck: Struck) -> None:
    record = struck.record
    for phase in struck.replaced:
        fault = f"{phase}: dpi-southcell-box was killed by SIGKILL, and was started again"
        assert f"went wrong: {fault}" in struck.done.output
        assert [each for each in record.manifest["faults"] if each.startswith(f"{phase}: ")] == [fault]
        assert [event["anew"] for event in record.events_of("voided") if event["phase"] == phase] == [False]


@pytest.mark.thorough
def test_what_dies_again_and_again_leaves_rows_that_are_unknown_with_the_reason(tmp_path: Path) -> None:
    with under_way(tmp_path, small_in_a_tiny_country(tmp_path)) as (process, record):
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


def with_a_program(scenario: Json) -> None:
    """It may change its own node, so what is changed of hosts is not listened to: controls alone find a link cut."""
    scenario["probes"]["own"] = {"test": "command", "command": ["true"], "during": ["baseline"]}


@pytest.mark.thorough
def test_what_only_controls_find_to_last_has_its_phase_measured_in_a_country_built_anew(tmp_path: Path) -> None:
    with under_way(tmp_path, small_in_a_tiny_country(tmp_path, with_a_program), "--trust") as (process, record):
        wait_for_event(process, record, "confirmed", "blackout")
        cut_off_inside(process, "nginx")
        done = finished(process)

    assert [row["outcome"] for row in record.rows] == [row["expected"] for row in record.rows], done.output
    voided = record.events_of("voided")
    assert [(event["phase"], event["anew"]) for event in voided] == [("blackout", False), ("blackout", True)]
    assert all("could not be confirmed: controls failed: " in event["reasons"][0] for event in voided)
    assert done.code == 0, done.output


@pytest.mark.thorough
def test_a_phase_in_which_probers_lack_descriptors_is_measured_by_those_of_a_country_built_anew(tmp_path: Path) -> None:
    with under_way(tmp_path, small_in_a_tiny_country(tmp_path)) as (process, record):
        wait_for_event(process, record, "confirmed", "blackout")
        for agent in (pid for pid in outside.descendants(process.pid) if "probe southcell" in outside.names(pid)):
            harm.harm(process.pid, agent, "descriptors")
        done = finished(process)

    assert [row["outcome"] for row in record.rows] == [row["expected"] for row in record.rows], done.output
    voided = record.events_of("voided")
    assert {event["phase"] for event in voided} == {"blackout"}
    assert [event["anew"] for event in voided] == [False, True]
    reasons = [event["reasons"][0] for event in voided]
    assert all("the prober itself: too many open files" in why for why in reasons), reasons
    assert done.code == 0, done.output


@pytest.mark.thorough
def test_a_link_that_no_policy_cut_blocks_nothing_its_cells_are_unknown_and_the_next_phase_has_a_country_built_anew(
    tmp_path: Path,
) -> None:
    with under_way(tmp_path, small_in_a_tiny_country(tmp_path, with_a_program), "--trust") as (process, record):
        for countries in range(2):
            begun = partial(confirmed_after, record, countries)
            outside.wait_until(begun, f"the blackout, with {countries} countries lost", 180)
            cut_off_inside(process, "nginx")
        done = finished(process)

    assert done.code == 3, done.output
    hit = [row for row in record.rows if row["phase"] == "blackout" and row["outcome"] != row["expected"]]
    assert hit, done.output
    assert {row["outcome"] for row in hit} == {"unknown"}
    assert all("controls failed: " in row["failure"] for row in hit)
    assert all(row["outcome"] == row["expected"] for row in record.rows if row["phase"] == "restored"), done.output
    assert [event["phase"] for event in record.events_of("resumed")] == ["blackout", "restored"]
    refuted = [each for each in record.measurements if each["test_keys"]["x_outcome"] == "unknown"]
    assert all(proof["failure"] for each in refuted for proof in each["test_keys"]["x_control"])


def confirmed_after(record: Record, lost: int) -> bool:
    """Whether the blackout's order has been confirmed in the country after so many that were lost."""
    events = so_far(record)
    for _ in range(lost):
        events = events[[*(event["event"] for event in events), "resumed"].index("resumed") + 1 :]
    return any(event["event"] == "confirmed" and event["phase"] == "blackout" for event in events)


@pytest.mark.thorough
def test_a_phase_is_measured_again_only_once_nothing_goes_wrong_any_more(tmp_path: Path) -> None:
    """What is stopped again and again would spoil every attempt."""
    with under_way(tmp_path, small_in_a_tiny_country(tmp_path)) as (process, record):
        wait_for_event(process, record, "confirmed", "blackout")
        (nginx, *_) = (pid for pid in outside.descendants(process.pid) if outside.names(pid) == "nginx")
        while not any(event["event"] == "voided" for event in so_far(record)):
            harm.harm(process.pid, nginx, "stutter 0.5")
        harm.harm(process.pid, nginx, "stutter 3")
        done = finished(process)

    assert [row["outcome"] for row in record.rows] == [row["expected"] for row in record.rows], done.output
    assert [(event["phase"], event["anew"]) for event in record.events_of("voided")] == [("blackout", False)]
    assert done.code == 0, done.output


def test_what_is_blocked_has_a_record_of_the_controls_that_vouch_for_it(resumed: tuple[Done, Record]) -> None:
    done, record = resumed
    assert done.code == 0, done.output
    for each in record.measurements:
        keys = each["test_keys"]
        names = [proof["name"] for proof in keys["x_control"]]
        assert bool(names) == (keys["x_outcome"] == "blocked"), keys
        assert not any(proof["failure"] for proof in keys["x_control"])
        if keys["x_probe"] == "kaspi.kz" and names:
            unanswered = any(query["failure"] for query in keys["queries"])
            there = "-resolver," if unanswered else "-datacentre,"
            assert [name.partition(" ")[0] for name in names] == ["path", "resolver" if unanswered else "server"]
            assert there in names[0], "the way to what it failed by"


def test_a_server_that_does_not_start_is_reported_with_its_last_words(tmp_path: Path) -> None:
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


RESETS = """
import socket, struct
with socket.create_server(("", 4444)) as server:
    server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    while True:
        server.accept()[0].close()
"""


def test_a_country_that_does_not_work_by_itself_is_not_shut_down(tmp_path: Path) -> None:
    country = yaml.safe_load(library.shipped_file("two-operators").read_text())
    program = {"command": ["python3", "-c", RESETS], "ports": ["tcp/4444"], "names": ["bank.example"]}
    country["transits"]["transit-one"]["serves"].append(program)
    (tmp_path / "country.yaml").write_text(yaml.safe_dump(country, sort_keys=False))

    def nobody_there(scenario: Json) -> None:
        scenario["topology"] = "country.yaml"
        scenario["probes"]["port-4444"] = {"test": "tls", "host": "bank.example", "port": "tcp/4444"}

    done = invoke(tmp_path, "run", small(tmp_path, nobody_there), "--out", "run", "--trust")
    assert done.code == 3
    who = "northnet/capital/ordinary, northnet/capital/government, northnet/capital/datacentre and 3 more"
    assert done.output.splitlines()[2:] == [  # after the country and its datapath
        "The self-check failed: with nothing blocked, 6 measurements did not succeed.",
        f"    baseline: port-4444 from {who}: expected ok, saw unknown "
        "(unknown_failure: controls failed: server of port-4444, ipv4: connection_reset)",
        "The run stops here: a shutdown can be measured only where everything works before it.",
        "Logs of every server are in run/logs.",
    ]
    record = Record(tmp_path / "run")
    assert record.manifest["status"] == "self-check failed"
    assert len(record.events_of("self-check")[0]["broken"]) == 6
    assert record.rows == []
