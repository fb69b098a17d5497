"""Lists of names in files of their own, as block lists are: one name a line, `#` begins a comment.

A name stands for itself and everything below it (`example.org`, `*.example.org` and `.example.org` are the same), is
written as people do (capitals, a final dot, an IDN), and may stand there twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from shutdownlab.config.beside import text_beside
from shutdownlab.config.document import BadInput, Document, Expected, Path, Problem, quoted
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


def resolve_name_files(document: Document, path: Path) -> None:
    """Put the names of every `name_file` in the rules at `path` among the rule's `name_suffix`.

    What cannot be read is reported to `document`. It goes by the plain data, as it is before the models see it.
    """
    for place, when in _conditions(document, path):
        files = when.pop("name_file", None)
        named = [files] if isinstance(files, str) else files
        if files is None:
            continue
        if not (isinstance(named, list) and all(isinstance(name, str) for name in named) and named):
            document.report((*place, "name_file"), quoted(files), "the path of a file, relative to this one")
            continue
        given = when.get("name_suffix", [])
        names = list(given) if isinstance(given, list) else [given]
        for index, name in enumerate(named):
            at = (*place, "name_file") if isinstance(files, str) else (*place, "name_file", index)
            names += _names_of(document, at, name)
        when["name_suffix"] = names


def _names_of(document: Document, at: Path, name: str) -> tuple[str, ...]:
    found = text_beside(document, at, name, MAX_BYTES)
    if found is None:
        return ()
    try:
        return read_names(*found)
    except BadInput as error:
        document.problems.take(error)
        return ()


def _conditions(document: Document, path: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The `when` of each rule at `path`, with where it stands."""
    rules = document.data
    for step in path:
        rules = rules.get(step) if isinstance(rules, dict) else None
    for index, rule in enumerate(rules if isinstance(rules, list) else ()):
        when = rule.get("when") if isinstance(rule, dict) else None
        if isinstance(when, dict):
            yield (*path, index, "when"), when
