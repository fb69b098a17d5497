"""Formats the differences between two sets of results: as text, as JSON, and for a pull request."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from shutdownlab.verifier.compare import CellChange, Comparison, Seen, Who

_MOST_NAMED = 3
_MOST_TARGETS = 4
_MOST_CAUSES = 3
MOST_ANNOTATIONS = 5
"""The most annotations to write: GitHub shows ten of a kind, and the summary has the rest."""
_DIMENSIONS = (0, 1, 4, 3, 2)
"""Indices into a `Who`, most informative first: operator, region, class, access, group."""


def lines_of(comparison: Comparison) -> Iterator[str]:
    """Yields a line per group of changed cells, then the summary."""
    for change in comparison.changes:
        yield line_of(change, comparison.phases)
    yield sum_of(comparison)


def line_of(change: CellChange, phases: Sequence[str]) -> str:
    """Describes a change: `all operators, almaty, `blackout` to `blackout-4`: bridge-3785: ok → blocked, since …`"""
    targets = list(change.targets[:_MOST_TARGETS])
    targets += [f"{len(change.targets) - _MOST_TARGETS} more"] if len(change.targets) > _MOST_TARGETS else []
    family = f" over {change.families[0]}" if len(change.families) == 1 and change.families[0] != "ipv4" else ""
    what = f"{', '.join(targets)}{family}: {_shown(change.old, change.new)} → {_shown(change.new, change.old)}"
    causes = list(change.causes[:_MOST_CAUSES])
    causes += [f"and {len(change.causes) - _MOST_CAUSES} more"] if len(change.causes) > _MOST_CAUSES else []
    since = f", since {'; '.join(causes)}" if causes else ""
    return f"{who_text(change.who, change.asked)}, {phases_text(change.phases, phases)}: {what}{since}"


def _shown(seen: Seen, other: Seen) -> str:
    outcome, failure = seen
    return f"{outcome} ({failure})" if failure and outcome is other[0] else outcome.value


def who_text(who: Sequence[Who], asked: Sequence[Who]) -> str:
    """Describes the vantage points `who` by what sets them apart from the others in `asked`, or else by name."""
    chosen, values = set(who), {part: {each[part] for each in who} for part in _DIMENSIONS}
    if chosen == set(asked):
        return "everybody"
    left, parts = set(asked), list[str]()
    for part in _DIMENSIONS:
        alike = {each for each in left if each[part] in values[part]}
        if alike != left:
            named = ", ".join(sorted(values[part]))
            parts += [named] if named not in parts else []  # a group is often named after its class
        elif part == 0:
            parts.append("all operators")
        left = alike
    if left == chosen:
        return ", ".join(parts)
    names = ["/".join(part for part in each[:3] if part) for each in who]
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f"{', '.join(names[:_MOST_NAMED])}{more}"


def phases_text(phases: Sequence[str], timeline: Sequence[str]) -> str:
    """Lists phases, consecutive ones as a range. timeline: all phases, in order."""
    places = sorted(timeline.index(phase) for phase in phases)
    if len(places) == len(timeline) and len(places) > 1:
        return "all phases"
    spans: list[list[int]] = []
    for place in places:
        if spans and spans[-1][-1] == place - 1:
            spans[-1].append(place)
        else:
            spans.append([place])
    parts = []
    for span in spans:
        first, last = f"`{timeline[span[0]]}`", f"`{timeline[span[-1]]}`"
        parts += [first] if len(span) == 1 else [first, last] if len(span) == 2 else [f"{first} to {last}"]
    return ", ".join(parts)


def sum_of(comparison: Comparison) -> str:
    """Returns how many cells came out differently, in one sentence."""
    kinds = {kind: sum(c.cells for c in comparison.changes if c.kind == kind) for kind in _KINDS}
    parts = [f"{count:,} {_KINDS[kind]}" for kind, count in kinds.items() if count]
    rest = [
        f"{count:,} cells only in the {side}"
        for count, side in ((comparison.only_old, "old"), (comparison.only_new, "new"))
        if count
    ]
    if not parts:
        return "; ".join([f"No change: {comparison.compared:,} cells come out as before", *rest]) + "."
    return "; ".join([f"Of {comparison.compared:,} cells, {', '.join(parts)}", *rest]) + "."


_KINDS = {
    "blocked": "newly blocked",
    "allowed": "newly allowed",
    "down": "newly down",
    "slower": "newly throttled",
    "faster": "no longer throttled",
    "otherwise": "failing in another way",
    "undecided": "undecided",
}


def agreement_lines(comparison: Comparison) -> Iterator[str]:
    """Yields where packets behaved differently from the model, among the cells that both decided; then the summary."""
    differing = [change for change in comparison.changes if change.kind != "undecided"]
    undecided = sum(change.cells for change in comparison.changes) - comparison.changed
    for change in differing:
        yield f"the model says → packets did: {line_of(change, comparison.phases)}"
    rest = f"; {undecided:,} were decided by only one of them" if undecided else ""
    if not comparison.compared:
        yield "No cell was measured: there is nothing to compare with the model."
    elif differing:
        yield f"Packets differed from the model in {comparison.changed:,} of {comparison.compared:,} cells{rest}."
    else:
        yield f"The model says the same of all {comparison.compared - undecided:,} cells{rest}."


def as_json(comparison: Comparison) -> str:
    """Serialises the comparison as one JSON object."""
    changes = [asdict(change) | {"kind": change.kind} for change in comparison.changes]
    for change in changes:
        change["who"] = ["/".join(part for part in who[:3] if part) for who in change["who"]]
        del change["asked"]
    data = {"compared": comparison.compared, "changed": comparison.changed, "changes": changes}
    return json.dumps(data | {"only_old": comparison.only_old, "only_new": comparison.only_new}, indent=2)


def as_markdown(comparison: Comparison) -> str:
    """Returns the comparison as Markdown, for a comment on a pull request."""
    lines = [f"**{sum_of(comparison)}**"]
    if comparison.changes:
        lines.append("")
    lines += [f"- {line_of(change, comparison.phases)}" for change in comparison.changes]
    return "\n".join(lines)


def as_github(comparison: Comparison, *, allow: bool = False) -> Iterator[str]:
    """Yields GitHub workflow commands: an annotation for each of the gravest groups, at the line of its first cause;
    then the summary. allow: annotations are warnings and not errors, as the step does not fail."""
    for change in comparison.changes[:MOST_ANNOTATIONS]:
        level = "warning" if allow or change.kind == "undecided" else "error"
        place = change.causes[0].rpartition(", ")[2] if change.causes else ""
        file, _, line = place.rpartition(":")
        where = f" file={_escaped(file, True)},line={line}" if file and line.isdecimal() else ""
        yield f"::{level}{where}::{_escaped(line_of(change, comparison.phases))}"
    yield sum_of(comparison)


def _escaped(text: str, property_: bool = False) -> str:
    for found, code in (("%", "%25"), ("\r", "%0D"), ("\n", "%0A"), *((":", "%3A"), (",", "%2C"))[: 2 * property_]):
        text = text.replace(found, code)
    return text
