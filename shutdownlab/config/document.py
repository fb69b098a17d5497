"""YAML text in, plain data and the line of every value out; and the one way input errors are told.

Parsing uses PyYAML's composer, so that every value keeps its line. What is refused: more than one document, duplicate
keys, tags, documents above 1 MiB, values nested more than 100 deep, and aliases that expand to more than 100,000 values
("YAML bomb").
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from itertools import islice
from pathlib import PurePath
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from shutdownlab.config.mistakes import explain, unknown
from shutdownlab.config.wording import Expected, Path, did_you_mean, dotted, one_of, quoted

Loaded = TypeVar("Loaded", bound=BaseModel)

MAX_BYTES = 1 << 20
MAX_VALUES = 100_000
MAX_DEPTH = 100


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in one file: where it is, what stands there, what should, and how to mend it."""

    file: str
    line: int
    where: str
    found: str
    expected: str
    hint: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        subject = f"{self.where}: " if self.where else ""
        text = f"{place}: {subject}found {self.found}; expected {self.expected}"
        return f"{text}\n    hint: {self.hint}" if self.hint else text


class BadInput(Exception):
    """Every problem of the input at once; the command line prints them and exits with 2."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(set(problems), key=lambda p: (p.file, p.line, p.where, p.found)))
        super().__init__("\n".join(str(problem) for problem in self.problems))


class Record(BaseModel):
    """Base of everything read from YAML: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


@dataclass(slots=True)
class Document:
    """Plain data of one YAML file, with the line each value starts on.

    `report()` collects a problem at a path, so that a file's mistakes come all at once. `included`: what stands in
    other files, by where it belongs in this one.
    """

    file: str
    data: Any
    lines: Mapping[Path, int]
    problems: list[Problem] = field(default_factory=list)
    included: dict[Path, tuple[Document, Path]] = field(default_factory=dict)

    def line(self, path: Path) -> int:
        """The line of the value at `path`, or of its nearest ancestor that the file has; 0 where there is no file."""
        document, path = self.locate(path)
        while path and path not in document.lines:
            path = path[:-1]
        return document.lines.get(path, 1 if document.lines else 0)

    def report(self, path: Path, found: str, expected: str, hint: str = "") -> None:
        document, place = self.locate(path)
        self.problems.append(Problem(document.file, self.line(path), dotted(place), found, expected, hint))

    def include(self, path: Path, part: Document, at: Path) -> None:
        """Put what another file has at `at` in the place of the value at `path`; its mistakes stay that file's."""
        holder, value = self.data, part.data
        for step in path[:-1]:
            holder = holder[step]
        for step in at:
            value = value[step]
        holder[path[-1]] = value
        self.included[path] = part, at

    def locate(self, path: Path) -> tuple[Document, Path]:
        """The file that the value at `path` stands in, and its path there."""
        for length in range(len(path) - 1, 0, -1):
            if path[:length] in self.included:
                part, at = self.included[path[:length]]
                return part.locate((*at, *path[length:]))
        return self, path

    def report_unknown(self, path: Path, kind: str, name: object, known: Iterable[str], hint: str = "") -> None:
        """A name that nothing of `kind` bears, with the nearest one that does."""
        self.report(*unknown(path, kind, name, known, hint))

    def raise_if_bad(self) -> None:
        if self.problems:
            raise BadInput(self.problems)

    def validate_as(self, kind: type[Loaded], *, go_on: bool = False) -> Loaded:
        """The document as a frozen `kind`; raises `BadInput` with every structural problem of the file.

        go_on: where unknown keys are the only ones, report them and return what the file says without them, so that
        the checks that follow can add theirs; the caller must then call `raise_if_bad`.
        """
        try:
            return kind.model_validate(self.data)
        except ValidationError as error:
            details = error.errors(include_url=False)
        for mistake in explain(kind, details, self.data, self.real):
            self.report(*mistake)
        unknown = [tuple(detail["loc"]) for detail in details if detail["type"] == "extra_forbidden"]
        if go_on and len(unknown) == len(details):
            try:
                return kind.model_validate(_without(self.data, {self.real(path) for path in unknown}))
            except ValidationError:
                pass  # what an unknown key stands for is missed elsewhere
        raise BadInput(self.problems)

    def real(self, path: Path, *, missing: bool = False) -> Path:
        """A path without what pydantic adds (the branches of unions, `[key]`): all of it is in the file, but for the
        last part where that is `missing`."""
        place: Any = self.data
        kept: list[str | int] = []
        for part in path[:-1] if missing else path:
            known = place if isinstance(place, dict) else dict(enumerate(place)) if isinstance(place, list) else {}
            if part not in known:
                continue
            place = known[part]
            kept.append(part)
        return (*kept, path[-1]) if missing else tuple(kept)


