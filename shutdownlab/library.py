"""Loads topologies, scenarios and the app catalogue by name or path: those the package ships, and the user's own."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.resources import files
from importlib.resources.abc import Traversable
from itertools import islice
from pathlib import Path
from typing import Any, Final, Literal

from shutdownlab.config.beside import (
    NotReadable,
    NotThere,
    TooLarge,
    at_home,
    digest_of,
    from_home,
    is_file,
    noting_files,
    read_file,
)
from shutdownlab.config.document import MAX_BYTES, Document, did_you_mean, one_of, parse, quoted
from shutdownlab.config.document import Path as ValuePath
from shutdownlab.config.problems import BadInput, Problem
from shutdownlab.config.writing import dump
from shutdownlab.inspection.apps import App
from shutdownlab.inspection.catalogue import shipped_apps
from shutdownlab.inspection.own_apps import own_apps
from shutdownlab.inspection.profile import Profile
from shutdownlab.inspection.vocabulary import profile_names
from shutdownlab.model.announcement_checks import check_announcements
from shutdownlab.model.box_checks import check_boxes, profile_named, profiles_of
from shutdownlab.model.effects import Idle, without_effect
from shutdownlab.model.layout import lay_out
from shutdownlab.model.network import Network
from shutdownlab.model.probe_checks import check_asked
from shutdownlab.model.programs import OwnProgram, own_controllers, own_program
from shutdownlab.model.scenario import Scenario
from shutdownlab.model.scenario_file import load_scenario, parse_scenario, report_structure
from shutdownlab.model.settings import OPTION, value_of, with_the_set
from shutdownlab.model.topology import Topology
from shutdownlab.model.topology_checks import check_topology

Kind = Literal["topologies", "scenarios"]
_ENDINGS: Final = frozenset({".yaml", ".yml"})
_LISTED: Final = 10_000
"""The most files of a folder that are searched for one with a similar name."""
_NO_NAME = "''"


@dataclass(frozen=True, slots=True)
class LoadedTopology:
    """A checked topology with everything it needs: the apps it knows, including its own, and the laid-out network."""

    topology: Topology
    network: Network
    apps: Mapping[str, App]
    programs: tuple[OwnProgram, ...] = ()
    """The programs that it brings and would start."""

    @property
    def idle(self) -> tuple[Idle, ...]:
        """Always empty: a topology orders nothing."""
        return ()

    @property
    def profiles(self) -> Mapping[str, Profile]:
        """The operators' DPI box profiles: without a scenario, all are `perfect`."""
        return dict.fromkeys(self.topology.operators, profile_named("perfect"))

    @property
    def controllers(self) -> Mapping[str, Path]:
        """The operators' own controllers: without a scenario, none."""
        return {}


