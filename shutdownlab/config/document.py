"""A user's file as data: the line of each value, the problems found, and validation into a record."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from inspect import get_annotations
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from shutdownlab.config.made import read_made
from shutdownlab.config.mistakes import Mistakes, unknown
from shutdownlab.config.problems import MAX_TOLD, BadInput, Problem, Problems
from shutdownlab.config.wording import (
    Expected,
    Path,
    did_you_mean,
    dotted,
    listed_by,
    one_of,
    quoted,
)
from shutdownlab.config.yaml_text import MAX_BYTES, read_yaml

Loaded = TypeVar("Loaded", bound=BaseModel)

FROM_A_FILE: Final = {"from": "a file"}
"""The validation context for models that are loaded from a user's file."""
_MAX_FILES = 100
_MAX_EXAMINED = 25_000  # mistakes; further ones are only counted


class Record(BaseModel):
    """Base of everything read from YAML: frozen, unknown keys refused, every number finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, allow_inf_nan=False, defer_build=True)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Evaluates string annotations before pydantic does.

        pydantic takes each string for a possible forward reference and builds objects of `typing` for it, which took a
        tenth of the time of `check`. A name that is not defined yet is left to pydantic.
        """
        super().__init_subclass__(**kwargs)
        module, annotations = sys.modules[cls.__module__].__dict__, get_annotations(cls)
        for name, annotation in annotations.items():
            if isinstance(annotation, str):
                with suppress(NameError):
                    annotations[name] = eval(annotation, module)
        cls.__annotations__ = annotations


@dataclass(slots=True)
class Document:
    """Plain data of one YAML file, with the line each value starts on.

    `report()` collects problems by path, so that all of a file's mistakes are reported at once. `included`: values
    that come from other files (document and path there), by their path in this one.
    """

    file: str
    data: Any
    lines: Mapping[Path, int]
    problems: Problems = field(default_factory=Problems)
    files_read: int = 0
    included: dict[Path, tuple[Document, Path]] = field(default_factory=dict)

    def line(self, path: Path) -> int:
        """Returns the line of the value at `path`, or of its nearest ancestor in the file; 0 if there is no file."""
        document, path = self.locate(path)
        while path and path not in document.lines:
            path = path[:-1]
        return document.lines.get(path, 1 if document.lines else 0)

    def report(self, path: Path, found: str, expected: str, hint: str = "") -> None:
        document, place = self.locate(path)
        self.problems.append(Problem(document.file, self.line(path), dotted(place), found, expected, hint))

    def include(self, path: Path, part: Document, at: Path) -> None:
        """Replaces the value at `path` by that at `at` in `part`; its mistakes are still reported for that file."""
        holder, value = self.data, part.data
        for step in path[:-1]:
            holder = holder[step]
        for step in at:
            value = value[step]
        holder[path[-1]] = value
        self.included[path] = part, at

    def locate(self, path: Path) -> tuple[Document, Path]:
        """Returns the document that the value at `path` comes from, and its path there."""
        for length in range(len(path), 0, -1):
            # A value written in this file at the path itself is the name of the other file.
            if path[:length] in self.included and (length < len(path) or path not in self.lines):
                part, at = self.included[path[:length]]
                return part.locate((*at, *path[length:]))
        return self, path

    def report_unknown(self, path: Path, kind: str, name: object, known: Iterable[str], hint: str = "") -> None:
        """Reports a name that no `kind` has, with the nearest known name as a hint."""
        self.report(*unknown(path, kind, name, known, hint or self.near(name, known)))

    def near(self, name: object, known: Iterable[str]) -> str:
        """Returns a hint with the nearest known name; "" once there are more problems than are printed."""
        return did_you_mean(str(name), known) if len(self.problems) < MAX_TOLD else ""

    def may_read(self, path: Path) -> bool:
        """Counts a file named at `path`; returns whether it may be read. Exceeding the limit is reported once."""
        self.files_read += 1
        if self.files_read == _MAX_FILES + 1:
            self.report(path, f"more than {_MAX_FILES} files to read", f"at most {_MAX_FILES}")
        return self.files_read <= _MAX_FILES

    def raise_if_bad(self) -> None:
        if self.problems:
            raise BadInput(self.problems)

    def validate_as(self, kind: type[Loaded], *, go_on: bool = False) -> Loaded:
        """Returns the document as a frozen `kind`; raises `BadInput` with every structural problem of the file.

        go_on: if the only problems are unknown keys, report them and return the record without them, so that later
        checks can add theirs; the caller must then call `raise_if_bad`.
        """
        try:
            return kind.model_validate(self.data, context=FROM_A_FILE)
        except ValidationError as error:
            details = error.errors(include_url=False)
        mistakes = Mistakes(kind, details[:_MAX_EXAMINED], self.data, self.real)
        for path, found, expected, hint in mistakes.first(MAX_TOLD, self.line):
            if found == quoted(None) and self._is_beside_another_files(path):
                expected = "a value, or the name of something in the other file, which null then removes"
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
                pass  # a required key is missing because it was misspelt
        raise BadInput(self.problems)

    def _is_beside_another_files(self, path: Path) -> bool:
        """Returns whether a value written in this file has siblings that come from another file."""
        return path in self.lines and any(place[:-1] == path[:-1] for place in self.included)

    def _of_another_file(self, path: Path) -> str:
        """Returns a hint for an incomplete value: a sibling from another file that has nearly the same name."""
        if not path or not self._is_beside_another_files(path):
            return ""
        return did_you_mean(str(path[-1]), [str(place[-1]) for place in self.included if place[:-1] == path[:-1]])

    def real(self, path: Path, *, missing: bool = False) -> Path:
        """Returns a pydantic path without the parts that pydantic adds (branches of unions, `[key]`): every part
        exists in the data, except the last one if it is `missing`."""
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
    """Parses one YAML document, or converts a mapping that a program has made; raises `BadInput`."""
    if isinstance(text, Mapping):
        return Document(file, read_made(text, file), {})
    return Document(file, *read_yaml(text, file))


def _without(data: Any, paths: set[Path], at: Path = ()) -> Any:
    """Returns a copy of plain data without the values at some paths."""
    if isinstance(data, dict):
        return {k: _without(v, paths, (*at, k)) for k, v in data.items() if (*at, k) not in paths}
    if isinstance(data, list):
        return [_without(item, paths, (*at, index)) for index, item in enumerate(data)]
    return data


__all__ = [
    "MAX_BYTES",
    "Document",
    "Expected",
    "Path",
    "Record",
    "did_you_mean",
    "dotted",
    "listed_by",
    "one_of",
    "parse",
    "quoted",
]
