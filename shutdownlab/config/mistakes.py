"""Converts pydantic's errors about a document into readable mistakes: each once, with a way to fix it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from shutdownlab.config.problems import Problem
from shutdownlab.config.wording import Expected, Path, did_you_mean, dotted, listed_by, one_of, quoted, shortened

_WRONG_KIND = {
    "string_type",
    "model_type",
    "model_attributes_type",
    "dict_type",
    "tuple_type",
    "list_type",
    "too_short",
}


class Mistake(NamedTuple):
    path: Path
    found: str
    expected: str
    hint: str = ""


def unknown(path: Path, kind: str, name: object, known: Iterable[str], hint: str | None = None) -> Mistake:
    """Returns the mistake of a name that no `kind` has; the hint is the nearest known name unless `hint` is given."""
    names = sorted(known)
    near = did_you_mean(str(name), names) if hint is None else hint
    return Mistake(path, f"unknown {kind} {quoted(name)}", one_of(names, listed_by(kind)), near)


class Mistakes:
    """The mistakes behind pydantic's errors about `data`.

    `real(path, missing=…)` converts pydantic's path into the file's. Each error is examined only once, however many
    there are.
    """

    def __init__(
        self, kind: type[BaseModel], details: Sequence[ErrorDetails], data: Any, real: Callable[..., Path]
    ) -> None:
        self._kind, self._data = kind, data
        self._placed = [(real(tuple(detail["loc"]), missing=detail["type"] == "missing"), detail) for detail in details]
        self._inside: set[Path] = set()
        """Paths below which there is another error."""
        self._unknown: dict[Path, list[str]] = defaultdict(list)
        """The unknown keys of each mapping, by its path."""
        for path, detail in self._placed:
            place = _place(path, detail)
            self._inside.update(place[:length] for length in range(len(place)))
            if detail["type"] == "extra_forbidden":
                self._unknown[path[:-1]].append(str(path[-1]))
        self.more = 0
        """The number of mistakes beyond those returned by `first`."""

    def first(self, most: int, line: Callable[[Path], int]) -> Iterator[Mistake]:
        """Yields the first `most` mistakes, in the file's order."""
        reported: dict[tuple[Path, str], Mistake] = {}
        beyond: set[Path] = set()
        for path, detail in sorted(self._placed, key=lambda placed: line(placed[0])):
            if len(reported) >= most:
                beyond.add(path)
                continue
            if self._is_echo(path, detail):
                continue
            mistake = _mistake(self._kind, self._data, path, detail)
            key = mistake.path, mistake.found
            if key in reported and mistake.expected not in reported[key].expected:  # the branches of a union
                mistake = mistake._replace(expected=f"{reported[key].expected}, or {mistake.expected}")
            reported[key] = mistake
        self.more = len(beyond)
        yield from reported.values()

    def _is_echo(self, path: Path, detail: ErrorDetails) -> bool:
        """Returns whether another error describes the mistake better: a deeper one, or a missing key's misspelling."""
        if detail["type"] in _WRONG_KIND:
            return path in self._inside
        if detail["type"] == "missing":
            return bool(did_you_mean(str(path[-1]), self._unknown.get(path[:-1], ())))
        return False


def _place(path: Path, detail: ErrorDetails) -> Path:
    """Returns the path of the mistake: for a mapping that was parsed as a whole, that of the entry at fault."""
    problem = detail.get("ctx", {}).get("error")
    return (*path, problem.key) if isinstance(problem, Expected) and problem.key else path


