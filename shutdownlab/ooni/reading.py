"""Reads files of measurements of any size, line by line, and judges them: `sl.judge`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

import msgspec

from shutdownlab.config.problems import BadInput, Problem, Problems
from shutdownlab.config.wording import because
from shutdownlab.inspection.unpacking import LONGEST_MAGIC, Unpacked, packing_of
from shutdownlab.ooni.judging import Judged, NotJudged, judge_one
from shutdownlab.ooni.rules import BY_NAME, VerdictRules

MAX_LINE: Final = 64 << 20
"""Maximum size in octets of a line, or of a JSON document over several lines; longer ones are skipped."""
_CHUNK: Final = 1 << 20
_BOM: Final = b"\xef\xbb\xbf"
"""Byte order mark that some programs put before UTF-8 (RFC 8259, 8.1: readers may ignore it)."""
_UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")
_TAR_AT: Final = 257
"""Offset of a tar archive's magic number (POSIX, pax)."""
_MOST_KINDS: Final = 1000
_EXPECTED: Final = "a file of OONI measurements, a JSON object a line, also compressed"
_ITEMS: Final = msgspec.json.Decoder(list[msgspec.Raw])


class _At(NamedTuple):
    """Where a measurement is: its line, and its place in the array that begins there, from 1; 0 if it is in none."""

    line: int
    element: int = 0


@dataclass(slots=True)
class _Kind:
    """Measurements of a test or version without rules: where the first one is, its reason, and their count."""

    at: _At
    why: NotJudged
    count: int = 1


class Judgements:
    """An iterable of judgements, read one at a time: only one line of a file is kept in memory.

    `judged`: how many there were; `differing`: those that differ from the file.
    `problems`: what could not be judged, up to a thousand problems; there is only one for all measurements of a test
        or version without rules.
    `passed_over`: measurements of shutdownlab's own other tests, which aren't problems.
    """

    def __init__(self, source: Path | Iterable[Mapping[str, Any]], rules: VerdictRules | None) -> None:
        self._source = source
        self._rules = rules
        self._begin()

    def _begin(self) -> None:
        self.judged = self.differing = self.passed_over = 0
        self.problems = Problems()
        self._kinds: dict[str, _Kind] = {}

    def __iter__(self) -> Iterator[Judged]:
        """Yields the judgements of the source, from its start. Raises `BadInput` if a file can't be read."""
        self._begin()
        source = self._source
        found = _of_file(source, self.problems) if isinstance(source, Path) else _of_items(source)
        for at, data in found:
            try:
                judgement = judge_one(data, self._rules, *at)
            except NotJudged as why:
                self._report(at, why)
                continue
            self.judged += 1
            self.differing += bool(judgement.differs)
            yield judgement
        for kind in self._kinds.values():
            more = f", the first of {kind.count:,}" if kind.count > 1 else ""
            self._add(kind.at, f"{kind.why.found}{more}", kind.why.expected)
        self._sum_up()

    def _sum_up(self) -> None:
        """Replaces the problems by a single one if no line is a measurement: the file is of another kind."""
        problems = BadInput(self.problems) if len(self.problems) > 1 else None
        if problems is None or self.judged or self.passed_over or self._kinds or not isinstance(self._source, Path):
            return
        first = self.problems[0]
        found = f"no measurement in any of {problems.count:,} lines; in the first, {first.found}"
        self.problems = Problems()
        self.problems.append(Problem(str(self._source), first.line, "", found, _EXPECTED))

    def _report(self, at: _At, why: NotJudged) -> None:
        if why.ours:
            self.passed_over += 1
        elif why.found in self._kinds:
            self._kinds[why.found].count += 1
        elif why.kind and len(self._kinds) < _MOST_KINDS:
            self._kinds[why.found] = _Kind(at, why)
        else:
            self._add(at, why.found, why.expected)

    def _add(self, at: _At, found: str, expected: str) -> None:
        name = str(self._source) if isinstance(self._source, Path) else "measurements"
        where = f"element {at.element:,}" if at.element else ""
        self.problems.append(Problem(name, at.line, where, found, expected))


def judge(
    source: str | PathLike[str] | Mapping[str, Any] | Iterable[Mapping[str, Any]], *, rules: str | None = None
) -> Judgements:
    """Recomputes OONI's verdicts from the raw observations of measurements.

    source: a file of measurements, such as a run's measurements.jsonl, which may be compressed by gzip, bzip2, xz, zstd
        or lz4; or a measurement as a dictionary; or many of them.
    rules: `v0.4`, `v0.5` or `v0.5.27` for websites; None for those of each measurement's own `test_version`.

    Raises `BadInput` at once for unknown rules, and during iteration for a file that can't be read. Measurements that
    can't be judged are in the result's `problems`.
    """
    if rules is not None and rules not in BY_NAME:
        raise BadInput([Problem("rules", 0, "", repr(rules), f"one of {', '.join(BY_NAME)}")])
    chosen = BY_NAME[rules] if rules else None
    if isinstance(source, str | PathLike):
        return Judgements(Path(source), chosen)
    return Judgements([source] if isinstance(source, Mapping) else source, chosen)


