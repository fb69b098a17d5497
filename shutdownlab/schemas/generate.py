"""Generates the schema files from the models that read and write the files; run by `make schemas`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import is_dataclass
from typing import Any, Final, get_args, get_type_hints

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema
from typing_extensions import is_typeddict

from shutdownlab.inspection.policy import Verdict
from shutdownlab.inspection.terms import domains, many
from shutdownlab.model.registered import Registered
from shutdownlab.model.variation import KEY
from shutdownlab.schemas.docstrings import field_texts, joined
from shutdownlab.schemas.kinds import KINDS, REGISTERED, FileKind, shipped_kinds
from shutdownlab.schemas.shipped import path_of

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


class _Generator(GenerateJsonSchema):
    """Pydantic's generator, without field titles that only repeat the name, and with single values for some lists."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def dict_schema(self, schema: Any) -> Any:
        """Returns pydantic's schema of a mapping, with the title of its values, which pydantic removes."""
        made = super().dict_schema(schema)
        title = self.generate_inner(schema["values_schema"]).get("title") if "values_schema" in schema else None
        if title and isinstance(made.get("additionalProperties"), dict):
            made["additionalProperties"]["title"] = title
        return made

    def function_before_schema(self, schema: Any) -> Any:
        return _or_alone(schema, super().function_before_schema(schema))

    def function_wrap_schema(self, schema: Any) -> Any:
        return _or_alone(schema, super().function_wrap_schema(schema))


def _or_alone(schema: Any, listed: Any) -> Any:
    """Allows a single value in place of a list, for the lists whose validator accepts one."""
    if schema["function"]["function"] in (many, domains) and "items" in listed:
        return {"anyOf": [listed["items"], listed]}
    return listed


def generated(name: str) -> str:
    """Returns the text of a schema file."""
    return json.dumps(schema_of(KINDS[name]), indent=2, ensure_ascii=False) + "\n"


def schema_of(kind: FileKind) -> dict[str, Any]:
    """Returns the schema of a kind of file, with the fields' docstrings as descriptions."""
    schema = _described(kind.type, kind.mode)
    for base in REGISTERED:
        if base.__name__ in schema.get("$defs", {}):
            _spread(schema["$defs"], base)
    if Verdict.__name__ in schema.get("$defs", {}):
        schema["$defs"][Verdict.__name__] = _with_short_forms(schema["$defs"][Verdict.__name__])
    if "repeats" in schema.get("properties", {}):
        schema["$defs"]["Phase"] |= _or_made(schema["$defs"]["Phase"])
    if KEY in schema.get("properties", {}):  # the extended scenario may have the other keys
        schema["anyOf"] = [{"required": [KEY]}, {"required": schema.pop("required")}]
    head = {"$schema": _DIALECT, "title": kind.title}
    return {**head, **schema, **head}


def _or_made(phase: dict[str, Any]) -> dict[str, Any]:
    """Returns a rule that requires no keys but `phase` of a generated phase (`night-3`), which lists only changes."""
    made = {"properties": {"phase": {"pattern": "-[0-9]+$"}}}
    others = [key for key in phase["required"] if key != "phase"]
    return {"required": ["phase"], "if": made, "else": {"required": others}}


def _described(type_: Any, mode: Any) -> dict[str, Any]:
    made = TypeAdapter(type_).json_schema(mode=mode, schema_generator=_Generator)
    schema: dict[str, Any] = json.loads(json.dumps(made))  # a deep copy: some versions share parts
    definitions = schema.get("$defs", {})
    for model in dict.fromkeys(_models_in(type_)):
        part = schema if model is type_ else definitions.get(model.__name__, {})
        _describe(part, model, reads=mode == "validation")
        if is_dataclass(model) and "properties" in part and "description" not in part:  # by pydantic 2.9
            own = dict(part)
            part.clear()
            part |= {"description": model.__doc__, **own}
    return _same_in_all_versions(schema)  # type: ignore[no-any-return]


