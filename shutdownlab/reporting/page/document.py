"""Assembles the page: one HTML document that contains its style, script and data. Pure."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping

from shutdownlab.costing.estimate import Cost
from shutdownlab.reporting.page.account import RunAccount
from shutdownlab.reporting.page.costing import cost_of_run, cost_sentence, costing
from shutdownlab.reporting.page.country import network, where
from shutdownlab.reporting.page.cut_offs import DEFINITION
from shutdownlab.reporting.page.difference import Difference, differing
from shutdownlab.reporting.page.embedded import embedded, packed
from shutdownlab.reporting.page.evidence import Extract
from shutdownlab.reporting.page.headline import headline, story
from shutdownlab.reporting.page.markup import Html, element, html
from shutdownlab.reporting.page.orders import Order
from shutdownlab.reporting.page.outsiders import outsiders, outsiders_sentence
from shutdownlab.reporting.page.provenance import period, provenance
from shutdownlab.reporting.page.tables import citation, expectations, hours, legend, making, orders_table, overview
from shutdownlab.reporting.page.timeline import timeline
from shutdownlab.reporting.page.whys import Whys
from shutdownlab.reporting.summary import verdict_line
from shutdownlab.reporting.verified import sum_of_results


def document(
    account: RunAccount,
    orders: tuple[Order, ...],
    whys: Whys,
    extracts: Mapping[str, Extract],
    style: str,
    script: str,
    difference: Difference | None = None,
) -> str:
    """Returns the whole page. Its Content Security Policy lets it load nothing and run no script but its own.

    difference: the comparison with another run, if there is one.
    """
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; base-uri 'none'"
    cost = cost_of_run(account)
    data = packed(embedded(account, orders, whys, extracts, difference)) if account.spans else ""
    head = (
        element("title", f"{account.title}: a shutdown, {'measured' if account.is_measured else 'worked out'}"),
        Html('<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'),
        Html('<meta name="color-scheme" content="light dark">'),
        Html(f"<style>{style}</style>"),
    )
    body = (
        element("a", "To the contents", href="#main", class_="pg-skip"),
        element("header", top(account, difference, cost)),
        phase_bar(account),
        element("main", _sections(account, orders, whys, difference, cost), id_="main"),
        _footer(account),
        element("dialog", id_="pg-dialog", aria_labelledby="pg-dialog-title"),
        Html(f'<script type="text/plain" id="pg-data">{data}</script><script>{script}</script>'),
    )
    return f'<!doctype html>\n<html lang="en">\n{element("head", head)}\n{element("body", body)}\n</html>\n'


def _story_sentences(account: RunAccount, cost: Cost | None) -> Iterator[str]:
    yield from story(account)
    if sentence := outsiders_sentence(account):
        yield sentence
    if cost is not None:
        yield cost_sentence(cost)


def top(account: RunAccount, difference: Difference | None = None, cost: Cost | None = None) -> Html:
    """Returns the top of the page: the headline, the story, the verdict and the table of contents."""
    state = "pg-badge pg-badge-off" if account.status not in {"finished", "verified", "steered"} else "pg-badge"
    return html((
        element("p", account.title, " · ", period(account), class_="pg-kicker"),
        element("h1", headline(account)),
        element("div", (element("p", sentence) for sentence in _story_sentences(account, cost)), class_="pg-story"),
        element("p", _verdict(account), " ", provenance(account), class_=state),
        element("p", DEFINITION, class_="pg-soft pg-small"),
        _contents(_shown(difference, cost, watched=bool(account.watched))),
    ))  # fmt: skip


def _verdict(account: RunAccount) -> str:
    if not account.is_measured:
        return sum_of_results(account.results)
    return verdict_line(account.results, account.faults)


_SECTIONS = (
    ("difference", "What differs"),
    ("timeline", "Timeline"),
    ("phases", "Phases and services"),
    ("cells", "Who could reach what"),
    ("map", "Map"),
    ("network", "Network"),
    ("orders", "Orders and faults"),
    ("outside", "What outsiders saw"),
    ("expectations", "Expectations and sources"),
    ("cost", "Cost"),
    ("making", "How it was made"),
    ("cite", "Data and citation"),
)


def _shown(
    difference: Difference | None = None, cost: Cost | None = None, *, watched: bool = False
) -> list[tuple[str, str]]:
    """Returns the names and titles of the page's sections, in order. watched: whether outside signals were observed."""
    absent = {"difference": difference is None, "cost": cost is None, "outside": not watched}
    return [section for section in _SECTIONS if not absent.get(section[0], False)]


SECTIONS = tuple(section for section in _SECTIONS if section[0] != "difference")
"""The sections that a live page may have; those without contents are hidden."""


def _contents(shown: list[tuple[str, str]]) -> Html:
    links = (element("li", element("a", title, href=f"#{name}")) for name, title in shown)
    return element("nav", element("ul", links), aria_label="Contents")


