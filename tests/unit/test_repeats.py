"""What recurs in a scenario: phases that the program makes, at the right times, with what is in force and expected."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

import shutdownlab as sl
from shutdownlab import library
from shutdownlab.library import Shutdown


def country(repeats: dict[str, Any], timeline: list[dict[str, Any]] | None = None, **changed: Any) -> dict[str, Any]:
    """Two operators, one probe, a policy that cuts everything off; from 20 March 2022 to 1 April."""
    return {
        "format": 1,
        "name": "recurring",
        "title": "What recurs",
        "topology": "two-operators",
        "policies": {
            "dark": {"title": "All off", "block": "everything", "source": "made up"},
            "slow": {"title": "Slow", "throttle": "256kbit", "only": "everything", "source": "made up"},
        },
        "probes": {"ping": {"test": "ping", "host": "8.8.8.8"}},
        "expectations": {
            "open": [{"outcome": "ok", "source": "made up"}],
            "dark": [{"outcome": "blocked", "source": "made up"}],
        },
        "repeats": repeats,
        "timeline": timeline or [{"phase": "before", "at": "2022-03-20T12:00Z", "title": "", "expect": ["open"]}],
        "ends": "2022-04-01T00:00Z",
    } | changed


def times(shutdown: Shutdown) -> dict[str, str]:
    return {phase.phase: f"{phase.at:%d %H:%M}" for phase in shutdown.scenario.timeline}


NIGHT = {"title": "Night {number} of {of}", "start": ["dark"], "expect": ["dark"], "after": {"phase": "day"}}


def test_clocks_that_jump_forward_make_a_night_an_hour_earlier_in_utc_and_one_night_an_hour_shorter() -> None:
    every = {"from": "01:00", "to": "09:00", "zone": "Europe/Zurich", "first": "2022-03-26", "last": "2022-03-28"}
    assert times(library.load(country({"night": NIGHT | {"every": every}}))) == {
        "before": "20 12:00",
        "night-1": "26 00:00",
        "day-1": "26 08:00",
        "night-2": "27 00:00",
        "day-2": "27 07:00",  # summer time begins at 02:00
        "night-3": "27 23:00",
        "day-3": "28 07:00",
    }


def test_a_time_that_a_jump_leaves_out_is_when_the_clock_would_have_shown_it() -> None:
    every = {"from": "02:30", "to": "05:00", "zone": "Europe/Zurich", "dates": ["2022-03-27"]}
    found = times(library.load(country({"night": NIGHT | {"every": every}})))
    assert (found["night-1"], found["day-1"]) == ("27 01:30", "27 03:00")


@pytest.mark.parametrize("days", [{"dates": ["2022-03-27"]}, {"days": ["sat", "sun"]}])
def test_a_time_that_a_jump_leaves_nothing_of_is_refused(days: dict[str, Any]) -> None:
    every = {"from": "02:30", "to": "03:15", "zone": "Europe/Zurich"} | days
    with pytest.raises(sl.BadInput, match="02:30 to 03:15 on 2022-03-27, when the clocks are put forward"):
        library.load(country({"night": NIGHT | {"every": every}}))


def test_a_time_that_comes_twice_is_its_first_coming() -> None:
    every = {"from": "02:30", "to": "05:00", "zone": "Europe/Zurich", "dates": ["2022-10-30"]}
    made = country({"night": NIGHT | {"every": every}}, ends="2022-11-01T00:00Z")
    found = times(library.load(made))
    assert (found["night-1"], found["day-1"]) == ("30 00:30", "30 04:00")


def test_without_a_zone_clocks_show_the_scenarios_offset_and_a_window_may_run_over_midnight() -> None:
    every = {"from": "22:00", "to": "04:00", "days": ["fri", "sat"], "but_not": ["2022-03-26"]}
    found = times(library.load(country({"night": NIGHT | {"every": every}}, utc_offset="+06:00")))
    assert found == {"before": "20 12:00", "night-1": "25 16:00", "day-1": "25 22:00"}


def test_what_is_over_only_after_the_end_has_no_phase_that_follows() -> None:
    made = country({"night": NIGHT | {"every": {"from": "22:00", "to": "04:00", "first": "2022-03-30"}}})
    assert list(times(library.load(made))) == ["before", "night-1", "day-1", "night-2"]


def test_bouts_last_a_share_of_each_period() -> None:
    flapping = {"period": "20min", "share": 0.25, "from": "2022-03-21T10:00Z", "to": "2022-03-21T10:42Z"}
    assert times(library.load(country({"bout": {"title": "", "start": ["dark"], "flapping": flapping}}))) == {
        "before": "20 12:00",
        "bout-1": "21 10:00",
        "bout-over-1": "21 10:05",
        "bout-2": "21 10:20",
        "bout-over-2": "21 10:25",
        "bout-3": "21 10:40",
        "bout-over-3": "21 10:42",
    }


def test_a_ramp_takes_a_step_a_day_and_each_stays() -> None:
    steps = [{"start": ["slow"], "title": "Slow"}, {"stop": ["slow"], "start": ["dark"], "expect": ["dark"]}]
    made = country({"step": {"title": "Step {number}", "ramp": {"from": "2022-03-21T06:00Z", "steps": steps}}})
    shutdown = library.load(made)
    assert times(shutdown) == {"before": "20 12:00", "step-1": "21 06:00", "step-2": "22 06:00"}
    assert [list(shutdown.scenario.active(phase, {})) for phase in times(shutdown)] == [[], ["slow"], ["dark"]]
    assert [phase.title for phase in shutdown.scenario.timeline[1:]] == ["Slow", "Step 2"]
    assert {result.outcome.value for result in sl.verify(made, at="step-2")} == {"blocked"}


def test_policies_are_in_force_each_time_and_expected_is_what_was_before_when_it_is_over() -> None:
    every = {"from": "01:00", "to": "09:00", "last": "2022-03-23"}
    later = {"phase": "later", "at": "2022-03-22T12:00Z", "title": "", "start": ["slow"], "expect": ["slow"]}
    made = country({"night": NIGHT | {"every": every}})
    made["timeline"].append(later)
    made["expectations"]["slow"] = [{"outcome": "ok", "source": "made up"}]  # an echo is short
    verified = sl.verify(made)
    assert (verified.unmet, verified.undecided) == ([], [])
    scenario = verified.shutdown.scenario
    assert {phase.phase: phase.expect for phase in scenario.timeline} == {
        "before": ("open",),
        "night-1": ("open", "dark"),
        "day-1": ("open",),
        "night-2": ("open", "dark"),
        "day-2": ("open",),
        "later": ("slow",),
        "night-3": ("slow", "dark"),
        "day-3": ("slow",),
    }
    found = {result.phase: result.outcome.value for result in verified}
    assert [found[phase] for phase in ("night-1", "day-1", "night-3", "day-3")] == ["blocked", "ok", "blocked", "ok"]


def test_when_two_are_over_at_once_the_one_that_began_last_is_over_first() -> None:
    night = NIGHT | {"every": {"from": "22:00", "to": "02:00", "dates": ["2022-03-25"]}}
    night |= {"after": {"phase": "day", "expect": ["open"]}}
    exam = {"title": "Exam", "start": ["dark"], "expect": ["dark"]}
    exam |= {"every": {"from": "01:00", "to": "02:00", "dates": ["2022-03-26"]}}
    for repeats in ({"night": night, "exam": exam}, {"exam": exam, "night": night}):
        phases = {phase.phase: phase for phase in library.load(country(repeats)).scenario.timeline}
        assert [phases[name].expect for name in phases if name.startswith(("day", "exam-over"))] == [("open",)]


def test_what_breaks_each_time_is_broken_until_it_is_over_whatever_phase_begins_in_the_meantime() -> None:
    faults = {"digger": {"title": "Cut", "cut": ["northnet to northnet/coast"], "source": "lesson"}}
    night = {"title": "Night", "faults": ["digger"], "every": {"from": "22:00", "to": "02:00"}, "after": {"expect": []}}
    exam = {
        "title": "Exam",
        "every": {"from": "01:00", "to": "01:30", "dates": ["2022-03-23"]},
        "after": {"expect": []},
    }
    timeline: list[dict[str, Any]] = [
        {"phase": "before", "at": "2022-03-20T12:00Z", "title": ""},
        {"phase": "at-once", "at": "2022-03-21T22:00Z", "title": "When the second night begins"},
        {"phase": "night-4", "faults": []},
    ]
    made = country({"night": night, "exam": exam}, timeline, faults=faults, ends="2022-03-24T12:00Z")
    found = {phase.phase: phase.faults for phase in library.load(made).scenario.timeline}
    assert {name for name, faults in found.items() if faults == ("digger",)} == {
        "night-1", "at-once", "night-3", "exam-1", "exam-over-1"
    }  # fmt: skip


def test_what_recurs_can_suspend_what_is_in_force() -> None:
    every = {"from": "08:00", "to": "10:00", "dates": ["2022-03-22"]}
    window = {"title": "A window", "stop": ["dark"], "every": every, "expect": ["open"]}
    made = country({"window": window})
    made["timeline"].append(
        {"phase": "off", "at": "2022-03-21T00:00Z", "title": "", "start": ["dark"], "expect": ["dark"]}
    )
    verified = sl.verify(made)
    assert verified.unmet == []
    assert {result.phase: result.outcome.value for result in verified} == {
        "before": "ok",
        "off": "blocked",
        "window-1": "ok",
        "window-over-1": "blocked",
    }


def test_a_phase_that_is_written_at_the_same_time_takes_the_made_ones_place_and_its_orders() -> None:
    every = {"from": "01:00", "to": "09:00", "dates": ["2022-03-21"]}
    made = country({"night": NIGHT | {"every": every}})
    made["timeline"].append(
        {"phase": "morning", "at": "2022-03-21T09:00Z", "title": "", "start": ["slow"], "expect": ["open"]}
    )
    scenario = library.load(made).scenario
    assert [phase.phase for phase in scenario.timeline] == ["before", "night-1", "morning"]
    assert list(scenario.active("morning", {})) == ["slow"]


def test_what_is_different_about_one_time_is_written_under_its_name() -> None:
    every = {"from": "01:00", "to": "09:00", "last": "2022-03-22"}
    made = country({"night": NIGHT | {"every": every}})
    made["timeline"] += [
        {"phase": "night-2", "at": "2022-03-22T03:00Z", "title": "Two hours late"},
        {"phase": "day-2", "expect": []},
    ]
    scenario = library.load(made).scenario
    assert [phase.title for phase in scenario.timeline if phase.phase.startswith("night")] == [
        "Night 1 of 2",
        "Two hours late",
    ]
    assert times(library.load(made))["night-2"] == "22 03:00"
    assert scenario.phase("day-2").expect == ()
    assert scenario.phase("day-1").expect == ("open",)


@pytest.mark.parametrize(
    ("during", "phases"), [("night", ["night-1", "night-2"]), ("night-2", ["night-2"]), ("day", ["day-1", "day-2"])]
)
def test_a_probe_can_be_limited_to_all_times_or_to_one(during: str, phases: list[str]) -> None:
    every = {"from": "01:00", "to": "09:00", "last": "2022-03-22"}
    made = country({"night": NIGHT | {"every": every}})
    made["probes"]["more"] = {"test": "ping", "host": "1.1.1.1", "during": [during]}
    found = {result.phase for result in sl.verify(made) if result.target == "more"}
    assert sorted(found) == phases


def test_explain_names_the_line_that_a_made_phase_comes_from(tmp_path: Any) -> None:
    text = dict(library.shipped("scenarios"))["myanmar-2021"].read_text()
    (tmp_path / "mine.yaml").write_text(text)
    line = next(number for number, each in enumerate(text.splitlines(), 1) if each == "    start: [dark]")
    shutdown = library.load(tmp_path / "mine.yaml")
    index = [phase.phase for phase in shutdown.scenario.timeline].index("night-40")
    assert shutdown.place(("timeline", index, "start", 0)) == f"{tmp_path}/mine.yaml:{line}"


def test_all_of_myanmars_nights_are_dark_to_the_minute() -> None:
    scenario = library.load("myanmar-2021").scenario
    nights = [phase for phase in scenario.timeline if phase.phase.startswith("night-")]
    assert len(nights) == 72
    assert {f"{phase.at:%H:%M}" for phase in nights} == {"18:30"}
    begins = {phase.at for phase in scenario.timeline}
    assert {night.at + timedelta(hours=8) for night in nights} <= begins, "until nine in the morning there"
    assert f"{nights[0].at:%F} {nights[-1].at:%F}" == "2021-02-14 2021-04-26"


def test_tehrans_summer_time_ended_between_the_first_evening_and_the_second() -> None:
    scenario = library.load("iran-2022").scenario
    assert f"{scenario.phase('curfew-1').at:%d %H:%M}" == "21 15:30"  # measured; by the clock it would be 11:30
    assert {f"{scenario.phase(f'curfew-{night}').at:%H:%M}" for night in range(3, 14)} == {"12:30"}


def test_another_times_curfew_is_a_key_of_a_scenario_that_extends_one() -> None:
    later = {"extends": "syria-exams-2019", "name": "mine", "repeats": {"exam": {"every": {"from": "05:00"}}}}
    assert times(library.load(later))["exam-1"] == "09 02:00"
