"""Reads files that a document names, by paths relative to it. With limits, because a document may be untrusted."""

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

_DIRECTORY = "which is a directory"
_NOTED: ContextVar[dict[FilePath, str] | None] = ContextVar("files that are read", default=None)


class NotReadable(Exception):
    """A file cannot be read; the text is a clause to follow its name in a message: `which does not exist`."""

    @property
    def found(self) -> str:
        """What was found instead of a file that can be read, for a message that has named it: "a directory"."""
        clause = str(self)
        return clause.removeprefix("which is ") if clause == _DIRECTORY else f"a file {clause}"


class NotThere(NotReadable):
    """The file does not exist."""


class TooLarge(NotReadable):
    """The file is larger than its kind allows."""


def beside(document: Document, name: str) -> FilePath:
    """Returns the path of a file that a document names."""
    return FilePath(document.file).parent / name


def found_beside(document: Document, name: str) -> FilePath | None:
    """Returns the absolute path of a file or directory that a document names; None if it does not exist."""
    try:
        return beside(document, name).resolve(strict=True)
    except (OSError, RuntimeError, ValueError):  # a loop of links; a name with a NUL byte
        return None


def from_home(path: FilePath) -> str:
    """Returns an absolute path for records that others may read: `~/…` if it is in the user's home directory, whose
    name would identify the user."""
    try:
        home = FilePath.home().resolve()
    except (OSError, RuntimeError):  # there is no home directory
        return str(path)
    inside = path.is_relative_to(home) and home != home.parent
    return str("~" / path.relative_to(home)) if inside else str(path)


def at_home(name: str) -> FilePath:
    """Expands a path written by `from_home`; returns any other path unchanged."""
    if not name.startswith("~/"):
        return FilePath(name)
    try:
        return FilePath(name).expanduser()
    except RuntimeError:  # there is no home directory
        return FilePath(name)


def is_file(path: FilePath) -> bool:
    """Returns whether `path` is a regular file; false if it cannot be examined or is not a valid name."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


@contextmanager
def noting_files() -> Iterator[dict[FilePath, str]]:
    """Records the SHA-256 (hexadecimal) of every file read in the context, by absolute path; complete when it exits."""
    noted: dict[FilePath, str] = {}
    before = _NOTED.set(noted)
    try:
        yield noted
    finally:
        _NOTED.reset(before)


def digest_of(path: FilePath) -> str | None:
    """Returns the SHA-256 (hexadecimal) of a regular file of any size; None if it cannot be read."""
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return None
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError):
        return None


def read_file(path: FilePath, limit: int = MAX_BYTES) -> bytes:
    """Returns the content of a regular file of at most `limit` bytes. Raises `NotReadable`."""
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise NotReadable("which is not a regular file")
            if found.st_size > limit:
                raise TooLarge(f"which has {found.st_size:,} bytes, more than {limit:,}")
            content = file.read(limit + 1)
            if len(content) > limit:  # the file is growing, or is in /proc, where sizes are 0
                raise TooLarge(f"which has more than {limit:,} bytes")
            if (noted := _NOTED.get()) is not None:
                noted[path.resolve()] = hashlib.sha256(content).hexdigest()
            return content
    except IsADirectoryError:
        raise NotReadable(_DIRECTORY) from None
    except FileNotFoundError:
        raise NotThere("which does not exist") from None
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise NotReadable(f"which cannot be read ({reason})") from None


def _without_waiting(path: str, flags: int) -> int:
    """Opens without blocking: opening a FIFO otherwise waits for a writer."""
    return os.open(path, flags | os.O_NONBLOCK)


def text_beside(document: Document, at: Path, name: object, limit: int = MAX_BYTES) -> tuple[bytes, str] | None:
    """Returns the content of the file named at `at`, and its name for messages.

    None if the file cannot be read, which is reported, or if `name` is not text, which the models report.
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
    """Returns the YAML file named at `at`, parsed; None if that fails, which is reported as in `text_beside`."""
    found = text_beside(document, at, name)
    if found is None:
        return None
    try:
        return parse(*found)
    except BadInput as error:
        document.problems.take(error)
        return None


def listed(document: Document, key: str) -> Iterator[tuple[Path, object]]:
    """Yields the items of the list under a top-level key with their paths; none if it is not a list, which the models
    report."""
    items = document.data.get(key)
    for index, item in enumerate(items if isinstance(items, list) else ()):
        yield (key, index), item
