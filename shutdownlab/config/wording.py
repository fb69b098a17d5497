"""Wording of values, names and paths in messages to the user."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from pathlib import PurePath

Path = tuple[str | int, ...]

_LONGEST = 60
"""The number of characters of a value that a message repeats."""
_MOST_LISTED, _FIRST_LISTED = 64, 12
"""More than the keys of any model, and the names of any catalogue that ships except that of the apps."""
_COMPARED = 2_000
"""The number of names that a misspelt one is compared with."""
_JOINERS = "\u200c\u200d"
"""They join or part the letters beside them, as Persian and Hindi are written, and move nothing (Unicode 23.2)."""
_ENDING = re.compile(r"\.[A-Za-z][A-Za-z0-9]{0,6}")
"""What looks like a file's: `.pdf`, `.parquet`."""


def shortened(text: str, most: int = _LONGEST) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."


def is_visible(text: str) -> bool:
    """Returns whether text is of printable characters alone, and of those that join or part its letters."""
    return text.isprintable() or all(c.isprintable() or c in _JOINERS for c in text)


def on_one_line(text: str) -> str:
    """Returns text with line breaks, control characters and other unprintable ones escaped: `\\n`, `\\x1b`."""
    if is_visible(text):
        return text
    return "".join(c if is_visible(c) else ascii(c)[1:-1] for c in text)


def because(error: OSError) -> str:
    """Returns what was found instead of a readable file: "no such file or directory", "a directory"."""
    return (error.strerror or str(error)).lower().removeprefix("is ")


def dotted(path: Path) -> str:
    """Formats a path: `('links', 3, 'delay')` as `links[3].delay`."""
    text = ""
    for part in path:
        name = shortened(str(part))
        text += f"[{name}]" if isinstance(part, int) else f".{name}" if text else name
    return text


def quoted(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        return "a mapping" if value else "an empty mapping"
    if isinstance(value, list | tuple):
        return "a list" if value else "an empty list"
    if isinstance(value, bool | int | float):
        return shortened(str(value).lower())
    return repr(shortened(str(value)))


_LISTED_BY = {
    "app": "`shutdownlab apps` lists them",
    "node": "`nodes` in `shutdownlab lab` lists them",
    "vantage point": "OPERATOR/REGION, and /SUBSCRIBERS, of the topology",
}


def listed_by(kind: str) -> str:
    """Returns where all names of a kind are listed of which a country may have very many."""
    return _LISTED_BY.get(kind, "")


def one_of(names: Iterable[str], where: str = "") -> str:
    """Lists the names, or if there are very many the first ones and the number of the others. where: a place that lists
    them all."""
    names = list(names)
    shown = names if len(names) <= _MOST_LISTED else names[:_FIRST_LISTED]
    more = f" and {len(names) - len(shown):,} more{f' ({where})' if where else ''}" if len(shown) < len(names) else ""
    return f"one of {', '.join(map(shortened, shown))}{more}" if names else "none (there are none)"


def with_ending(path: PurePath, ending: str, name: str) -> PurePath:
    """Returns the path of a file with another ending (`.svg`); in place of a folder (`.`, `/`, `..`), a file `name` in
    it. Only what looks like a file's ending is replaced: not the `.1-data` of `run-0.1-data`."""
    if not path.name.strip("."):
        return path / f"{name}{ending}"
    return path.with_suffix(ending) if _ENDING.fullmatch(path.suffix) else path.with_name(f"{path.name}{ending}")


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Names the nearest known name: one that differs in its separators alone (`a-border`, `a_border`) before others."""
    if not isinstance(name, str) or len(name) > _LONGEST:
        return ""
    known = list(known)
    joined = _joined(name)
    alike = next((other for other in known if _joined(other) == joined), "") if joined else ""
    if alike:
        return f"did you mean {quoted(alike)}?"
    near = islice((other for other in known if abs(len(other) - len(name)) <= len(name)), _COMPARED)
    spelt = {other.lower(): other for other in near}
    close = difflib.get_close_matches(name.lower(), spelt, n=1, cutoff=0.6)
    return f"did you mean {quoted(spelt[close[0]])}?" if close else ""


def _joined(name: str) -> str:
    return "".join(filter(str.isalnum, name.lower()))


class Expected(ValueError):
    """Raised by a field's own parser: what it accepts, how to fix the value, and what it found if not the value itself.

    hint: text, or a function that returns it, called only if the mistake is printed. key: the entry at fault, if a
    mapping was parsed as a whole.
    """

    def __init__(self, expected: str, hint: str | Callable[[], str] = "", *, found: str = "", key: str = "") -> None:
        super().__init__(expected)
        self.expected = expected
        self._hint = hint
        self.found = found
        self.key = key

    @property
    def hint(self) -> str:
        return self._hint if isinstance(self._hint, str) else self._hint()
