"""Lists of names in files of their own, as block lists are: one name a line, `#` begins a comment.

A name stands for itself and everything below it (`example.org`, `*.example.org` and `.example.org` are the same), is
written as people do (capitals, a final dot, an IDN), and may stand there twice.
"""

from __future__ import annotations

import re

from shutdownlab.config.document import BadInput, Expected, Problem, quoted
from shutdownlab.config.scalars import NAME, domain

MAX_BYTES = 32 << 20
MAX_NAMES = 1_000_000
"""What national block lists come to, and what fits into a message to a DPI box."""
_TOLD = 20
_PLAIN = re.compile(NAME.encode())
"""What most lines are: a name in its one spelling already, of which there may be a million."""


def read_names(text: bytes, file: str) -> tuple[str, ...]:
    """The suffixes that a list holds, lower case and in A-labels, each once, in their order. Raises `BadInput`."""
    names: dict[str, None] = {}
    problems: list[Problem] = []
    wrong = 0
    for number, line in enumerate(text.removeprefix(b"\xef\xbb\xbf").splitlines(), start=1):
        entry = line.partition(b"#")[0].strip()
        if not entry:
            continue
        try:
            names[_suffix(entry)] = None
        except Expected as error:
            wrong += 1
            if wrong <= _TOLD:
                found = quoted(entry.decode("utf-8", "replace"))
                problems.append(Problem(file, number, "", found, error.expected, error.hint))
    if wrong > _TOLD:
        problems.append(Problem(file, 0, "", f"{wrong - _TOLD:,} more such lines", "a name a line"))
    elif not wrong and not names:
        problems.append(Problem(file, 0, "", "a list without a name", "a name a line"))
    elif len(names) > MAX_NAMES:
        problems.append(Problem(file, 0, "", f"{len(names):,} names", f"at most {MAX_NAMES:,}"))
    if problems:
        raise BadInput(problems)
    return tuple(names)


def _suffix(entry: bytes) -> str:
    """One line's name; raises `Expected`."""
    if _PLAIN.fullmatch(entry):
        return entry.decode("ascii")
    try:
        text = entry.decode("utf-8")
    except UnicodeDecodeError:
        raise Expected("a domain name in UTF-8", "save the file as UTF-8") from None
    try:
        return domain(text)
    except Expected as error:
        raise Expected(error.expected, f"one name a line; # begins a comment; {error.hint}") from None
