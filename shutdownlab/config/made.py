"""Converts a mapping that a program passes instead of a file into the data that YAML would give. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import PurePath
from typing import Any

from shutdownlab.config.problems import BadInput, Problem, Problems
from shutdownlab.config.wording import Path, dotted
from shutdownlab.config.yaml_text import MAX_DEPTH, MAX_DIGITS, MAX_EXPANDED, TOO_DEEP


def read_made(made: Mapping[str, Any], called: str) -> dict[str, Any]:
    """Returns the mapping as plain data, with the limits of a file. called: its name in messages. Raises `BadInput`."""
    reader = _Plain(called)
    data: dict[str, Any] = reader.plain(made, ())
    if reader.problems:
        raise BadInput(reader.problems)
    return data


class _Plain:
    """Converts Python values into the plain data that YAML would give, within the limits of a file."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems = Problems()
        self.values = 0

    def _bad(self, path: Path, found: str, expected: str) -> None:
        self.problems.append(Problem(self.file, 0, dotted(path), found, expected))

    def plain(self, value: Any, path: Path) -> Any:
        self.values += 1
        if self.values > MAX_EXPANDED or len(path) > MAX_DEPTH:
            many = f"more than {MAX_EXPANDED:,} values", *TOO_DEEP[1:]
            found, *rest = TOO_DEEP if len(path) > MAX_DEPTH else many
            raise BadInput([Problem(self.file, 0, "", found, *rest)])
        match value:
            case int() | float() if not isinstance(value, bool) and not -(10**MAX_DIGITS) < value < 10**MAX_DIGITS:
                self._bad(path, "a number that is not finite, or very large", f"one of at most {MAX_DIGITS} digits")
                return None
            case None | bool() | int() | float() | str():
                return str(value) if isinstance(value, Enum) else value
            case datetime() if value.tzinfo is not None:
                return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%MZ")
            case PurePath() | IPv4Address() | IPv6Address() | IPv4Network() | IPv6Network():
                return str(value)
            case Mapping():
                for key in value:
                    if not isinstance(key, str):
                        self._bad(path, f"the key {key!r}", "a name (text)")
                return {key: self.plain(part, (*path, key)) for key, part in value.items() if isinstance(key, str)}
            case list() | tuple() | set() | frozenset():
                return [self.plain(part, (*path, index)) for index, part in enumerate(value)]
            case _:
                known = "text, a number, a list, a mapping, or a time with a zone"
                self._bad(path, f"a value of type {type(value).__name__}", known)
                return None
