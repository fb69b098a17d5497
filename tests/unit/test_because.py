"""What is not as expected is told with the line that makes it so: a policy's, an exception's, a rule's or a fault's."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

import shutdownlab as sl
from shutdownlab.cli import app
from shutdownlab.reporting.summary import unmet_lines
from shutdownlab.results.result import Result
from shutdownlab.verifier.verify import verify

SCENARIO = """format: 1
name: mine
title: Mine
topology: two-operators
policies:
  blackout:
    title: Everything off
    block: everything
    except:
      subscribers: [government]
      ports: [tcp/179]
    source: made up
  messengers:
    title: WhatsApp
    block: {apps: [whatsapp]}
    by: dpi
    action: reset
    source: made up
  lie:
    title: The resolver lies
    block: {sites: [kaspi.kz]}
    by: dns
    answer: nxdomain
    source: made up
  rules:
    title: A rule
    inspect:
      - {name: wikipedia, when: {name_suffix: [wikipedia.org]}, verdict: {action: drop}}
    source: made up
faults:
  fibre: {title: A cut, cut: [northnet to northnet/coast], source: made up}
probes:
  bridge: {test: tcp, host: bridge.example.net, port: tcp/179}
  whatsapp: {test: app, app: whatsapp}
  kaspi: {test: web, url: "https://kaspi.kz/"}
  wikipedia: {test: web, url: "https://www.wikipedia.org/"}
timeline:
  - {phase: before, at: 2030-01-01T00:00Z, title: Before}
  - phase: first
    at: 2030-01-01T01:00Z
    title: First
    start: [messengers, lie, rules]
    expect: [{outcome: ok, source: a}]
  - {phase: second, at: 2030-01-01T02:00Z, title: Second, start: [blackout], expect: [{outcome: blocked, source: b}]}
  - phase: third
    at: 2030-01-01T03:00Z
    title: Third
    stop: [blackout, messengers, lie, rules]
    faults: [fibre]
    expect: [{outcome: ok, source: c}]
