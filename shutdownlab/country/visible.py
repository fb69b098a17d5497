"""What a lab's command sees of the machine's /tmp and /run, in whose place the sandbox has its own.

What the command names there, and where it is installed, stays visible inside, read-only. A file it names that does not
exist yet would be written to the sandbox's own directory and be lost with it; the user is warned before anything
starts.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shutdownlab.system.inside import REPLACED

_INSTALLED_BY_NAME: Final = (Path("/tmp"), Path("/var/tmp"))
"""Directories whose entries belong to different owners."""
_NAMED: Final = re.compile(rf"(?<![\w./-])(?:{'|'.join(REPLACED)})(?![\w.-])(?:/[\w.+@%=~*?-]+)*")
_SHEBANG_LIMIT: Final = 256

LASTING: Final = "/tmp, /run, /var/tmp and /var/log belong to the lab: empty at first, deleted at the end"


@dataclass(frozen=True, slots=True)
class Needs:
    """`keep`: what must stay visible; `lost`: files named there that do not exist yet, and would be lost."""

    keep: tuple[Path, ...] = ()
    lost: tuple[str, ...] = ()

    def note(self) -> str:
        """Returns the warning to print before the start; "" if nothing would be lost."""
        here = Path.cwd()
        if str(here) in REPLACED:
            return f"{LASTING}, and so is everything written to {here}; to keep files, start in another directory"
        if not self.lost:
            return ""
        return f"{LASTING}; to keep what is written to {', '.join(self.lost)}, write it below {here}"


def needs(texts: Iterable[str], argv: Sequence[str] = ()) -> Needs:
    """Returns what a command (`argv`) needs, and lines of shell or of a command line (`texts`)."""
    keep = [*on_path()]
    if argv:
        keep += _installation(argv[0])  # the program itself, wherever it is found
    lost: dict[str, None] = {}
    for text in (*argv, *texts):
        for name in _NAMED.findall(text):
            path = Path(name)
            if "*" in name or "?" in name:
                keep += Path("/").glob(name[1:])
            elif path in map(Path, REPLACED) or not _is(path.exists):
                lost[str(path)] = None
            else:
                keep += [path, *(_installation(name) if _is(path.is_file) else ())]
        if "/" in text and not text.startswith("/") and _is((Path.cwd() / text).exists):
            keep.append((Path.cwd() / text).resolve())
    return Needs(tuple(dict.fromkeys(filter(_is_hidden, keep))), tuple(lost))


def on_path() -> list[Path]:
    """Returns the directories of PATH that would be hidden, with what is installed beside them."""
    places = (Path(place) for place in os.environ.get("PATH", os.defpath).split(os.pathsep) if place.startswith("/"))
    return [_root(place / "any") for place in places if _is_hidden(place) and _is(place.is_dir)]


def _installation(program: str) -> Iterator[Path]:
    """Yields where a program and the interpreter of its first line are installed, by name and behind links.

    Yields nothing if it is no program.
    """
    found = shutil.which(program)
    for path in (Path(found).absolute(), _interpreter(Path(found))) if found else ():
        if path is not None:
            yield from (_root(each) for each in dict.fromkeys((path, path.resolve())) if _is_hidden(each))


def _interpreter(script: Path) -> Path | None:
    try:
        with script.open("rb") as file:
            first = file.readline(_SHEBANG_LIMIT)
    except OSError:
        return None
    words = first.removeprefix(b"#!").split()
    return Path(os.fsdecode(words[0])) if first.startswith(b"#!") and words else None


def _root(path: Path) -> Path:
    """Returns what must stay visible for a program to find what is installed beside it."""
    for place in _INSTALLED_BY_NAME:
        if path.is_relative_to(place):
            return place / path.relative_to(place).parts[0]
    return path if str(path.parent) in REPLACED else path.parent


def _is(question: Callable[[], bool]) -> bool:
    """Returns the answer; False if the file may not be accessed, or the text is no valid name."""
    with suppress(OSError, ValueError):
        return question()
    return False


def _is_hidden(path: Path) -> bool:
    return any(path.is_relative_to(place) and path != Path(place) for place in REPLACED)
