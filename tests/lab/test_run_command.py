"""A user's own programs as probes, in a whole run: they live as subscribers do; their exit status is the outcome."""

from __future__ import annotations

from pathlib import Path

import pytest
from invocation import Json, Record, invoke, small

RESET: Json = {"title": "BBC", "block": {"sites": ["www.bbc.com"]}, "by": "dpi", "action": "reset", "source": "FACT"}
TOOL = """#!/bin/sh
echo "$SHUTDOWNLAB_PHASE $SHUTDOWNLAB_VANTAGE" >&2
curl -sS -o /dev/null -m 4 -w '%{http_code}\\n' "https://$1/"
"""


@pytest.fixture
def tool(tmp_path: Path) -> Path:
    path = tmp_path / "mytool"
    path.write_text(TOOL)
    path.chmod(0o755)
    return path


def measured_by(*argv: str) -> Json:
    return {
        "test": "command", "command": list(argv), "timeout": "8s", "outcomes": {35: "blocked"},
        "from": {"operators": ["northnet"], "subscribers": ["ordinary"]},
    }  # fmt: skip


def with_a_tool(scenario: Json) -> None:
    scenario["policies"] = {"reset": RESET}
    scenario["probes"] = {"bbc": measured_by("./mytool", "www.bbc.com"), "bank": measured_by("./mytool", "kaspi.kz")}
    fine: Json = {"outcome": "ok", "source": "FACT"}
    blocked: Json = {"probes": ["bbc"], "outcome": "blocked", "source": "FACT"}
    scenario["timeline"] = [
        {"phase": "baseline", "at": "2030-05-01T08:00Z", "title": "An ordinary day", "expect": [fine]},
        {
            "phase": "reset", "at": "2030-05-01T08:10Z", "title": "Reset",
            "start": ["reset"], "expect": [fine, blocked],
        },
    ]  # fmt: skip


@pytest.mark.usefixtures("tool")
def test_a_tool_sees_what_its_subscriber_sees_and_trusts_the_laboratorys_certificates(tmp_path: Path) -> None:
    done = invoke(tmp_path, "run", small(tmp_path, with_a_tool), "--trust", "--out", "results")
    assert done.code == 0, done.output
    record = Record(tmp_path / "results")
    seen = {(row["phase"], row["target"]): (row["outcome"], row["failure"]) for row in record.rows}
    assert seen["baseline", "bbc"] == seen["baseline", "bank"] == seen["reset", "bank"] == ("ok", "")
    outcome, failure = seen["reset", "bbc"]
    assert (outcome, failure.partition(":")[0]) == ("blocked", "unknown_failure")
    written = [(m["test_name"], m["test_keys"]["x_command"]) for m in record.measurements]
    assert {name for name, _ in written} == {"x_command"}
    assert {keys["line"] for _, keys in written if keys["exit_status"] == 0} == {"200"}


def test_a_tool_that_is_not_there_ends_the_run_before_anything_is_called_blocked(tmp_path: Path) -> None:
    done = invoke(tmp_path, "run", small(tmp_path, with_a_tool), "--trust", "--out", "results")
    assert done.code == 3, done.output
    assert "./mytool cannot be started in" in " ".join(done.output.split())
    assert Record(tmp_path / "results").rows == []
