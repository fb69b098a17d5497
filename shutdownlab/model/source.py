"""YAML text in, plain data and the line of every value out; and the one way input errors are told.

Parsing uses PyYAML's composer, so that every value keeps its line. What is refused: more than one document, duplicate
keys, tags, documents above 1 MiB, and aliases that expand to more than 100,000 values ("YAML bomb").
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

Path = tuple[str | int, ...]
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

    `problem()` builds a `Problem` at a path; `report()` collects one, so that a file's mistakes come all at once.
    """

    file: str
    data: Any
    lines: Mapping[Path, int]
    problems: list[Problem] = field(default_factory=list)

    def line(self, path: Path) -> int:
        """The line of the value at `path`, or of its nearest ancestor that the file has."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def report(self, path: Path, found: str, expected: str, hint: str = "") -> None:
        self.problems.append(Problem(self.file, self.line(path), dotted(path), found, expected, hint))

    def report_unknown(self, path: Path, kind: str, name: object, known: Iterable[str], hint: str = "") -> None:
        """A name that nothing of `kind` bears, with the nearest one that does."""
        names = sorted(known)
        self.report(path, f"unknown {kind} {quoted(name)}", one_of(names), hint or did_you_mean(str(name), names))

    def raise_if_bad(self) -> None:
        if self.problems:
            raise BadInput(self.problems)

    def validate_as(self, kind: type[Loaded]) -> Loaded:
        """The document as a frozen `kind`; raises `BadInput` with every structural problem of the file."""
        try:
            return kind.model_validate(self.data)
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                self._report_detail(kind, detail)
            raise BadInput(self.problems) from None

    def _report_detail(self, kind: type[BaseModel], detail: ErrorDetails) -> None:
        path: Path = tuple(part for part in detail["loc"] if self._is_real(part))
        if detail["type"] == "missing":
            self.report(path[:-1], f"no {quoted(path[-1])}", f"the key {quoted(path[-1])}", "add it")
        elif detail["type"] == "extra_forbidden":
            allowed = _keys_at(kind, path[:-1])
            self.report(path, f"unknown key {quoted(path[-1])}", one_of(allowed), did_you_mean(str(path[-1]), allowed))
        elif detail["type"] == "value_error" and isinstance(problem := detail["ctx"]["error"], Expected):
            self.report(path, quoted(detail["input"]), problem.expected, problem.hint)
        else:
            self.report(path, quoted(detail["input"]), _expected(detail))

    @staticmethod
    def _is_real(part: str | int) -> bool:
        """Pydantic puts the branch of a union (`function-before[...]`) into its path: not a place in the file."""
        return isinstance(part, int) or part == "[key]" or not re.search(r"[\[\]()]|^[A-Z]\w+$|^(str|int|list)$", part)


class Expected(ValueError):
    """Raised by a field's own parser: what it takes, and how to mend the value."""

    def __init__(self, expected: str, hint: str = "") -> None:
        super().__init__(expected)
        self.expected = expected
        self.hint = hint


def parse(text: bytes, file: str) -> Document:
    """Parse one YAML document; raises `BadInput`."""

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
        nodes = list(yaml.compose_all(decoded, Loader=_Loader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise bad(mark.line + 1 if mark else 1, str(error.problem or error.context), "valid YAML") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise bad(1, str(error).splitlines()[0], "valid YAML") from None
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


class _Loader(yaml.CSafeLoader if hasattr(yaml, "CSafeLoader") else yaml.SafeLoader):  # type: ignore[misc]
    pass


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
            what = f"aliases that expand to more than {MAX_VALUES:,} values"
            found = what if self.values > MAX_VALUES else f"values nested more than {MAX_DEPTH} deep"
            problem = Problem(self.file, node.start_mark.line + 1, "", found, "a file of ordinary size", "remove them")
            raise BadInput([problem])
        self.lines.setdefault(path, node.start_mark.line + 1)
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
                self._bad(node, path, f"the tag {node.tag}", "plain YAML without tags", "remove the tag")
                return None


def dotted(path: Path) -> str:
    """`('links', 3, 'delay')` as `links[3].delay`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def quoted(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, bool | int | float):
        return str(value).lower()
    text = str(value)
    return repr(text if len(text) <= 60 else text[:57] + "...")


def one_of(names: Iterable[str]) -> str:
    names = list(names)
    listed = ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
    return f"one of {listed}" if names else "none (there are none)"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"did you mean {quoted(close[0])}?" if close else ""


def _keys_at(kind: type[BaseModel], path: Path) -> list[str]:
    """The keys that the model at `path` below `kind` takes."""
    current: set[type[BaseModel]] = {kind}
    for part in path:
        following: set[type[BaseModel]] = set()
        for model in current:
            if isinstance(part, str) and part in _aliased(model):
                following |= _models_in(_aliased(model)[part])
        current = following or current
    return sorted({key for model in current for key in _aliased(model)})


def _aliased(model: type[BaseModel]) -> dict[str, Any]:
    return {info.alias or name: info.annotation for name, info in model.model_fields.items()}


def _models_in(annotation: Any) -> set[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {annotation}
    found: set[type[BaseModel]] = set()
    for part in getattr(annotation, "__args__", ()):
        found |= _models_in(part)
    return found


def _expected(detail: ErrorDetails) -> str:
    context = detail.get("ctx", {})
    match detail["type"]:
        case "string_type":
            return "text"
        case "int_type" | "int_parsing" | "int_from_float":
            return "a whole number"
        case "float_type" | "float_parsing":
            return "a number"
        case "bool_type" | "bool_parsing":
            return "true or false"
        case "model_type" | "dict_type" | "model_attributes_type":
            return "a mapping"
        case "tuple_type" | "list_type" | "frozen_set_type":
            return "a list"
        case "literal_error" | "enum":
            return "one of " + str(context["expected"]).replace(" or ", ", ").replace("'", "")
        case "greater_than_equal" | "less_than_equal" | "greater_than" | "less_than":
            return detail["msg"].removeprefix("Input should be ")
        case _:
            return detail["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
