"""Files that the conditions of rules name, by paths relative to their own: lists of names, and classifiers' models.

What they hold takes their place before the models of rules see them; what cannot be read is reported with its line.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from shutdownlab.config.beside import NotReadable, beside, read_file, text_beside
from shutdownlab.config.document import BadInput, Document, Expected, Path, quoted
from shutdownlab.inspection import classifier
from shutdownlab.inspection.first_packets import MOST
from shutdownlab.inspection.name_list import MAX_BYTES, read_names


def resolve_files(document: Document, path: Path) -> None:
    """Put what is in the files that the rules at `path` name into the rules.

    The names of every `name_file` are added to the rule's `name_suffix`. It goes by the plain data, as it is before the
    models see it.
    """
    for place, when in _conditions(document, path):
        _resolve_names(document, place, when)
        _resolve_model(document, place, when)


def _resolve_names(document: Document, place: Path, when: dict[str, Any]) -> None:
    files = when.pop("name_file", None)
    named = [files] if isinstance(files, str) else files
    if files is None:
        return
    if not (isinstance(named, list) and all(isinstance(name, str) for name in named) and named):
        document.report((*place, "name_file"), quoted(files), "the path of a file, relative to this one")
        return
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


def _resolve_model(document: Document, place: Path, when: dict[str, Any]) -> None:
    asked = when.get("classifier")
    if not isinstance(asked, dict) or not isinstance(asked.get("model"), str):
        return  # the models tell
    at, name = (*place, "classifier", "model"), asked["model"]
    if not document.may_read(at):
        del when["classifier"]
        return
    try:
        asked["model"] = classifier.as_url(read_file(beside(document, name), classifier.MAX_BYTES))
    except NotReadable as why:
        document.report(at, f"{quoted(name)}, {why}", "the path of a model in ONNX, relative to this file")
        del when["classifier"]  # told already
        return
    packets, column = asked.get("packets"), asked.get("class")
    if not isinstance(packets, int) or not 0 < packets <= MOST or not isinstance(column, int | None):
        return  # the models tell
    try:
        classifier.classifier(asked["model"], packets, column)
    except Expected as error:
        document.report((*at[:-1], error.key or "model"), error.found or quoted(name), error.expected, error.hint)
        del when["classifier"]


def _conditions(document: Document, path: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The `when` of each rule at `path`, with where it stands."""
    rules = document.data
    for step in path:
        rules = rules.get(step) if isinstance(rules, dict) else None
    for index, rule in enumerate(rules if isinstance(rules, list) else ()):
        when = rule.get("when") if isinstance(rule, dict) else None
        if isinstance(when, dict):
            yield (*path, index, "when"), when
