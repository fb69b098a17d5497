"""Compares a published series with the same signal as a scenario produces it: `sl.compare`. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Literal

from shutdownlab.config.beside import NotReadable, read_file
from shutdownlab.config.wording import quoted
from shutdownlab.library import Shutdown, load
from shutdownlab.model.lookup import choices_of, known, refuse
from shutdownlab.results.reading import Scope
from shutdownlab.signals.calendar import calendar_of
from shutdownlab.signals.catalogue import SIGNALS
from shutdownlab.signals.overlay import Overlay, overlay
from shutdownlab.signals.published import read_published
from shutdownlab.signals.series import series_of, unsteady
from shutdownlab.verifier.outside import Outside

MOST_BYTES: Final = 64 << 20
"""The size of the largest file that is read."""


def compare(
    scenario: str | Path | Mapping[str, Any] | Shutdown,
    published: str | Path | bytes,
    *,
    file: str | None = None,
    signal: str | None = None,
    operator: str = "",
    region: str = "",
    family: Literal["ipv4", "ipv6"] | None = None,
    column: str | None = None,
    zone: timedelta | None = None,
    where: Mapping[str, str] | None = None,
    choose: Mapping[str, str] | None = None,
) -> Overlay:
    """Overlays a published series on the emulated one.

    published: the path of a CSV file, or the content of one (bytes). file: its name, for messages.
    signal: the signal, if the name of its column does not tell; with several columns, selects the one of that name.
    operator, region: the part of the country it is about; at most one of them; "" for both: the whole country.
    family: None: both address families together, else IPv4.
    column: the column with the values, if there are several.
    zone: offset from UTC of times that have none.
    where: selects rows by the values of other columns, if the file has several series (`{"country": "kz"}`).
    choose: where sources disagree, the version to follow, by the question's name.

    Raises `BadInput`.
    """
    shutdown = scenario if isinstance(scenario, Shutdown) else load(scenario)
    loaded = shutdown.scenario
    choices = choices_of(loaded, choose or {}, "choose")
    if operator and region:
        refuse("region", f"{region} together with the operator {operator}", "one of the two", "leave one of them out")
    if operator:
        known("operator", operator, shutdown.topology.operators, "operator")
    if region:
        known("region", region, shutdown.topology.regions, "region")
    named, text = _content(published)
    file = file or named
    series = read_published(text, file, column, zone, signal, where)
    name = signal or series.signal
    if name is None:
        refuse("signal", f"no signal, and the column {series.column!r}", "a signal", f"one of {', '.join(SIGNALS)}")
    known("signal", name, SIGNALS, "signal")
    outside = Outside(shutdown, choices)
    readings = [reading for phase in loaded.timeline for reading in outside.of(phase, [name])]
    calendar = calendar_of([(phase.phase, phase.at) for phase in loaded.timeline], loaded.ends, loaded.utc_offset)
    scope: Scope = "operator" if operator else "region" if region else "country"
    made = series_of(readings, calendar)
    keys = [(name, scope, operator or region, each) for each in ([family] if family else ["both", "ipv4"])]
    found = next((made[key] for key in keys if key in made), None)
    if found is None:
        refuse(
            "signal",
            f"{name}, which is not emulated for {operator or region or loaded.topology}",
            "a signal that is",
            "",
        )
    disturbed = (calendar.start(phase.phase) for phase in loaded.timeline if loaded.active(phase.phase, choices))
    return overlay(unsteady(found, loaded.noise), series, file, next(disturbed, calendar.ends))


def _content(published: str | Path | bytes) -> tuple[str, bytes]:
    """Returns the name, for messages, and the content of a published series."""
    if isinstance(published, bytes):
        return "series", published
    if not isinstance(published, str | Path):
        refuse("published", quoted(published), "the path of a CSV file, or the content of one, as bytes")
    try:
        return str(published), read_file(Path(published), MOST_BYTES)
    except NotReadable as why:
        refuse("published", f"{published}, {why}", "the path of a CSV file, or the content of one, as bytes")