def parse(text: bytes | Mapping[str, Any], file: str) -> Document:
    """Parse one YAML document, or take the mapping that a program has made in its place; raises `BadInput`."""
    if isinstance(text, Mapping):
        made = _Plain(file)
        data = made.plain(text, ())
        if made.problems:
            raise BadInput(made.problems)
        return Document(file, data, {})

    def bad(line: int, found: str, expected: str, hint: str = "") -> BadInput:
        return BadInput([Problem(file, line, "", found, expected, hint)])

    if len(text) > MAX_BYTES:
        raise bad(0, f"a file of {len(text):,} bytes", f"at most {MAX_BYTES:,}", "is this the right file?")
    if b"\0" in text[:4096]:
        raise bad(0, "a binary file", "YAML text in UTF-8", "give the path of a topology or scenario file")
    try:
        decoded = text.decode("utf-8")
    except UnicodeDecodeError as error:
        line = text[: error.start].count(b"\n") + 1
        raise bad(line, f"the byte 0x{text[error.start]:02x}", "YAML text in UTF-8", "save it as UTF-8") from None
    try:
        deep = _too_deep_in(yaml.parse(decoded, Loader=_Loader))  # before the composer, which recurses
        nodes = [] if deep else list(yaml.compose_all(decoded, Loader=_Loader))
    except yaml.MarkedYAMLError as error:
        # The parser has a limit of its own, and reads ahead: it can meet that one before we can meet ours.
        deep = _too_deep_in(_before(error, decoded))
        if not deep:
            raise bad(*_syntax_error(error, decoded)) from None
    except yaml.YAMLError as error:
        raise bad(1, str(error).splitlines()[0], "valid YAML") from None
    if deep:
        raise bad(deep, *_TOO_DEEP)
    if not nodes:
        raise bad(1, "an empty file", "a YAML mapping", "`shutdownlab list` names files to start from")
    if len(nodes) > 1:
        raise bad(nodes[1].start_mark.line + 1, "a second document ('---')", "one document", "split the file")
    reader = _Reader(file)
    data = reader.read(nodes[0], ())
    if reader.problems:
        raise BadInput(reader.problems)
    if not isinstance(data, dict):
        raise bad(1, quoted(data), "a YAML mapping", "start with `format: 1`")
    return Document(file, data, reader.lines)


_TOO_DEEP = f"values nested more than {MAX_DEPTH} deep", "a file of ordinary size", "remove them"
_OPENING = (
    yaml.CollectionStartEvent,
    yaml.BlockMappingStartToken,
    yaml.BlockSequenceStartToken,
    yaml.FlowMappingStartToken,
    yaml.FlowSequenceStartToken,
)
_CLOSING = yaml.CollectionEndEvent, yaml.BlockEndToken, yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken


def _too_deep_in(parts: Iterable[yaml.Event | yaml.Token]) -> int:
    """The line of the first list or mapping inside more than MAX_DEPTH others; 0 where there is none."""
    depth = -1  # the document's own mapping is inside none
    for part in parts:
        depth += isinstance(part, _OPENING) - isinstance(part, _CLOSING)
        if depth > MAX_DEPTH:
            return part.start_mark.line + 1 if part.start_mark else 1
    return 0


def _before(error: yaml.MarkedYAMLError, text: str) -> Iterator[yaml.Token]:
    """The tokens up to the line of a syntax error, from PyYAML's scanner in Python: it has no limit."""
    mark = error.problem_mark or error.context_mark
    last = mark.line if mark else 0
    try:
        for token in yaml.scan(text, Loader=yaml.SafeLoader):
            if token.start_mark is None or token.start_mark.line > last:
                return
            yield token
    except yaml.YAMLError:
        return


def _syntax_error(error: yaml.MarkedYAMLError, text: str) -> tuple[int, str, str, str]:
    """The line, what was found, what was expected, and a hint, out of what the YAML parser says."""
    mark = error.problem_mark or error.context_mark
    line = mark.line if mark else 0
    stands = next(islice(text.splitlines(), line, None), "")
    if "\t" in stands[: len(stands) - len(stands.lstrip())]:
        return line + 1, "a tab", "spaces", "YAML is indented with spaces only"
    missed = re.fullmatch(r"did not find expected (.+)", error.problem or "")
    opened = error.context_mark.line + 1 if error.context_mark else line + 1
    hint = f"{error.context}, which starts in line {opened}" if error.context else ""
    if missed:
        wanted = missed[1].replace("<", "the ").replace(">", "")
        return (
            line + 1,
            quoted(stands.strip()),
            wanted if wanted[0] in "',[]" else f"{wanted} (is the indent right?)",
            hint,
        )
    problem = str(error.problem or error.context).removeprefix("found ")
    return line + 1, problem, "valid YAML", hint


