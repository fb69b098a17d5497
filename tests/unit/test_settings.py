"""`--set PATH=VALUE`: one value of a scenario is another; and the parameters that a scenario declares."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from test_repeats import NIGHT, country
from typer.testing import CliRunner

import shutdownlab as sl
from shutdownlab import library
from shutdownlab.cli import app
from shutdownlab.config.problems import BadInput

RATE = {"title": "How slow", "sets": ["policies.slow.throttle"], "least": "64kbit", "most": "2mbit"}
START = {"title": "When", "sets": ["timeline.off.at"], "values": ["2022-03-21T00:00Z", "2022-03-22T00:00Z"]}


def made(**changed: Any) -> dict[str, Any]:
    """All off from 21 March."""
    scenario = country(
        {"night": NIGHT | {"every": {"from": "01:00", "to": "09:00", "dates": ["2022-03-25"]}}}, **changed
    )
    scenario["timeline"].append(
        {"phase": "off", "at": "2022-03-21T00:00Z", "title": "", "start": ["slow"], "expect": []}
    )
    return scenario


def told(set: dict[str, Any], **changed: Any) -> str:  # noqa: A002
    with pytest.raises(BadInput) as raised:
        sl.load(made(**changed), set=set)
    return str(raised.value)


@pytest.mark.parametrize(
    ("path", "value", "seen"),
    [
        ("policies.slow.throttle", "1mbit", lambda s: s.policies["slow"].throttle == 1000),
        ("slow.throttle", "1mbit", lambda s: s.policies["slow"].throttle == 1000),
        (
            "policies.dark.where",
            "{operators: [southcell]}",
            lambda s: s.policies["dark"].where.operators == ("southcell",),
        ),
        ("policies.dark.except.ports", "[179]", lambda s: list(map(str, s.policies["dark"].except_.ports)) == ["179"]),
        ("timeline.off.at", "2022-03-22T00:00Z", lambda s: f"{s.phase('off').at:%d}" == "22"),
        ("off.at", "2022-03-22T00:00Z", lambda s: f"{s.phase('off').at:%d}" == "22"),
        ("slow.start", "2022-03-22T00:00Z", lambda s: f"{s.phase('off').at:%d}" == "22"),
        ("timeline.off.start.0", "dark", lambda s: s.phase("off").start == ("dark",)),
        ("repeats.night.every.to", "10:30", lambda s: f"{s.phase('day-1').at:%H:%M}" == "10:30"),
        ("throttled_below", "2mbit", lambda s: s.throttled_below == 2000),
        ("ends", "2022-04-02T00:00Z", lambda s: f"{s.ends:%d}" == "02"),
    ],
)
def test_a_value_is_set_by_its_path(path: str, value: str, seen: Any) -> None:
    scenario = sl.load(made(), set={path: value}).scenario
    assert seen(scenario)
    assert not seen(sl.load(made()).scenario)


def test_a_parameter_that_is_misspelt_is_told_by_its_name() -> None:
    parameter = {"title": "How fast it still is", "sets": ["policies.slow.throttle"]}
    message = told({"ratee": "1mbit"}, parameters={"rate": parameter})
    assert "--set: found 'ratee', which is not in the scenario; expected a parameter" in message
    assert "did you mean 'rate'?" in message
    for nothing_like_it in ("nosuch", "x", "policy"):
        unknown = told({nothing_like_it: 1}, parameters={"rate": parameter})
        assert f"--set: found '{nothing_like_it}', which is not in the scenario; expected a parameter" in unknown
        assert unknown.endswith("hint: parameters: rate") or "did you mean 'policies'" in unknown
    assert "did you mean 'utc_offset'?" in told({"utc_offest": "+01:00"}, parameters={"rate": parameter})


def test_what_is_set_changes_what_the_model_finds_and_nothing_else() -> None:
    found = sl.diff("first-shutdown", "first-shutdown", set={"policies.whatsapp-reset.block": "{apps: [telegram]}"})
    assert {target for change in found.changes for target in change.targets} == {"whatsapp", "telegram"}
    assert {phase for change in found.changes for phase in change.phases} == {"messenger"}


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("policies.drak.throttle", "1mbit", "found 'policies.drak.throttle', which does not exist; expected "
         "policies.NAME.KEY, NAME one of dark, slow\n    hint: did you mean 'dark'?"),
        ("policies.slow.throtle", "1mbit", "--set: policies.slow.throtle: found unknown key 'throtle'"),
        ("policies.slow.throttle", "fast", "--set: policies.slow.throttle: found 'fast'; expected a rate"),
        ("nothing.at", "1", "found 'nothing.at', which is not in the scenario; expected a parameter, a key of"),
        ("policies", "{}", "found all of 'policies'; expected policies.NAME.KEY, NAME one of dark, slow"),
        ("dark.title", "x", "'dark' is in policies and in expectations; expected policies.dark.title"),
        ("dark.strat", "x", "expected policies.dark.strat or expectations.dark.strat\n    hint: or 'dark.start'"),
        ("dark.start", "2022-03-22T00:00Z", "found 'dark.start', but no phase of the timeline starts 'dark'; "
         "expected a policy that a phase starts\n    hint: repeats.night starts it, at its own times"),
        ("timeline.off.start.7", "x", "'7' of a list of 1; expected a number from 0 to 0"),
        ("format", "2", "found 'format', which decides how the file is read"),
        ("name.x", "2", "found 'name.x': no 'x' in 'recurring'"),
        ("faults.power.title", "x", "found 'faults.power.title', which does not exist; expected faults.NAME.KEY"),
    ],
)  # fmt: skip
def test_a_wrong_path_or_value_is_reported_with_what_can_be_set(path: str, value: str, message: str) -> None:
    assert message in told({path: value})


def test_a_value_that_is_no_yaml_is_reported_with_the_option() -> None:
    assert told({"slow.throttle": "[1"}).startswith(
        "--set slow.throttle: found '[1', which is incomplete; expected a YAML value"
    )


def test_a_parameter_has_a_default_a_range_and_a_name_of_its_own() -> None:
    parameters = {"rate": RATE | {"default": "128kbit"}}
    assert sl.load(made(parameters=parameters)).scenario.policies["slow"].throttle == 128
    assert sl.load(made(parameters=parameters), set={"rate": "1mbit"}).scenario.policies["slow"].throttle == 1000
    assert "--set: rate: found '3mbit'; expected at most 2mbit\n    hint: How slow" in told(
        {"rate": "3mbit"}, parameters=parameters
    )
    assert "expected at least 64kbit" in told({"rate": "1kbit"}, parameters=parameters)
    assert "expected at least 64kbit" in told({"rate": "soon"}, parameters=parameters)
    assert "kbit: a rate such as" not in told({"rate": "1kbit"}, parameters=parameters)


@pytest.mark.parametrize("value", ["abc", "5s", 5, None, "2030-05-01T00:00Z"])
def test_a_value_of_another_kind_is_told_which_kind_a_parameter_has(value: Any) -> None:
    limited = [({}, "at least 64kbit and at most 2mbit"), ({"least": None}, "at most 2mbit")]
    for changed, limits in limited if value is not None else limited[:1]:
        message = told({"rate": value}, parameters={"rate": RATE | changed})
        assert f"expected {limits}: a rate such as 150kbit, 30mbit, 1gbit" in message


def test_a_parameter_may_be_one_of_some_values_and_leave_what_stands_there_alone() -> None:
    assert f"{sl.load(made(parameters={'when': START})).scenario.phase('off').at:%d}" == "21"
    set_ = {"when": "2022-03-22T00:00Z"}
    assert f"{sl.load(made(parameters={'when': START}), set=set_).scenario.phase('off').at:%d}" == "22"
    assert "expected one of" in told({"when": "2022-03-23T00:00Z"}, parameters={"when": START})


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"sets": ["policies.drak.throttle"]},
            "parameters.rate.sets[0]: found 'policies.drak.throttle', which does not exist",
        ),
        ({"default": "5mbit"}, "parameters.rate.default: found '5mbit'; expected at most 2mbit"),
        ({"least": "3mbit"}, "parameters.rate.most: found 2mbit; expected a value not below `least`, 3mbit"),
        ({"sets": []}, "parameters.rate.sets: found an empty list"),
    ],
)
def test_a_parameters_own_mistakes_are_reported_where_they_are(changed: dict[str, Any], message: str) -> None:
    assert message in told({}, parameters={"rate": RATE | changed})


def test_the_manifest_has_what_was_set_and_the_digest_is_another(tmp_path: Path) -> None:
    shutdown = sl.load("first-shutdown", set={"policies.mobile-throttled.throttle": "256kbit"})
    sl.verify(shutdown).write(tmp_path / "run")
    manifest = json.loads((tmp_path / "run/manifest.json").read_text())
    assert manifest["settings"] == {"policies.mobile-throttled.throttle": "256kbit"}
    assert manifest["digest"] != sl.load("first-shutdown").digest
    why = sl.explain(tmp_path / "run", at="messenger", vantage="northnet/coast", target="whatsapp")
    assert why.measured is not None  # the scenario is read again with what was set


@pytest.mark.parametrize("text", ["nonsense", "=1", "title"])
def test_the_option_is_a_path_and_a_value(text: str) -> None:
    done = CliRunner().invoke(app, ["verify", "first-shutdown", "--set", text])
    assert done.exit_code == 2
    assert "expected PATH=VALUE" in done.stderr


def test_verify_explain_check_and_diff_take_it() -> None:
    set_ = [
        "--set",
        "policies.whatsapp-reset.block={apps: [telegram]}",
        "--set",
        "policies.whatsapp-dropped.block={apps: [signal]}",
    ]
    run = CliRunner().invoke
    assert run(app, ["verify", "first-shutdown", "--at", "messenger", *set_]).exit_code == 1
    told = run(
        app, ["explain", "first-shutdown", "--at", "messenger", "--from", "northnet/coast", "--to", "telegram", *set_]
    )
    assert "whatsapp-reset" in told.output
    assert run(app, ["check", "first-shutdown", *set_]).exit_code == 0
    assert run(app, ["diff", "first-shutdown", "first-shutdown", *set_]).exit_code == 1
    assert run(app, ["check", "two-operators", *set_]).exit_code == 2


def test_a_scenario_is_not_changed_by_what_was_set_once() -> None:
    scenario = made()
    before = json.dumps(scenario)
    library.load(scenario, set={"slow.throttle": "1mbit"})
    assert json.dumps(scenario) == before


@pytest.mark.parametrize("section", ["policies", "probes", "expectations", "timeline"])
@pytest.mark.parametrize("value", [5, [1, {}], "text", {1: {"title": "x"}}], ids=repr)
@pytest.mark.parametrize("path", ["dark.title", "policies.dark.title", "probes.x.y", "dark.start", "nothing.at"])
def test_a_path_into_what_is_no_section_is_a_mistake_and_no_crash(section: str, value: object, path: str) -> None:
    with pytest.raises(BadInput):
        sl.load({**made(), section: value}, set={path: "x"})


@pytest.mark.parametrize("started", [5, "slow", {"slow": 1}], ids=repr)
def test_the_start_of_a_policy_is_looked_for_in_lists_of_orders_alone(started: object) -> None:
    scenario = made()
    scenario["timeline"][-1]["start"] = started
    with pytest.raises(BadInput, match="no phase of the timeline starts 'slow'"):
        sl.load(scenario, set={"slow.start": "2022-03-22T00:00Z"})


def test_a_time_past_the_next_phase_is_told_as_that_of_the_option() -> None:
    with pytest.raises(BadInput) as raised:
        sl.load("kazakhstan-2022", set={"blackout.start": "2022-01-05T18:00Z"})

    of_option, of_file = raised.value.lines()
    assert of_option == (
        "--set: blackout.start: found '2022-01-05T18:00Z', which the next problem comes from; "
        "expected a value that fits the rest of the scenario"
    )
    assert "kazakhstan-2022.yaml:" in of_file
    assert "hint" not in of_file  # the file is right: nothing in it is to be mended


def test_of_several_values_the_one_that_does_not_fit_is_named() -> None:
    text = told({"throttled_below": "2mbit", "ends": "2022-03-23T00:00Z"})

    assert "--set: ends: found '2022-03-23T00:00Z', which the" in text
    assert "--set: throttled_below" not in text


def test_mistakes_of_the_file_itself_are_not_blamed_on_the_option() -> None:
    text = told({"throttled_below": "2mbit"}, ends="2022-03-23T00:00Z")

    assert "--set" not in text


def test_a_key_of_the_file_can_be_set_although_an_account_has_its_name() -> None:
    assert sl.load("kazakhstan-2022", set={"command": "direct"}).scenario.command.value == "direct"


def test_a_value_that_the_default_of_an_extended_scenarios_parameter_would_replace_is_told(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(json.dumps(made(parameters={"rate": RATE | {"default": "512kbit"}})))
    child = tmp_path / "child.yaml"
    child.write_text("extends: base.yaml\nname: child\npolicies:\n  slow: {throttle: 1mbit}\n")

    with pytest.raises(BadInput) as raised:
        sl.load(child)

    assert str(raised.value) == (
        f"{child}:4: policies.slow.throttle: found '1mbit', which the default of the parameter 'rate' in "
        f"{tmp_path / 'base.yaml'} replaces; expected no value here, or 512kbit\n"
        "    hint: `parameters: {rate: {default: 1mbit}}` changes it"
    )
    child.write_text("extends: base.yaml\nname: child\nparameters: {rate: {default: 1mbit}}\n")
    assert sl.load(child).scenario.policies["slow"].throttle == 1000


def test_a_value_that_a_default_replaces_is_of_its_kind() -> None:
    policies = made()["policies"]
    policies["slow"]["throttle"] = "fast"
    text = told({}, policies=policies, parameters={"rate": RATE | {"default": "512kbit"}})

    assert "policies.slow.throttle: found 'fast'; expected a rate such as 150kbit, 30mbit, 1gbit" in text


def test_the_value_in_the_file_is_one_that_its_parameter_allows() -> None:
    text = told({}, parameters={"rate": RATE | {"least": "300kbit"}})

    assert "policies.slow.throttle: found '256kbit'; expected at least 300kbit" in text


def test_possible_values_are_of_the_kind_that_the_value_has() -> None:
    text = told({}, parameters={"rate": {"title": "", "sets": RATE["sets"], "values": ["256kbit", "fast"]}})

    assert "parameters.rate.values[1]: found 'fast'; expected a rate such as 150kbit, 30mbit, 1gbit" in text
