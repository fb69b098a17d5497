"""Holds what a run has written to the JSON Schemas that ship, with no key that they do not name."""

from __future__ import annotations

import json
from typing import Any

from jsonschema import Draft202012Validator

from shutdownlab.schemas.shipped import shipped

OPEN = {"TestKeys"}
"""What others add to: OONI's own keys stand beside ours."""


def held_to(name: str) -> Draft202012Validator:
    """A validator that refuses keys that the schema does not name; the schema itself lets later versions add some."""
    schema = json.loads(shipped(name))
    for title, part in (("", schema), *schema.get("$defs", {}).items()):
        if "properties" in part and title not in OPEN:
            part["additionalProperties"] = False
    return Draft202012Validator(schema)


def typed(row: dict[str, str]) -> dict[str, Any]:
    """A row of results.csv, its columns read by the types that the schema gives them; empty is null where it may be."""
    fields = json.loads(shipped("results"))["properties"]
    return {column: _typed(text, fields[column]) for column, text in row.items()}


def _typed(text: str, field: dict[str, Any]) -> Any:
    types = {option.get("type") for option in field.get("anyOf", [field])}
    if text == "" and "null" in types:
        return None
    return int(text) if "integer" in types else float(text) if "number" in types else text
