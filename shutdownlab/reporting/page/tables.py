"""The page's static tables: services by phase, hours, expectations, orders, and how the run was made. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from shutdownlab.model.scenario import Outcome
from shutdownlab.reporting.page.account import MEANINGS, ORDER, SYMBOLS, RunAccount
from shutdownlab.reporting.page.markup import Html, caption, code, element, html, scrolling, table
from shutdownlab.reporting.page.orders import Order
from shutdownlab.reporting.page.words import lasting, when
from shutdownlab.reporting.summary import each_once, unmet_lines
from shutdownlab.results.result import THE_MODEL
from shutdownlab.results.table import Share

_LEVELS = (0.0, 0.25, 0.5, 0.75, 0.999_999)


def level(fraction: float | None) -> str:
    """Returns the CSS class of a share: `pg-l0` (nobody) to `pg-l5` (everybody); `pg-none` for None, not measured."""
    return "pg-none" if fraction is None else f"pg-l{sum(fraction > least for least in _LEVELS)}"


def overview(account: RunAccount) -> Html:
    """Returns the table of phases and services that a run prints at its end. A row's heading selects the phase."""
    columns = [*account.services, *account.outside]
    title = "Percent of ordinary subscribers who got through, by phase and service"
    head = element(
        "tr", element("th", "Phase", scope="col"), (element("th", _column(column), scope="col") for column in columns)
    )
    rows = []
    for place, span in enumerate(account.spans):
        long = f" · {lasting(span.hours)}" if span.until else ""
        button = element("button", span.name, type_="button", data_phase=place, title=span.title or None)
        heading = element("th", button, element("small", f"{account.short(span.at)}{long}"), scope="row")
        cells = (_share(account.table[span.name, column]) for column in columns)
        rows.append(element("tr", heading, cells, data_row=place))
    whole = element("table", caption(title), element("thead", head), element("tbody", rows), class_="pg-over")
    return Html(scrolling(title, whole) + element("p", _key(account), class_="pg-key"))


def _column(name: str) -> str:
    return name


_SIGNS = (("~", "some throttled"), ("=", "some held"), ("?", "some without verdict"), ("!", "not as expected"))


def _share(share: Share) -> Html:
    shown = str(share)
    words = [word for sign, word in _SIGNS if sign in shown]
    title = "not measured" if share.fraction is None and not words else ", ".join(words) or None
    classes = level(share.fraction) + (" pg-unmet" if share.unmet else "")
    return element("td", shown, class_=classes, title=title)


def _key(account: RunAccount) -> str:
    signs = [f"{element('b', '~')} some of it throttled", f"{element('b', '!')} an expectation was not met"]
    if any(not result.outcome.is_measured for result in account.results):
        signs.append(f"{element('b', '?')} some without verdict")
    if any(result.held for result in account.results):
        modelled = any(result.held == THE_MODEL for result in account.results)
        by = (
            "not measured, as the model has it"
            if modelled
            else "as measured in another phase, from which they cannot differ"
        )
        signs.append(f"{element('b', '=')} some held: {by}")
    signs.append(f"{element('b', '·')} not measured")
    return Html(" &ensp; ".join(signs))


def legend(account: RunAccount, other: str = "") -> Html:
    """Returns the legend of the cell symbols that occur. other: the name of the run with which this one is compared."""
    there = {result.outcome for result in account.results}
    items = [
        element("li", element("span", SYMBOLS[each], class_=f"pg-cell pg-{each.value}"), " ", MEANINGS[each])
        for each in ORDER
        if each in there or each in {Outcome.OK, Outcome.BLOCKED}
    ]
    if any(_has_gaps(account, span.name) for span in account.spans):
        items.append(element("li", element("span", class_="pg-cell pg-empty"), " not measured"))
    mark = element("span", SYMBOLS[Outcome.OK], class_="pg-cell pg-ok pg-unmet")
    items.append(element("li", mark, " framed: not as expected"))
    if other:
        corner = element("span", SYMBOLS[Outcome.OK], class_="pg-cell pg-ok pg-corner")
        items.append(element("li", corner, f" with a corner: otherwise in {other}"))
    return element("ul", items, class_="pg-legend")


