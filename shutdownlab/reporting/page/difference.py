"""The differences between a page's run and another run: for readers, and for the page's script. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from shutdownlab.reporting.compared import line_of, sum_of
from shutdownlab.reporting.page.account import RunAccount
from shutdownlab.reporting.page.markup import Html, element, html, table
from shutdownlab.reporting.page.tables import level
from shutdownlab.results.result import Result
from shutdownlab.results.table import Share
from shutdownlab.verifier.compare import Comparison

_MOST_LINES = 200


@dataclass(frozen=True)
class Difference:
    """Another run with which the page's is compared; `comparison` goes from the other run to the page's."""

    other: RunAccount
    comparison: Comparison

    @cached_property
    def before(self) -> Mapping[tuple[str, str, str, str], Result]:
        """The other run's results, by phase, vantage point, target and family."""
        return {_key(result): result for result in self.other.results}

    def was(self, result: Result) -> list[str] | None:
        """Returns a cell's outcome and failure in the other run; None if they are the same, or it has no such cell."""
        found = self.before.get(_key(result))
        if found is None or (found.outcome, found.failure) == (result.outcome, result.failure):
            return None
        return [found.outcome.value, found.failure or ""]


def _key(result: Result) -> tuple[str, str, str, str]:
    return result.phase, result.vantage, result.target, result.family.value


def differing(account: RunAccount, difference: Difference) -> Html:
    """Returns the section: a summary, the groups of cells that came out differently, and the shares that differ."""
    comparison, other = difference.comparison, difference.other
    lead = f"Compared with the record {other.name} ({other.title}), cell by cell."
    parts = [element("p", lead), element("p", element("strong", sum_of(comparison)))]
    changes = comparison.changes[:_MOST_LINES]
    if changes:
        texts = (line_of(change, comparison.phases).replace("`", "") for change in changes)
        lines = (element("li", account.within(other.within(text))) for text in texts)
        parts.append(element("ul", lines))
    if len(comparison.changes) > _MOST_LINES:
        parts.append(element("p", f"And {len(comparison.changes) - _MOST_LINES:,} more groups."))
    rows = list(_shares(account, other))
    if rows:
        columns = ["Phase", "Service", f"In {other.name}", f"In {account.name}"]
        parts.append(table("Shares of ordinary subscribers that differ, in percent", columns, rows, class_="pg-num"))
    for first, second in ((account, other), (other, account)):
        phases = {span.name for span in second.spans}
        alone = [span.name for span in first.spans if span.name not in phases]
        if alone:
            parts.append(element("p", f"Measured only in {first.name}: {', '.join(alone)}."))
    if comparison.changed:
        parts.append(element("p", "Cells that came out otherwise are marked with a corner in ",
                             element("a", "Who could reach what", href="#cells"), "."))  # fmt: skip
    return html(parts)


def _shares(account: RunAccount, other: RunAccount) -> Iterator[list[str]]:
    there = {*other.services, *other.outside}
    columns = [column for column in (*account.services, *account.outside) if column in there]
    phases = {span.name for span in other.spans}
    for span in account.spans:
        for column in columns if span.name in phases else ():
            before, after = other.table[span.name, column], account.table[span.name, column]
            if before.fraction != after.fraction:
                yield [span.name, element("td", column, class_="pg-word"), _cell(before), _cell(after)]


def _cell(share: Share) -> Html:
    return element("td", str(share), class_=level(share.fraction))


def embedded_difference(difference: Difference, rows: Mapping[str, int], account: RunAccount) -> dict[str, Any]:
    """Returns what the script marks: by phase and row, the other run's outcome and failure in each column (target and
    family) that differs."""
    found: list[dict[str, dict[str, list[str]]]] = [{} for _ in account.spans]
    places = {span.name: place for place, span in enumerate(account.spans)}
    for result in account.results:
        was = difference.was(result)
        if was is not None:
            row = found[places[result.phase]].setdefault(str(rows[result.vantage]), {})
            row[f"{result.target} {result.family.value}"] = was
    return {"name": difference.other.name, "cells": found}
