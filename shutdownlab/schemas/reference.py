"""Generates the pages of docs/reference from the schemas; run by `make reference` in a checkout of the repository."""

from __future__ import annotations

import ast
import csv
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from shutdownlab.config.document import parse
from shutdownlab.config.extensions import Extensions
from shutdownlab.inspection.policy import action_kinds
from shutdownlab.inspection.recognisers.recogniser import Recogniser
from shutdownlab.inspection.recognition import GROUP, UNKNOWN
from shutdownlab.schemas.kinds import KINDS
from shutdownlab.schemas.markdown import ROOT, Examples, code, found_examples, loaded, table
from shutdownlab.schemas.outline import ReferencePage, Section, pages
from shutdownlab.schemas.shipped import shipped

CHECKOUT: Final = Path(__file__).parents[2]
FOLDER: Final = CHECKOUT / "docs/reference"
EXAMPLES: Final[Mapping[str, tuple[str, ...]]] = {
    "scenario": (
        "scenarios/first-shutdown.yaml",
        "scenarios/kazakhstan-2022.yaml",
        "docs/reference/examples/*-run.yaml",
        "examples/*/*-run.yaml",
    ),
    "topology": (
        "topologies/kazakhstan.yaml",
        "topologies/two-operators.yaml",
        "docs/reference/examples/country.yaml",
        "examples/*/country.yaml",
    ),
    "policy": ("docs/reference/examples/rules.yaml", "examples/*/rules.yaml"),
    "profile": ("docs/reference/examples/box.yaml", "shutdownlab/inspection/profiles/*.yaml"),
    "apps": ("shutdownlab/inspection/apps.yaml", "docs/reference/examples/apps.yaml"),
    "results": ("docs/reference/examples/run/results.csv",),
    "readings": ("docs/reference/examples/run/readings.csv",),
    "measurement": ("docs/reference/examples/run/measurements.jsonl",),
    "event": ("docs/reference/examples/run/events.jsonl",),
    "manifest": ("docs/reference/examples/run/manifest.json",),
}
"""The files, as glob patterns, that supply the examples of each kind of file."""
_OF_PACKAGES: Final = {("Verdict", "options"): {"one_in": 5}}
"""Examples of keys that occur only in files that need a user's package (examples/plugin)."""
_VALUES: Final = {
    "duration": "a number and its unit: ms, s, min, h or d",
    "rate": "a number and its unit: kbit, mbit or gbit, each a second",
    "size": "a number and its unit: B, kB (1,000), KiB (1,024), MB or MiB",
    "prefix or address": "IPv4 or IPv6; an address is a prefix of one; bits after the prefix length are zero",
    "address": "IPv4 or IPv6, without a zone",
    "URL": "http or https, in ASCII, without a user's name",
    "time with its zone": "ISO 8601; Z is UTC",
    "hours of the day": "from the first minute to the one after the last; may run over midnight",
    "percentage": "a number and %; 100% is the level of a quiet day",
    "offset from UTC": "in quotes; hours and minutes east (+) or west (-) of UTC",
    "port or ports": "of TCP and UDP, or of one of them; a range from low to high",
    "host name": "of one host, in letters of any script; capitals and a final dot do not matter",
    "domain": "a name with everything below it, with or without `*.` or a dot before it",
    "host name or address": "as the two",
    "service and its port": "what answers: https, http, h3, tls, tcp, dns, openvpn, or what a package adds",
}
"""Explanations of the scalar types, by title."""

_INTRODUCTION: Final = """\
# Reference: every key of every file

Made from the models that read and write the files: `make reference` writes it anew. The same as JSON Schema:
`shutdownlab schema NAME`; files that ship name theirs in the first line, for editors.
`shutdownlab check FILE` tells all mistakes of a file, and of those that it names, at once.
"""

_WRITTEN: Final = """\

## How values are written

What is called a list may be one value alone where "or a list" stands. A key that is left out has the default.

"""


def rendered() -> dict[str, str]:
    """Returns the texts of the pages, by file name."""
    whole = pages()
    place = {
        (part.kind, section.name): f"{page.file}#{_anchor(section.heading)}"
        for page in whole
        for part in page.parts
        for section in part.sections
    }
    found = {page.file: _page(page, place) for page in whole}
    contents = "".join(f"- [{page.title}]({page.file}): {page.what}\n" for page in whole)
    more = "- [Glossary](../glossary.md) · [extending it](../extending.md)\n"
    return {"README.md": f"{_INTRODUCTION}\n{contents}{more}{_WRITTEN}{_values()}", **found}


def _values() -> str:
    found: dict[str, list[Any]] = {}
    for kind in KINDS:
        _collect(loaded(shipped(kind)), found)
    lines = ["| what | how | examples |", "|---|---|---|"]
    for title, text in _VALUES.items():
        lines.append(f"| {title} | {text} | {', '.join(code(str(example)) for example in found[title])} |")
    return "\n".join(lines) + "\n"


