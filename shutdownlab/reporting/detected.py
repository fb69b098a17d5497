"""Mechanism by signal: for people as a table, for programs as JSON and CSV. Pure."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict, fields
from itertools import groupby
from statistics import median
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from shutdownlab.reporting.literal import literal
from shutdownlab.reporting.table import legend
from shutdownlab.verifier.detect import QUIET_WEEKS, TOGETHER, Detectability, Detected, Sight

_SHORT: Final = {
    "bgp": "BGP", "active-probing": "probing", "telescope": "telesc.", "cdn": "CDN", "http3": "HTTP/3",
    "mobile": "mobile", "dns-queries": "DNS", "atlas-datacentre": "Atlas DC", "atlas-home": "Atlas",
}  # fmt: skip
_SIGNS: Final = (
    "12%: what was left when an alert was raised", "3 min: how long after it came into force",
    "° seen for a part alone, not the country", "(…) moved, without an alert", "· did not move",
)  # fmt: skip


def print_detected(found: Detectability, console: Console) -> None:
    """A table for each scenario; of several, one more: how many of each mechanism were seen, and how late."""
    for scenario, rows in groupby(found.rows, key=lambda row: row.scenario):
        console.print(f"\n[bold]{literal(scenario)}: which mechanism shows in which signal[/bold]")
        console.print(_table(list(rows)))
    console.print(f"[dim]{legend(_SIGNS, console.width)}[/dim]", soft_wrap=True)
    if len({row.scenario for row in found.rows}) > 1:
        console.print("\n[bold]Seen for the country, by mechanism[/bold]")
        console.print(_sums(found))
        console.print("[dim]of so many policies, and how late in the middle[/dim]")
    console.print(false_alarm_line(found), soft_wrap=True)


def false_alarm_line(found: Detectability) -> str:
    """What was raised without any reason."""
    raised = {name: count for name, count in found.false_alarms.items() if count}
    told = ", ".join(f"{_SHORT[name]} {count}" for name, count in raised.items()) or "none"
    noise = f"a noise of {100 * found.noise:g} % (seed {found.seed})" if found.noise else "no noise"
    return f"False alarms in {QUIET_WEEKS} quiet weeks with {noise}: {told}."


def _table(rows: list[Detected]) -> Table:
    table = _new("policy and mechanism")
    for row in rows:
        name = Text(row.policy, "bold" if row.policy == TOGETHER else "")
        if row.policy != TOGETHER:
            name.append(f"\n{row.mechanism}", "dim")
        table.add_row(name, *(_cell(row, signal) for signal in _SHORT))
    return table


def _new(heading: str) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column(heading, min_width=16, overflow="fold")
    for short in _SHORT.values():
        table.add_column(short, justify="right", no_wrap=True)
    return table


def _cell(row: Detected, signal: str) -> Text:
    sight = row.best(signal)
    if sight is None:
        return Text("")
    if sight.seen and sight.late is not None:
        part = "" if sight.scope == "country" and sight.family != "ipv6" else "°"
        colour = "red" if sight.level == "critical" else "yellow"
        return Text(f"{_left(sight.lowest)}{part}", colour).append(f"\n{length(sight.late)}", "dim")
    moved = sight.highest if abs(sight.highest - 1) > abs(1 - sight.lowest) else sight.lowest
    return Text("·", "dim") if abs(moved - 1) < 0.005 else Text(f"({_left(moved)})", "dim")


def _left(share: float) -> str:
    return f"{round(100 * share)}%"


def length(minutes: int) -> str:
    """How long: `10 min`, `4 h`, `2 d`."""
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // (24 * 60)} d"


def _sums(found: Detectability) -> Table:
    table = _new("mechanism")
    rows = [row for row in found.rows if row.policy != TOGETHER]
    for mechanism in sorted({row.mechanism for row in rows}):
        mine = [row for row in rows if row.mechanism == mechanism]
        table.add_row(Text(mechanism), *(_sum(mine, signal) for signal in _SHORT))
    return table


def _sum(rows: list[Detected], signal: str) -> Text:
    sights = [sight for row in rows if (sight := row.country(signal)) is not None]
    late = [sight.late for sight in sights if sight.seen and sight.late is not None]
    if not late:
        return Text(f"0/{len(sights)}" if sights else "", "dim")
    return Text(f"{len(late)}/{len(sights)}").append(f"\n{length(int(median(late)))}", "dim")


def as_json(found: Detectability) -> str:
    """All of it: rows with what each signal's detector made of them, false alarms."""
    rows = [{**_told(row), "score": row.score, "signals": [_sight(s) for s in row.sights]} for row in found.rows]
    whole = {"rows": rows, "false_alarms": dict(found.false_alarms), "noise": found.noise, "seed": found.seed}
    return json.dumps(whole, indent=2)


def as_csv(found: Detectability) -> str:
    """A line for each mechanism, signal, and the country or part of it."""
    out = io.StringIO()
    columns = ["scenario", "policy", "mechanism", "whom", "since", *(field.name for field in fields(Sight))]
    writer = csv.DictWriter(out, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows({**_told(row), **_sight(sight)} for row in found.rows for sight in row.sights)
    return out.getvalue()


def _told(row: Detected) -> dict[str, Any]:
    return {
        "scenario": row.scenario,
        "policy": row.policy,
        "title": row.title,
        "mechanism": row.mechanism,
        "whom": row.whom,
        "since": f"{row.since:%Y-%m-%dT%H:%MZ}",
    }


def _sight(sight: Sight) -> dict[str, Any]:
    raised = f"{sight.raised:%Y-%m-%dT%H:%MZ}" if sight.raised else None
    return asdict(sight) | {
        "raised": raised,
        "lowest": round(sight.lowest, 6),
        "highest": round(sight.highest, 6),
        "area": round(sight.area, 3),
    }
