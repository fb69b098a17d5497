"""The live page before any data: the report's sections, empty, for its script to fill. Pure."""

from __future__ import annotations

from typing import Final

from shutdownlab.reporting.page.account import RunAccount
from shutdownlab.reporting.page.document import SECTIONS, phase_bar, section
from shutdownlab.reporting.page.markup import Html, element

_STYLES: Final = ("page.css", "xterm/xterm.css", "live.css")
_SCRIPTS: Final = ("xterm/xterm.js", "xterm/addon-fit.js", "page.js", "somebody.js", "live.js")
_FIRST: Final = "cells"
"""The report's section that is first on this page: the one that shows the effect of an order."""
_SPEEDS: Final = (("0.25", "15 min"), ("1", "1 h"), ("6", "6 h"), ("24", "1 day"), ("168", "1 week"))


def shell(*, steers: bool, name: str) -> str:
    """Returns a guest's page as HTML. steers: whether it has controls to give orders."""
    head = (
        element("title", "shutdownlab: live"),
        Html('<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'),
        Html('<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">'),
        Html("".join(f'<link rel="stylesheet" href="static/{file}">' for file in _STYLES)),
    )
    ordered = sorted(SECTIONS, key=lambda each: each[0] != _FIRST)
    first, *others = (section(name, title, ()) for name, title in ordered)
    body = (
        element("a", "To the contents", href="#main", class_="pg-skip"),
        _line(name, steers=steers),
        element("header", element("h1", "Waiting for what happens …")),
        phase_bar(RunAccount("", "running", {}, ())),
        element("main", _steering(), first, _log(), others, id_="main"),
        element("footer", element("p", "Live from shutdownlab. Nothing is loaded from elsewhere.")),
        element("dialog", id_="pg-dialog", aria_labelledby="pg-dialog-title"),
        Html("".join(f'<script src="static/{file}"></script>' for file in _SCRIPTS)),
    )
    state = 'data-live="true"' + (' data-steers="true"' if steers else "")
    return f'<!doctype html>\n<html lang="en" {state}>\n{element("head", head)}\n{element("body", body)}\n</html>\n'


def _line(name: str, *, steers: bool) -> Html:
    """Returns the status line at the top."""
    role = f"{name}: you steer" if steers else f"{name}: you follow"
    speeds = (element("option", f"{text} a second", value=hours, selected=hours == "6") for hours, text in _SPEEDS)
    return element(
        "div",
        element("p", "connecting …", id_="live-state", role="status"),
        element("button", "Follow", type_="button", id_="live-follow", hidden=True),
        element(
            "span", element("button", "▶ Replay", type_="button", id_="live-play"),
            element("label", "at ", element("select", speeds, id_="live-speed")),
            element("span", id_="live-passed", class_="pg-soft", aria_hidden="true"), id_="live-replay", hidden=True,
        ),
        element("p", role, class_="pg-soft pg-small"),
        class_="live-line", role="region", aria_label="What is going on",
    )  # fmt: skip


def _steering() -> Html:
    return element(
        "section",
        element("h2", "Steer", id_="steer-title"),
        element("div", id_="steer-controls"),
        id_="steer", aria_labelledby="steer-title", hidden=True,
    )  # fmt: skip


def _log() -> Html:
    lines = element("ol", id_="live-log")
    kinds = (
        element("label", Html(f'<input type="checkbox" value="{kind}" checked>'), " ", text)
        for kind, text in (("decision", "decisions of DPI boxes"), ("bgp", "routes abroad"))
    )
    return element(
        "section",
        element("h2", "What happens", id_="happens-title"),
        element("fieldset", kinds, id_="live-kinds", aria_label="What is listed in addition to orders"),
        element("p", "Newest first; times of day are UTC.", class_="pg-soft pg-small", id_="live-of"),
        element("div", lines, class_="pg-scroll live-log", role="region", aria_label="The newest first", tabindex=0),
        id_="happens", aria_labelledby="happens-title",
    )  # fmt: skip
