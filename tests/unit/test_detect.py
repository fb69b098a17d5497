"""`shutdownlab detect`: which mechanism shows in which outside signal, how late, how strongly."""

from __future__ import annotations

import csv
import io
import json
from functools import cache
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

import shutdownlab as sl
from shutdownlab.cli import app
from shutdownlab.model.policy import Policy
from shutdownlab.reporting.detected import print_detected
from shutdownlab.verifier.detect import TOGETHER, Detected, Sight
from shutdownlab.verifier.mechanisms import mechanism_of, whom


@cache
def detected(*scenarios: str) -> sl.Detectability:
    return sl.detect(*scenarios)


def row(scenario: str, policy: str) -> Detected:
    return next(row for row in detected(scenario).rows if row.policy == policy)


def sight(scenario: str, policy: str, signal: str) -> Sight:
    found = row(scenario, policy).country(signal)
    assert found is not None
    return found


def test_withdrawn_routes_show_in_bgp_and_probing_at_once_and_not_in_what_leaves_the_country() -> None:
    bgp = sight("syria-exams-2019", "exam", "bgp")
    assert (bgp.seen, bgp.times, bgp.late, bgp.level, bgp.lowest) == (5, 5, 0, "critical", 0)
    assert f"{bgp.raised:%d %b %H:%M}" == "09 Jun 01:00"
    assert bgp.area == 5 * 100 * 270, "all of it, five times for four hours and a half"
    assert sight("syria-exams-2019", "exam", "telescope").seen == 0
    questions = sight("syria-exams-2019", "exam", "dns-queries")
    assert (questions.seen, questions.highest) == (0, 3)


def test_dropping_shows_in_all_but_bgp_and_volume_is_half_an_hour_later() -> None:
    late = {name: sight("first-shutdown", "blackout", name).late for name in ("active-probing", "telescope", "cdn")}
    assert late == {"active-probing": 0, "telescope": 0, "cdn": 30}
    bgp = sight("first-shutdown", "blackout", "bgp")
    assert (bgp.seen, bgp.level, bgp.late, bgp.raised, bgp.area, bgp.lowest) == (0, "normal", None, None, 0, 1)


def test_throttling_shows_in_volume_alone_and_blocking_by_name_in_nothing() -> None:
    slow = row("first-shutdown", "mobile-throttled")
    assert {name for name in ("bgp", "active-probing", "telescope", "cdn") if sight_seen(slow, name)} == {"cdn"}
    assert not any(found.seen for found in row("first-shutdown", "whatsapp-reset").sights)
    assert row("first-shutdown", "whatsapp-reset").score == 0 < row("first-shutdown", "blackout").score


def sight_seen(found: Detected, signal: str) -> bool:
    whole = found.country(signal)
    return whole is not None and whole.seen > 0


def test_what_falls_in_one_region_is_seen_there_where_the_country_hardly_moves() -> None:
    found = row("karakalpakstan-2022", "mobile-off")
    assert not sight_seen(found, "active-probing")
    best = found.best("active-probing")
    assert best is not None and (best.scope, best.of, best.level) == ("region", "karakalpakstan", "critical")


def test_all_together_is_the_last_row_of_each_scenario() -> None:
    found = detected("first-shutdown", "syria-exams-2019")
    assert [row.scenario for row in found.rows if row.policy == TOGETHER] == ["first-shutdown", "syria-exams-2019"]
    assert found.rows[-1].policy == TOGETHER


def test_all_together_a_signal_is_late_by_what_it_could_have_shown() -> None:
    first = sl.load("first-shutdown").scenario.timeline
    blackout = next(phase.at for phase in first if phase.phase == "blackout")
    assert row("first-shutdown", TOGETHER).since < blackout, "messengers are blocked before, which no host outside sees"
    probes = sight("first-shutdown", TOGETHER, "atlas-datacentre")
    assert (probes.raised, probes.late) == (blackout, 0)


@pytest.mark.thorough
def test_quiet_weeks_raise_no_alarm_but_with_noise_beyond_a_threshold_the_same_for_the_same_seed() -> None:
    assert set(detected("syria-exams-2019").false_alarms.values()) == {0}
    noisy = sl.detect("syria-exams-2019", noise=0.02, seed=7)
    assert noisy.false_alarms["bgp"] > 100, "one percent is BGP's threshold"
    assert noisy.false_alarms["active-probing"] == 0, "a fifth is probing's"
    assert noisy == sl.detect("syria-exams-2019", noise=0.02, seed=7) != sl.detect("syria-exams-2019", noise=0.02)