@dataclass(frozen=True, slots=True)
class Shutdown:
    """A checked scenario with everything it needs: its topology, the apps that both know, and the laid-out network.

    `profiles`: of the operators' DPI boxes, by operator. `controllers`: the user's own controller apps, by operator.
    `folder`: the folder of the scenario's file, for files beside it; the working directory if a program made the
    scenario.
    """

    scenario: Scenario
    topology: Topology
    network: Network
    apps: Mapping[str, App]
    profiles: Mapping[str, Profile]
    controllers: Mapping[str, Path]
    programs: tuple[OwnProgram, ...] = ()
    """The programs that it and its topology bring and would start."""
    folder: Path = field(default=Path(), compare=False)
    idle: tuple[Idle, ...] = field(default=(), compare=False)
    """The orders that can have no effect, with the reasons."""
    source: str = field(default="", compare=False)
    """What it was loaded from: the name of one that ships, or an absolute path, `~/…` in the user's home; "" if a
    program made it."""
    document: Document | None = field(default=None, compare=False, repr=False)
    """The parsed scenario file, for the line of each value."""
    settings: Mapping[str, str] = field(default_factory=dict, compare=False)
    """The values set from outside, by path."""
    read: Mapping[Path, str] = field(default_factory=dict, compare=False, repr=False)
    """SHA-256 of the user's own files that it was loaded from, by absolute path."""

    def __repr__(self) -> str:
        scenario, of = self.scenario, self.topology
        country = f"{of.name}: {len(of.operators)} operators, {len(of.regions)} regions"
        return f"Shutdown({scenario.name}: {len(scenario.timeline)} phases, {len(scenario.probes)} probes; {country})"

    def place(self, path: ValuePath) -> str:
        """Returns where a value of the scenario is written, as `file:line`; "" if a program made the scenario."""
        if self.document is None or not self.document.lines:
            return ""
        file, line = self.document.locate(path)[0].file, self.document.line(path)
        return f"{file}:{line}" if line else file  # `--set` has no lines

    @property
    def files(self) -> dict[str, str]:
        """SHA-256 of all the user's own files that it comes from, including the programs that it starts.

        By path: relative to `folder` if they are in it, otherwise absolute, `~/…` in the user's home.
        """
        found = dict(self.read)
        for program in self.programs:
            for path in (Path(argument) for argument in program.command if argument.startswith("/")):
                if (digest := digest_of(path)) is not None:
                    found[path.resolve()] = digest
        return {
            str(path.relative_to(self.folder)) if path.is_relative_to(self.folder) else from_home(path): digest
            for path, digest in found.items()
        }

    @property
    def digest(self) -> str:
        """SHA-256 of everything that was loaded, in hexadecimal; it changes if anything in it changes."""
        records = (self.scenario, self.topology, *self.apps.values(), *self.profiles.values())
        return hashlib.sha256(json.dumps([dump(record) for record in records]).encode()).hexdigest()


def catalogue() -> Mapping[str, App]:
    """Returns the app catalogue that ships. A loaded scenario or topology may have more: its `apps` are all of them."""
    return shipped_apps().apps


def shipped(kind: Kind) -> Iterator[tuple[str, Traversable]]:
    """Yields the names and files of what the package ships, sorted by name."""
    for item in sorted(files(f"shutdownlab.{kind}").iterdir(), key=lambda item: item.name):
        if item.name.endswith(".yaml"):
            yield item.name.removesuffix(".yaml"), item


def shipped_file(name: str) -> Traversable:
    """Returns a file that ships: a scenario, a topology, a profile, or (`apps`) the app catalogue; raises
    `BadInput`."""
    inspection = files("shutdownlab.inspection")
    found = {name: inspection / "profiles" / f"{name}.yaml" for name in profile_names()}
    found |= {"apps": inspection / "apps.yaml", **dict(shipped("topologies")), **dict(shipped("scenarios"))}
    if name not in found:
        hint = did_you_mean(name, found) or "`shutdownlab list` and `shutdownlab profiles` name them"
        raise BadInput([Problem("show", 0, "", f"{quoted(name)}, which does not ship", one_of(found), hint)])
    return found[name]


def title_of(file: Traversable) -> str:
    """Returns the title of a scenario or topology that ships."""
    return str(parse(file.read_bytes(), _shown(file)).data["title"])


