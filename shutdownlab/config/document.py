"""YAML text in, plain data and the line of every value out.

Parsing uses PyYAML's composer, so that every value keeps its line. What is refused: more than one document, duplicate
keys, tags, documents above 1 MiB, values nested more than 100 deep, more than 25,000 values, or more than 150,000 with
those that aliases stand for ("YAML bomb"), and numbers that are none.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from itertools import islice
from pathlib import PurePath
from typing import Any, Final, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from shutdownlab.config.mistakes import Mistakes, unknown
from shutdownlab.config.problems import MAX_TOLD, BadInput, Problem, Problems
from shutdownlab.config.wording import (
    Expected,
    Path,
    did_you_mean,
    dotted,
    one_of,
    quoted,
)

Loaded = TypeVar("Loaded", bound=BaseModel)

FROM_A_FILE: Final = {"from": "a file"}
"""The context in which models validate what people have written."""
MAX_BYTES = 1 << 20
MAX_VALUES = 25_000
"""As written: seven times the largest file that ships."""
MAX_EXPANDED = 150_000
"""With what aliases stand for: 1,000 operators in 20 regions that are written once have half as many."""
MAX_DEPTH = 100
MAX_DIGITS = 40
_MAX_FILES = 100
_MAX_EXAMINED = 25_000  # mistakes; those beyond are counted


class Record(BaseModel):
    """Base of everything read from YAML: frozen, unknown keys refused, every number finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, allow_inf_nan=False, defer_build=True)


@dataclass(slots=True)
class Document:
    """Plain data of one YAML file, with the line each value starts on.

    `report()` collects a problem at a path, so that a file's mistakes come all at once. `included`: what stands in
    other files, by where it belongs in this one.
    """

    file: str
    data: Any
    lines: Mapping[Path, int]
    problems: Problems = field(default_factory=Problems)
    files_read: int = 0
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
        for length in range(len(path), 0, -1):
            # What is itself written here names the other file.
            if path[:length] in self.included and (length < len(path) or path not in self.lines):
                part, at = self.included[path[:length]]
                return part.locate((*at, *path[length:]))
        return self, path

    def report_unknown(self, path: Path, kind: str, name: object, known: Iterable[str], hint: str = "") -> None:
        """A name that nothing of `kind` bears, with the nearest one that does."""
        self.report(*unknown(path, kind, name, known, hint or self.near(name, known)))

    def near(self, name: object, known: Iterable[str]) -> str:
        """A hint that a known name may be meant; none any more once there are more problems than are told."""
        return did_you_mean(str(name), known) if len(self.problems) < MAX_TOLD else ""

    def may_read(self, path: Path) -> bool:
        """Whether another of the files that it names at `path` is read; that there are too many is reported once."""
        self.files_read += 1
        if self.files_read == _MAX_FILES + 1:
            self.report(path, f"more than {_MAX_FILES} files to read", f"at most {_MAX_FILES}")
        return self.files_read <= _MAX_FILES

    def raise_if_bad(self) -> None:
        if self.problems:
            raise BadInput(self.problems)

    def validate_as(self, kind: type[Loaded], *, go_on: bool = False) -> Loaded:
        """The document as a frozen `kind`; raises `BadInput` with every structural problem of the file.

        go_on: where unknown keys are the only ones, report them and return what the file says without them, so that
        the checks that follow can add theirs; the caller must then call `raise_if_bad`.
        """
        try:
            return kind.model_validate(self.data, context=FROM_A_FILE)
        except ValidationError as error:
            details = error.errors(include_url=False)
        mistakes = Mistakes(kind, details[:_MAX_EXAMINED], self.data, self.real)
        for path, found, expected, hint in mistakes.told(MAX_TOLD, self.line):
            if found == quoted(None) and self._is_beside_another_files(path):
                expected = "what it is to be, or the name of something that the other file has, which null takes away"
                hint = self._of_another_file(path)
            elif found.startswith("no ") and (meant := self._of_another_file(path)):
                hint = f"{hint}, or {meant}"
            self.report(path, found, expected, hint)
        self.problems.more += mistakes.more + len(details[_MAX_EXAMINED:])
        unknown = [tuple(detail["loc"]) for detail in details if detail["type"] == "extra_forbidden"]
        if go_on and len(unknown) == len(details):
            try:
                rest = _without(self.data, {self.real(path) for path in unknown})
                return kind.model_validate(rest, context=FROM_A_FILE)
            except ValidationError:
                pass  # what an unknown key stands for is missed elsewhere
        raise BadInput(self.problems)

    def _is_beside_another_files(self, path: Path) -> bool:
        """Whether something written here stands among what another file has."""
        return path in self.lines and any(place[:-1] == path[:-1] for place in self.included)

    def _of_another_file(self, path: Path) -> str:
        """For something written here that is not whole: what another file has beside it under nearly the same name."""
        if not path or not self._is_beside_another_files(path):
            return ""
        return did_you_mean(str(path[-1]), [str(place[-1]) for place in self.included if place[:-1] == path[:-1]])

    def real(self, path: Path, *, missing: bool = False) -> Path:
        """A path without what pydantic adds (the branches of unions, `[key]`): all of it is in the file, but for the
        last part where that is `missing`."""
        place: Any = self.data
        kept: list[str | int] = []
        for part in path[:-1] if missing else path:
            if isinstance(place, list):
                there = isinstance(part, int) and part < len(place)
            else:
                there = isinstance(place, dict) and part in place
            if not there:
                continue
            place = place[part]
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
        # Before the composer, which recurses, and makes of a byte what takes hundreds.
        deep = _too_deep_in(_counted(yaml.parse(decoded, Loader=_Loader), file))
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


