"""A scenario that is another one but for what it says itself: `extends`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from shutdownlab.config.document import BadInput, Document, parse, quoted
from shutdownlab.config.document import Path as ValuePath

KEY: Final = "extends"
_MOST: Final = 8
"""Files that extend one another."""

Read = Callable[[str], tuple[bytes, str]]
"""What a scenario is called by, to what is in its file, and the file's path."""


def extend(document: Document, read: Read, before: tuple[str, ...] = ()) -> None:
    """Take from the scenario that one extends what it does not say itself; mappings key by key, lists as a whole.

    A key that is null takes the other one's away. What is wrong with the files is reported to `document`, each mistake
    where it stands.
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
        if file in files or len(files) > _MOST:
            document.report((KEY,), f"{quoted(name)}, which extends this one", "another scenario")
            return None
        base = parse(text, file)
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
        if key == KEY and not path:
            continue
        if key not in own:
            document.include(place, base, place)
        elif own[key] is None:
            del own[key]
        elif isinstance(own[key], dict) and isinstance(value, dict):
            _merge(document, place, own[key], base, value)
