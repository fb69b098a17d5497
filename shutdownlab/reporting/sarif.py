"""Formats unmet expectations, warnings about policies and changes as SARIF 2.1.0 (OASIS), for code scanning.

Each result is at the line of the scenario that causes it. Paths are relative to the working directory, which in CI is
the repository's root; files elsewhere have absolute ones.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from shutdownlab.reporting.compared import line_of
from shutdownlab.reporting.summary import reasons, unmet_groups
from shutdownlab.reporting.verified import undecided_lines
from shutdownlab.verifier.compare import Comparison
from shutdownlab.verifier.verify import Verified

SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
_PLACE = re.compile(r"[^;]+:\d+")

_RULES: Final = {
    "not-as-expected": "The outcome of a cell differs from what the scenario expects.",
    "undecided": "The outcome of a cell depends on a race or on chance.",
    "policy": "A policy, an exception, a rule or a phase has no effect, or more than it names.",
    "newly-blocked": "What got through before does not any more.",
    "newly-down": "What got through before is down because of a fault.",
    "newly-allowed": "What did not get through before does now.",
    "newly-throttled": "What was fast before is slow now.",
    "throttled-no-longer": "What was slow before is fast now.",
    "fails-otherwise": "What did not get through before fails in another way now.",
    "no-longer-decided": "Its outcome has become undecided, or is no longer undecided.",
}
_OF_KIND: Final = {
    "blocked": "newly-blocked",
    "down": "newly-down",
    "allowed": "newly-allowed",
    "slower": "newly-throttled",
    "faster": "throttled-no-longer",
    "otherwise": "fails-otherwise",
    "undecided": "no-longer-decided",
}


@dataclass(frozen=True, slots=True)
class _Told:
    """A result: its rule, level, text and places (`file:line`)."""

    rule: str
    level: str
    text: str
    places: tuple[str, ...]


def of_verified(verified: Verified, *, warn: bool = False) -> str:
    """Returns what is not as expected, what is undecided and, with `warn`, the warnings about the policies."""
    return _document(list(_of_verified(verified, warn=warn)))


def of_comparison(comparison: Comparison) -> str:
    """Returns what has changed: each change is an error, so that a reviewer looks at it, or a note if undecided."""
    return _document(
        [
            _Told(
                _OF_KIND[change.kind],
                "note" if change.kind == "undecided" else "error",
                line_of(change, comparison.phases),
                tuple(_places("; ".join(change.causes))),
            )
            for change in comparison.changes
        ]
    )


def _of_verified(verified: Verified, *, warn: bool) -> Iterator[_Told]:
    for group, text in unmet_groups(verified.unmet, verified.because):
        places = tuple(_places("; ".join(reasons(group, verified.because)))) or _of_phase(verified, group[0].phase)
        yield _Told("not-as-expected", "error", text, places)
    for line in undecided_lines(verified.undecided):
        yield _Told("undecided", "note", line, ())
    for each in verified.warnings if warn else ():
        yield _Told("policy", "warning", each.text, (each.place,) if each.place else ())


def _of_phase(verified: Verified, name: str) -> tuple[str, ...]:
    """Returns where a phase is defined: the place of a result without a cause, as the expectation is there."""
    index = next(i for i, phase in enumerate(verified.shutdown.scenario.timeline) if phase.phase == name)
    place = verified.shutdown.place(("timeline", index))
    return (place,) if place else ()


def _places(text: str) -> Iterator[str]:
    """Yields the distinct `file:line` places of causes; each cause ends with its own."""
    ends = (cause.rpartition(", ")[2] for cause in text.split("; "))
    yield from dict.fromkeys(end for end in ends if _PLACE.fullmatch(end))


def _document(findings: Sequence[_Told]) -> str:
    rules = list(dict.fromkeys(each.rule for each in findings))
    driver = {
        "name": "shutdownlab",
        "version": version("shutdownlab"),
        "rules": [{"id": rule, "shortDescription": {"text": _RULES[rule]}} for rule in rules],
    }
    results = [_result(each, rules.index(each.rule)) for each in findings]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2, ensure_ascii=False)


def _result(finding: _Told, rule: int) -> dict[str, Any]:
    """Returns one result. Its fingerprint leaves out places, so that edits above a line do not make it a new result."""
    text = finding.text
    for place in finding.places:
        text = text.replace(place, "")
    known = hashlib.sha256(f"{finding.rule} {text}".encode()).hexdigest()
    found: dict[str, Any] = {
        "ruleId": finding.rule,
        "ruleIndex": rule,
        "level": finding.level,
        "message": {"text": finding.text},
        "partialFingerprints": {"shutdownlab/v1": known},
    }
    locations = [_location(place) for place in finding.places if place.rpartition(":")[2].isdecimal()]  # not `--set`
    if locations:
        found["locations"] = locations[:1]
    if locations[1:]:
        found["relatedLocations"] = [{"id": number, **each} for number, each in enumerate(locations[1:], 1)]
    return found


def _location(place: str) -> dict[str, Any]:
    file, _, line = place.rpartition(":")
    whole, directory = Path(file).absolute(), Path.cwd()
    artifact = {"uri": whole.as_uri()}
    if whole.is_relative_to(directory):
        artifact = {"uri": quote(whole.relative_to(directory).as_posix()), "uriBaseId": "%SRCROOT%"}
    return {"physicalLocation": {"artifactLocation": artifact, "region": {"startLine": int(line)}}}
