"""The report `ooni`: what OONI's tests would conclude from a run, beside the truth."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from shutdownlab.model.scenario import Outcome
from shutdownlab.ooni.judging import TESTS, Judged, NotJudged, judge_one
from shutdownlab.ooni.verdict import WEB_FIELDS
from shutdownlab.reporting.literal import literal
from shutdownlab.reporting.report import Report
from shutdownlab.reporting.table import legible
from shutdownlab.results.result import Result
from shutdownlab.results.run import Run
from shutdownlab.results.table import table_of

ACCESSIBLE, ANOMALY, NOTHING, DOWN = "accessible", "an anomaly", "nothing", "that the site is down"


@dataclass(frozen=True, slots=True)
class OoniView:
    """A result, and what OONI's rules conclude from its measurement.

    says: `accessible`, `an anomaly` (of an app), `nothing`, `that the site is down`, or how it is blocked (`dns`,
    `tcp_ip`, `http-failure`, `http-diff`). step: the step that failed, as urlgetter names it; "" if none did.
    slow: whether a target was throttled from the same vantage point in the same phase.
    """

    result: Result
    says: str
    step: str = ""
    slow: bool = False

    @property
    def seen(self) -> Result:
        """The result with OONI's conclusion as its outcome, and without an expectation."""
        outcome = Outcome.OK if self.says == ACCESSIBLE else Outcome.ERROR if self.says == NOTHING else Outcome.BLOCKED
        return self.result.model_copy(update={"outcome": outcome, "expected": None})

    @property
    def misleads(self) -> str | None:
        """How OONI's conclusion contradicts the truth; None if it does not."""
        truth = self.result.outcome
        if truth is Outcome.BLOCKED:
            if self.says in {ACCESSIBLE, NOTHING, DOWN}:
                return f"{self.says}, though it is blocked"
            if self.step == "resolve" and self.says not in {"dns", ANOMALY}:
                return f"{self.says}, though it is DNS"
        elif truth is Outcome.DOWN:
            if self.says not in {NOTHING, DOWN}:
                return f"{self.says}, though the server, or the way to it, is down"
        elif truth.is_measured:
            if self.says != ACCESSIBLE:
                return f"{self.says}, though it is reached"
            if self.slow or truth is Outcome.THROTTLED:
                return f"{self.says}, though the line is throttled"
        return None


class OoniReport(Report):
    """The report `ooni`: OONI's view of a run, beside the truth."""

    title = "percent of subscribers for whom OONI would conclude accessible, with the truth, and where it misleads"

    def write(self, run: Run, console: Console) -> None:
        """Prints the report."""
        views = list(views_of(run.results, run.measurements()))
        if not views:
            console.print("Nothing was measured by a test that OONI has rules for: " + ", ".join(TESTS))
            return
        columns = [name for name in run.table.columns if any(_column(view.result) == name for view in views)]
        for heading, results in (
            ("[bold]Percent of ordinary subscribers who got through[/bold]", [view.result for view in views]),
            ("[bold]Percent for whom OONI would conclude accessible[/bold]", [view.seen for view in views]),
        ):
            console.print(f"\n{heading}, weighted by their number")
            for part in legible(table_of(results, columns), console.width):
                console.print()
                console.print(part)
        for line in misleading(views):
            console.print(literal(line), soft_wrap=True)


def views_of(results: Iterable[Result], measurements: Iterable[Mapping[str, Any]]) -> Iterator[OoniView]:
    """Yields OONI's conclusion on each result whose measurement OONI has rules for."""
    by_cell = {f"{each.phase} {each.vantage} {each.target} {each.family}": each for each in results}
    slow = {(each.phase, each.vantage) for each in by_cell.values() if each.outcome is Outcome.THROTTLED}
    for record in measurements:
        keys = record["test_keys"]
        result = by_cell.get(keys.get("x_id"))  # records of version 0.1 have no `x_id`
        if result is not None and record["test_name"] in TESTS:
            try:
                says = said(judge_one(json.dumps(record)))
            except NotJudged:  # no observations, or an unknown version of the test
                continue
            yield OoniView(result, says, keys.get("failed_operation") or "", (result.phase, result.vantage) in slow)


def said(judged: Judged) -> str:
    """Returns OONI's conclusion in a word or two: see `OoniView.says`."""
    fields = judged.fields
    if WEB_FIELDS[0] in fields:
        blocking, accessible = fields["blocking"], fields["accessible"]
        if blocking:
            return str(blocking)
        return ACCESSIBLE if accessible else NOTHING if accessible is None else DOWN
    return ANOMALY if judged.is_anomaly else ACCESSIBLE


def misleading(views: Iterable[OoniView]) -> Iterator[str]:
    """Yields where OONI would mislead: a line per phase and kind of error, with the columns, most frequent first; then
    the number of misleading conclusions."""
    counts: dict[tuple[str, str], Counter[str]] = {}
    count = 0
    for view in views:
        count += 1
        if what := view.misleads:
            counts.setdefault((view.result.phase, what), Counter())[_column(view.result)] += 1
    for (phase, what), columns in counts.items():
        names = ", ".join(f"{name} ({number:,})" for name, number in columns.most_common())
        yield f"{phase}: {names}: {what}"
    wrong = sum(sum(columns.values()) for columns in counts.values())
    measurements = "measurement" if count == 1 else "measurements"
    yield f"Of {count:,} {measurements} by OONI's tests, {wrong:,} would mislead."


def _column(result: Result) -> str:
    return result.column or result.target