def _counted(events: Iterable[yaml.Event], file: str) -> Iterator[yaml.Event]:
    """The same events; raises `BadInput` where there are too many."""
    keys_and_values = 0
    for event in events:
        keys_and_values += isinstance(event, yaml.NodeEvent)
        if keys_and_values > 2 * MAX_VALUES:
            line = event.start_mark.line + 1 if event.start_mark else 0
            raise BadInput([Problem(file, line, "", f"more than {MAX_VALUES:,} values", _TOO_DEEP[1], _ONCE)])
        yield event


_TOO_DEEP = f"values nested more than {MAX_DEPTH} deep", "a file of ordinary size", "remove them"
_ONCE = "write what is the same once, as `regions: &all {…}`, and `regions: *all` for the others"
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
        wanted = missed[1].replace("<", "the ").replace(">", "").replace("hexdecimal number", _HEXADECIMAL)
        return (
            line + 1,
            quoted(stands.strip()),
            wanted if wanted[0] in "',[]" or wanted == _HEXADECIMAL else f"{wanted} (is the indent right?)",
            hint,
        )
    problem = str(error.problem or error.context).removeprefix("found ")
    if problem.startswith("undefined alias") and mark is not None:
        name = re.split(r"[\s,\[\]{}]", stands[mark.column :].removeprefix("*"), maxsplit=1)[0]
        return line + 1, f"{quoted(f'*{name}')}, which stands for nothing", f"{quoted(f'&{name}')} before it", hint
    if missed := re.fullmatch(r"expected escape sequence of .*", problem):  # PyYAML's own scanner
        return line + 1, quoted(stands.strip()), _HEXADECIMAL, hint
    return line + 1, problem, "valid YAML", hint


_HEXADECIMAL = "hexadecimal digits after \\x, \\u or \\U in double quotes; a backslash itself is \\\\"


class _Loader(yaml.CSafeLoader if hasattr(yaml, "CSafeLoader") else yaml.SafeLoader):  # type: ignore[misc]
    pass


_MERGE = "tag:yaml.org,2002:merge"
_PLAIN_TAGS = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")


def _tag(node: yaml.Node) -> str:
    return str(node.tag).replace("tag:yaml.org,2002:", "!!")


