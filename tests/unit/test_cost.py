"""What a shutdown cost: worked out by hand in a small country, and beside the published figures of a large one."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

import shutdownlab as sl
from shutdownlab.cli import app
from shutdownlab.costing.estimate import cost_of
from shutdownlab.costing.losses import Group, Losses
from shutdownlab.model.economy import Economy, Estimate
from shutdownlab.reporting import costs
from shutdownlab.reporting.page.costing import cost_sentence
from shutdownlab.results.table import Share

ROOT = Path(__file__).parents[2]


def day(number: int) -> datetime:
    return datetime(2030, 5, number, tzinfo=UTC)


def share(reached: float, slow: float = 0.0) -> Share:
    return Share(measured=1.0, reached=reached, slow=slow)


ECONOMY = Economy(
    gdp=Estimate(value=87.6, source="made up"),  # $10 million an hour
    internet_share=Estimate(value=0.1, source="made up"),  # $1 million of it
    users=Estimate(value=2.0, source="made up"),
)
# Two places, of a quarter and three quarters of the people. The small one is dark on days 1 and 3 and open on 2; the
# large one loses one service in two on day 1, is slow on 2, and dark on 3.
LOSSES = Losses(
    hours={"one": 24.0, "two": 24.0, "three": 24.0, "four": 24.0},
    begins={"one": day(1), "two": day(2), "three": day(3), "four": day(4)},
    people={("a", "small"): 0.25, ("b", "large"): 0.75},
    shares={
        Group("a", "small", "one"): {"web": share(0), "chat": share(0)},
        Group("b", "large", "one"): {"web": share(0.5), "chat": share(0.5)},
        Group("a", "small", "two"): {"web": share(1), "chat": share(1)},
        Group("b", "large", "two"): {"web": share(1, slow=1), "chat": share(1)},
        Group("a", "small", "three"): {"web": share(0), "chat": share(0)},
        Group("b", "large", "three"): {"web": share(0)},
        Group("a", "small", "four"): {"web": share(1), "chat": share(1)},
        Group("b", "large", "four"): {"web": share(1), "chat": share(1)},
    },
)


@pytest.fixture(scope="module")
def worked_out() -> sl.Cost:
    return cost_of("A small country", ECONOMY, (), LOSSES, 1)


@pytest.fixture(scope="module")
def kazakhstan() -> sl.Cost:
    return sl.cost("kazakhstan-2022")


def test_each_method_counts_the_hours_it_says_it_counts(worked_out: sl.Cost) -> None:
    hours = {method: amount.hours for method, amount in worked_out.amounts.items()}
    assert hours["cost"] == pytest.approx(24 * 0.25 + 24 * 1.0)
    assert hours["report"] == pytest.approx(24 * 1.0), "half of the people are first cut off on day 3; nobody on day 4"
    assert hours["graded"] == pytest.approx(24 * (0.25 + 0.75 * 0.5) + 24 * 0.75 * 0.25 + 24)
    for amount in worked_out.amounts.values():
        assert amount.value == pytest.approx(amount.hours * 1e6)


def test_parts_add_up_to_the_whole(worked_out: sl.Cost, kazakhstan: sl.Cost) -> None:
    for cost in (worked_out, kazakhstan):
        for parts in (cost.by_operator, cost.by_region, cost.by_phase):
            for method, amount in cost.amounts.items():
                assert sum(part[method] for part in parts.values()) == pytest.approx(amount.value)
    assert worked_out.by_region["small"]["cost"] == pytest.approx(12e6)


def test_person_hours_are_counted_where_it_was_measured_and_how_much_that_is_is_said(worked_out: sl.Cost) -> None:
    assert worked_out.person_hours is not None
    web = 24 * (0.25 + 0.75 * 0.5) + 24 * 0.75 * 0.5 + 24
    assert worked_out.person_hours["web"] == pytest.approx(2e6 * web)
    assert worked_out.measured == pytest.approx({"web": 1.0, "chat": 1 - 0.75 / 4})


def test_exact_parameters_leave_only_what_services_count_uncertain(worked_out: sl.Cost) -> None:
    for method in ("cost", "report"):
        amount = worked_out.amounts[method]
        assert amount.low == amount.value == amount.high
    graded = worked_out.amounts["graded"]
    assert graded.low < graded.value < graded.high


def test_the_rate_is_that_of_the_published_figure(kazakhstan: sl.Cost) -> None:
    report = kazakhstan.amounts["report"]
    assert report.value / report.hours == pytest.approx(410.3e6 / 144, rel=0.005)
    assert report.hours == pytest.approx(144, rel=0.07), "5 January, 10:30 to 11 January, 02:20"
    assert report.value == pytest.approx(410.3e6, rel=0.07)
    assert kazakhstan.amounts["cost"].value < 0.7 * report.value, "a third of the time were windows, or regions back"


def test_egypt_s_comes_near_what_the_oecd_found_of_five_days() -> None:
    cost = sl.cost("egypt-2011")
    [oecd] = cost.published
    assert oecd.hours == 120
    report = cost.amounts["report"]
    assert report.value / report.hours == pytest.approx(oecd.amount * 1e6 / oecd.hours, rel=0.01)
    assert 0.75 * oecd.amount * 1e6 < report.value < 1.25 * oecd.amount * 1e6


def test_the_same_seed_draws_the_same_range(kazakhstan: sl.Cost, flagship: Path) -> None:
    assert sl.cost(flagship, seed=1).amounts == kazakhstan.amounts
    other = sl.cost(flagship, seed=2).amounts["graded"]
    assert other.value == kazakhstan.amounts["graded"].value and other.low != kazakhstan.amounts["graded"].low
    for amount in kazakhstan.amounts.values():
        assert amount.low <= amount.value <= amount.high


def test_a_cost_grows_with_the_economy(kazakhstan: sl.Cost, flagship: Path) -> None:
    doubled = sl.cost(flagship, values={"gdp": 2 * 197.1})
    for method, amount in doubled.amounts.items():
        assert amount.value == pytest.approx(2 * kazakhstan.amounts[method].value)


def test_what_the_scenario_says_of_the_economy_counts_before_the_topology() -> None:
    made: dict[str, Any] = yaml.safe_load((ROOT / "scenarios/first-shutdown.yaml").read_text())
    made["topology"] = yaml.safe_load((ROOT / "topologies/two-operators.yaml").read_text())
    made["topology"]["cost"] = {"gdp": {"value": 1, "source": "t"}, "internet_share": {"value": 0.1, "source": "t"}}
    made["cost"] = {"gdp": {"value": 3, "source": "EXAMPLE"}}
    cost = sl.cost(made)
    assert (cost.economy.gdp, cost.economy.internet_share) == (
        Estimate(value=3, source="EXAMPLE"),
        Estimate(value=0.1, source="t"),
    )
    assert cost.person_hours is None


def test_the_report_says_what_it_cost_beside_the_published_figures(
    kazakhstan: sl.Cost, flagship: Path, flagship_page: str, tmp_path: Path
) -> None:
    assert sl.cost(flagship).amounts == kazakhstan.amounts
    said = "It cost about $217 million ($143 to 405 million, depending on the method); "
    assert f"{said}published figures are $410 to 460 million." in flagship_page
    assert '<section id="cost"' in flagship_page
    sl.verify("first-shutdown").write(tmp_path / "first")
    assert '<section id="cost"' not in sl.report(tmp_path / "first").html


def test_the_command_prints_it_and_gives_it_to_programs(kazakhstan: sl.Cost, flagship: Path) -> None:
    done = CliRunner().invoke(app, ["cost", "kazakhstan-2022"])
    assert done.exit_code == 0, done.output
    assert "NetBlocks: more than $460 million [NB]" in done.output
    assert "$388 million ($227 to 405 million), 135.8 h as Top10VPN's reports" in done.output
    done = CliRunner().invoke(app, ["cost", str(flagship), "--format", "json"])
    assert json.loads(done.output)["amounts"]["report"]["value"] == kazakhstan.amounts["report"].value


def test_a_published_figure_that_is_the_least_it_was_is_reported_as_that(kazakhstan: sl.Cost) -> None:
    assert cost_sentence(kazakhstan).endswith(
        "; published figures are $410 to 460 million. The highest of them is published as a lower bound."
    )
    alone = {each.by: cost_sentence(replace(kazakhstan, published=(each,))) for each in kazakhstan.published}
    assert alone["NetBlocks"].endswith("; the published figure is more than $460 million.")
    assert alone["Top10VPN"].endswith("; the published figure is $410 million.")


def test_a_blackout_that_begins_later_costs_less(kazakhstan: sl.Cost) -> None:
    later = ["--set", "timeline.blackout.at=2022-01-05T13:00Z", "--format", "json"]
    done = CliRunner().invoke(app, ["cost", "kazakhstan-2022", *later])
    assert done.exit_code == 0, done.output
    assert json.loads(done.output)["amounts"]["cost"]["value"] < kazakhstan.amounts["cost"].value


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["first-shutdown"], "no gdp and no internet_share in first-shutdown, nor in its topology"),
        (["first-shutdown", "--set", "gdp=50"], "no internet_share in first-shutdown"),
        (["first-shutdown", "--set", "gpd=50"], "hint: did you mean 'gdp'?"),
        (
            ["kazakhstan-2022", "--set", "bla=3"],
            "expected one of gdp, internet_share, users, or a value in",
        ),
        (["first-shutdown", "--set", "gdp=50"], "--set internet_share=NUMBER (of GDP)"),
        (["first-shutdown"], "or --set gdp=NUMBER (thousand million $), --set internet_share=NUMBER (of GDP)"),
        (["kazakhstan-2022", "--set", "gdp"], "--set: found 'gdp'; expected KEY=NUMBER"),
        (["kazakhstan-2022", "--set", "gdp=197bn"], "expected KEY=NUMBER (thousand million $), such as"),
        (["kazakhstan-2022", "--set", "internet_share=5%"], "expected KEY=NUMBER (of GDP), such as gdp=197.1"),
        (["kazakhstan-2022", "--set", "timeline.blakout.at=2022-01-05T12:00Z"], "did you mean 'blackout'?"),
        (
            ["first-shutdown", "--set", "gdp=50", "--set", "internet_share=12"],
            "--set: found internet_share=12; expected more than 0",
        ),
        (["kazakhstan-2022", "--set", "internet_share=1.01"], "more than 0, and at most 1: a share of GDP"),
        (["kazakhstan-2022", "--set", "gdp=-1"], "--set: found gdp=-1; expected more than 0, in thousand million $"),
        (["kazakhstan-2022", "--set", "cost.gdp=-4"], "--set: found 'cost.gdp'; expected one of gdp, internet_share"),
        (["kazakhstan-2022", "--set", "cost.gdp=much"], "--set: found 'cost.gdp=much'; expected KEY=NUMBER"),
        (["kazakhstan-2022", "--set", "users=inf"], "--set: found users=inf; expected more than 0, in million"),
    ],
)
def test_unknown_amounts_of_an_estimate_are_asked_for_before_anything_is_worked_out(
    arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(costs, "verify", pytest.fail)
    done = CliRunner().invoke(app, ["cost", *arguments])
    assert done.exit_code == 2
    assert said in done.output
