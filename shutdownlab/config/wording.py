"""How messages to the user name things."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

Path = tuple[str | int, ...]


def dotted(path: Path) -> str:
    """`('links', 3, 'delay')` as `links[3].delay`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def quoted(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        return "a mapping" if value else "an empty mapping"
    if isinstance(value, list | tuple):
        return "a list" if value else "an empty list"
    if isinstance(value, bool | int | float):
        return str(value).lower()
    text = str(value)
    return repr(text if len(text) <= 60 else text[:57] + "...")


def one_of(names: Iterable[str]) -> str:
    names = list(names)
    listed = ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
    return f"one of {listed}" if names else "none (there are none)"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"did you mean {quoted(close[0])}?" if close else ""


class Expected(ValueError):
    """Raised by a field's own parser: what it takes, how to mend the value, and what it found if not just the value.

    key: which of a mapping's values is meant, where the mapping as a whole was parsed.
    """

    def __init__(self, expected: str, hint: str = "", *, found: str = "", key: str = "") -> None:
        super().__init__(expected)
        self.expected = expected
        self.hint = hint
        self.found = found
        self.key = key