def _collect(part: Any, found: dict[str, list[Any]]) -> None:
    if isinstance(part, dict):
        if isinstance(part.get("title"), str) and "examples" in part:
            found[part["title"]] = part["examples"]
        for inner in part.values():
            _collect(inner, found)
    elif isinstance(part, list):
        for inner in part:
            _collect(inner, found)


def _page(page: ReferencePage, place: Mapping[tuple[str, str], str]) -> str:
    text = [f"# {page.title}\n", f"{page.what} [All of the reference](README.md), made by `make reference`.\n"]
    for part in page.parts:
        schema = loaded(shipped(part.kind))
        examples = examples_of(part.kind)
        text.append(f"As JSON Schema: `shutdownlab schema {part.kind}`.\n")
        for section in part.sections:
            text += _section(section, schema, examples, page, part.kind, place)
    if page.file == "rules.md":
        text += [*_actions(), *_protocols()]
    return "\n".join(text)


def _section(
    section: Section,
    schema: Mapping[str, Any],
    examples: Examples,
    page: ReferencePage,
    kind: str,
    place: Mapping[tuple[str, str], str],
) -> Iterator[str]:
    definitions = schema.get("$defs", {})
    part = dict(definitions[section.name] if section.name != ROOT else schema)
    yield f"## {section.heading}\n"
    if description := part.get("description"):
        yield description + "\n"
    if "anyOf" in part and "properties" not in part:
        part |= next(option for option in part["anyOf"] if "properties" in option)
    if section.common:
        known = definitions[section.common]["properties"]
        part["properties"] = {key: field for key, field in part["properties"].items() if key not in known}
        if not part["properties"]:
            yield f"No keys but [those of every {section.common.lower()}](#every-{section.common.lower()}).\n"
            return

    def link(name: str) -> str:
        elsewhere = (to for (_, other), to in place.items() if other == name)
        target = place.get((kind, name)) or next(elsewhere, place["results", ROOT])
        return f"[{_WORDS.get(name, _spaced(name))}]({target.removeprefix(page.file)})"

    yield table(part, definitions, section.name, examples, link, reads=KINDS[kind].mode == "validation") + "\n"


_WORDS: Final = {
    "InspectionRule": "rule", "LinkClass": "kind of link", "ServerProgram": "server program",
    "ResidualSpec": "residual", "IpModel": "IP", "TcpModel": "TCP", "PhaseInfo": "phase",
    "TestKeys": "test keys", "ControlKeys": "control keys",
    "Blocks": "what `block` means", "DeclaredFault": "fault",
}  # fmt: skip
"""Link texts for definitions whose names do not read as words."""


def _actions() -> Iterator[str]:
    yield "## Actions: `verdict.action`\n"
    yield "| action | what it does | keys that it uses, beside `residual` |\n|---|---|---|"
    for name, kind in sorted(action_kinds().items()):
        if kind.__module__.startswith("shutdownlab."):
            title = _docstring(kind.__module__).splitlines()[0]
            place = " Only in-path boxes can." if kind.in_path_only else ""
            yield f"| {code(name)} | {title}{place} | {', '.join(map(code, sorted(kind.fields)))} |"
    yield "| `block` | In policies: whatever the profile's `block` says. | |\n"


def _docstring(module: str) -> str:
    """Returns the docstring of one of our modules from its source, because a compiled module has none."""
    source = CHECKOUT.joinpath(*module.split(".")).with_suffix(".py")
    return ast.get_docstring(ast.parse(source.read_text())) or ""


def _protocols() -> Iterator[str]:
    kinds = Extensions(GROUP, Recogniser)
    shipped = (kinds[name] for name in kinds if kinds[name].__module__.startswith("shutdownlab."))
    names = {protocol for kind in shipped for protocol in kind.protocols} | {UNKNOWN}
    yield "## Protocols: `protocol`, `protocol_except`, and `protocols` of profiles\n"
    yield ", ".join(map(code, sorted(names))) + "; and those that packages add.\n"


def _spaced(name: str) -> str:
    """Splits a class's name into words."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()


def _anchor(heading: str) -> str:
    """Returns the anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def examples_of(kind: str) -> Examples:
    """Returns an example of every key of a kind of file, from the files in `EXAMPLES`."""
    files = (path for pattern in EXAMPLES[kind] for path in sorted(CHECKOUT.glob(pattern)))
    return _OF_PACKAGES | found_examples(loaded(shipped(kind)), (data for path in files for data in _read(path)))


def _read(path: Path) -> Iterator[Any]:
    text = path.read_text()
    match path.suffix:
        case ".csv":
            for row in csv.DictReader(text.splitlines()):
                yield {key: yaml.safe_load(value) for key, value in row.items() if value}
        case ".jsonl":
            yield from map(json.loads, text.splitlines())
        case ".json":
            yield json.loads(text)
        case _:
            yield parse(text.encode(), path.name).data


if __name__ == "__main__":
    for _file, _text in rendered().items():
        (FOLDER / _file).write_text(_text)
