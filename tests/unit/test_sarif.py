"""`--format sarif`: what code scanning takes, each result at the line that causes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from shutdownlab.cli import app

FIRST = Path(__file__).parents[2] / "scenarios/first-shutdown.yaml"

TEXT: Final = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string", "minLength": 1}}}
RULE: Final = {"required": ["id"], "properties": {"shortDescription": TEXT}}
ARTIFACT: Final = {"type": "object", "required": ["uri"], "properties": {"uri": {"pattern": "^[^ ]+$"}}}
LOCATION: Final = {
    "type": "object",
    "properties": {
        "physicalLocation": {
            "type": "object",
            "required": ["artifactLocation"],
            "properties": {
                "artifactLocation": {
                    "type": "object",
                    "required": ["uri"],
                    "properties": {"uri": {"pattern": "^[^ ]+$"}},
                },
                "region": {"type": "object", "properties": {"startLine": {"type": "integer", "minimum": 1}}},
            },
        }
    },
}
REQUIRED: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["version", "runs"],
    "properties": {
        "version": {"const": "2.1.0"},
        "runs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["tool", "results"],
                "properties": {
                    "tool": {
                        "required": ["driver"],
                        "properties": {
                            "driver": {
                                "required": ["name", "rules"],
                                "properties": {"rules": {"items": RULE}},
                            }
                        },
                    },
                    "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                    "results": {
                        "items": {
                            "required": ["message", "ruleId", "ruleIndex", "level"],
                            "properties": {
                                "message": TEXT,
                                "level": {"enum": ["none", "note", "warning", "error"]},
                                "locations": {"type": "array", "minItems": 1, "items": LOCATION},
                                "relatedLocations": {"type": "array", "items": LOCATION},
                                "partialFingerprints": {"additionalProperties": {"type": "string"}},
                            },
                        }
                    },
                },
            },
        },
    },
}  # fmt: skip
"""What SARIF 2.1.0 (OASIS, 3.13 to 3.29) requires of the properties that are used, and what GitHub asks for."""


def results(arguments: list[str], code: int) -> list[dict[str, Any]]:
    done = CliRunner().invoke(app, [*arguments, "--format", "sarif"])
    assert done.exit_code == code, done.output
    document = json.loads(done.output)
    Draft202012Validator(REQUIRED).validate(document)
    (run,) = document["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert all(rules[result["ruleIndex"]] == result["ruleId"] for result in run["results"])
    return list(run["results"])


def at(result: dict[str, Any]) -> tuple[str, int]:
    place = result["locations"][0]["physicalLocation"]
    return place["artifactLocation"]["uri"], place["region"]["startLine"]


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """first-shutdown with an exception too many, in a repository's folder."""
    text = FIRST.read_text()
    old = "    except: {subscribers: [government], ports: [tcp/179]}"
    assert old in text
    (tmp_path / "my policies").mkdir()
    file = tmp_path / "my policies" / "mine.yaml"
    file.write_text(text.replace(old, old.replace("tcp/179]", "tcp/179], protocols: [icmp]"), 1))
    monkeypatch.chdir(tmp_path)
    return file


def test_a_change_stands_at_the_line_that_makes_it(mine: Path) -> None:
    line = (
        mine.read_text()
        .split("\n")
        .index("    except: {subscribers: [government], ports: [tcp/179], protocols: [icmp]}")
        + 1
    )
    found = results(["diff", str(FIRST), "my policies/mine.yaml"], 1)
    assert {result["ruleId"] for result in found} == {"newly-allowed"}
    assert {at(result) for result in found} == {("my%20policies/mine.yaml", line)}


def test_an_unexpected_outcome_stands_at_the_exception_that_lets_it_through(mine: Path) -> None:
    line = (
        mine.read_text()
        .split("\n")
        .index("    except: {subscribers: [government], ports: [tcp/179], protocols: [icmp]}")
        + 1
    )
    found = results(["verify", "my policies/mine.yaml"], 1)
    assert found
    assert {(result["level"], at(result)) for result in found} == {("error", ("my%20policies/mine.yaml", line))}


def test_a_result_is_known_again_when_lines_above_it_are_added(mine: Path) -> None:
    before = results(["verify", "my policies/mine.yaml"], 1)
    mine.write_text("# a comment\n" + mine.read_text())
    after = results(["verify", "my policies/mine.yaml"], 1)
    assert [result["partialFingerprints"] for result in after] == [result["partialFingerprints"] for result in before]
    assert [at(result)[1] - 1 for result in after] == [at(result)[1] for result in before]


def test_warnings_are_reported_at_their_lines_and_a_file_elsewhere_by_its_whole_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = results(["verify", str(FIRST), "--warn"], 0)
    assert [(each["ruleId"], each["level"]) for each in found] == [("policy", "warning")] * 2
    assert {at(each)[0] for each in found} == {FIRST.as_uri()}


def test_nothing_to_tell_is_a_document_with_no_results() -> None:
    assert results(["diff", "first-shutdown", "first-shutdown"], 0) == []


def test_what_was_set_from_outside_has_no_line_in_any_file() -> None:
    change = [
        "diff",
        "first-shutdown",
        "first-shutdown",
        "--set",
        "policies.mobile-throttled.throttle=4mbit",
        "--allow",
    ]
    told = CliRunner().invoke(app, change).stdout
    assert "since `mobile-throttled` has another `throttle`, --set\n" in told
    [found] = json.loads(CliRunner().invoke(app, [*change, "--format", "sarif"]).stdout)["runs"][0]["results"]
    assert "locations" not in found
