"""Renders a schema as Markdown tables: each key with its type, default, meaning and an example. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import yaml

Schema = Mapping[str, Any]
Examples = Mapping[tuple[str, str], Any]
"""Example values, by definition and key."""

ROOT: Final = ""
"""The name for the root of a schema among its definitions."""
_MOST: Final = 64
"""The maximum number of characters of an example."""


def table(
    schema: Schema, definitions: Schema, name: str, examples: Examples, link: Callable[[str], str], *, reads: bool
) -> str:
    """Returns the table of a definition's keys. link: makes a link to a definition. reads: for files users write."""
    required = schema.get("required", ())
    lines = [f"| key | type | {'default' if reads else 'there'} | meaning | example |", "|---|---|---|---|---|"]
    for key, field in schema.get("properties", {}).items():
        description = field.get("description", "")
        if reads:
            default = "**needed**" if key in required else _default(field)
            meaning = " ".join(filter(None, (description, _meanings(field, definitions))))
        else:
            default = "always" if key in required else "where it applies"
            meaning = description or _meanings(field, definitions)
        example = code(shown(examples[name, key])) if (name, key) in examples else ""
        cells = (code(key), type_text(field, definitions, link), default, meaning, example)
        lines.append("| " + " | ".join(_cell(cell) for cell in cells) + " |")
    return "\n".join(lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n\n", " ").replace("\n", " ")


def code(text: str) -> str:
    """Formats text as inline code, even if it contains backticks."""
    fence = "``" if "`" in text else "`"
    return f"{fence}{text}{fence}"


def _default(field: Schema) -> str:
    if "default" not in field or field["default"] in (None, "", [], {}):
        return ""
    return code(flow(field["default"]))


def flow(value: Any) -> str:
    """Formats a value as YAML on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000, sort_keys=False, allow_unicode=True)
    return re.sub(r"\n(\.\.\.\n)?$", "", text)


def shown(value: Any) -> str:
    """Formats an example on one line, shortened if it is long."""
    text = value if isinstance(value, str) else flow(value)
    if len(text) <= _MOST:
        return text
    if isinstance(value, dict) and value:
        first, inner = next(iter(value.items()))
        return f"{{{first}: {{…}}, …}}" if isinstance(inner, dict | list) else f"{{{flow({first: inner})[1:-1]}, …}}"
    if isinstance(value, list) and value:
        return f"[{shown(value[0])}, …]"
    return text[: _MOST - 1].rstrip() + "…"


def type_text(field: Schema, definitions: Schema, link: Callable[[str], str]) -> str:
    """Describes a type in words."""
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        target = definitions[name]
        return _choices(target["enum"]) if "enum" in target else link(name)
    if "const" in field:
        return code(str(field["const"]))
    if "enum" in field:
        return _choices(field["enum"])
    if "title" in field and "properties" not in field:
        return f"[{field['title']}](README.md#how-values-are-written)"
    if "anyOf" in field or "oneOf" in field:
        return _either(field.get("anyOf") or field["oneOf"], definitions, link)
    match field.get("type"):
        case "array":
            return _list(field, definitions, link)
        case "object":
            return _mapping(field, definitions, link)
        case "integer" | "number":
            return _number(field)
        case "boolean":
            return "true or false"
        case "string":
            return "text"
        case "null":
            return "nothing"
    return "anything"


def _choices(names: list[Any]) -> str:
    return ", ".join(code(str(name)) for name in names)


def _either(options: list[dict[str, Any]], definitions: Schema, link: Callable[[str], str]) -> str:
    kept = [option for option in options if option.get("type") != "null"]
    for one, listed in (kept, kept[::-1]) if len(kept) == 2 else ():
        if listed.get("items") == one:
            return f"{type_text(one, definitions, link)}, or a list"
    if len(kept) == 2 and "enum" in kept[0] and kept[1] == {"type": "string"}:
        return f"{_choices(kept[0]['enum'])}, or one that a package adds"
    return " or ".join(dict.fromkeys(type_text(option, definitions, link) for option in kept))


def _list(field: Schema, definitions: Schema, link: Callable[[str], str]) -> str:
    if "prefixItems" in field:
        return f"[{', '.join(type_text(item, definitions, link) for item in field['prefixItems'])}]"
    return f"list: {type_text(field.get('items', {}), definitions, link)}"


def _mapping(field: Schema, definitions: Schema, link: Callable[[str], str]) -> str:
    inner = field.get("additionalProperties") or next(iter(field.get("patternProperties", {}).values()), None)
    if not isinstance(inner, Mapping):
        return "mapping"
    return f"mapping, by name: {type_text(inner, definitions, link)}"


def _number(field: Schema) -> str:
    word = "whole number" if field["type"] == "integer" else "number"
    low, above = field.get("minimum"), field.get("exclusiveMinimum")
    high = field.get("maximum")
    if low is not None and high is not None:
        return f"{word}, {_figure(low)} to {_figure(high)}"
    limits = (("at least", low), ("more than", above), ("at most", high))
    return ", ".join([word, *(f"{says} {_figure(limit)}" for says, limit in limits if limit is not None)])


def _figure(number: float) -> str:
    return f"{number:,}"


def _meanings(field: Schema, definitions: Schema) -> str:
    """Returns the descriptions of the enumerations that a field refers to."""
    descriptions = (definitions[name].get("description", "") for name in _named(field) if "enum" in definitions[name])
    return " ".join(dict.fromkeys(filter(None, descriptions)))


def _named(field: Schema) -> Iterator[str]:
    if "$ref" in field:
        yield field["$ref"].rpartition("/")[2]
    for part in (*field.get("anyOf", ()), field.get("items")):
        if isinstance(part, Mapping):
            yield from _named(part)


def found_examples(schema: Schema, files: Iterator[Any]) -> dict[tuple[str, str], Any]:
    """Returns an example of every key that occurs in the files' data; the first one found."""
    found: dict[tuple[str, str], Any] = {}
    for data in files:
        _look(schema, schema.get("$defs", {}), ROOT, data, found)
    return found


def _look(part: Schema, definitions: Schema, name: str, data: Any, found: dict[tuple[str, str], Any]) -> None:
    if "$ref" in part:
        name = part["$ref"].rpartition("/")[2]
        part = definitions[name]
    if isinstance(data, dict):
        for rule in part.get("allOf", ()):
            if all(data.get(key) == given["const"] for key, given in rule["if"]["properties"].items()):
                _look(rule["then"], definitions, name, data, found)
        for key, value in data.items():
            inner = part.get("properties", {}).get(key)
            if inner is not None:
                if value is not None:
                    found.setdefault((name, key), value)
                _look(inner, definitions, name, value, found)
            elif isinstance(others := part.get("additionalProperties"), Mapping):
                _look(others, definitions, name, value, found)
    elif isinstance(data, list) and isinstance(part.get("items"), Mapping):
        for item in data:
            _look(part["items"], definitions, name, item, found)
    for option in part.get("anyOf", part.get("oneOf", ())):
        if _may_be(option, definitions, data):
            _look(option, definitions, name, data, found)


def _may_be(option: Schema, definitions: Schema, data: Any) -> bool:
    """Returns whether the data match all constants of an alternative."""
    if "$ref" in option:
        option = definitions[option["$ref"].rpartition("/")[2]]
    fixed = {key: field["const"] for key, field in option.get("properties", {}).items() if "const" in field}
    return all(isinstance(data, dict) and data.get(key) == value for key, value in fixed.items())


def loaded(text: str) -> dict[str, Any]:
    """Parses the text of a schema."""
    schema: dict[str, Any] = json.loads(text)
    return schema