def read(kind: Kind, name: str, beside: Path | None = None) -> tuple[bytes, str]:
    """Returns the content of a file, and its name for messages.

    `name`: one that the package ships, or a path, also relative to `beside`. Raises `BadInput`.
    """
    for shipped_name, item in shipped(kind):
        if name == shipped_name:
            return item.read_bytes(), _shown(item)
    names = [shipped_name for shipped_name, _ in shipped(kind)]
    expected = f"a file, or one of the shipped {kind}: {', '.join(names)}"
    if not name:
        raise BadInput([Problem(_NO_NAME, 0, "", "an empty name", expected, "`shutdownlab list` lists them")])
    path = at_home(name)
    if beside is not None and not path.is_absolute() and is_file(beside / path):
        path = beside / path
    try:
        return read_file(path), str(path)
    except NotThere:
        near = _near(path, beside) if path.suffix in _ENDINGS else ""
        hint = near or did_you_mean(name, names) or "`shutdownlab list` lists them"
        whole = Path(f"{name}.yaml")
        if any(is_file(folder / whole) for folder in (Path(), beside or Path())):
            hint = f"write {whole}, with its ending"
        if kind == "scenarios" and name in dict(shipped("topologies")):
            hint = f"{quoted(name)} is a topology: `shutdownlab lab {name}` shows it"
        raise BadInput([Problem(name, 0, "", "no such file", expected, hint)]) from None
    except TooLarge as why:
        expected, hint = f"at most {MAX_BYTES:,} bytes", "what it says often can stand there once: &name …, then *name"
        raise BadInput([Problem(name, 0, "", f"a file {why}", expected, hint)]) from None
    except NotReadable as why:
        of_run = kind == "scenarios" and is_file((beside or Path()) / path / "manifest.json")
        hint = "it is a run: name its scenario, which its manifest.json has" if of_run else ""
        raise BadInput([Problem(name, 0, "", why.found, expected, hint)]) from None


def _near(path: Path, beside: Path | None) -> str:
    """Returns a hint at the file that a missing one was perhaps meant to be; "" if there is none with a similar
    name."""
    try:
        there = islice(((beside or Path()) / path).parent.iterdir(), _LISTED)
        names = {file.stem: file.name for file in there if file.suffix in _ENDINGS}
    except (OSError, ValueError):
        return ""
    close = difflib.get_close_matches(path.stem, sorted(names), n=1)
    return f"did you mean {quoted(str(path.with_name(names[close[0]])))}?" if close else ""


def _shown(item: Traversable) -> str:
    path = Path(str(item))
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def load_topology(name: str | Mapping[str, Any], beside: Path | None = None) -> LoadedTopology:
    """Loads a topology by name or path, or one that a program has made, with everything it needs; raises `BadInput`."""
    text, file = (name, "topology") if isinstance(name, Mapping) else read("topologies", name, beside)
    return _with_its_apps(parse(text, file))


def _with_its_apps(document: Document) -> LoadedTopology:
    apps = own_apps(document, catalogue())
    topology = check_topology(document, apps)
    servers = (
        own_program(document, (*path, "command"), f"the server {program.name}", program.command)
        for path, program in topology.programs()
    )
    return LoadedTopology(topology, lay_out(topology, apps), apps, tuple(servers))


def topology(name: str | Mapping[str, Any]) -> Topology:
    """Returns a topology by name or path; raises `BadInput`."""
    return load_topology(name).topology


def network(name: str) -> Network:
    """Returns the laid-out network of a topology by name or path; raises `BadInput`."""
    return load_topology(name).network


def load(scenario: str | Path | Mapping[str, Any], *, set: Mapping[str, Any] | None = None) -> Shutdown:  # noqa: A002
    """Loads and checks a scenario with its topology.

    `scenario`: the name of one that ships, the path of a YAML file, or the same as a mapping (`topology` may then be a
    mapping too). `set`: values to replace, by path: `policies.blackout.throttle`, `timeline.blackout.at`, or a name
    under its `parameters`; text is parsed as in a file. Raises `BadInput`, whose `problems` are those of both files.
    """
    given = set or {}
    with noting_files() as noted:
        try:
            loaded = _load(scenario, given)
        except BadInput as error:
            raise with_the_set(error, given, partial(_holds, scenario)) from None
    return replace(loaded, read=noted)


def _holds(scenario: str | Path | Mapping[str, Any], given: Mapping[str, Any]) -> bool:
    """Returns whether a scenario is right with some values set."""
    try:
        _load(scenario, given)
    except BadInput:
        return False
    return True


