"""Topologies, scenarios and the app catalogue by name or by path: those the package ships, and the user's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Literal

from shutdownlab.config.document import BadInput, Problem, did_you_mean, parse, quoted
from shutdownlab.inspection.apps import App, load_apps
from shutdownlab.model.box_checks import check_boxes
from shutdownlab.model.network import Network, lay_out
from shutdownlab.model.scenario import Scenario, load_scenario, parse_scenario
from shutdownlab.model.topology import Topology, load_topology

Kind = Literal["topologies", "scenarios"]


@dataclass(frozen=True, slots=True)
class Shutdown:
    """A scenario with all it needs, checked: its topology, the catalogue, and the network worked out."""

    scenario: Scenario
    topology: Topology
    network: Network
    apps: Mapping[str, App]


@cache
def catalogue() -> Mapping[str, App]:
    """The app catalogue that the package ships."""
    return load_apps(
        files("shutdownlab.inspection").joinpath("apps.yaml").read_bytes(), "shutdownlab/inspection/apps.yaml"
    )


def shipped(kind: Kind) -> Iterator[tuple[str, Traversable]]:
    """The names and files of what the package ships, in order of their names."""
    for item in sorted(files(f"shutdownlab.{kind}").iterdir(), key=lambda item: item.name):
        if item.name.endswith(".yaml"):
            yield item.name.removesuffix(".yaml"), item


def read(kind: Kind, name: str, beside: Path | None = None) -> tuple[bytes, str]:
    """The text of a file, and what to call it in messages.

    `name`: one that the package ships, or a path, also relative to `beside`. Raises `BadInput`.
    """
    for shipped_name, item in shipped(kind):
        if name == shipped_name:
            return item.read_bytes(), _shown(item)
    path = Path(name)
    if beside is not None and not path.is_absolute() and (beside / path).is_file():
        path = beside / path
    names = [shipped_name for shipped_name, _ in shipped(kind)]
    expected = f"a file, or one of the {kind} it ships: {', '.join(names)}"
    try:
        return path.read_bytes(), str(path)
    except FileNotFoundError:
        hint = did_you_mean(name, names) or "`shutdownlab list` shows what it ships"
        if kind == "scenarios" and name in dict(shipped("topologies")):
            hint = f"{quoted(name)} is a topology: `shutdownlab lab {name}` shows it"
        raise BadInput([Problem(name, 0, "", "no such file", expected, hint)]) from None
    except OSError as error:
        found = f"a file that cannot be read ({(error.strerror or '').lower()})"
        raise BadInput([Problem(name, 0, "", found, expected)]) from None


def _shown(item: Traversable) -> str:
    path = Path(str(item))
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def topology(name: str | Mapping[str, Any], beside: Path | None = None) -> Topology:
    """A checked topology by name or path, or one that a program has made; raises `BadInput`."""
    text, file = (name, "topology") if isinstance(name, Mapping) else read("topologies", name, beside)
    return load_topology(text, file, catalogue())


def laid_out(country: Topology) -> Network:
    """A topology worked out, with the apps of the catalogue."""
    return lay_out(country, catalogue())


def network(name: str) -> Network:
    """A topology by name or path, worked out; raises `BadInput`."""
    return laid_out(topology(name))


def load(scenario: str | Path | Mapping[str, Any]) -> Shutdown:
    """A scenario with its topology, checked.

    scenario: the name of one that ships, the path of a YAML file, or the same as a mapping (`topology` may then be a
    mapping too). Raises `BadInput`, whose `problems` are those of both files.
    """
    made = isinstance(scenario, Mapping)
    text, file = (scenario, "scenario") if isinstance(scenario, Mapping) else read("scenarios", str(scenario))
    document, topology_name = parse_scenario(text, file)
    try:
        country = topology(topology_name, None if made else Path(file).parent)
    except BadInput as error:
        if error.problems[0].file == topology_name:
            document.report(("topology",), f"{quoted(topology_name)}, no such file", error.problems[0].expected)
            document.raise_if_bad()
        raise
    loaded, built = load_scenario(document, country, catalogue()), laid_out(country)
    for probe_name, probe in loaded.probes.items():
        for key, host in probe.hosts.items():
            if built.hosted_as(host) is None:
                known = {name for hosted in built.hosted for name in hosted.names}
                hint = did_you_mean(host, known) or "some network's `serves` must name the app that has it"
                found = f"{quoted(host)}, which nothing in {country.name} answers for"
                document.report(("probes", probe_name, key), found, "a host that the topology serves", hint)
    check_boxes(loaded, country, catalogue(), document)
    document.raise_if_bad()
    return Shutdown(loaded, country, built, catalogue())


def check(path: str) -> Shutdown | Topology:
    """Check a file of either kind, told apart by whether it has a timeline; raises `BadInput`."""
    kind: Kind = "topologies" if path in dict(shipped("topologies")) else "scenarios"
    text, file = read(kind, path)
    if "operators" in parse(text, file).data:
        return load_topology(text, file, catalogue())
    return load(path)
