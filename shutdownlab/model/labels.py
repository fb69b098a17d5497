"""Names and labels in topologies and scenarios: names that others refer to, and text for tables."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator, Field

from shutdownlab.config.document import Expected
from shutdownlab.config.scalars import written
from shutdownlab.config.wording import is_visible


def _name(value: object) -> str:
    text = written(value)
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,39}", text):
        raise Expected("a name of at most 40 lower-case letters, digits and hyphens")
    return text


Name = Annotated[str, BeforeValidator(_name)]


def _country(value: object) -> str:
    """ISO 3166-1's two letters, or ZZ (user-assigned) for a fictitious country."""
    text = written(value)
    if not (len(text) == 2 and text.isascii() and text.isalpha() and text.isupper()):
        raise Expected("a country code of two capital letters such as KZ", "ZZ for a country that does not exist")
    return text


CountryCode = Annotated[str, BeforeValidator(_country)]


def _label(value: object) -> str:
    text = written(value)
    if not (0 < len(text) <= 80 and is_visible(text) and text.strip() == text):
        raise Expected("a name of at most 80 characters, on one line")
    return text


Label = Annotated[str, BeforeValidator(_label)]
"""Free text of limited length, for tables."""


def _heading(value: object) -> str:
    return "" if value == "" else _label(value)


Heading = Annotated[str, BeforeValidator(_heading), Field(json_schema_extra={"maxLength": 80})]
"""A heading of a table; "" if there is none of its own."""


def _source(value: object) -> object:
    if isinstance(value, str) and not value.strip():
        raise Expected("who reported it: a code under `sources`, or free text", found="an empty text")
    return value


Source = Annotated[str, BeforeValidator(_source)]
"""Who reported a fact."""


_LONGEST_SHORT = 5


def _short_label(value: object) -> str:
    text = written(value)
    if (not text and value != "") or len(text) > _LONGEST_SHORT or not is_visible(text) or text.strip() != text:
        raise Expected(f"a name of at most {_LONGEST_SHORT} characters")
    return text


ShortLabel = Annotated[str, BeforeValidator(_short_label), Field(json_schema_extra={"maxLength": _LONGEST_SHORT})]
"""A heading for tables on narrow terminals; "" if there is none."""
