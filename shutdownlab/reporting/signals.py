"""What became of the expectations about outsiders' signals: lines for people, data for programs. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from shutdownlab.reporting.literal import literal
from shutdownlab.signals.facts import SignalResult


def signal_lines(signals: Sequence[SignalResult], *, strict: bool = False) -> Iterator[str]:
    """A line of markup for each that is not as expected, or cannot be judged."""
    for each in signals:
        text = literal(f"{each.expected.text} [{each.expected.source}]: {each.found}")
        if each.met is False or (strict and each.met is None):
            yield f"[red]not as expected abroad:[/red] {text}"
        elif each.met is None:
            yield f"[yellow]left out:[/yellow] {text}"


def sum_of_signals(signals: Sequence[SignalResult]) -> str:
    """How many hold, in one sentence; empty where there are none."""
    if not signals:
        return ""
    judged = [each for each in signals if each.met is not None]
    unmet = sum(each.met is False for each in judged)
    rest = f"; {len(signals) - len(judged)} left out" if len(judged) < len(signals) else ""
    if unmet:
        return f"{unmet:,} of {len(judged):,} about signals abroad are not met{rest}."
    return f"All {len(judged):,} about signals abroad hold{rest}."


def signals_as_data(signals: Sequence[SignalResult]) -> list[dict[str, Any]]:
    """Each expectation as it is written, whether it is met, what was found, and on what basis."""
    return [
        {
            "expected": each.expected.model_dump(mode="json", exclude_defaults=True),
            "met": each.met,
            "found": each.found,
            "basis": each.basis or None,
        }
        for each in signals
    ]
