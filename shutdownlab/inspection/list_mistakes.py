"""Collects the mistakes in a list file: the first invalid lines, and how many more there are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from shutdownlab.config.document import Expected, quoted
from shutdownlab.config.problems import BadInput, Problem

_TOLD: Final = 20


@dataclass(slots=True)
class ListMistakes:
    """The mistakes in one file. `one`, `many`: what it lists, as "a name" and "names"."""

    file: str
    one: str
    many: str
    _problems: list[Problem] = field(default_factory=list)
    _wrong: int = 0
    _further: int = 0
    """The line of the first mistake that is only counted."""

    def add(self, line: int, entry: bytes, error: Expected) -> None:
        """Adds an invalid line."""
        self._wrong += 1
        if self._wrong <= _TOLD:
            found = quoted(entry.decode("utf-8", "replace"))
            self._problems.append(Problem(self.file, line, "", found, error.expected, error.hint))
        elif self._wrong == _TOLD + 1:
            self._further = line

    def raise_if_bad(self, count: int, most: int) -> None:
        """Raises `BadInput` if a line was invalid, or the list has no entries or more than `most`."""
        found = ""
        if self._wrong > _TOLD:
            found = f"{self._wrong - _TOLD:,} more such lines from here on"
        elif not self._wrong and not count:
            found = f"a list without {self.one}"
        if found:
            self._problems.append(Problem(self.file, self._further, "", found, f"{self.one} per line"))
        elif count > most:
            self._problems.append(Problem(self.file, 0, "", f"{count:,} {self.many}", f"at most {most:,}"))
        if self._problems:
            raise BadInput(self._problems)
