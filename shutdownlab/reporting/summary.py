"""What failed, told so that a person can act on it. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from shutdownlab.model.scenario import Outcome, Scenario
from shutdownlab.results.directory import Result

MOST_LINES = 20
_MOST_WHO = 3


def unmet_lines(results: Sequence[Result]) -> Iterator[str]:
    """One line for each (phase, target, expected, seen), naming some of the vantage points; at most 20 lines."""
    groups: dict[tuple[str, str, str, str, str], list[Result]] = defaultdict(list)
    for result in results:
        if not result.met:
            expected = result.expectation.outcome.value if result.expectation else "a measurement"
            source = result.expectation.source if result.expectation else ""
            seen = result.outcome.value + (f" ({result.failure})" if result.failure else "")
            groups[result.cell.phase, result.cell.target, expected, source, seen].append(result)
    for (phase, target, expected, source, seen), members in list(groups.items())[:MOST_LINES]:
        who = list(dict.fromkeys(str(member.cell.vantage.id) for member in members))
        named = ", ".join(who[:_MOST_WHO]) + (f" and {len(who) - _MOST_WHO} more" if len(who) > _MOST_WHO else "")
        yield f"{phase}: {target} from {named}: expected {expected}{f' [{source}]' if source else ''}, saw {seen}"
    if len(groups) > MOST_LINES:
        yield f"and {len(groups) - MOST_LINES} more kinds of failure: rows of results.csv where outcome is not expected"


def cited(scenario: Scenario, results: Sequence[Result]) -> Iterator[tuple[str, str]]:
    """The sources, by their code, of the expectations that were not met."""
    texts = [result.expectation.source for result in results if result.expectation and not result.met]
    codes = {code for text in texts for code in text.replace(",", " ").split()}
    yield from ((code, text) for code, text in scenario.sources.items() if code in codes)


def verdict_line(results: Sequence[Result], faults: Sequence[str] = ()) -> str:
    """How many expectations were met, in one sentence."""
    expected = [result for result in results if result.expectation is not None]
    unmet = sum(not result.met for result in results)
    errors = sum(result.outcome is Outcome.ERROR for result in results)
    if not unmet:
        return f"All {len(expected):,} expectations met{', but not everything went well' if faults else ''}."
    broken = f", {errors:,} of them because measuring itself failed" if errors else ""
    return f"{unmet:,} of {len(results):,} measurements were not as expected{broken}."
