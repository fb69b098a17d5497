"""A file that people write, as data: where each value stands, what is wrong with it, and what it is a record of."""

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
    one_of,
    quoted,
)
from shutdownlab.config.yaml_text import MAX_BYTES, read_yaml

Loaded = TypeVar("Loaded", bound=BaseModel)

FROM_A_FILE: Final = {"from": "a file"}
"""The context in which models validate what people have written."""
_MAX_FILES = 100
_MAX_EXAMINED = 25_000  # mistakes; those beyond are counted


class Record(BaseModel):
    """Base of everything read from YAML: frozen, unknown keys refused, every number finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, allow_inf_nan=False, defer_build=True)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Evaluate its annotations, strings as they are, before pydantic does.

        It takes each for one that may refer to what is yet to come, and makes objects of `typing` of it: a tenth of the
        time of `check`. A name that is not there yet is left to it.
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
        return Document(file, read_made(text, file), {})
    return Document(file, *read_yaml(text, file))


def _without(data: Any, paths: set[Path], here: Path = ()) -> Any:
    """A copy of plain data without the values at some paths."""
    if isinstance(data, dict):
        return {k: _without(v, paths, (*here, k)) for k, v in data.items() if (*here, k) not in paths}
    if isinstance(data, list):
        return [_without(item, paths, (*here, index)) for index, item in enumerate(data)]
    return data


__all__ = [
    "MAX_BYTES",
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
