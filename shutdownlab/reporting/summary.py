"""Describes what was not as expected, in words that a person can act on. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice

from shutdownlab.model.scenario import Outcome
from shutdownlab.results.result import THE_MODEL, Result

MOST_LINES = 20
_MOST_WHO = 3
_MOST_ASKED = 8
_MOST_REASONS = 3
_WITHOUT_VERDICT = {Outcome.ERROR: "the probe itself failed", Outcome.UNKNOWN: "the testbed failed, or may have"}


def unmet_lines(results: Sequence[Result], because: Callable[[Result], str] = lambda _: "") -> Iterator[str]:
    """Yields a line for each (phase, target, expected, source, seen), naming some of the vantage points.

    At most 20 lines, then how many are left out. because: returns why a result came out as it did; called for some
    results of each line, unlike ones. Where their reasons differ, each is told with a vantage point that it holds for.
    """
    groups = _unmet(results)
    yield from (text for _, text in unmet_groups(results, because, MOST_LINES))
    if len(groups) > MOST_LINES:
        yield f"and {len(groups) - MOST_LINES} more kinds of failure: rows of results.csv where outcome is not expected"


def unmet_groups(
    results: Sequence[Result], because: Callable[[Result], str] = lambda _: "", most: int | None = None
) -> Iterator[tuple[list[Result], str]]:
    """Yields, for the first `most` such lines (None: all), the results that it is about, and the line."""
    for (phase, target, expected, source, seen), members in islice(_unmet(results).items(), most):
        who = list(dict.fromkeys(member.vantage for member in members))
        named = ", ".join(who[:_MOST_WHO]) + (f" and {len(who) - _MOST_WHO} more" if len(who) > _MOST_WHO else "")
        why = _told(reasons(members, because))
        cause = f" ({why})" if why else ""
        by = f" [{source}]" if source else ""
        yield members, f"{phase}: {target} from {named}: expected {expected}{by}, saw {seen}{cause}"


def reasons(members: Sequence[Result], because: Callable[[Result], str]) -> dict[str, str]:
    """Returns the reasons of results that came out alike, each with the first vantage point that it holds for.

    Asked are the first result and others that bring in an operator, a region or a class of subscribers; at most eight.
    """
    found: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    asked = 0
    for member in members:
        traits = {("operator", member.operator), ("region", member.region), ("class", member.class_)}
        if traits <= seen:
            continue
        seen |= traits
        found.setdefault(because(member), member.vantage)
        asked += 1
        if asked == _MOST_ASKED:
            break
    return found


def _told(found: Mapping[str, str]) -> str:
    """Returns reasons in one text: a common one as it is; different ones each with whom it holds for, at most
    four."""
    if len(found) < 2:
        return next(iter(found), "")
    each = [f"{who}: {why or 'no order'}" for why, who in found.items()]
    rest = len(each) - _MOST_REASONS
    return " | ".join(each if rest < 2 else [*each[:_MOST_REASONS], f"and {rest} other reasons"])


def _unmet(results: Sequence[Result]) -> dict[tuple[str, str, str, str, str], list[Result]]:
    groups: dict[tuple[str, str, str, str, str], list[Result]] = defaultdict(list)
    for result in results:
        if not result.met:
            expected = result.expected.value if result.expected else "a measurement"
            seen = result.outcome.value + (f" ({result.failure})" if result.failure else "")
            groups[result.phase, result.target, expected, result.source, seen].append(result)
    return groups


def cited(sources: Mapping[str, str], results: Sequence[Result]) -> Iterator[tuple[str, str]]:
    """Yields the code and text of each source of an expectation that was not met."""
    texts = [result.source for result in results if not result.met]
    codes = {code for text in texts for code in text.replace(",", " ").split()}
    yield from ((code, text) for code, text in sources.items() if code in codes)


def each_once(faults: Iterable[str]) -> Iterator[str]:
    """Yields each fault of the testbed once, and how often it came if more than one attempt met it."""
    for fault, times in Counter(faults).items():
        yield f"{fault} ({times} times)" if times > 1 else fault


def verdict_line(results: Sequence[Result], faults: Sequence[str] = ()) -> str:
    """Returns how many expectations were met, in one sentence. Cells held by the model do not count: they were not
    measured."""
    measured = [result for result in results if result.held != THE_MODEL]
    expected = [result for result in measured if result.expected is not None]
    unmet = sum(not result.met for result in measured)
    well = "" if not faults else ", after faults of the testbed were repaired"
    modelled, odd = len(results) - len(measured), sum(not result.met for result in results) - unmet
    as_modelled = f"held, as the model has them{f', and {odd:,} of them not as expected' if odd else ''}"
    if modelled and not measured:
        return f"Nothing was measured: all {modelled:,} cells are {as_modelled}."
    rest = f"; {modelled:,} cells are {as_modelled}" if modelled else ""
    if not unmet and not expected:
        return f"No expectations; {len(measured):,} measurements{well}{rest}."
    if not unmet:
        held = sum(bool(result.held) for result in expected)
        by = f"; {held:,} of them by results held from another phase" if held else ""
        return f"All {len(expected):,} expectations met{by}{well}{rest}."
    counts = Counter(result.outcome for result in measured)
    broken = "".join(f", {counts[how]:,} of them because {why}" for how, why in _WITHOUT_VERDICT.items() if counts[how])
    return f"{unmet:,} of {len(measured):,} measurements were not as expected{broken}{rest}."
