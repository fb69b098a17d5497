"""The one way input errors are told: every mistake of a file at once, each with its line and how to mend it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from shutdownlab.config.wording import on_one_line, shortened

MAX_TOLD = 100
"""Problems that are told; of the rest, how many there are."""
_MAX_KEPT = 1_000
_MAX_TEXT = 1_000


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in one file: where it is, what stands there, what should, and how to mend it."""

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
    """The problems found so far: the first thousand, and how many `more` there were."""

    def __init__(self) -> None:
        super().__init__()
        self.more = 0

    @property
    def in_all(self) -> int:
        """How many there were. Whether there are new ones is seen by this, not by how many are kept."""
        return len(self) + self.more

    def append(self, problem: Problem) -> None:
        if len(self) < _MAX_KEPT:
            super().append(problem)
        else:
            self.more += 1

    def take(self, other: Problems | BadInput) -> None:
        """Those of another file with these."""
        for problem in other if isinstance(other, Problems) else other.problems:
            self.append(problem)
        self.more += other.more


class BadInput(Exception):
    """Every problem of the input at once; the command line prints them and exits with 2.

    Of very many, `problems` are the first, and `more` is how many there are beside them.
    """

    def __init__(self, problems: Iterable[Problem], more: int = 0) -> None:
        self.problems = tuple(sorted(set(problems), key=lambda p: (p.file, p.line, p.where, p.found)))
        self.more = more + (problems.more if isinstance(problems, Problems) else 0)
        super().__init__("\n".join(self.lines()))

    @property
    def count(self) -> int:
        return len(self.problems) + self.more

    def lines(self) -> Iterator[str]:
        """What to tell of them, a line a problem and its hint."""
        yield from map(str, self.problems[:MAX_TOLD])
        if self.count > MAX_TOLD:
            yield f"and {self.count - MAX_TOLD:,} more problems"
