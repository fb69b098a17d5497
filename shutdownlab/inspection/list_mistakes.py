"""Collects the mistakes in a list file: the first invalid lines, and how many more there are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from shutdownlab.config.document import Expected, quoted
from shutdownlab.config.problems import BadInput, Problem
from shutdownlab.inspection.unpacking import LONGEST_MAGIC, packing_of

_TOLD: Final = 20
_ZIP: Final = b"PK\x03\x04"


@dataclass(slots=True)
class ListMistakes:
    """The mistakes in one file. `one`, `many`: what it lists, as "a name" and "names"."""

    file: str
    one: str
    many: str
    _problems: list[Problem] = field(default_factory=list)
    _wrong: int = 0

    def add(self, line: int, entry: bytes, error: Expected) -> None:
        """Adds an invalid line."""
        self._wrong += 1
        if self._wrong <= _TOLD:
            found = quoted(entry.decode("utf-8", "replace"))
            self._problems.append(Problem(self.file, line, "", found, error.expected, error.hint))

    def raise_if_packed(self, text: bytes) -> None:
        """Raises `BadInput` if the file is a compressed one, or in UTF-16, with its mark or without."""
        packing = packing_of(text[:LONGEST_MAGIC])
        name = "zip" if text.startswith(_ZIP) else packing.name if packing else ""
        if name:
            found = f"a file compressed by {name}"
            raise BadInput([Problem(self.file, 0, "", found, f"{self.one} per line, as text", "unpack it first")])
        if text.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in text[:4]:
            raise BadInput(
                [Problem(self.file, 0, "", "UTF-16", f"{self.one} per line, in UTF-8", "save the file as UTF-8")]
            )

    def raise_if_bad(self, count: int, most: int) -> None:
        """Raises `BadInput` if a line was invalid, or the list has no entries or more than `most`."""
        found = ""
        if self._wrong > _TOLD:
            found = f"{self._wrong - _TOLD:,} more such lines"
        elif not self._wrong and not count:
            found = f"a list without {self.one}"
        if found:
            self._problems.append(Problem(self.file, 0, "", found, f"{self.one} per line"))
        elif count > most:
            self._problems.append(Problem(self.file, 0, "", f"{count:,} {self.many}", f"at most {most:,}"))
        if self._problems:
            raise BadInput(self._problems)
