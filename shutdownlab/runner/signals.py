"""Judges a scenario's expectations about signals abroad by a run's readings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from shutdownlab.model.scenario import Scenario
from shutdownlab.results.reading import read_readings
from shutdownlab.results.signal_verdict import SignalVerdict
from shutdownlab.signals.calendar import calendar_of
from shutdownlab.signals.facts import judge


def verdicts(scenario: Scenario, choices: Mapping[str, str], directory: Path) -> tuple[SignalVerdict, ...]:
    """Returns a verdict for each chosen expectation of which the run has a reading. Raises `OSError`."""
    expected = scenario.signals_given(choices)
    if not expected:
        return ()
    phases = [(phase.phase, phase.at) for phase in scenario.timeline]
    calendar = calendar_of(phases, scenario.ends, scenario.utc_offset)
    return judge(expected, read_readings(directory), calendar, scenario.noise)
