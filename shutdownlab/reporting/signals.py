"""Formats the verdicts on expectations about outside signals: lines for people, data for programs. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from shutdownlab.reporting.literal import literal
from shutdownlab.results.signal_verdict import SignalVerdict
from shutdownlab.signals.facts import NOT_READ


def signal_lines(signals: Sequence[SignalVerdict], *, strict: bool = False) -> Iterator[str]:
    """Yields a line of markup for each expectation that is not met or was left out; a single line if nothing was
    observed. strict: those left out count as not met."""
    if signals and all(each.met is None and each.found.startswith(NOT_READ) for each in signals) and not strict:
        what = f"{len(signals):,} about signals abroad: none of these signals was observed (`run --observe` does)"
        yield f"[yellow]left out:[/yellow] {what}"
        return
    for each in signals:
        text = literal(f"{each.expected} [{each.source}]: {each.found}")
        if each.met is False or (strict and each.met is None):
            yield f"[red]not as expected abroad:[/red] {text}"
        elif each.met is None:
            yield f"[yellow]left out:[/yellow] {text}"


def sum_of_signals(signals: Sequence[SignalVerdict]) -> str:
    """Returns how many expectations hold, in one sentence; "" if there are none, or all were left out."""
    judged = [each for each in signals if each.met is not None]
    if not judged:
        return ""
    unmet = sum(each.met is False for each in judged)
    rest = f"; {len(signals) - len(judged)} left out" if len(judged) < len(signals) else ""
    if unmet:
        return f"{unmet:,} of {len(judged):,} about signals abroad are not met{rest}."
    return f"All {len(judged):,} about signals abroad hold{rest}."


def signals_as_data(signals: Sequence[SignalVerdict]) -> list[dict[str, Any]]:
    """Returns for JSON each expectation, whether it is met, what was found, and on what basis."""
    return [each.model_dump(mode="json") for each in signals]