class _Loader(yaml.CSafeLoader if hasattr(yaml, "CSafeLoader") else yaml.SafeLoader):  # type: ignore[misc]
    pass


_PLAIN_TAGS = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")


def _tag(node: yaml.Node) -> str:
    return str(node.tag).replace("tag:yaml.org,2002:", "!!")


class _Reader:
    """Walks composed nodes; counts what aliases expand to, so that a bomb is refused before it goes off."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.lines: dict[Path, int] = {}
        self.problems: list[Problem] = []
        self.values = 0

    def _bad(self, node: yaml.Node, path: Path, found: str, expected: str, hint: str = "") -> None:
        self.problems.append(Problem(self.file, node.start_mark.line + 1, dotted(path), found, expected, hint))

    def read(self, node: yaml.Node, path: Path) -> Any:
        self.values += 1
        if self.values > MAX_VALUES or len(path) > MAX_DEPTH:
            found, *rest = _TOO_DEEP
            if self.values > MAX_VALUES:
                found = f"aliases that expand to more than {MAX_VALUES:,} values"
            raise BadInput([Problem(self.file, node.start_mark.line + 1, "", found, *rest)])
        self.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode | yaml.SequenceNode) and node.tag not in _PLAIN_TAGS:
            self._bad(node, path, f"the tag {_tag(node)}", "plain YAML without tags", "remove the tag")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(item, (*path, index)) for index, item in enumerate(node.value)]
        assert isinstance(node, yaml.ScalarNode)
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._bad(key_node, path, "a list or mapping as a key", "a name")
                continue
            key = key_node.value
            if key in result:
                first = self.lines[(*path, key)]
                self._bad(
                    key_node, (*path, key), f"the key {quoted(key)} twice", "each key once", f"first: line {first}"
                )
                continue
            self.lines[(*path, key)] = key_node.start_mark.line + 1
            result[key] = self.read(value_node, (*path, key))
        return result

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> Any:
        text = node.value
        if node.style in set("'\"|>") or node.tag == "tag:yaml.org,2002:str":
            return text
        match node.tag.rpartition(":")[2]:
            case "null":
                return None
            case "bool":
                return text.lower() in {"true", "yes", "on"}
            case "int" if re.fullmatch(r"[-+]?[0-9]+", text):
                return int(text)
            case "float" if re.fullmatch(r"[-+]?[0-9.]+([eE][-+]?[0-9]+)?", text):
                return float(text)
            case "int" | "float" | "timestamp":  # 10:30 and dates stay what was typed; their fields parse them
                return text
            case _:
                self._bad(node, path, f"the tag {_tag(node)}", "plain YAML without tags", "remove the tag")
                return None


class _Plain:
    """Turns what a program has built into what YAML would have given, with the limits of a file."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self.values = 0

    def _bad(self, path: Path, found: str, expected: str) -> None:
        self.problems.append(Problem(self.file, 0, dotted(path), found, expected))

    def plain(self, value: Any, path: Path) -> Any:
        self.values += 1
        if self.values > MAX_VALUES or len(path) > MAX_DEPTH:
            found, *rest = _TOO_DEEP if len(path) > MAX_DEPTH else (f"more than {MAX_VALUES:,} values", *_TOO_DEEP[1:])
            raise BadInput([Problem(self.file, 0, "", found, *rest)])
        match value:
            case None | bool() | int() | float() | str():
                return str(value) if isinstance(value, Enum) else value
            case datetime() if value.tzinfo is not None:
                return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%MZ")
            case PurePath() | IPv4Address() | IPv6Address() | IPv4Network() | IPv6Network():
                return str(value)
            case Mapping():
                for key in value:
                    if not isinstance(key, str):
                        self._bad(path, f"the key {key!r}", "a name (text)")
                return {key: self.plain(part, (*path, key)) for key, part in value.items() if isinstance(key, str)}
            case list() | tuple() | set() | frozenset():
                return [self.plain(part, (*path, index)) for index, part in enumerate(value)]
            case _:
                self._bad(
                    path,
                    f"a value of type {type(value).__name__}",
                    "text, a number, a list, a mapping, or a time with a zone",
                )
                return None


def _without(data: Any, paths: set[Path], here: Path = ()) -> Any:
    """A copy of plain data without the values at some paths."""
    if isinstance(data, dict):
        return {k: _without(v, paths, (*here, k)) for k, v in data.items() if (*here, k) not in paths}
    if isinstance(data, list):
        return [_without(item, paths, (*here, index)) for index, item in enumerate(data)]
    return data


__all__ = [
    "BadInput",
    "Document",
    "Expected",
    "Path",
    "Problem",
    "Record",
    "did_you_mean",
    "dotted",
    "one_of",
    "parse",
    "quoted",
]