@pytest.mark.parametrize(
    ("policy", "mechanism", "who"),
    [
        ({"withdraw": {"from": "abroad", "family": "ipv6"}}, "routes withdrawn abroad (ipv6)", "all"),
        ({"block": "everything", "direction": "inbound"}, "everything dropped, inbound", "all"),
        ({"block": "everything", "at": "gateway"}, "everything dropped at the gateway", "all"),
        ({"block": "everything", "except": {"apps": ["kaspi"]}}, "all but a list dropped", "all"),
        ({"block": {"voice": True}, "where": {"regions": ["almaty"]}}, "telephones off", "almaty"),
        ({"block": {"apps": ["whatsapp"]}, "by": "dns"}, "blocked by DNS", "all"),
        ({"block": {"protocols": ["quic"]}, "where": {"access": ["mobile"]}}, "blocked by protocol", "mobile lines"),
        ({"throttle": "1mbit", "where": {"operators": ["kcell"]}}, "everything slowed", "kcell"),
        ({"throttle": "1mbit", "only": {"sites": ["t.co"]}}, "slowed by name", "all"),
        ({"inspect": []}, "rules of DPI boxes", "all"),
        ({"null_route": {"family": "ipv4"}}, "null-routed (ipv4)", "all"),
        ({"power_off": {"regions": ["almaty"]}}, "power off", "all"),
        ({"block": "everything", "action": "reject"}, "everything rejected", "all"),
    ],
)  # fmt: skip
def test_a_mechanism_is_called_by_what_it_does(policy: dict[str, Any], mechanism: str, who: str) -> None:
    made = Policy.model_validate({"title": "a", "source": "EXAMPLE", **policy})
    assert (mechanism_of(made), whom(made)) == (mechanism, who)


def test_programs_get_every_figure_as_json_and_as_csv() -> None:
    whole = json.loads(CliRunner().invoke(app, ["detect", "syria-exams-2019", "--format", "json"]).stdout)
    first = whole["rows"][0]
    assert (first["policy"], first["since"]) == ("exam", "2019-06-09T01:00Z")
    bgp = next(s for s in first["signals"] if s["signal"] == "bgp" and s["scope"] == "country")
    assert (bgp["seen"], bgp["raised"], bgp["lowest"]) == (5, "2019-06-09T01:00Z", 0)
    assert whole["false_alarms"]["bgp"] == 0
    lines = CliRunner().invoke(app, ["detect", "syria-exams-2019", "--format", "csv"]).stdout
    rows = list(csv.DictReader(io.StringIO(lines)))
    assert len(rows) == sum(len(row["signals"]) for row in whole["rows"])
    assert rows[0] | {"signal": "bgp", "seen": "5", "late": "0"} == rows[0]


def test_people_get_a_table_and_of_several_scenarios_their_sum() -> None:
    one = CliRunner().invoke(app, ["detect", "syria-exams-2019"]).stdout
    assert "routes withdrawn" in one and "(300%)" in one and "False alarms in 4 quiet weeks with no noise: none." in one
    assert "Seen for the country, by mechanism" not in one
    both = CliRunner().invoke(app, ["detect", "syria-exams-2019", "first-shutdown"]).stdout
    assert "Seen for the country, by mechanism" in both
    asked = both.split("and what servers in the country still answer to questions from abroad")[1].splitlines()
    assert "Hyperquack" in asked[1] and asked[2].split() == ["exam", "0%"], "no answer finds its way back"


def printed(scenario: str) -> str:
    """What the command prints of a scenario, which is worked out once."""
    text = io.StringIO()
    print_detected(detected(scenario), Console(file=text, highlight=False))
    return text.getvalue()


@pytest.mark.parametrize("columns", [80, 110])
def test_names_and_mechanisms_are_whole_on_terminals_of_any_width(
    columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a narrow one they stand above the signals, on a wide one beside them."""
    monkeypatch.setenv("COLUMNS", str(columns))
    assert CliRunner().invoke(app, ["detect", "first-shutdown"]).stdout == printed("first-shutdown")
    lines = printed("kazakhstan-2022").splitlines()
    assert max(map(len, lines)) <= columns
    longest = next(line for line in lines if "allowlist-outside-capital-fixed" in line)
    if columns == 80:
        assert longest == "allowlist-outside-capital-fixed: all but a list dropped"
    else:
        following = lines[lines.index(longest) + 1]
        assert "28%" in longest and following.startswith("all but a list dropped") and "30 min" in following


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "SCENARIO: found none; expected scenarios, or --all"),
        (["--all", "egypt-2011"], "--all: found egypt-2011 as well"),
        (["egypt"], "no such file"),
        (["egypt-2011", "--noise", "2"], "--noise: found 2; expected a percentage from 0% to 100%"),
        (["egypt-2011", "--choose", "command=direct"], "--choose"),
    ],
)
def test_mistakes_in_its_arguments_are_reported(arguments: list[str], said: str) -> None:
    done = CliRunner().invoke(app, ["detect", *arguments])
    assert done.exit_code == 2
    assert said in " ".join(done.output.split())


def test_noise_that_is_given_as_a_share_is_that_of_every_signal() -> None:
    noisy = sl.detect("first-shutdown", noise=0.02, seed=7)
    assert (noisy.noise, noisy.seed) == (0.02, 7)
    assert noisy == sl.detect("first-shutdown", noise=0.02, seed=7)
