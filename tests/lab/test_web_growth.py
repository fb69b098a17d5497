"""A live page that runs for hours does not grow: nodes, listeners and memory of the browser, objects of the server.

A long stream of orders, measurements and decisions, as a country's that is steered, made up; in Chromium. Things are
counted, not seconds.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from chromium import browser as browser

import shutdownlab as sl
from shutdownlab.country.lab_node import LabMeasurement
from shutdownlab.library import Shutdown
from shutdownlab.model.scenario import Outcome
from shutdownlab.results.cells import cells_of
from shutdownlab.results.run import Run
from shutdownlab.web.history import Moment, as_shutdown
from shutdownlab.web.ledger import Ledger
from shutdownlab.web.run_source import FinishedRun
from shutdownlab.web.server import PageServer, Place, guests_of
from shutdownlab.web.source import MOST_LINES, Source
from shutdownlab.web.steered_view import SteeredView

pytestmark = pytest.mark.thorough

if TYPE_CHECKING:
    from playwright.sync_api import Browser, CDPSession, Page

pytest.importorskip("uvicorn", reason="no uvicorn: pip install 'shutdownlab[web]'")
PATIENCE_S = 60.0
KEPT = 6
"""Moments: as few as fill up soon; a real one keeps sixty and fills up as surely."""


class Fed(Source):
    """A steered country without the country."""

    def __init__(self, base: Shutdown) -> None:
        super().__init__(1.0)
        self.base, self.choices, self.ledger = base, base.scenario.default_choices(), Ledger(KEPT)
        self.shown = SteeredView(base, self.choices, self.ledger)
        self.order(0)

    def view(self) -> dict[str, Any]:
        return self.shown.view()

    def cell(self, phase: str, vantage: str, target: str, family: str) -> dict[str, Any]:
        return {}

    def order(self, number: int) -> str:
        """The next phase, all its cells measured, every third blocked, and sixty decisions; the moment's name."""
        phase = self.base.scenario.timeline[number % len(self.base.scenario.timeline)]
        policies = tuple(self.base.scenario.active(phase.phase, self.choices))
        new = Moment(f"order-{number}", phase.title, datetime.now(UTC), policies, (), phase.phase, whole=False)
        self.ledger.begin(new)
        now = self.ledger.newest
        shutdown = as_shutdown(self.base, self.choices, self.ledger.moments, datetime.now(UTC))
        for place, cell in enumerate(cells_of(shutdown, shutdown.scenario.phase(now.name))):
            outcome = Outcome.BLOCKED if (place + number) % 3 == 0 else Outcome.OK
            self.ledger.take_try(shutdown, now, cell, Outcome.BLOCKED, "generic_timeout_error")
            self.ledger.take(shutdown, now, cell, LabMeasurement(outcome, None, "certain", None, "", 0.1, {}))
        self.ledger.complete(now)
        target = ["messenger", "northnet/coast/ordinary", "whatsapp", "ipv4"]
        self.tell_all({"kind": "decision", "text": f"box: {number}/{line}", "cell": target} for line in range(60))
        self.changed()
        return now.name


def counted(devtools: CDPSession) -> dict[str, float]:
    """What the browser has of this page, once nothing that is not needed is left."""
    devtools.send("HeapProfiler.collectGarbage")
    metrics = devtools.send("Performance.getMetrics")["metrics"]
    return {
        each["name"]: each["value"]
        for each in metrics
        if each["name"] in {"Nodes", "JSEventListeners", "JSHeapUsedSize"}
    }


def watching(page: Page) -> CDPSession:
    devtools = page.context.new_cdp_session(page)
    devtools.send("Performance.enable")
    devtools.send("HeapProfiler.enable")
    return devtools


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context()
    yield context.new_page()
    context.close()


def test_hours_of_orders_and_decisions_leave_the_page_as_large_as_it_was(page: Page) -> None:
    base = sl.load("first-shutdown")
    assert isinstance(base, Shutdown)
    source = Fed(base)
    with PageServer(source, Place(), guests_of(Place(), steers=False)) as server:
        source.start()
        page.goto(next(iter(server.links.values())))
        devtools, sizes = watching(page), list[dict[str, float]]()
        for stretch in ((1, 2 * KEPT + 8), (2 * KEPT + 8, 50)):
            for number in range(*stretch):
                name = source.order(number)
                page.wait_for_selector(f'html[data-shown="{name}"]', timeout=1000 * PATIENCE_S, state="attached")
            gc.collect()
            sizes.append(counted(devtools) | {"objects": len(gc.get_objects())})
        lines, moments = page.locator("#live-log > li").count(), page.evaluate("page.data().phases.length")
        source.end()

    before, after = sizes
    assert (lines, moments) == (MOST_LINES, KEPT)
    assert after["Nodes"] < 1.1 * before["Nodes"]
    assert after["JSEventListeners"] < 1.1 * before["JSEventListeners"]
    assert after["JSHeapUsedSize"] < 1.25 * before["JSHeapUsedSize"]
    assert after["objects"] < 1.05 * before["objects"]


def test_the_focus_stays_on_a_cell_while_what_is_around_it_is_drawn_anew(page: Page) -> None:
    base = sl.load("first-shutdown")
    assert isinstance(base, Shutdown)
    source = Fed(base)
    with PageServer(source, Place(), guests_of(Place(), steers=False)) as server:
        source.start()
        page.goto(next(iter(server.links.values())))
        page.wait_for_selector("#pg-cells td.pg-cell")
        cell = '#pg-cells td[data-row="1"][data-column="2"]'
        page.focus(cell)
        page.evaluate("document.querySelector('#cells .pg-legend').dataset.old = 'yes'")
        now = source.ledger.newest
        shutdown = as_shutdown(base, source.choices, source.ledger.moments, datetime.now(UTC))
        first = next(iter(cells_of(shutdown, shutdown.scenario.phase(now.name))))
        source.ledger.take(shutdown, now, first, LabMeasurement(Outcome.THROTTLED, None, "certain", None, "", 0.1, {}))
        source.changed()
        page.wait_for_selector("#pg-cells td.pg-throttled", timeout=1000 * PATIENCE_S)
        assert page.locator("#cells .pg-legend[data-old]").count() == 0, "the section was drawn anew"
        assert page.locator(f"{cell}:focus").count() == 1
        source.end()


def test_days_of_a_run_replayed_again_and_again_leave_it_as_large_too(page: Page, tmp_path: Path) -> None:
    sl.verify("first-shutdown").write(tmp_path / "run")
    source = FinishedRun(Run.open(tmp_path / "run"))
    with PageServer(source, Place(), guests_of(Place(), steers=False)) as server:
        source.start()
        page.goto(next(iter(server.links.values())))
        page.wait_for_selector("#pg-cells td.pg-cell")
        page.evaluate("document.getElementById('live-speed').add(new Option('at once', '1e9', true, true))")
        devtools, sizes = watching(page), list[dict[str, float]]()
        for times in (2, 8):
            for _ in range(times):
                page.click("#live-play")
                page.wait_for_selector('html[data-playing="false"][data-shown="restored"]', timeout=1000 * PATIENCE_S)
                page.evaluate("page.choose(0)")
            gc.collect()
            sizes.append(counted(devtools) | {"objects": len(gc.get_objects())})
        source.end()

    before, after = sizes
    assert after["objects"] < 1.05 * before["objects"]
    assert after["Nodes"] < 1.1 * before["Nodes"]
    assert after["JSEventListeners"] < 1.1 * before["JSEventListeners"]
    assert after["JSHeapUsedSize"] < 1.25 * before["JSHeapUsedSize"]
