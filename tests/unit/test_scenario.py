"""What a scenario says of a phase: policies in force, probes run, outcomes expected. Its mistakes: tests/golden."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from shutdownlab import library
from shutdownlab.config.problems import BadInput
from shutdownlab.model.policy import Policy
from shutdownlab.model.scenario import Mode, Outcome, Scenario, vantage_named
from shutdownlab.model.scenario_file import load_scenario, parse_scenario
from shutdownlab.model.scope import Scope
from shutdownlab.model.topology import Vantage

COUNTRY = library.topology("two-operators")
LESSON = (Path(__file__).parent.parent / "golden" / "valid-scenario.yaml").read_text()
CONFLICT = """
accounts:
  command:
    question: Who cut?
    default: obeyed
    options:
      obeyed: {says: the operators did, source: one}
      direct: {says: the authority did, source: another, command: direct}
  messengers:
    question: Were messengers blocked?
    default: blocked
    options:
      blocked: {says: they were, source: one}
      open: {says: they were not, source: another, without: [messengers]}
"""


def scenario(text: str = LESSON) -> Scenario:
    document, name = parse_scenario(text.encode(), "lesson.yaml", partial(library.read, "scenarios"))
    assert name == "two-operators"
    return load_scenario(document, COUNTRY, library.catalogue())


def vantage(name: str) -> Vantage:
    found = vantage_named(COUNTRY, name)
    assert found is not None
    return found


def test_policies_stay_in_force_until_they_are_stopped() -> None:
    lesson = scenario()
    assert [list(lesson.active(phase, {})) for phase in ("before", "messengers-off", "all-off")] == [
        [], ["messengers"], ["blackout"],
    ]  # fmt: skip
    with pytest.raises(KeyError, match="afterwards"):
        lesson.active("afterwards", {})


def test_a_choice_of_account_leaves_policies_out_and_changes_who_commands() -> None:
    lesson = scenario(LESSON + CONFLICT)
    assert lesson.default_choices() == {"command": "obeyed", "messengers": "blocked"}
    assert list(lesson.active("messengers-off", lesson.default_choices())) == ["messengers"]
    assert lesson.active("messengers-off", {"messengers": "open"}) == {}
    assert lesson.mode(lesson.default_choices()) is Mode.OPERATORS
    assert lesson.mode({"command": "direct"}) is Mode.DIRECT


def test_the_last_expectation_that_covers_a_cell_counts() -> None:
    extra = LESSON.replace(
        "expect: [{who: {subscribers: [ordinary]}, outcome: blocked, source: lesson}]",
        "expect: [everybody, {who: {regions: [coast]}, probes: [kaspi], outcome: ok, source: later}]",
    ).replace("timeline:", "expectations: {everybody: [{outcome: blocked, source: first}]}\ntimeline:")
    lesson = scenario(extra)
    phase = lesson.phase("all-off")
    outcomes = {
        (name, probe): found.outcome
        for name in ("northnet/coast", "northnet/capital")
        for probe in ("kaspi", "whatsapp")
        if (found := lesson.expected(phase, {}, vantage(name), probe))
    }
    assert outcomes == {
        ("northnet/coast", "kaspi"): Outcome.OK,
        ("northnet/coast", "whatsapp"): Outcome.BLOCKED,
        ("northnet/capital", "kaspi"): Outcome.BLOCKED,
        ("northnet/capital", "whatsapp"): Outcome.BLOCKED,
    }


def test_what_nothing_covers_is_not_expected_to_be_anything() -> None:
    lesson = scenario()
    assert lesson.expected(lesson.phase("messengers-off"), {}, vantage("southcell/coast"), "kaspi") is None


def test_an_expectation_of_one_account_holds_under_that_account_alone() -> None:
    text = LESSON.replace("probes: [whatsapp], outcome: blocked", "given: {messengers: blocked}, outcome: blocked")
    lesson = scenario(text + CONFLICT)
    phase, who = lesson.phase("messengers-off"), vantage("southcell/coast")
    assert lesson.expected(phase, {"messengers": "blocked"}, who, "whatsapp") is not None
    assert lesson.expected(phase, {"messengers": "open"}, who, "whatsapp") is None


def test_probes_run_where_and_when_they_say() -> None:
    lesson = scenario(LESSON.replace("{test: web, url", "{test: web, during: [before], url"))
    assert set(lesson.probes_of("before", vantage("southcell/coast"))) == {"kaspi", "whatsapp"}
    assert set(lesson.probes_of("before", vantage("northnet/coast"))) == {"kaspi"}
    assert set(lesson.probes_of("all-off", vantage("northnet/coast"))) == set()


def test_operators_take_the_time_that_the_scenario_or_the_topology_says() -> None:
    lesson = scenario(LESSON + "delays: {northnet: 90s}\n")
    assert lesson.delay_of("northnet", COUNTRY) == 90
    assert lesson.delay_of("southcell", COUNTRY) == 600


def test_a_vantage_point_without_a_group_is_the_ordinary_one() -> None:
    assert str(vantage("northnet/capital").id) == "northnet/capital/ordinary"
    assert str(vantage("northnet/capital/government").id) == "northnet/capital/government"
    for wrong in ("northnet", "northnet/nowhere", "northnet/capital/ordinary/more", ""):
        assert vantage_named(COUNTRY, wrong) is None


@pytest.mark.parametrize(
    ("fields", "count"),
    [
        ({}, 6),
        ({"operators": ["southcell"]}, 2),
        ({"regions": ["capital"], "access": ["fixed"]}, 3),
        ({"subscribers": ["government", "datacentre"]}, 2),
        ({"groups": ["ordinary"], "operators": ["northnet"]}, 2),
    ],
)
def test_a_scope_needs_all_its_fields_and_any_value_of_each(fields: dict[str, list[str]], count: int) -> None:
    assert len(Scope.model_validate(fields).select(COUNTRY.vantages())) == count


def test_any_one_exception_spares_a_subscriber() -> None:
    policy = Policy.model_validate(
        {"title": "t", "source": "s", "block": "everything", "except": {"regions": ["coast"], "access": ["mobile"]}}
    )
    assert [policy.concerns(vantage(name)) for name in ("northnet/capital", "northnet/coast", "southcell/capital")] == [
        True, False, False,
    ]  # fmt: skip


def test_unknown_keys_and_unknown_names_are_reported_together() -> None:
    text = LESSON.replace("title: All off", "title: All off\n    colour: red").replace("[blackout]", "[blckout]")
    with pytest.raises(BadInput) as raised:
        scenario(text)
    assert [problem.where for problem in raised.value.problems] == ["timeline[2].colour", "timeline[2].start[0]"]


def test_each_operators_box_has_its_own_profile_or_the_scenarios() -> None:
    scenario = library.load("first-shutdown").scenario.model_copy(
        update={"profile": "naive", "profiles": {"southcell": "gfw-tls"}}
    )
    assert {name: scenario.profile_of(name) for name in ("northnet", "southcell")} == {
        "northnet": "naive",
        "southcell": "gfw-tls",
    }


def test_local_time_is_the_phases_time_on_the_countrys_clocks() -> None:
    scenario = library.load("first-shutdown").scenario.model_copy(update={"utc_offset": 6 * 3600})
    assert scenario.local_time(scenario.timeline[0]) % 86400 == 14 * 3600  # 08:00 UTC


def test_a_scenario_that_extends_another_has_what_it_does_not_say_itself(tmp_path: Path) -> None:
    base, mine = tmp_path / "base.yaml", tmp_path / "mine.yaml"
    base.write_text("extends: first-shutdown\nname: base\npolicies: {coast-one-way: {source: changed}}\n")
    mine.write_text(
        "extends: base.yaml\nname: mine\npolicies:\n  blackout: {except: {ports: null}}\n"
        "  extra: {title: '', block: everything, source: x}\n"
    )
    found, other = library.load(mine), library.load("first-shutdown").scenario
    scenario = found.scenario
    assert (scenario.name, scenario.title) == ("mine", other.title)
    assert scenario.policies["coast-one-way"].source == "changed"
    assert scenario.policies["blackout"].except_.ports == ()
    assert scenario.policies["blackout"].except_.subscribers == other.policies["blackout"].except_.subscribers
    assert {*scenario.policies} == {*other.policies, "extra"}
    assert found.place(("policies", "blackout", "except")) == f"{mine}:4"
    assert found.place(("policies", "coast-one-way", "source")) == f"{base}:3"
    assert "first-shutdown.yaml:" in found.place(("policies", "coast-one-way", "title"))