class _Reader:
    """Walks composed nodes; counts what aliases expand to, so that a bomb is refused before it goes off."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.lines: dict[Path, int] = {}
        self.problems = Problems()
        self.values = 0

    def _bad(self, node: yaml.Node, path: Path, found: str, expected: str, hint: str = "") -> None:
        self.problems.append(Problem(self.file, node.start_mark.line + 1, dotted(path), found, expected, hint))

    def read(self, node: yaml.Node, path: Path) -> Any:
        self.values += 1
        if self.values > MAX_EXPANDED or len(path) > MAX_DEPTH:
            many = f"more than {MAX_EXPANDED:,} values, what aliases stand for counted"
            found, *rest = (many, *_TOO_DEEP[1:]) if self.values > MAX_EXPANDED else _TOO_DEEP
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
        own = [(key, value) for key, value in node.value if key.tag != _MERGE]
        for key_node, value_node in own:
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
        for key_node, value_node in self._merged(node, path, 0):
            if isinstance(key_node, yaml.ScalarNode) and key_node.value not in result:
                self.lines[(*path, key_node.value)] = key_node.start_mark.line + 1
                result[key_node.value] = self.read(value_node, (*path, key_node.value))
        return result

    def _merged(self, node: yaml.MappingNode, path: Path, depth: int) -> Iterator[tuple[yaml.Node, yaml.Node]]:
        """What merge keys (`<<: *other`) add to a mapping, the first of each key first: https://yaml.org/type/merge.html"""
        for key_node, value in node.value:
            if key_node.tag != _MERGE:
                continue
            for other in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                if not isinstance(other, yaml.MappingNode):
                    self._bad(
                        key_node, path, "'<<' before something else", "a mapping, such as <<: *name, or a list of some"
                    )
                    continue
                self.values += 1
                if depth > MAX_DEPTH or self.values > MAX_EXPANDED:
                    raise BadInput([Problem(self.file, key_node.start_mark.line + 1, "", *_TOO_DEEP)])
                yield from (pair for pair in other.value if pair[0].tag != _MERGE)
                yield from self._merged(other, path, depth + 1)

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> Any:
        text = node.value
        if node.style in set("'\"|>") or node.tag == "tag:yaml.org,2002:str":
            return text
        match node.tag.rpartition(":")[2]:
            case "null" if text.lower() in {"", "~", "null"}:
                return None
            case "bool" if text.lower() in _TRUE | _FALSE:
                return text.lower() in _TRUE
            case "int" if re.fullmatch(r"[-+]?[0-9]+", text):
                return self._number(node, path, int)
            case "float" if re.fullmatch(r"[-+]?[0-9]*\.?[0-9]*([eE][-+]?[0-9]+)?", text) and re.search("[0-9]", text):
                return self._number(node, path, float)
            case "int" | "float" | "timestamp":  # 10:30 and dates stay what was typed; their fields parse them
                return text
            case _:
                self._bad(node, path, f"the tag {_tag(node)}", "plain YAML without tags", "remove the tag")
                return None

    def _number(self, node: yaml.ScalarNode, path: Path, convert: Callable[[str], float]) -> float | None:
        text = node.value
        if len(text) <= MAX_DIGITS:
            with suppress(ValueError):
                number = convert(text)
                if math.isfinite(number):
                    return number
        found = quoted(text) if len(text) <= MAX_DIGITS else f"a number of {len(text):,} characters"
        self._bad(node, path, found, f"a finite number of at most {MAX_DIGITS} characters", "in quotes, if it is text")
        return None


_TRUE, _FALSE = frozenset({"true", "yes", "on"}), frozenset({"false", "no", "off"})


class _Plain:
    """Turns what a program has built into what YAML would have given, with the limits of a file."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems = Problems()
        self.values = 0

    def _bad(self, path: Path, found: str, expected: str) -> None:
        self.problems.append(Problem(self.file, 0, dotted(path), found, expected))

    def plain(self, value: Any, path: Path) -> Any:
        self.values += 1
        if self.values > MAX_EXPANDED or len(path) > MAX_DEPTH:
            many = f"more than {MAX_EXPANDED:,} values", *_TOO_DEEP[1:]
            found, *rest = _TOO_DEEP if len(path) > MAX_DEPTH else many
            raise BadInput([Problem(self.file, 0, "", found, *rest)])
        match value:
            case int() | float() if not isinstance(value, bool) and not -(10**MAX_DIGITS) < value < 10**MAX_DIGITS:
                self._bad(path, "a number that is not finite, or very large", f"one of at most {MAX_DIGITS} digits")
                return None
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
                known = "text, a number, a list, a mapping, or a time with a zone"
                self._bad(path, f"a value of type {type(value).__name__}", known)
                return None


def _without(data: Any, paths: set[Path], here: Path = ()) -> Any:
    """A copy of plain data without the values at some paths."""
    if isinstance(data, dict):
        return {k: _without(v, paths, (*here, k)) for k, v in data.items() if (*here, k) not in paths}
    if isinstance(data, list):
        return [_without(item, paths, (*here, index)) for index, item in enumerate(data)]
    return data


__all__ = [
    "Document",
    "Expected",
    "Path",
    "Record",
    "did_you_mean",
    "dotted",
    "one_of",
    "parse",
    "quoted",
]
