"""Records that apply to everything that their keys do not exclude."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationInfo, model_validator

from shutdownlab.config.document import FROM_A_FILE, Expected, Record


class Narrowing(Record):
    """A record that applies to everything that its keys do not exclude.

    An empty list would be treated like an absent key, and mean the opposite of what it says: in a file it is refused.
    """

    @model_validator(mode="before")
    @classmethod
    def _leaves_something(cls, value: Any, info: ValidationInfo) -> Any:
        if info.context is FROM_A_FILE and isinstance(value, dict):
            for key, given in value.items():
                if given == [] and isinstance(key, str):
                    needed = any(key in (name, of.alias) and of.is_required() for name, of in cls.model_fields.items())
                    hint = "" if needed else "or leave the key out"
                    raise Expected("at least one", hint, found="an empty list", key=key)
        return value