def _mistake(kind: type[BaseModel], data: Any, path: Path, detail: ErrorDetails) -> Mistake:
    value = detail["input"]
    if detail["type"] == "missing":
        return Mistake(path[:-1], f"no {quoted(path[-1])}", f"the key {quoted(path[-1])}", "add it")
    if detail["type"] == "extra_forbidden":
        allowed = _keys_at(kind, data, path[:-1])
        hint = did_you_mean(str(path[-1]), allowed)
        return Mistake(path, f"unknown key {quoted(path[-1])}", one_of(allowed), hint)
    if detail["type"] == "value_error" and isinstance(problem := detail["ctx"]["error"], Expected):
        return Mistake(_place(path, detail), problem.found or quoted(value), problem.expected, problem.hint)
    expected = _expected(detail)
    hint = ""
    if expected == "a list" and isinstance(value, str | int):
        hint = f"write [{shortened(str(value))}]"
    elif expected == "text" and isinstance(value, bool):
        hint = "write it in quotes: YAML reads on, off, yes and no as true and false"
    elif expected == "text" and isinstance(value, int | float):
        hint = f'write it in quotes: "{shortened(str(value))}"'
    elif isinstance(value, str) and (percent := re.fullmatch(r"([0-9]{1,3}(?:\.[0-9]{1,3})?) ?%", value)):
        hint = f"write {float(percent[1]) / 100:.6g}" if "number" in expected else ""
    elif expected == "a whole number" and isinstance(value, str) and re.fullmatch(r"[0-9.]{1,9} ?([kKM]i?)?B", value):
        hint = "bytes, without a unit"
    elif isinstance(value, str) and (value == expected or (expected == "a whole number" and value.isdecimal())):
        hint = "write it without quotes"
    return Mistake(path, quoted(value), expected, hint)


def first_problem(error: ValidationError, file: str, line: int = 0) -> Problem:
    """Returns the first mistake of a file that only programs write, so that no key can be misspelt in it."""
    detail = error.errors()[0]
    return Problem(file, line, dotted(detail["loc"]), quoted(detail["input"]), _expected(detail), _AS_IT_WAS)


_AS_IT_WAS = "put the file back as shutdownlab wrote it"


def _expected(detail: ErrorDetails) -> str:
    context: dict[str, Any] = detail.get("ctx", {})
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
        case "finite_number":
            return "a finite number"
        case "too_long":
            what = "a mapping" if context["field_type"] == "Dictionary" else "a list"
            return f"{what} of at most {context['max_length']:,}"
        case "too_short":
            what = "a mapping" if context["field_type"] == "Dictionary" else "a list"
            return f"{what} of at least one" if context["min_length"] == 1 else f"at least {context['min_length']}"
        case "literal_error" | "enum":
            choices = str(context["expected"]).replace(" or ", ", ").replace("'", "")
            return f"one of {choices}" if "," in choices else choices
        case "greater_than_equal":
            return f"at least {context['ge']}"
        case "less_than_equal":
            return f"at most {context['le']}"
        case "greater_than":
            return f"more than {context['gt']}"
        case "less_than":
            return f"less than {context['lt']}"
        case _:
            return detail["msg"].removeprefix("Input should be ").removeprefix("Value error, ")


def _keys_at(kind: type[BaseModel], data: Any, path: Path) -> list[str]:
    """Returns the keys that the model at `path` below `kind` accepts, given the file's `data`."""
    current: set[type[BaseModel]] = {kind}
    for part in path:
        data = data[part]
        following: set[type[BaseModel]] = set()
        for model in current:
            if isinstance(part, str) and part in _aliased(model):
                following |= _models_in(_aliased(model)[part])
        current = {_variant(model, data) for model in following or current}
    return sorted({key for model in current for key in (*_aliased(model), *getattr(model, "shorthands", ()))})


def _variant(model: type[BaseModel], value: Any) -> type[BaseModel]:
    """Returns the model that validates a value: some models choose one of their subclasses."""
    choose: Callable[[Any], type[BaseModel]] | None = getattr(model, "variant", None)
    return choose(value) if choose else model


def _aliased(model: type[BaseModel]) -> dict[str, Any]:
    return {info.alias or name: info.annotation for name, info in model.model_fields.items()}


def _models_in(annotation: Any) -> set[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {annotation}
    found: set[type[BaseModel]] = set()
    for part in getattr(annotation, "__args__", ()):
        found |= _models_in(part)
    return found