def phase_bar(account: RunAccount) -> Html:
    """Returns the control that selects the phase for all views. It needs the script, which fills it on a live page."""
    options = (
        element("option", f"{account.short(span.at)} {span.name}", value=place, selected=place == account.worst)
        for place, span in enumerate(account.spans)
    )
    chosen = element(
        "input", type_="range", id_="pg-range", min_=0, max_=max(0, len(account.spans) - 1), value=account.worst,
        aria_label="Phase", step=1,
    )  # fmt: skip
    inner = (
        element("button", "◀", type_="button", id_="pg-before", aria_label="Phase before"),
        element("select", options, id_="pg-select", aria_label="Phase"),
        element("button", "▶", type_="button", id_="pg-next", aria_label="Next phase"),
        Html(chosen.removesuffix("</input>")),
        element("p", "", id_="pg-read", role="status"),
    )
    return element(
        "div", inner, class_="pg-bar", id_="pg-bar", hidden=True, role="region", aria_label="Choice of phase"
    )


def _sections(
    account: RunAccount, orders: tuple[Order, ...], whys: Whys, difference: Difference | None, cost: Cost | None
) -> Iterator[Html]:
    contents = parts(account, orders, whys)
    if difference is not None:
        contents["difference"] = (differing(account, difference),)
        contents["cells"] = _cells(account, whys, difference)
    if cost is not None:
        contents["cost"] = (costing(account, cost),)
    if account.watched:
        contents["outside"] = (outsiders(account),)
    for name, title in _shown(difference, cost, watched=bool(account.watched)):
        yield section(name, title, contents[name])


def section(name: str, title: str, contents: Iterable[str]) -> Html:
    """Returns a section of the page, with its heading."""
    return element(
        "section", element("h2", title, id_=f"{name}-title"), contents, id_=name, aria_labelledby=f"{name}-title"
    )


def parts(account: RunAccount, orders: tuple[Order, ...], whys: Whys) -> dict[str, tuple[str, ...]]:
    """Returns the contents of the sections that every run has, by section name."""
    return {
        "timeline": _timeline(account, orders),
        "phases": (overview(account), hours(account)),
        "cells": _cells(account, whys),
        "map": (
            element("p", "How many ordinary subscribers got through in the chosen phase, by region and operator."),
            where(account),
        ),
        "network": (
            element(
                "p", "Arrows lead from who buys transit to who sells it. In the chosen phase a bar under a subscriber "
                "is the share of its measurements that got through, and a number at a node is how many cells it "
                "stopped or slowed, by the model. What is cut then, withdrawn, discarded, hijacked or leaked is drawn.",
            ),
            element("div", id_="pg-stops", class_="pg-stops", aria_live="polite"),
            network(account),
        ),
        "orders": (orders_table(account, orders),),
        "expectations": (element("p", _verdict(account)), expectations(account)),
        "making": (making(account),),
        "cite": (citation(account),),
    }  # fmt: skip


def _timeline(account: RunAccount, orders: tuple[Order, ...]) -> tuple[str, ...]:
    key = (
        ("pg-reached", "got through"), ("pg-slow", "got through slowly"), ("pg-lost", "did not get through"),
        ("pg-order", "order in force"), ("pg-fault", "▽ a fault, which nobody ordered"),
    )  # fmt: skip
    shown = key if any(order.is_fault for order in orders) else key[:-1]
    columns = (*account.services, *account.outside)
    if any(account.table[span.name, column].fraction is None for span in account.spans for column in columns):
        shown = (*shown, ("pg-unmeasured", "not measured"))
    if account.watched:
        share = "an outside signal, as a share of a quiet day"
        measured = (("pg-signal", share),) if not all(each.is_modelled for each in account.watched) else ()
        pale = (("pg-signal pg-modelled", f"{share}: modelled"),) if any(s.modelled for s in account.watched) else ()
        alert = (("pg-alert", "an alert of its detector"),) if any(signal.alerts for signal in account.watched) else ()
        shown = (*shown, *measured, *pale, *alert)
    items = (element("li", element("span", class_=f"pg-swatch {class_}"), " ", text) for class_, text in shown)
    drawing = element(
        "div", timeline(account, orders), class_="pg-scroll", role="region", aria_label="Drawing of the timeline",
        tabindex=0, id_="pg-timebox",
    )  # fmt: skip
    help_ = (
        "Point at a phase to read it, click to choose it; with a keyboard: arrow keys, Home and End, once the drawing "
        "has the focus."
    )
    return element("ul", items, class_="pg-legend"), drawing, element("p", help_, class_="pg-soft pg-small pg-live")


def _cells(account: RunAccount, whys: Whys, difference: Difference | None = None) -> tuple[str, ...]:
    why = (
        "and why, hop by hop."
        if whys.explanations
        else f"but not why: {account.missing}."
        if account.missing
        else "in full."
    )
    opened = f"what was measured, its controls, {why}"
    if not account.is_measured and whys.explanations:
        opened = "why, hop by hop."
    return (
        element("p", "One cell per vantage point, target and address family, in the chosen phase. Open one for "
                     f"{opened}"),
        legend(account, difference.other.name if difference and difference.comparison.changed else ""),
        element("div", id_="pg-cells"),
        element("noscript", element("p", "This table and the views by phase are drawn by the page's own script, which "
                                         "is not allowed to run here; results.csv has every cell.")),
    )  # fmt: skip


def _footer(account: RunAccount) -> Html:
    return element(
        "footer", element("p", f"Made by shutdownlab from the record {account.name}. This page loads nothing.")
    )
