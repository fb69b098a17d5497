"""The one form of input errors: all mistakes of a file at once, each with its line and how to fix it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from shutdownlab.config.wording import on_one_line, shortened

MAX_TOLD = 100
"""The number of problems printed; the rest are only counted."""
_MAX_KEPT = 1_000
_MAX_TEXT = 1_000


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in one file: where it is, what was found, what was expected, and how to fix it.

    file: its path, or the option or argument at fault. line: from 1; 0 if it is about no line.
    where: the path of the value in the file, `links.fixed.delay`; "" if it is about all of it.
    hint: how to fix it, or "".
    """

    file: str
    line: int
    where: str
    found: str
    expected: str
    hint: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        subject = f"{self.where}: " if self.where else ""
        text = _line(f"{place}: {subject}found {self.found}; expected {self.expected}")
        return f"{text}\n    hint: {_line(self.hint)}" if self.hint else text


def _line(text: str) -> str:
    return on_one_line(shortened(text, _MAX_TEXT))


class Problems(list[Problem]):
    """The problems found so far: the first thousand, and in `more` the number of further ones."""

    def __init__(self) -> None:
        super().__init__()
        self.more = 0

    @property
    def in_all(self) -> int:
        """The total number of problems. Compare this, not the length, to see whether there are new ones."""
        return len(self) + self.more

    def append(self, problem: Problem) -> None:
        if len(self) < _MAX_KEPT:
            super().append(problem)
        else:
            self.more += 1

    def take(self, other: Problems | BadInput) -> None:
        """Adds the problems of another file."""
        for problem in other if isinstance(other, Problems) else other.problems:
            self.append(problem)
        self.more += other.more


class BadInput(Exception):
    """All problems of the input; the command line prints them and exits with 2.

    If there are very many, `problems` holds the first ones, and `more` is the number of the others.
    """

    def __init__(self, problems: Iterable[Problem], more: int = 0) -> None:
        self.problems = tuple(sorted(set(problems), key=lambda p: (p.file, p.line, p.where, p.found)))
        self.more = more + (problems.more if isinstance(problems, Problems) else 0)
        super().__init__("\n".join(self.lines()))

    @property
    def count(self) -> int:
        """The number of problems, with those that `problems` leaves out."""
        return len(self.problems) + self.more

    def lines(self) -> Iterator[str]:
        """Yields the text to print: one entry per problem with its hint, then the number of problems left out."""
        yield from map(str, self.problems[:MAX_TOLD])
        if self.count > MAX_TOLD:
            yield f"and {self.count - MAX_TOLD:,} more problems"