def _load(scenario: str | Path | Mapping[str, Any], given: Mapping[str, Any]) -> Shutdown:
    made = isinstance(scenario, Mapping)
    if not isinstance(scenario, Mapping | str | Path):
        expected = "the name of a scenario that ships, the path of a file, or a mapping"
        raise BadInput([Problem("scenario", 0, "", quoted(scenario), expected, "`shutdownlab list` lists the names")])
    text, file = (scenario, "scenario") if isinstance(scenario, Mapping) else read("scenarios", str(scenario))
    read_base = partial(_read_base, Path() if made else Path(file).parent)
    settings = {path: value_of(v, f"{OPTION} {path}") if isinstance(v, str) else v for path, v in given.items()}
    document, topology_name = parse_scenario(text, file, read_base, settings)
    try:
        country = load_topology(topology_name, None if made else Path(file).parent)
    except BadInput as error:
        first = error.problems[0]
        if not first.line and first.file == (topology_name or _NO_NAME):
            document.report(("topology",), f"{quoted(topology_name)}, {first.found}", first.expected, first.hint)
        else:
            document.problems.take(error)
        report_structure(document)
        raise BadInput(document.problems) from None
    apps = own_apps(document, country.apps)
    loaded, built = load_scenario(document, country.topology, apps), country.network
    check_asked(loaded, built, document)
    check_announcements(loaded, built, document)
    profiles = profiles_of(loaded, country.topology, apps, document)
    check_boxes(loaded, country.topology, apps, profiles, document)
    document.raise_if_bad()
    probes = (
        own_program(document, ("probes", name), f"the probe {name}", command)
        for name, probe in loaded.probes.items()
        for command in probe.programs
    )
    apps_of = own_controllers(document, country.topology.operators)
    document.raise_if_bad()
    controllers = (
        own_program(document, path, "the controller", (str(file),)) for path, file in dict.fromkeys(apps_of.values())
    )
    return Shutdown(
        loaded,
        country.topology,
        built,
        apps,
        profiles,
        {operator: file for operator, (_, file) in apps_of.items()},
        (*country.programs, *controllers, *probes),
        Path(file).parent.resolve(),
        tuple(without_effect(loaded, built, apps, profiles, document)),
        "" if made else _named(str(scenario), file),
        document,
        {path: value if isinstance(value, str) else json.dumps(value, default=str) for path, value in given.items()},
    )


def _named(scenario: str, file: str) -> str:
    """Returns a text from which a scenario can be loaded again, from any directory: its name if it ships, or its
    absolute path."""
    return scenario if scenario in dict(shipped("scenarios")) else from_home(Path(file).resolve())


def _read_base(folder: Path, name: str) -> tuple[bytes, str]:
    """Reads a scenario that another one, in `folder`, extends: unless it ships, it must be in the same folder."""
    text, file = read("scenarios", name, folder)
    if name not in dict(shipped("scenarios")) and Path(file).parent.resolve() != folder.resolve():
        expected = "one that ships, or one in the folder of the file that extends it"
        hint = "copy it here: what it names is relative to itself"
        raise BadInput([Problem(name, 0, "", "a scenario in another folder", expected, hint)])
    return text, file


def check(path: str, settings: Mapping[str, str] | None = None) -> Shutdown | LoadedTopology:
    """Checks a scenario or topology file, told apart by whether it has operators. `settings`: as `set` of `load`.
    Raises `BadInput`."""
    kind: Kind = "topologies" if path in dict(shipped("topologies")) else "scenarios"
    return check_parsed(parse(*read(kind, path)), path, settings)


def check_parsed(document: Document, path: str, settings: Mapping[str, str] | None = None) -> Shutdown | LoadedTopology:
    """Checks a file that is parsed already, as `check` does."""
    if "operators" in document.data:
        if settings:
            expected = "a scenario, of which values can be set"
            raise BadInput([Problem(OPTION, 0, "", f"the topology {quoted(path)}", expected)])
        return _with_its_apps(document)
    return load(path, set=settings)
