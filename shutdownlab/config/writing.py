"""Serialises loaded records as plain data and as YAML; either loads as an equal record."""

from __future__ import annotations

from typing import Any

import yaml
from pydantic import BaseModel


def dump(record: BaseModel) -> dict[str, Any]:
    """Returns a record as a person writes it (`150kbit`, `tcp/443`, `except`): fields in order, without defaults."""
    data: dict[str, Any] = record.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return data


def to_yaml(record: BaseModel) -> str:
    """Returns the text of a YAML file that loads as an equal record."""
    text: str = yaml.dump(dump(record), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
    return text


def scalar(text: str) -> str:
    """Returns a text of one line as a YAML file has it: in quotes if it would be read as something else without."""
    written: str = yaml.dump(text, Dumper=_Dumper, allow_unicode=True, width=1000)
    return written.removesuffix("...\n").rstrip("\n")


class _Dumper(yaml.SafeDumper):
    """PyYAML's safe dumper, with unusual line breaks escaped: unescaped, PyYAML reads them as other line breaks."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = '"' if any(end in text for end in "\r\x85\u2028\u2029") else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


_Dumper.add_representer(str, _text)
