"""The JSON Schemas that ship: those of the models as they are, and true of every kind of event."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from shutdownlab.cli import app
from shutdownlab.results.events import (
    Broken,
    Crashed,
    Event,
    Fault,
    Interrupted,
    Lacking,
    Notice,
    SelfChecked,
    Step,
    Waiting,
    encode,
)
from shutdownlab.results.schema import NAMES, generated, shipped

SELDOM: list[Event] = [
    Step(text="starting servers"),
    Waiting(phase="blackout", seconds=1.5),
    SelfChecked(cells=3),
    Notice(where="kcell", text="the DPI box is connected"),
    Fault(text="nginx was killed"),
    Broken(error="ControlError", text="a long one", lines=("a", "b")),
    Lacking(what="user namespaces", why="they are forbidden"),
    Interrupted(),
    Crashed(text="KeyError('x')"),
]


@pytest.mark.parametrize("name", NAMES)
def test_the_file_that_ships_is_made_from_the_model_as_it_is(name: str) -> None:
    Draft202012Validator.check_schema(json.loads(shipped(name)))
    assert shipped(name) == generated(name), "a model has changed: `make schemas`"


@pytest.mark.parametrize("event", SELDOM, ids=lambda event: event.event)
def test_events_that_a_run_seldom_has_are_as_the_schema_says(event: Event) -> None:
    schema = Draft202012Validator(json.loads(shipped("event")))
    line = json.loads(encode(event))
    schema.validate(line)
    assert not schema.is_valid(line | {"event": "no such kind"})


@pytest.mark.parametrize("name", NAMES)
def test_fields_say_what_they_are(name: str) -> None:
    schema = json.loads(shipped(name))
    fields: list[tuple[str, dict[str, Any]]] = []
    for part in (schema, *schema.get("$defs", {}).values()):
        fields += part.get("properties", {}).items()
    plain = {"title", "text", "phase", "why", "what", "scenario_time", "policies"}
    of_ooni = {field for field, _ in fields if field.endswith(("_version", "_time", "_name"))}
    unsaid = {field for field, text in fields if "description" not in text and "$ref" not in text}
    obvious = plain | of_ooni | {"architecture", "switch", "probe_ip", "resolver_ip"}
    assert unsaid - obvious == set()


def test_the_command_line_prints_a_schema() -> None:
    done = CliRunner().invoke(app, ["schema", "result"])
    assert json.loads(done.output)["properties"]["weight"]["minimum"] == 0
    unknown = CliRunner().invoke(app, ["schema", "results"])
    assert unknown.exit_code == 2
    assert "did you mean 'result'?" in unknown.output
