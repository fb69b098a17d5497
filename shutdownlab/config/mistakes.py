"""What pydantic says about a document, told as a person would: each mistake once, with a way to mend it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from shutdownlab.config.wording import Expected, Path, did_you_mean, one_of, quoted

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


def unknown(path: Path, kind: str, name: object, known: Iterable[str], hint: str = "") -> Mistake:
    """A name that nothing of `kind` bears, with the nearest one that does."""
    names = sorted(known)
    return Mistake(path, f"unknown {kind} {quoted(name)}", one_of(names), hint or did_you_mean(str(name), names))


def explain(
    kind: type[BaseModel], details: Sequence[ErrorDetails], data: Any, real: Callable[..., Path]
) -> Iterator[Mistake]:
    """The mistakes behind pydantic's errors about `data`.

    `real(path, missing=…)` turns pydantic's path into one of the file's.
    """
    placed = [(real(tuple(detail["loc"]), missing=detail["type"] == "missing"), detail) for detail in details]
    told: dict[tuple[Path, str], Mistake] = {}
    for path, detail in placed:
        if _is_echo(path, detail, placed):
            continue
        mistake = _mistake(kind, data, path, detail)
        key = mistake.path, mistake.found
        if key in told and mistake.expected not in told[key].expected:  # the branches of a union
            mistake = mistake._replace(expected=f"{told[key].expected}, or {mistake.expected}")
        told[key] = mistake
    yield from told.values()


def _is_echo(path: Path, detail: ErrorDetails, all_details: list[tuple[Path, ErrorDetails]]) -> bool:
    """Whether another error tells it better: one deeper in the same value, or the misspelt key that is missed."""
    if detail["type"] in _WRONG_KIND:
        return any(len(other) > len(path) and other[: len(path)] == path for other, _ in all_details)
    if detail["type"] == "missing":
        unknown = [
            str(other[-1]) for other, its in all_details
            if its["type"] == "extra_forbidden" and other[:-1] == path[:-1]
        ]  # fmt: skip
        return bool(did_you_mean(str(path[-1]), unknown))
    return False


def _mistake(kind: type[BaseModel], data: Any, path: Path, detail: ErrorDetails) -> Mistake:
    value = detail["input"]
    if detail["type"] == "missing":
        return Mistake(path[:-1], f"no {quoted(path[-1])}", f"the key {quoted(path[-1])}", "add it")
    if detail["type"] == "extra_forbidden":
        allowed = _keys_at(kind, data, path[:-1])
        hint = did_you_mean(str(path[-1]), allowed)
        return Mistake(path, f"unknown key {quoted(path[-1])}", one_of(allowed), hint)
    if detail["type"] == "value_error" and isinstance(problem := detail["ctx"]["error"], Expected):
        place = (*path, problem.key) if problem.key else path
        return Mistake(place, problem.found or quoted(value), problem.expected, problem.hint)
    expected = _expected(detail)
    hint = ""
    if expected == "a list" and isinstance(value, str | int):
        hint = f"write [{value}]"
    elif isinstance(value, str) and (value == expected or (expected == "a whole number" and value.isdecimal())):
        hint = "without quotes"
    return Mistake(path, quoted(value), expected, hint)


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
        case "too_short":
            return "a list of at least one" if context["min_length"] == 1 else f"at least {context['min_length']}"
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
    """The keys that the model at `path` below `kind` takes, where the file has `data`."""
    current: set[type[BaseModel]] = {kind}
    for part in path:
        data = data[part]
        following: set[type[BaseModel]] = set()
        for model in current:
            if isinstance(part, str) and part in _aliased(model):
                following |= _models_in(_aliased(model)[part])
        current = {_variant(model, data) for model in following or current}
    return sorted({key for model in current for key in _aliased(model)})


def _variant(model: type[BaseModel], value: Any) -> type[BaseModel]:
    """The model that reads a value: some leave that to one of their subclasses."""
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
