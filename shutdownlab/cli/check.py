"""`shutdownlab check`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence, Sized
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console

from shutdownlab.cli.options import Settings, as_settings
from shutdownlab.cli.program import bad_option, errors, user_errors, writable
from shutdownlab.config.beside import NotReadable, read_file
from shutdownlab.config.document import MAX_BYTES as MOST_YAML
from shutdownlab.config.document import Document, parse
from shutdownlab.config.kinds import kind_of
from shutdownlab.config.problems import BadInput, Problems
from shutdownlab.inspection.address_list import read_addresses
from shutdownlab.inspection.apps import App
from shutdownlab.inspection.list_mistakes import ListMistakes
from shutdownlab.inspection.name_list import MAX_BYTES, read_names
from shutdownlab.inspection.own_apps import apps_of_file
from shutdownlab.inspection.policy import load_policy
from shutdownlab.inspection.profile import load_profile
from shutdownlab.reporting.literal import literal

if TYPE_CHECKING:
    from shutdownlab.library import LoadedTopology, Shutdown
    from shutdownlab.model.faults import Damage

_YAML: Final = frozenset({".yaml", ".yml"})
_COMMENT: Final = re.compile(rb"\s*(?:[#!;].*)?$")
_MAPPING: Final = re.compile(rb"(?!server:|local-)[\w-]+\s*:(?:\s|$)|[{%&]|---")
"""How a YAML mapping begins, and Unbound's configuration does not."""
_NEXT_OF_MAPPING: Final = re.compile(rb"[\s\-\"'?&*!\]}]|[\w./-][^:;,]*:(?:\s|$)|\.\.\.")
"""How its second line begins: further in, as an entry of a list, or with another key. Rows of a table do not."""
_TRIED: Final = 100
"""Lines that may be headings and mistakes before the first that tells what a list holds."""
_LISTS: Final[tuple[tuple[Callable[[bytes, str], Sized], tuple[str, str], str], ...]] = (
    (
        read_addresses,
        ("prefix", "prefixes"),
        "`address_file:` of a rule, or of a policy's `block`, `only` and `except`",
    ),
    (
        read_names,
        ("name", "names"),
        "`name_file:` of a rule, or `site_file:` of a policy's `block`, `only` and `except`",
    ),
)
"""For each kind of list: its parser, the noun for one and for several entries, and the keys that name such a file."""


def check(
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE...", help="Topologies, scenarios, and what they list, by name or path."),
    ],
    settings: Settings = None,
    graph: Annotated[
        Path | None, typer.Option("--graph", readable=False, metavar="FILE.svg|png", help="Draw the topology.")
    ] = None,
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="PHASE", help="Also draw what is cut, withdrawn or hijacked in this phase."),
    ] = None,
) -> None:
    from shutdownlab import library
    from shutdownlab.country.limits import lacks
    from shutdownlab.library import Shutdown
    from shutdownlab.system.limits import Room

    with user_errors():
        problems, given = Problems(), as_settings(settings)
        if graph is not None:
            if len(files) > 1:
                bad_option("--graph", f"{len(files)} files to draw", "one topology or scenario at a time")
            _check_kind(graph)
        elif at is not None:
            bad_option("--at", f"{at} without --graph", "--graph FILE, the drawing that shows the phase")
        apps = _apps_with(files)
        for file in files:
            try:
                content = _own_content(file)
                if content is not None and (what := _list_file(content, file)) is not None:
                    Console(highlight=False).print(f"[green]ok[/green] {literal(file)}: {what}", soft_wrap=True)
                    continue
                document = None if content is None else parse(content, file)
                if content is not None and document and (what := _box_file(document, content, apps)) is not None:
                    Console(highlight=False).print(f"[green]ok[/green] {literal(file)}: {what}", soft_wrap=True)
                    continue
                found = library.check_parsed(document, file, given) if document else library.check(file, given)
            except BadInput as error:
                problems.take(error)
                continue
            topology = found.topology
            vantages = len(found.network.vantages)
            parts = (
                (len(topology.operators), "operator"),
                (len(topology.regions), "region"),
                (vantages, "vantage point"),
            )
            what = ", ".join(_counted(*part) for part in parts)
            if isinstance(found, Shutdown):
                scenario = found.scenario
                outside = len(scenario.observations)
                seen = f", {_counted(outside, 'observation')} from outside" if outside else ""
                phases, probes = _counted(len(scenario.timeline), "phase"), _counted(len(scenario.probes), "probe")
                measured = f"{phases}, {probes}{seen}"
                what = f"{measured}; topology {topology.name}: {what}"
            Console(highlight=False).print(f"[green]ok[/green] {literal(file)}: {what}", soft_wrap=True)
            for program in found.programs:
                line = f"   with --trust it starts {program} ({program.file}:{program.line})"
                Console(highlight=False).print(literal(line), soft_wrap=True)
            for idle in found.idle:
                errors().print(f"[yellow]warning:[/yellow] {literal(str(idle))}")
            for lacking in lacks(found.network, Room.here()):
                errors().print("[yellow]warning:[/yellow] it can't be run here:", end=" ")
                errors().print(str(lacking), markup=False)
            if graph is not None:
                _draw(found, at, graph)
                Console(highlight=False).print(f"   drawn in {literal(str(graph))}", soft_wrap=True)
        if problems:
            raise BadInput(problems)


