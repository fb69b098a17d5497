"""The kinds of files, and the model that reads or writes each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from shutdownlab.inspection.apps import Catalogue
from shutdownlab.inspection.policy import InspectionPolicy
from shutdownlab.inspection.profile import Profile
from shutdownlab.model.observation import Observation
from shutdownlab.model.probe import Probe
from shutdownlab.model.registered import Registered, kinds_of
from shutdownlab.model.scenario import Scenario
from shutdownlab.model.topology import Topology
from shutdownlab.results.events import AnyEvent
from shutdownlab.results.manifest import Manifest
from shutdownlab.results.measurement import MeasurementRecord
from shutdownlab.results.reading import Reading
from shutdownlab.results.result import Result


@dataclass(frozen=True, slots=True)
class FileKind:
    """A kind of file: its title, the type of a file (or of one line), and whether it is read or written."""

    title: str
    type: Any
    mode: Literal["validation", "serialization"]


KINDS: Final[Mapping[str, FileKind]] = {
    "scenario": FileKind("A scenario: a shutdown of a country's Internet", Scenario, "validation"),
    "topology": FileKind("A topology: a country's Internet", Topology, "validation"),
    "policy": FileKind("A policy file: rules of a DPI box", InspectionPolicy, "validation"),
    "profile": FileKind("A profile: how a make of DPI box parses and reacts", Profile, "validation"),
    "apps": FileKind("A file of apps", Catalogue, "validation"),
    "results": FileKind("A row of results.csv, or the `result` of an event", Result, "serialization"),
    "readings": FileKind("A row of readings.csv: what an outside signal showed in a phase", Reading, "serialization"),
    "measurement": FileKind(
        "A measurement in OONI's data format: a line of measurements.jsonl", MeasurementRecord, "serialization"
    ),
    "event": FileKind("An event of a run: a line of events.jsonl, or of `run --events`", AnyEvent, "serialization"),
    "manifest": FileKind("The manifest of a run: manifest.json", Manifest, "serialization"),
}

REGISTERED: Final[tuple[type[Registered], ...]] = (Probe, Observation)
"""The base classes that have a subclass for each kind."""


def shipped_kinds(base: type[Registered]) -> Iterator[tuple[str, type[Registered]]]:
    """Yields the names and classes of the kinds that ship; a user's packages may add more."""
    kinds = kinds_of(base)
    for name in kinds:
        if kinds[name].__module__.startswith("shutdownlab."):
            yield name, kinds[name]
