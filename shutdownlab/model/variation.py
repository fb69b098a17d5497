"""Scenarios that are based on another one (`extends`), or take policies from other files (`include`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from shutdownlab.config.beside import beside, document_beside, found_beside, listed
from shutdownlab.config.document import Document, one_of, parse, quoted
from shutdownlab.config.document import Path as ValuePath
from shutdownlab.config.kinds import is_another
from shutdownlab.config.problems import BadInput

KEY: Final = "extends"
_MOST: Final = 8
"""The longest chain of files that extend one another."""

INCLUDE: Final = "include"
"""The key that names files whose policies a scenario includes."""
_SHARED: Final = ("policies", "sources", "expectations")
"""The sections that an included file may have: mappings by name."""

Read = Callable[[str], tuple[bytes, str]]
"""Maps a scenario's name or path to its file's content and path."""


def include(document: Document) -> None:
    """Includes policies, sources and expectations from the files that a scenario includes; reports mistakes to it."""
    for at, name in listed(document, INCLUDE):
        there = found_beside(document, name) if isinstance(name, str) else None
        if there is not None and there.parent != beside(document, ".").resolve():
            expected = "a file in the same folder as the scenario"
            document.report(
                at,
                f"{quoted(name)}, in another folder",
                expected,
                "paths in the included file are relative to that folder",
            )
            continue
        part = document_beside(document, at, name)
        if part is None:
            continue
        for section, shared in part.data.items():
            if section not in _SHARED or not isinstance(shared, dict):
                found = f"{quoted(section)} in an included file"
                hint = "leave it out: only the scenario has it" if section == "format" else ""
                part.report((section,), found, f"mappings under {one_of(_SHARED)}", hint)
            else:
                _share(document, part, section, shared)
        document.problems.take(part.problems)


def _share(document: Document, part: Document, section: str, shared: dict[str, Any]) -> None:
    own = document.data.setdefault(section, {})
    for name in shared if isinstance(own, dict) else ():
        if name not in own:
            document.include((section, name), part, (section, name))
        elif section != "sources":
            where = document.locate((section, name))[0]
            first = f"first: {where.file}, line {document.line((section, name))}"
            part.report((section, name), f"{quoted(name)}, which exists already", "a unique name", first)


def extend(document: Document, read: Read, before: tuple[str, ...] = ()) -> None:
    """Fills in, from the scenario that one extends, what it does not say itself; mappings key by key, lists as a whole.

    A key that is null removes the other scenario's. Problems are reported to `document`, each with its own file and
    line.
    """
    name = document.data.get(KEY)
    if name is None:
        return
    if not isinstance(name, str):
        document.report((KEY,), quoted(name), "the name or path of a scenario")
        return
    base = _base(document, name, read, (*before, document.file))
    if base is not None:
        _merge(document, (), document.data, base, base.data)


def _base(document: Document, name: str, read: Read, files: tuple[str, ...]) -> Document | None:
    try:
        text, file = read(name)
        if file in files:
            document.report((KEY,), f"{quoted(name)}, which extends this one", "another scenario")
            return None
        if len(files) > _MOST:
            found = f"{quoted(name)}, the {len(files) + 1}th in a chain of files"
            document.report((KEY,), found, f"at most {_MOST} files that extend one another")
            return None
        base = parse(text, file)
        if is_another(base, "scenario"):
            other = base.problems[0]
            document.report((KEY,), f"{quoted(name)}, {other.found}", "the name or path of a scenario", other.hint)
            return None
        include(base)
        extend(base, read, files)
    except BadInput as error:
        if not error.problems[0].line and error.problems[0].file == name:
            first = error.problems[0]
            document.report((KEY,), f"{quoted(name)}, {first.found}", first.expected, first.hint)
        else:
            document.problems.take(error)
        return None
    document.problems.take(base.problems)
    return base


def _merge(document: Document, path: ValuePath, own: dict[str, Any], base: Document, other: dict[str, Any]) -> None:
    for key, value in other.items():
        place = (*path, key)
        if key in {KEY, INCLUDE} and not path:
            continue
        if key not in own:
            document.include(place, base, place)
        elif own[key] is None:
            del own[key]
        elif isinstance(own[key], dict) and isinstance(value, dict):
            _merge(document, place, own[key], base, value)
