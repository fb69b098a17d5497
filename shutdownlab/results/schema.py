"""JSON Schemas (draft 2020-12) of what a run writes, made from the models that write it.

They ship as files, `schemas/NAME.schema.json`; `make schemas` writes them anew.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from shutdownlab.results import events, manifest, measurement, result
from shutdownlab.results.events import AnyEvent
from shutdownlab.results.manifest import Manifest
from shutdownlab.results.measurement import Record
from shutdownlab.results.result import Result

FOLDER: Final = Path(__file__).with_name("schemas")

_WRITTEN: Final[Mapping[str, tuple[str, Any]]] = {
    "event": ("An event of a run: a line of events.jsonl, or of `run --events`", AnyEvent),
    "result": ("A row of results.csv, or the `result` of an event", Result),
    "measurement": ("A measurement in OONI's data format: a line of measurements.jsonl", Record),
    "manifest": ("The manifest of a run: manifest.json", Manifest),
}
NAMES: Final = tuple(_WRITTEN)


class _Generator(GenerateJsonSchema):
    """Pydantic's, without a title for each field that only repeats its name."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def generated(name: str) -> str:
    """The schema as it should be in its file."""
    title, type_ = _WRITTEN[name]
    schema = TypeAdapter(type_).json_schema(mode="serialization", schema_generator=_Generator)
    documented = _docstrings()
    for definition, text in ((type_, schema), *schema.get("$defs", {}).items()):
        _describe(text, documented.get(getattr(definition, "__name__", definition), {}))
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title}
    return json.dumps({**head, **_same_in_all_versions(schema), **head}, indent=2, ensure_ascii=False) + "\n"


def shipped(name: str) -> str:
    """The schema's file; KeyError for a name that is none of `NAMES`."""
    if name not in _WRITTEN:
        raise KeyError(name)
    return (FOLDER / f"{name}.schema.json").read_text()


def _docstrings() -> dict[str, dict[str, str]]:
    """By class and field, the text below each field, read from the source: pydantic's own way costs every start of the
    program some time."""
    found: dict[str, dict[str, str]] = {}
    for module in (result, manifest, events, measurement):
        for node in ast.parse(inspect.getsource(module)).body:
            if isinstance(node, ast.ClassDef):
                inherited = [found.get(base.id, {}) for base in node.bases if isinstance(base, ast.Name)]
                found[node.name] = {name: text for base in inherited for name, text in base.items()}
                found[node.name] |= _fields(node.body)
    return found


def _fields(body: list[ast.stmt]) -> dict[str, str]:
    return {
        field.target.id.removesuffix("_"): inspect.cleandoc(text)
        for field, below in pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
        if isinstance(text := below.value.value, str)
    }


def _describe(schema: dict[str, Any], fields: Mapping[str, str]) -> None:
    for name, field in schema.get("properties", {}).items():
        if name in fields:
            field["description"] = fields[name]


def _same_in_all_versions(schema: Any) -> Any:
    """Without what some versions of pydantic write and others leave out, and without the line breaks of docstrings."""
    if isinstance(schema, list):
        return [_same_in_all_versions(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: _same_in_all_versions(value) for key, value in schema.items()}
    if kept.get("additionalProperties") is True:
        del kept["additionalProperties"]
    if "const" in kept:
        kept.pop("enum", None)
    if isinstance(text := kept.get("description"), str):
        kept["description"] = re.sub(r"(?<!\n)\n(?!\n)", " ", text)
    return kept


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for _name in NAMES:
        (FOLDER / f"{_name}.schema.json").write_text(generated(_name))
