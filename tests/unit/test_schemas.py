"""The JSON Schemas that ship: those of the models as they are, true of every file that ships and of every event."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from shutdownlab.cli import app
from shutdownlab.config.document import parse
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
from shutdownlab.schemas.generate import generated
from shutdownlab.schemas.kinds import KINDS
from shutdownlab.schemas.shipped import names, path_of, shipped

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


ROOT = Path(__file__).parents[2]
FOLDERS = ("scenarios", "topologies", "examples", "shutdownlab/inspection")
LINE = "# yaml-language-server: $schema="
SHIPPED = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.yaml"))


def test_every_kind_of_file_has_a_schema_that_ships() -> None:
    assert names() == tuple(sorted(KINDS))


@pytest.mark.parametrize("name", KINDS)
def test_the_file_that_ships_is_made_from_the_model_as_it_is(name: str) -> None:
    Draft202012Validator.check_schema(json.loads(shipped(name)))
    assert shipped(name) == generated(name), "a model has changed: `make schemas`"


@pytest.mark.parametrize("event", SELDOM, ids=lambda event: event.event)
def test_events_that_a_run_seldom_has_are_as_the_schema_says(event: Event) -> None:
    schema = Draft202012Validator(json.loads(shipped("event")))
    line = json.loads(encode(event))
    schema.validate(line)
    assert not schema.is_valid(line | {"event": "no such kind"})


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_that_ships_names_its_schema_and_is_as_it_says(path: Path) -> None:
    first = path.read_text().splitlines()[0]
    assert first.startswith(LINE)
    schema = (path.parent / first.removeprefix(LINE)).resolve()
    assert schema.parent == path_of("").parent
    Draft202012Validator(json.loads(schema.read_text())).validate(parse(path.read_bytes(), path.name).data)


@pytest.mark.parametrize(("name", "where"), [("scenario", "scenario"), ("topology", "topology"), ("policy", "policy")])
def test_files_that_are_valid_are_so_by_their_schema(name: str, where: str) -> None:
    path = ROOT / f"tests/golden/valid-{where}.yaml"
    Draft202012Validator(json.loads(shipped(name))).validate(parse(path.read_bytes(), path.name).data)


SCENARIO = parse((ROOT / "scenarios/first-shutdown.yaml").read_bytes(), "first-shutdown.yaml").data


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("topolgy",), "two-operators"),
        (("delays",), {"northnet": 600}),
        (("utc_offset",), "6"),
        (("policies", "blackout", "block"), "all"),
        (("policies", "blackout", "block"), {"ports": ["tcp-443"]}),
        (("policies", "blackout", "throttle"), "512"),
        (("policies", "blackout", "inspect"), [{"name": "a", "verdict": {"action": "throttle", "rate": 5}}]),
        (("policies", "blackout", "inspect"), [{"name": "a", "when": {"hour": "1"}, "verdict": "drop"}]),
        (("probes", "kaspi.kz"), {"test": "web", "host": "kaspi.kz"}),
        (("probes", "kaspi.kz"), {"test": "dns", "host": "kaspi.kz", "familys": ["ipv6"]}),
        (("timeline", 0, "expect"), [{"outcome": "fine", "source": "EXAMPLE"}]),
    ],
)
def test_a_scenario_with_a_mistake_is_not_as_the_schema_says(path: tuple[str | int, ...], value: object) -> None:
    schema, changed = Draft202012Validator(json.loads(shipped("scenario"))), deepcopy(SCENARIO)
    assert schema.is_valid(changed)
    place = changed
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    assert not schema.is_valid(changed)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("policies", "blackout", "inspect"), "rules.yaml"),
        (("policies", "blackout", "inspect"), [{"name": "a", "when": {"app": "kaspi"}, "verdict": "drop"}]),
        (("policies", "blackout", "inspect"), [{"name": "a", "verdict": {"action": "throttle", "rate": "1mbit"}}]),
        (("probes", "gopher"), {"test": "of-a-package", "anything": 1}),
    ],
)
def test_short_forms_and_what_packages_add_are_as_the_schema_says(path: tuple[str, ...], value: object) -> None:
    changed = deepcopy(SCENARIO)
    place = changed
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    Draft202012Validator(json.loads(shipped("scenario"))).validate(changed)


@pytest.mark.parametrize("name", KINDS)
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
    done = CliRunner().invoke(app, ["schema", "results"])
    assert json.loads(done.output)["properties"]["weight"]["minimum"] == 0
    unknown = CliRunner().invoke(app, ["schema", "result"])
    assert unknown.exit_code == 2
    assert "did you mean 'results'?" in unknown.output