def _has_gaps(account: RunAccount, phase: str) -> bool:
    """Whether a target measured from one vantage point in a phase was not measured from another."""
    inside, outside = [r for r in account.of(phase) if r.region], [r for r in account.of(phase) if not r.region]
    return any(
        len(results) < len({r.vantage for r in results}) * len({(r.target, r.family) for r in results})
        for results in (inside, outside)
    )


def hours(account: RunAccount) -> Html:
    """Returns the table of hours for which nobody reached a service, by region and in the whole country.

    Empty if there were none, or if no phase's end is known.
    """
    rows: list[list[str]] = []
    for column in account.services:
        everywhere = sum(span.hours for span in account.spans if account.table[span.name, column].fraction == 0)
        found = [account.hours_without(region, column) for region in account.regions]
        if any(found):
            rows.append([column, *map(_hours, [everywhere, *found])])
    if not rows or all(span.until is None for span in account.spans):
        return Html("")
    heading = "Hours in which no ordinary subscriber reached a service"
    return table(heading, ["Service", "Whole country", *account.regions.values()], rows, class_="pg-hours")


_SHORT_H = 0.1
"""Durations of fewer hours are given in minutes or seconds; in a steered country they would round to 0 h."""


def _hours(value: float | None) -> Html:
    shown = "·" if value is None else lasting(value) if 0 < value < _SHORT_H else f"{round(value, 1):,g}"
    return element("td", shown, class_=None if value else "pg-soft")


def expectations(account: RunAccount) -> Html:
    """Returns how many expectations were met, by their source, and which were not."""
    counts: dict[str, list[int]] = {}
    judged = [result for result in account.results if account.is_measured or result.outcome.is_measured]
    for result in account.results:
        if result.expected is not None:
            counts.setdefault(result.source or "no source named", [0, 0, 0])[0] += 1
    for result in judged:
        if result.expected is not None:
            counts[result.source or "no source named"][1 if result.met else 2] += 1
    unmet = list(unmet_lines(judged))
    parts: list[str] = []
    if unmet:
        parts += [
            element("h3", "Not as expected"),
            element("ul", (element("li", line) for line in unmet), class_="pg-bad"),
        ]
    if counts:
        rows = [[source, *(f"{count:,}" for count in row)] for source, row in counts.items()]
        heads = ["Source", "Expected", "Met", "Not met"]
        if len(judged) < len(account.results):
            heads.append("Undecided")
            for row, (expected, met, against) in zip(rows, counts.values(), strict=True):
                row.append(f"{expected - met - against:,}")
        parts.append(table("Expectations by their source", heads, rows, class_="pg-num"))
    else:
        parts.append(element("p", "The scenario expects nothing."))
    sources = dict(account.manifest.get("sources", {}))
    if sources:
        parts += [element("h3", "Sources"), _described(sources.items())]
    return html(parts)


def orders_table(account: RunAccount, orders: tuple[Order, ...]) -> Html:
    """Returns the table of orders and faults: what each is, what enforces it, when it was in force, its source."""
    if not orders:
        return element("p", "The record names no orders.")
    rows = []
    for order in orders:
        place = element("small", order.place) if order.place else Html("")
        name = element("div", order.title, class_="pg-title") if order.title != order.name else Html("")
        times = element("ul", (element("li", text) for text in _stretches(account, order)), class_="pg-plain")
        mark = element("span", "▽ fault ", class_="pg-soft") if order.is_fault else Html("")
        rows.append([Html(mark + code(order.name) + name + place), order.by or "·", times, order.source or "·"])
    columns = ["What", "Carried out by", "In force", "Source"]
    return table("What was ordered or broke, and when", columns, rows, class_="pg-orders")


def _stretches(account: RunAccount, order: Order) -> Iterator[str]:
    for begin, end in order.stretches:
        since = account.short(begin)
        yield f"{since}, {lasting((end - begin).total_seconds() / 3_600)}" if end else f"from {since}"


def making(account: RunAccount) -> Html:
    """Returns how the country was emulated, which choices were made, and what went wrong in the testbed."""
    manifest = account.manifest
    parts: list[str] = []
    if account.faults:
        faults = (element("li", fault) for fault in each_once(account.faults))
        parts += [element("h3", "What went wrong in the testbed"), element("ul", faults, class_="pg-bad")]
    parts.append(_described(_facts(account)))
    choices = dict(manifest.get("choices", {}))
    if choices:
        parts += [element("h3", "Choices, where sources disagree"), _described(_choices(account, choices))]
    machine = manifest.get("machine") or {}
    versions = {**(machine.get("daemons") or {}), **(machine.get("packages") or {})}
    if versions:
        listing = _described((name, str(text)) for name, text in sorted(versions.items()))
        parts.append(element("details", element("summary", "Versions of daemons and packages"), listing))
    return html(parts)


