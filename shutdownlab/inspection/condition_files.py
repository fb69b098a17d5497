"""Reads the files that rule conditions name (lists of names and addresses, ONNX models), relative to the rules' file.

Their contents replace the file names before validation; unreadable files and lines are reported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from shutdownlab.config.beside import NotReadable, beside, read_file, text_beside
from shutdownlab.config.document import Document, Expected, Path, quoted
from shutdownlab.config.problems import BadInput
from shutdownlab.inspection import classifier
from shutdownlab.inspection.address_list import MAX_BYTES as ADDRESS_BYTES
from shutdownlab.inspection.address_list import read_addresses
from shutdownlab.inspection.first_packets import MOST
from shutdownlab.inspection.name_list import MAX_BYTES as NAME_BYTES
from shutdownlab.inspection.name_list import read_names


def resolve_files(document: Document, path: Path) -> None:
    """Replaces the file names in the rules at `path` by the files' contents; reports mistakes to `document`.

    The names of every `name_file` are added to the rule's `name_suffix`, the prefixes of every `address_file` to its
    `address`, and a classifier's model becomes a data URL. Works on the raw data, before validation.
    """
    for place, when in _conditions(document, path):
        add_listed(document, place, when, "name_file", "name_suffix")
        add_listed(document, place, when, "address_file", "address")
        _resolve_model(document, place, when)


def add_listed(document: Document, place: Path, given: dict[str, Any], key: str, target: str) -> None:
    """Adds the contents of the lists in `key` of the mapping `given`, which is at `place`, to its key `target`."""
    files = given.pop(key, None)
    named = [files] if isinstance(files, str) else files
    if files is None:
        return
    if not (isinstance(named, list) and all(isinstance(name, str) for name in named) and named):
        document.report((*place, key), quoted(files), "the path of a file, relative to this one")
        return
    known = given.get(target, [])
    items = list(known) if isinstance(known, list) else [known]
    for index, name in enumerate(named):
        at = (*place, key) if isinstance(files, str) else (*place, key, index)
        items += _listed(document, at, name, key)
    if items:
        given[target] = items


def _listed(document: Document, at: Path, name: str, key: str) -> Sequence[object]:
    read, most = _READ[key]
    found = text_beside(document, at, name, most)
    if found is None:
        return ()
    try:
        return read(*found)
    except BadInput as error:
        document.problems.take(error)
        return ()


_READ: Mapping[str, tuple[Callable[[bytes, str], Sequence[object]], int]] = {
    "name_file": (read_names, NAME_BYTES),
    "site_file": (read_names, NAME_BYTES),
    "address_file": (read_addresses, ADDRESS_BYTES),
}
"""By key: the parser of its files, and their maximum size in bytes."""


def _resolve_model(document: Document, place: Path, when: dict[str, Any]) -> None:
    asked = when.get("classifier")
    if not isinstance(asked, dict) or not isinstance(asked.get("model"), str):
        return  # validation reports it
    at, name = (*place, "classifier", "model"), asked["model"]
    if not document.may_read(at):
        del when["classifier"]
        return
    try:
        asked["model"] = classifier.as_url(read_file(beside(document, name), classifier.MAX_BYTES))
    except NotReadable as why:
        document.report(at, f"{quoted(name)}, {why}", "the path of a model in ONNX, relative to this file")
        del when["classifier"]  # already reported
        return
    packets, column = asked.get("packets"), asked.get("class")
    if not isinstance(packets, int) or not 0 < packets <= MOST or not isinstance(column, int | None):
        return  # validation reports it
    try:
        classifier.classifier(asked["model"], packets, column)
    except Expected as error:
        document.report((*at[:-1], error.key or "model"), error.found or quoted(name), error.expected, error.hint)
        del when["classifier"]


def _conditions(document: Document, path: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yields the path and value of each rule's `when` at `path`, and of the `not` in it."""
    rules = document.data
    for step in path:
        rules = rules.get(step) if isinstance(rules, dict) else None
    for index, rule in enumerate(rules if isinstance(rules, list) else ()):
        when = rule.get("when") if isinstance(rule, dict) else None
        if isinstance(when, dict):
            yield (*path, index, "when"), when
            if isinstance(when.get("not"), dict):
                yield (*path, index, "when", "not"), when["not"]
