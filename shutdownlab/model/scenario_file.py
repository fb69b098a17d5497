"""Scenario files: parsing, and checking against the topology."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any, Final

from shutdownlab.config.document import Document, parse
from shutdownlab.config.kinds import is_another
from shutdownlab.config.problems import BadInput
from shutdownlab.inspection.apps import App
from shutdownlab.model.made_phases import make_phases
from shutdownlab.model.rule_files import forget_files, include_files
from shutdownlab.model.scenario import Scenario
from shutdownlab.model.scenario_checks import ScenarioChecker
from shutdownlab.model.settings import settle
from shutdownlab.model.topology import Topology
from shutdownlab.model.turns import check_turns, take_turns
from shutdownlab.model.variation import Read, extend, include

_KEYS: Final = tuple(field.alias or name for name, field in Scenario.model_fields.items())
NOTHING_SET: Final[Mapping[str, Any]] = MappingProxyType({})


def load_scenario(document: Document, topology: Topology, apps: Mapping[str, App]) -> Scenario:
    """Checks a parsed scenario file against its topology; raises `BadInput` with all its problems."""
    include_files(document, apps, topology.class_names, topology.as_numbers)
    scenario = document.validate_as(Scenario, go_on=True)
    ScenarioChecker(scenario, topology, apps, document).check()
    check_turns(scenario, topology, document)
    document.raise_if_bad()
    return take_turns(scenario, topology, document)


def report_structure(document: Document) -> None:
    """Reports what is wrong with a scenario file regardless of its topology; useful if that cannot be read."""
    policies = document.data.get("policies")
    for policy in policies.values() if isinstance(policies, dict) else ():
        if isinstance(policy, dict) and "inspect" in policy:
            policy["inspect"] = []  # rules name apps, which the topology may bring along
        forget_files(policy)
    with suppress(BadInput):  # reported
        document.validate_as(Scenario)


def parse_scenario(
    text: bytes | Mapping[str, Any], file: str, read: Read, settings: Mapping[str, Any] = NOTHING_SET
) -> tuple[Document, str | Mapping[str, Any]]:
    """Returns a scenario file's document, and the topology that it names (or, made by a program, contains).

    `read`: finds the scenario that it extends. `settings`: values set from outside, by path. Raises `BadInput`.
    """
    document = parse(text, file)
    if is_another(document, "scenario"):
        document.raise_if_bad()
    include(document)
    extend(document, read)
    if document.problems and "topology" not in document.data:
        document.raise_if_bad()
    settle(document, settings, _KEYS)
    make_phases(document)
    name = document.data.get("topology")
    if isinstance(text, Mapping) and isinstance(name, dict):
        document.data["topology"] = str(name.get("name", "topology"))
        return document, name
    if not isinstance(name, str):
        document.report(
            (), "no 'topology'", "the name or path of a topology", "`shutdownlab list` lists the shipped ones"
        )
        document.raise_if_bad()
    return document, str(name)