def _of_items(source: Iterable[Mapping[str, Any]]) -> Iterator[tuple[_At, bytes]]:
    for number, item in enumerate(source, 1):
        yield _At(number), json.dumps(item).encode()


# -- files ------------------------------------------------------------------------------------------------------------


def _of_file(path: Path, problems: Problems) -> Iterator[tuple[_At, bytes]]:
    """Yields the measurements of a file and where they are; a document of several lines is at its first."""
    try:
        with path.open("rb") as stream:
            warnings: list[str] = []
            lines = _lines(_unpacked(stream, warnings, str(path)))
            yield from _measurements(lines, str(path), problems, warnings)
    except OSError as error:
        of_run = path / "measurements.jsonl"
        hint = f"of a run: {of_run}" if of_run.is_file() else ""
        raise BadInput([Problem(str(path), 0, "", because(error), _EXPECTED, hint)]) from None
    for warning in warnings:
        problems.append(Problem(str(path), 0, "", warning.removeprefix(f"{path}: "), "a whole file"))


def _unpacked(stream: BinaryIO, warnings: list[str], name: str) -> Iterator[bytes]:
    start = stream.read(LONGEST_MAGIC)
    packing = packing_of(start)
    source: BinaryIO | Unpacked = stream
    if packing is not None:
        source, start = Unpacked(start, stream, packing, warnings, name), b""
    if start:
        yield start
    while chunk := source.read(_CHUNK):
        yield chunk


def _lines(chunks: Iterable[bytes]) -> Iterator[tuple[int, bytes | None, int]]:
    """Yields number, content and length of each line; content is None for lines longer than `MAX_LINE`."""
    parts: list[bytes] = []
    number, length = 1, 0
    for chunk in chunks:
        *whole, rest = chunk.split(b"\n")
        for end in whole:
            length += len(end)
            yield number, b"".join((*parts, end)) if length <= MAX_LINE else None, length
            number, parts, length = number + 1, [], 0
        length += len(rest)
        if length > MAX_LINE:
            parts.clear()
        elif rest:
            parts.append(rest)
    if length:
        yield number, b"".join(parts) if length <= MAX_LINE else None, length


def _measurements(
    lines: Iterator[tuple[int, bytes | None, int]], name: str, problems: Problems, warnings: Sequence[str]
) -> Iterator[tuple[_At, bytes]]:
    """Yields place and content of each measurement in the lines. Raises `BadInput` for files of another kind.

    `warnings`: those of decompression so far; without any, an empty file is a problem.
    """
    empty, first = True, True
    for number, content, length in lines:
        if first and content is not None and (kind := _kind_of_file(content)) is not None:
            raise BadInput([Problem(name, 0, "", kind[0], _EXPECTED, kind[1])])
        if content is not None:
            # Of files put together, each may begin with one.
            content = content.removeprefix(_BOM)
        if content is not None and not content.strip():
            continue
        empty = False
        if first and content is not None and content.strip() in {b"{", b"["}:
            number, content, length = _document(number, content, lines)
        first = False
        if content is None:
            found, expected = f"{length:,} octets", f"at most {MAX_LINE:,} of a measurement; it was skipped"
            problems.append(Problem(name, number, "", found, expected))
            continue
        content = _element(content)
        if content[:1] == b"[":
            yield from _items(number, content)
        elif content != b"]":
            yield _At(number), content
    if empty and not warnings:
        problems.append(Problem(name, 0, "", "an empty file", _EXPECTED))


def _kind_of_file(start: bytes) -> tuple[str, str] | None:
    """Returns the kind of an unsupported file and how to convert it, by its start; None for other files."""
    if start.startswith(_UTF_16):
        return "text in UTF-16", "iconv -f UTF-16 -t UTF-8 FILE > OTHER.jsonl"
    if start[_TAR_AT:].startswith(b"ustar"):
        return "a tar archive", "tar -xf FILE, and judge the files in it"
    return None


def _element(content: bytes) -> bytes:
    """Strips an array's brackets and commas from a line that holds one element: many programs write arrays so."""
    bare = content.strip()
    if bare.startswith((b"[{", b",{")) and not bare.endswith(b"]"):
        bare = bare[1:]
    if bare.startswith(b"{") and bare.endswith((b"},", b"}]")):
        bare = bare[:-1]
    return bare


def _document(
    number: int, start: bytes, lines: Iterator[tuple[int, bytes | None, int]]
) -> tuple[int, bytes | None, int]:
    """Joins all remaining lines into one document: its number, content and length. No content beyond `MAX_LINE`."""
    parts, length = [start], len(start)
    for _, content, size in lines:
        length += size + 1
        if content is None or length > MAX_LINE:
            parts.clear()
        elif length <= MAX_LINE:
            parts.append(content)
    return number, b"\n".join(parts) if length <= MAX_LINE else None, length


def _items(number: int, content: bytes) -> Iterator[tuple[_At, bytes]]:
    """Yields place and content of an array's elements; data that isn't a valid array whole, for the caller to refuse.

    number: the line in which the array begins.
    """
    try:
        items = _ITEMS.decode(content)
    except (msgspec.DecodeError, RecursionError):
        yield _At(number), content
        return
    for element, item in enumerate(items, 1):
        yield _At(number, element), bytes(item)