def _draw(found: Shutdown | LoadedTopology, at: str | None, graph: Path) -> None:
    from shutdownlab.reporting.graph import draw
    from shutdownlab.reporting.png import png_of

    drawing = draw(found.network, *_at(found, at))
    made = png_of(drawing) if graph.suffix.lower() == ".png" else drawing.encode()
    with writable("--graph", graph, "a file that can be created"):
        graph.write_bytes(made)


def _own_content(file: str) -> bytes | None:
    """Returns the content of a user's file; None for a shipped or unreadable one, which `library.check` handles."""
    from shutdownlab import library

    if file in dict(library.shipped("topologies")) or file in dict(library.shipped("scenarios")):
        return None
    limit = MOST_YAML if Path(file).suffix.lower() in _YAML else MAX_BYTES
    try:
        return read_file(Path(file), limit)
    except NotReadable:
        return None


def _list_file(content: bytes, file: str) -> str | None:
    """Describes a list of addresses or names, one per line, and the keys that take it; returns None for other files.

    Any text is such a list, unless its name ends as YAML or it begins as a mapping. Raises `BadInput` with the mistakes
    in it.
    """
    if Path(file).suffix.lower() not in _YAML:
        ListMistakes(file, "a name or an address", "names and addresses").raise_if_packed(content)
    lines = (line for line in content.removeprefix(b"\xef\xbb\xbf").splitlines() if not _COMMENT.match(line))
    entries = list(islice(lines, _TRIED))
    if Path(file).suffix.lower() in _YAML or not entries or _begin_mapping(entries) or b"\0" in content:
        return None
    read, (one, many), takers = next(
        (kind for kind in _LISTS if any(_reads(kind[0], each) for each in entries)), _LISTS[-1]
    )
    count = len(read(content, file))
    return f"a list of {count:,} {one if count == 1 else many}, for {takers}"


def _begin_mapping(entries: Sequence[bytes]) -> bool:
    """Whether a file's first lines are those of a YAML mapping, and not a heading such as `Updated: 2022-01-05`."""
    first, *others = entries
    if _MAPPING.match(first) is None:
        return False
    return first[:1] in b"{%&-" or not others or _NEXT_OF_MAPPING.match(others[0]) is not None


def _reads(read: Callable[[bytes, str], Sized], entry: bytes) -> bool:
    try:
        read(entry, "")
    except BadInput:
        return False
    return True


def _apps_with(files: Sequence[str]) -> Mapping[str, App]:
    """Returns the apps that rules of boxes may name: those that ship, and those of the app files among `files`."""
    from shutdownlab import library

    apps = dict(library.catalogue())
    for file in files if len(files) > 1 else ():
        with suppress(BadInput):  # reported when it is its turn
            content = _own_content(file)
            if content is not None and kind_of((document := parse(content, file)).data) == "catalogue":
                apps |= apps_of_file(document, apps)
    return apps


def _box_file(document: Document, content: bytes, apps: Mapping[str, App]) -> str | None:
    """Describes a policy or a profile of DPI boxes, or a file of apps; None for other files. Raises `BadInput`.

    apps: those that a policy's and a profile's rules may name.
    """
    from shutdownlab import library

    kind, file = kind_of(document.data), document.file
    if kind == "policy":
        rules = len(load_policy(content, file, apps).rules)
        return f"a policy of DPI boxes, {_counted(rules, 'rule')}"
    if kind == "profile":
        return f"a profile of DPI boxes: {literal(load_profile(content, file, apps).title)}"
    if kind == "catalogue":
        return f"a catalogue of apps, {_counted(len(apps_of_file(document, library.catalogue())), 'app')}"
    return None


def _counted(count: int, thing: str) -> str:
    return f"{count} {thing}{'s' * (count != 1)}"


def _at(found: Shutdown | LoadedTopology, at: str | None) -> tuple[Damage, str]:
    """Returns a phase's breakages and route changes, and a caption for the drawing."""
    from shutdownlab.library import Shutdown
    from shutdownlab.model.faults import NO_DAMAGE
    from shutdownlab.model.lookup import choices_of, phase_named
    from shutdownlab.verifier.verdicts import Verifier

    if at is None:
        return NO_DAMAGE, ""
    if not isinstance(found, Shutdown):
        bad_option("--at", f"{at} of a topology", "a scenario: a topology has no phases")
    phase = phase_named(found.scenario, at, "--at")
    choices = choices_of(found.scenario, {}, "--choose")
    return Verifier(found, choices).country(phase).damage, f"{phase.phase} · {phase.at:%d %b %Y %H:%M} UTC"


def _check_kind(graph: Path) -> None:
    """Raises `BadInput` for a picture format that is not supported, or not on this machine."""
    from shutdownlab.config.wording import with_ending
    from shutdownlab.reporting.png import can_make_png

    kind, svg = graph.suffix.lower(), with_ending(graph, ".svg", "country")
    if kind == ".png" and not can_make_png():
        hint = f"pip install 'shutdownlab[png]'; or --graph {svg}, then: rsvg-convert {svg} -o {graph}"
        bad_option(
            "--graph", f"{graph}, but no program here that makes a PNG", "vl-convert installed, or FILE.svg", hint
        )
    if kind not in {".svg", ".png"}:
        bad_option("--graph", str(graph), "a file whose name ends with .svg or .png", f"--graph {svg}")