def _models_in(type_: Any, seen: set[type] | None = None) -> Iterator[type]:
    """Yields all classes with fields that a type consists of."""
    seen = set() if seen is None else seen
    for part in get_args(type_):
        yield from _models_in(part, seen)
    if not isinstance(type_, type) or type_ in seen:
        return
    if issubclass(type_, BaseModel):
        seen.add(type_)
        yield type_
        for field in type_.model_fields.values():
            yield from _models_in(field.annotation, seen)
    elif is_typeddict(type_) or is_dataclass(type_):
        seen.add(type_)
        yield type_
        for hint in get_type_hints(type_).values():
            yield from _models_in(hint, seen)


def _describe(schema: dict[str, Any], model: type, *, reads: bool) -> None:
    """Sets the descriptions of a model's fields and, for files that are read, the defaults as a user writes them."""
    texts = field_texts(model)
    fields = model.model_fields if issubclass(model, BaseModel) else {}
    aliases = {name: field.alias or name for name, field in fields.items()}
    properties = schema.get("properties", {})
    for name, text in texts.items():
        if aliases.get(name, name) in properties:
            properties[aliases.get(name, name)]["description"] = text
    if properties and reads and issubclass(model, BaseModel):
        written = model.model_construct().model_dump(mode="json", by_alias=True, warnings=False)
        for key, field in properties.items():
            if "default" in field:
                field.pop("default")
                if written[key] not in (None, "", [], {}) and not isinstance(written[key], dict):
                    field["default"] = written[key]


def _spread(definitions: dict[str, Any], base: type[Registered]) -> None:
    """Adds a definition for each kind that ships to the common one.

    Of other kinds, which a user's package may add, only the common keys are known.
    """
    common, named_by = definitions[base.__name__], base.named_by
    common.pop("additionalProperties", None)
    common["allOf"] = []
    names = []
    for name, model in shipped_kinds(base):
        own = _described(model, "validation")
        definitions.update(own.pop("$defs", {}))
        own["properties"][named_by] = {"const": name, "description": common["properties"][named_by]["description"]}
        definitions[f"{base.__name__}-{name}"] = own
        given = {"properties": {named_by: {"const": name}}, "required": [named_by]}
        common["allOf"].append({"if": given, "then": {"$ref": f"#/$defs/{base.__name__}-{name}"}})
        names.append(name)
    common["properties"][named_by] |= {"anyOf": [{"enum": names}, {"type": "string"}]}
    common["properties"][named_by].pop("type", None)


def _with_short_forms(verdict: dict[str, Any]) -> dict[str, Any]:
    """Returns the schema of `verdict` with its short forms: `verdict: drop`, and `rate` for both directions."""
    rate = verdict["properties"]["rate_up"] | {"description": "throttle: short for `rate_up` and `rate_down` alike."}
    properties: dict[str, Any] = {}
    for name, field in verdict["properties"].items():
        properties |= ({"rate": rate} if name == "rate_up" else {}) | {name: field}
    whole = verdict | {"properties": properties}
    description, title = whole.pop("description"), whole.pop("title")
    return {"title": title, "description": description, "anyOf": [{"type": "string"}, whole]}


def _same_in_all_versions(schema: Any) -> Any:
    """Removes what only some versions of pydantic write, and the line breaks of docstrings."""
    if isinstance(schema, list):
        return [_same_in_all_versions(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: _same_in_all_versions(value) for key, value in schema.items() if key != "propertyNames"}
    if kept.get("additionalProperties") is True:
        del kept["additionalProperties"]
    for bound in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"):
        if isinstance(number := kept.get(bound), float) and number.is_integer():
            kept[bound] = int(number)
    if "const" in kept:
        kept.pop("enum", None)
    if isinstance(text := kept.get("description"), str):
        kept["description"] = joined(text)
    return kept


if __name__ == "__main__":
    for _name in KINDS:
        path_of(_name).write_text(generated(_name))
