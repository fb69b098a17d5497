"""Formats which mechanism shows in which signal: a table for people, JSON and CSV for programs. Pure."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import groupby, zip_longest
from statistics import median
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from shutdownlab.reporting.literal import literal
from shutdownlab.reporting.table import legend
from shutdownlab.verifier.detect import QUIET_WEEKS, STILL, TOGETHER, Detectability, Detected, Sight

_SHORT: Final = {
    "bgp": "BGP", "active-probing": "probing", "telescope": "telesc.", "cdn": "CDN", "http3": "HTTP/3",
    "mobile": "mobile", "dns-queries": "DNS", "atlas-datacentre": "Atlas DC", "atlas-home": "Atlas",
}  # fmt: skip
_REMOTE: Final = {"hyperquack": "Hyperquack"}
"""Signals that query servers in the country from abroad. These and `_TOOLS` have tables of their own: one table of 80
columns has no room for them."""
_TOOLS: Final = {"tor-relays": "Tor", "tor-bridges": "bridges", "vpn-demand": "VPN"}
"""Signals of what people turn to when sites become unreachable, which is another question."""
_FURTHER: Final = {
    "and what servers in the country still answer to questions from abroad": _REMOTE,
    "and who turns to tools, by the model of what people do": _TOOLS,
}
_RISEN: Final = 1.005
_UNMOVED: Final = "·"
_SIGNS: Final = (
    "12%: what was left when an alert was raised", "3 min: how long after it came into force",
    "° seen only for a part, not the whole country", "(…) moved, without an alert", "· did not move",
)  # fmt: skip


def print_detected(found: Detectability, console: Console) -> None:
    """Prints a table for each scenario; for several, also how often each mechanism was seen, and how late."""
    for scenario, group in groupby(found.rows, key=lambda row: row.scenario):
        rows = list(group)
        console.print(f"\n[bold]{literal(scenario)}: which mechanism shows in which signal[/bold]")
        _print_table("policy and mechanism", [_line(row, _SHORT) for row in rows], _SHORT, console)
        for heading, signals in _FURTHER.items():
            lines = [_line(row, signals) for row in rows]
            if moved := [line for line in lines if any(cell.plain not in {"", _UNMOVED} for cell in line.cells)]:
                console.print(f"\n[bold]{heading}[/bold]")
                _print_table("policy and mechanism", moved, signals, console)
    console.print(f"[dim]{legend(_SIGNS, console.width)}[/dim]", soft_wrap=True)
    if len({row.scenario for row in found.rows}) > 1:
        console.print("\n[bold]Seen for the country, by mechanism[/bold]")
        _print_table("mechanism", list(_sums(found)), _SHORT, console)
        console.print("[dim]share of policies seen, their number, and the median delay[/dim]")
    console.print(false_alarm_line(found), soft_wrap=True)


def false_alarm_line(found: Detectability) -> str:
    """Returns how many alerts were raised without cause, in one sentence."""
    raised = {name: count for name, count in found.false_alarms.items() if count}
    counts = ", ".join(f"{(_SHORT | _REMOTE | _TOOLS)[name]} {count}" for name, count in raised.items()) or "none"
    noise = f"a noise of {100 * found.noise:g} % (seed {found.seed})" if found.noise else "no noise"
    if found.noise is None and found.unsteady:
        noise = "the scenario's own noise"
    return f"False alarms in {QUIET_WEEKS} quiet weeks with {noise}: {counts}."


@dataclass(frozen=True, slots=True)
class _Line:
    """A table row. cells: one or two lines of text for each signal."""

    name: Text
    mechanism: Text
    cells: Sequence[Text]


def _print_table(heading: str, lines: Sequence[_Line], signals: Mapping[str, str], console: Console) -> None:
    """Prints signals side by side, after the names and mechanisms if there is room, or else below each of them.

    Names are never broken within a word: a narrow terminal leaves no column wide enough for them.
    """
    heads = [Text(short, "bold") for short in signals.values()]
    columns = [[head, *(part for line in lines for part in line.cells[n].split())] for n, head in enumerate(heads)]
    widths = [max(part.cell_len for part in column) for column in columns]
    title = Text(heading, "bold")
    longest = max(part.cell_len for line in lines for part in (title, line.name, line.mechanism))
    beside = longest + sum(widths) + len(widths) <= console.width
    margin = longest if beside else 2 if 2 + sum(widths) + len(widths) <= console.width else 0
    console.print(_row(title if beside else Text(), heads, margin, widths), soft_wrap=True)
    for line in lines:
        names = [name for name in (line.name, line.mechanism) if name.plain]
        if not beside:
            console.print(Text(": ").join(names))
        rows = zip_longest(names if beside else [], *(cell.split() for cell in line.cells), fillvalue=Text())
        for name, *cells in rows:
            console.print(_row(name, cells, margin, widths), soft_wrap=True)


def _row(label: Text, cells: Sequence[Text], margin: int, widths: Sequence[int]) -> Text:
    parts = [label + Text(" " * max(0, margin - label.cell_len))]
    parts += [Text(" " * (width - cell.cell_len)) + cell for cell, width in zip(cells, widths, strict=True)]
    row = Text(" ").join(parts)
    row.rstrip()
    return row


def _line(row: Detected, signals: Iterable[str]) -> _Line:
    together = row.policy == TOGETHER
    mechanism = Text("" if together else row.mechanism, "dim")
    return _Line(Text(row.policy, "bold" if together else ""), mechanism, [_cell(row, signal) for signal in signals])


def _cell(row: Detected, signal: str) -> Text:
    whole = row.country(signal)
    if signal in _TOOLS and whole is not None and whole.highest >= _RISEN:
        return Text(f"({_left(whole.highest)})", "dim")  # the fall back to the usual level is not worth showing
    sight = row.best(signal)
    if sight is None:
        return Text("")
    if sight.seen and sight.late is not None:
        part = "" if sight.scope == "country" and sight.family != "ipv6" else "°"
        colour = "red" if sight.level == "critical" else "yellow"
        return Text(f"{_left(sight.lowest)}{part}", colour).append(f"\n{length(sight.late)}", "dim")
    moved = sight.highest if abs(sight.highest - 1) > abs(1 - sight.lowest) else sight.lowest
    return Text(_UNMOVED, "dim") if abs(moved - 1) < STILL else Text(f"({_left(moved)})", "dim")


def _left(share: float) -> str:
    return f"{round(100 * share)}%"


def length(minutes: int) -> str:
    """Formats a duration in minutes: `10 min`, `4 h`, `2 d`."""
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // (24 * 60)} d"


def _sums(found: Detectability) -> Iterator[_Line]:
    rows = [row for row in found.rows if row.policy != TOGETHER]
    for mechanism in sorted({row.mechanism for row in rows}):
        detected = [row for row in rows if row.mechanism == mechanism]
        yield _Line(Text(mechanism), Text(), [_sum(detected, signal) for signal in _SHORT])


def _sum(rows: list[Detected], signal: str) -> Text:
    sights = [sight for row in rows if (sight := row.country(signal)) is not None]
    late = [sight.late for sight in sights if sight.seen and sight.late is not None]
    if not late:
        return Text(f"0/{len(sights)}" if sights else "", "dim")
    return Text(f"{len(late)}/{len(sights)}").append(f"\n{length(int(median(late)))}", "dim")


def as_json(found: Detectability) -> str:
    """Serialises the rows, each with what every signal's detector found, and the false alarms."""
    rows = [{**_row_cells(row), "score": row.score, "signals": [_sight(s) for s in row.sights]} for row in found.rows]
    whole = {"rows": rows, "false_alarms": dict(found.false_alarms), "noise": found.noise, "seed": found.seed}
    return json.dumps(whole, indent=2)


def as_csv(found: Detectability) -> str:
    """Returns CSV with a line for each mechanism, signal, and country or part of it."""
    out = io.StringIO()
    columns = ["scenario", "policy", "mechanism", "whom", "since", *(field.name for field in fields(Sight))]
    writer = csv.DictWriter(out, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows({**_row_cells(row), **_sight(sight)} for row in found.rows for sight in row.sights)
    return out.getvalue()


def _row_cells(row: Detected) -> dict[str, Any]:
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
