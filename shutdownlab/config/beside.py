"""Files that a document names, by paths relative to itself. Read with limits: a document may be a stranger's."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path as FilePath

from shutdownlab.config.document import MAX_BYTES, Document, Path, parse, quoted
from shutdownlab.config.problems import BadInput

_NOTED: ContextVar[dict[FilePath, str] | None] = ContextVar("files that are read", default=None)


class NotReadable(Exception):
    """Why a file is not read, to stand after its name: `which is not there`."""


class NotThere(NotReadable):
    """There is no such file."""


class TooLarge(NotReadable):
    """It is longer than a file of its kind may be."""


def beside(document: Document, name: str) -> FilePath:
    """The path of a file that a document names."""
    return FilePath(document.file).parent / name


def found_beside(document: Document, name: str) -> FilePath | None:
    """The whole path of a file or directory that a document names; None if there is none."""
    try:
        return beside(document, name).resolve(strict=True)
    except (OSError, RuntimeError, ValueError):  # links in a circle; a name with a zero byte
        return None


def from_home(path: FilePath) -> str:
    """A whole path as records that others may read have it: `~/…` where it is in the user's home directory, whose name
    would tell who they are."""
    try:
        home = FilePath.home().resolve()
    except (OSError, RuntimeError):  # the user has none
        return str(path)
    inside = path.is_relative_to(home) and home != home.parent
    return str("~" / path.relative_to(home)) if inside else str(path)


def at_home(name: str) -> FilePath:
    """The path that `from_home` has written, or any other as it is."""
    if not name.startswith("~/"):
        return FilePath(name)
    try:
        return FilePath(name).expanduser()
    except RuntimeError:  # the user has no home
        return FilePath(name)


def is_file(path: FilePath) -> bool:
    """Whether there is an ordinary file, as far as that can be told; false where the name can be none's."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


@contextmanager
def noting_files() -> Iterator[dict[FilePath, str]]:
    """SHA-256 (hexadecimal digits) of every file that is read meanwhile, by its whole path; to be read at the end."""
    noted: dict[FilePath, str] = {}
    before = _NOTED.set(noted)
    try:
        yield noted
    finally:
        _NOTED.reset(before)


def digest_of(path: FilePath) -> str | None:
    """SHA-256 of an ordinary file of any size, as hexadecimal digits; None where it cannot be read."""
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return None
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError):
        return None


def read_file(path: FilePath, limit: int = MAX_BYTES) -> bytes:
    """The content of an ordinary file of at most `limit` bytes. Raises `NotReadable`."""
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise NotReadable("which is no ordinary file")
            if found.st_size > limit:
                raise TooLarge(f"which has {found.st_size:,} bytes, more than {limit:,}")
            content = file.read(limit + 1)
            if len(content) > limit:  # it grows, or is one of those of /proc that have no size
                raise TooLarge(f"which has more than {limit:,} bytes")
            if (noted := _NOTED.get()) is not None:
                noted[path.resolve()] = hashlib.sha256(content).hexdigest()
            return content
    except IsADirectoryError:
        raise NotReadable("which is a directory") from None
    except FileNotFoundError:
        raise NotThere("which is not there") from None
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise NotReadable(f"which cannot be read ({reason})") from None


def _without_waiting(path: str, flags: int) -> int:
    """Opening a pipe waits for somebody who writes to it."""
    return os.open(path, flags | os.O_NONBLOCK)


def text_beside(document: Document, at: Path, name: object, limit: int = MAX_BYTES) -> tuple[bytes, str] | None:
    """The content of the file named at `at`, and what to call it in messages.

    None where it cannot be read, which is reported, and where that is no text, which is left to the models.
    """
    if not isinstance(name, str):
        return None
    if not document.may_read(at):
        return None
    path = beside(document, name)
    try:
        return read_file(path, limit), str(path)
    except NotReadable as why:
        document.report(at, f"{quoted(name)}, {why}", "the path of a file, relative to this one")
        return None


def document_beside(document: Document, at: Path, name: object) -> Document | None:
    """The YAML file named at `at`, parsed. None where it is none; see `text_beside`."""
    found = text_beside(document, at, name)
    if found is None:
        return None
    try:
        return parse(*found)
    except BadInput as error:
        document.problems.take(error)
        return None


def listed(document: Document, key: str) -> Iterator[tuple[Path, object]]:
    """The items of the list under a top-level key, with their paths; nothing if it is no list, which models tell."""
    items = document.data.get(key)
    for index, item in enumerate(items if isinstance(items, list) else ()):
        yield (key, index), item