ends: 2030-01-01T04:00Z
"""


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("mine") / "mine.yaml"
    file.write_text(SCENARIO)
    return file


def line(text: str) -> int:
    return SCENARIO[: SCENARIO.index(text)].count("\n") + 1


@pytest.mark.parametrize(
    ("phase", "target", "cause", "text"),
    [
        ("first", "whatsapp", "`messengers`, {}", "  messengers:\n"),
        ("first", "kaspi", "`lie`, {}", "  lie:\n"),
        ("first", "wikipedia", "`rules`, {}", "      - {name: wikipedia"),
        ("second", "bridge", "`blackout` spares ports tcp/179, {}", "      ports: [tcp/179]"),
        ("third", "bridge", "fibre, {}", "  fibre:"),
    ],
)
def test_a_result_names_the_line_that_decides_it(mine: Path, phase: str, target: str, cause: str, text: str) -> None:
    verified = verify(mine)
    unmet = [result for result in verified.unmet if (result.phase, result.target) == (phase, target)]
    assert unmet
    ordinary = [result for result in unmet if result.subscriber == "ordinary"] or unmet
    assert verified.because(ordinary[-1]) == cause.format(f"{mine}:{line(text)}")


def test_who_is_spared_twice_is_told_all_exceptions(mine: Path) -> None:
    verified = verify(mine, at="second")
    of_the_government = [r for r in verified.results if (r.target, r.class_) == ("bridge", "government")]
    assert of_the_government
    cause = f"`blackout` spares it, {mine}:{line('    except:')}"  # by its port, and as one of the government's
    assert {verified.because(result) for result in of_the_government} == {cause}


def test_what_nothing_decides_has_no_cause(mine: Path) -> None:
    verified = verify(mine, at="before")
    assert {verified.because(result) for result in verified.results} == {""}


def test_the_terminal_and_junit_tell_it(mine: Path) -> None:
    told = CliRunner().invoke(app, ["verify", str(mine), "--at", "second"])
    assert told.exit_code == 1
    port, both = line("      ports: [tcp/179]"), line("    except:")
    cause = (
        f"saw ok (northnet/capital/ordinary: `blackout` spares ports tcp/179, {mine}:{port} | "
        f"northnet/capital/government: `blackout` spares it, {mine}:{both})"
    )
    assert cause in told.output
    suites = ElementTree.fromstring(CliRunner().invoke(app, ["verify", str(mine), "--format", "junit"]).output)
    assert any(cause in (failure.get("message") or "") for failure in suites.iter("failure"))


def test_whom_an_operator_spares_is_not_said_to_be_spared_by_an_exception() -> None:
    timeline = [
        {"phase": "before", "at": "2022-01-05T10:00Z", "title": "Before"},
        {
            "phase": "dark",
            "at": "2022-01-05T12:00Z",
            "title": "Dark",
            "start": ["blackout"],
            "obey": {"southcell": {"spares": {"blackout": {"regions": ["coast"]}}}},
            "expect": [{"outcome": "blocked", "source": "lesson"}],
        },
    ]
    dark = {"title": "Dark", "block": "everything", "except": {"subscribers": ["government"]}, "source": "lesson"}
    scenario = {
        "format": 1, "name": "lenient", "title": "Lenient", "topology": "two-operators", "policies": {"blackout": dark},
        "probes": {"bbc": {"test": "web", "url": "https://www.bbc.com/"}},
        "timeline": timeline, "ends": "2022-01-06T00:00Z",
    }  # fmt: skip
    verified = sl.verify(scenario)
    causes = {result.vantage: verified.because(result) for result in verified.unmet}
    assert causes == {
        "northnet/capital/government": "`blackout` spares subscribers government",
        "southcell/coast/ordinary": "",
    }


def test_one_line_about_several_subscribers_tells_each_of_their_reasons() -> None:
    policies = {
        "north": {"title": "N", "block": "everything", "where": {"operators": ["northnet"]}, "source": "lesson"},
        "south": {"title": "S", "block": "everything", "where": {"operators": ["southcell"]}, "source": "lesson"},
    }
    dark = {"phase": "dark", "at": "2022-01-05T12:00Z", "title": "Dark", "start": ["north", "south"]}
    scenario = {
        "format": 1, "name": "two", "title": "Two", "topology": "two-operators", "policies": policies,
        "probes": {"ping": {"test": "ping", "host": "8.8.8.8"}},
        "timeline": [
            {"phase": "before", "at": "2022-01-05T10:00Z", "title": "Before"},
            dark | {"expect": [{"outcome": "ok", "source": "lesson"}]},
        ],
        "ends": "2022-01-06T00:00Z",
    }  # fmt: skip
    verified = sl.verify(scenario)
    assert list(unmet_lines(verified.unmet, verified.because)) == [
        "dark: ping from northnet/capital/ordinary, northnet/capital/government, northnet/capital/datacentre and 3 more"
        ": expected ok [lesson], saw blocked (generic_timeout_error) (northnet/capital/ordinary: `north` | "
        "southcell/capital/ordinary: `south`)"
    ]


def test_of_many_reasons_three_are_told_and_how_many_others_there_are() -> None:
    results = [_seen(f"operator-{number}") for number in range(6)]
    (told,) = unmet_lines(results, lambda result: f"`{result.operator}`")
    three = " | ".join(f"operator-{number}/coast/ordinary: `operator-{number}`" for number in range(3))
    assert told.endswith(f"saw blocked ({three} | and 3 other reasons)")


def _seen(operator: str) -> Result:
    return Result.model_validate(
        {
            "phase": "dark", "time": "2022-01-05T12:00Z", "operator": operator, "region": "coast",
            "subscriber": "ordinary", "target": "ping", "column": "ping", "family": "ipv4", "outcome": "blocked",
            "expected": "ok", "source": "lesson", "weight": 1.0,
        }
    )  # fmt: skip