def _choices(account: RunAccount, choices: dict[str, str]) -> Iterator[tuple[str, str]]:
    for name, option in choices.items():
        known = account.shutdown.scenario.accounts.get(name) if account.shutdown else None
        if known is None or option not in known.options:
            yield name, option
            continue
        chosen = known.options[option]
        yield known.question, f"{option}: {chosen.says} [{chosen.source}]"


def _facts(account: RunAccount) -> Iterator[tuple[str, str]]:
    manifest: Any = account.manifest
    if not account.is_measured:
        yield "Emulation", "none: the packets were followed on the model, through the rules that switches and boxes get"
    emulation, machine = manifest.get("emulation") or {}, manifest.get("machine") or {}
    mode = {
        "operators": "the operators, each on its own network",
        "direct": "the authority, on the operators' switches",
    }
    asked = manifest.get("mode", "")
    openflow = emulation.get("openflow", "")
    datapath = " ".join(str(emulation.get(key, "")) for key in ("datapath",))
    because = f" ({emulation['datapath_because']})" if emulation.get("datapath_because") else ""
    profiles = dict.fromkeys(dict(manifest.get("profiles", {})).values())
    measured = account.is_measured
    seconds = (manifest.get("seconds") or {}).get("total") if measured else None
    yield from (
        (name, str(value))
        for name, value in (
            ("Topology", manifest.get("topology")),
            ("Orders carried out by", mode.get(asked, asked)),
            ("DPI boxes", ", ".join(profiles) or manifest.get("profile")),
            ("Nodes", emulation.get("nodes")),
            ("Switches", f"Open vSwitch {emulation['openvswitch']}, {datapath} datapath{because}"
             if emulation.get("openvswitch") else None),
            ("Controllers", openflow),
            ("Delays", emulation.get("delays")),
            ("Kernel", " ".join(filter(None, (machine.get("kernel"), machine.get("architecture"))))),
            ("Processors", machine.get("processors") or None),
            ("Python", machine.get("python")),
            ("Seed", manifest.get("seed") if measured else None),
            ("Measured", _selection(manifest)),
            ("Packets recorded", "yes" if manifest.get("pcap") else None),
            ("Wall-clock time", f"{seconds:,.0f} s" if isinstance(seconds, int | float) else None),
        )
        if value not in (None, "")
    )  # fmt: skip


def _selection(manifest: Any) -> str | None:
    """Returns which cells were measured; None if all were."""
    since, share = manifest.get("changed_since"), manifest.get("sample")
    if not since:
        return None
    return (
        f"the cells that, by the model, differ from {since}, and {(share or 0) * 100:g} % of the rest of those phases"
    )


def citation(account: RunAccount) -> Html:
    """Returns how to cite the run, and which files have its data."""
    manifest = account.manifest
    began = str(manifest.get("began", ""))
    moment = f", {when(datetime.fromisoformat(began))}" if began else ""
    digest = str(manifest.get("digest", ""))
    of = f", SHA-256 {digest[:16]}" if digest else ""
    what = "worked out by" if not account.is_measured else "run of"
    text = (
        f"shutdownlab {manifest.get('shutdownlab', '')}: “{account.title}”, {what} "
        f"{'the model of ' if not account.is_measured else ''}scenario {manifest.get('scenario', '')}{of}; "
        f"record {account.name}{moment}."
    )
    watched = Html(f"{code('readings.csv')}, what outsiders' signals showed; ") if account.readings else Html("")
    files = element(
        "p", "The record has ", code("results.csv"), ", a row per cell; ", code("measurements.jsonl"),
        ", each measurement in OONI's format; ", watched, code("events.jsonl"), " and ", code("manifest.json"), ".",
    )  # fmt: skip
    return Html(element("blockquote", text) + files)


def _described(pairs: Any) -> Html:
    return element("dl", (element("div", element("dt", name), element("dd", text)) for name, text in pairs))
