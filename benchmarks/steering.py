"""Times from an order to its effects on the screen, with a real country and a real browser.

    python -m benchmarks.steering [--scenario NAME] [--orders N]

Orders go through the phases, again and again. The page's process records its own times (`web.course`); a script in the
page measures those of the browser (Chromium, by Playwright) from the click. Needs both, as tests of pages do.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import cycle, islice
from typing import Any, Final

import shutdownlab as sl
from benchmarks.table import Figure, load, markdown
from shutdownlab.web.course import Course
from shutdownlab.web.server import PageServer, Place, guests_of
from shutdownlab.web.steering import Steering

_PATIENCE_S: Final = 120.0
_TICK_S: Final = 0.02
_WATCH: Final = """() => {
  const seen = () => new Map([...document.querySelectorAll("#pg-cells td[data-row]")].map(
    (td) => [`${td.dataset.row} ${td.dataset.column}`, td]));
  const kind = (td) => [...td.classList].find((name) => !["pg-cell", "pg-unmet", "pg-trying"].includes(name));
  let before = new Map(), moment = "", began = 0;
  window.clicked = () => {
    before = new Map([...seen()].map(([at, td]) => [at, kind(td)]));
    moment = document.documentElement.dataset.shown;
    began = performance.now();
    window.drawn = {};
  };
  new MutationObserver(() => {
    if (!began || document.documentElement.dataset.shown === moment) return;
    for (const [at, td] of seen()) {
      const tried = td.classList.contains("pg-trying");
      if (!before.has(at) || (!tried && kind(td) === before.get(at))) continue;
      drawn.sight ??= (performance.now() - began) / 1000;
      if (!tried) drawn.believed ??= (performance.now() - began) / 1000;
    }
  }).observe(document.documentElement, { subtree: true, childList: true, attributes: true });
}"""


def orders(scenario: str, number: int) -> Iterator[str]:
    """Yields `number` phases, each with other policies in force than the one before."""
    loaded = sl.load(scenario)
    assert loaded.scenario is not None
    choices = loaded.scenario.default_choices()
    names, last = [], frozenset[str]()
    for phase in loaded.scenario.timeline:
        active = frozenset(loaded.scenario.active(phase.phase, choices))
        if active != last:
            names.append(phase.phase)
        last = active
    yield from islice(cycle(names), number)


def measured(page: Any, source: Steering, phase: str) -> dict[str, float]:
    """Gives one order by its button, waits until everything is measured, and returns all times, in seconds."""
    page.wait_for_selector('html[data-busy="false"]')
    page.evaluate("window.clicked()")
    page.click(f'button[data-do="phase"][data-name="{phase}"]')
    end = time.monotonic() + _PATIENCE_S
    before = source.course
    while source.course.what == "" or source.course.whole is None or source.course is before:
        if time.monotonic() > end:
            raise TimeoutError(f"{phase} was not measured within {_PATIENCE_S:g} s: {source.course}")
        page.wait_for_timeout(1000 * _TICK_S)
    page.wait_for_timeout(500)  # for drawing the last measurements
    found = {name: at for name, at in asdict(source.course).items() if isinstance(at, float)}
    return found | {f"{name} on the screen": at for name, at in page.evaluate("window.drawn").items()}


def main(argv: Sequence[str] | None = None) -> int:
    """Prints a table; returns 0, or 3 without a browser."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.steering", description=__doc__.splitlines()[0])
    parser.add_argument("--scenario", default="first-shutdown")
    parser.add_argument("--orders", type=int, default=12)
    args = parser.parse_args(argv)
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        program = None
    if program is None:
        print("needs Chromium, and Playwright (pip install '.[dev]')", file=sys.stderr)
        return 3
    seen: dict[str, list[float]] = defaultdict(list)
    with sl.lab(args.scenario) as lab, sync_playwright() as driver:
        source, place = Steering(lab), Place()
        with PageServer(source, place, guests_of(place, steers=True), lab) as server:
            source.start()
            browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.goto(next(link for guest, link in server.links.items() if guest.steers))
            page.wait_for_selector("#pg-cells td.pg-cell")
            end = time.monotonic() + _PATIENCE_S
            while not source.measured and time.monotonic() < end:
                page.wait_for_timeout(1000 * _TICK_S)
            page.evaluate(_WATCH)
            for phase in orders(args.scenario, args.orders + 1):
                found = measured(page, source, phase)
                if not seen and "sight on the screen" not in found:
                    continue  # the first phase was already in force
                print(f"{phase}: {', '.join(f'{name} {at:.2f}' for name, at in found.items())}", file=sys.stderr)
                for name, at in found.items():
                    seen[name].append(at)
            browser.close()
            source.end()
    targets = {"sight on the screen": "≤ 2"}
    names = [*Course.__dataclass_fields__, "sight on the screen", "believed on the screen"]
    figures = [Figure(f"order → {name}", "s", seen[name], targets.get(name, "")) for name in names if seen.get(name)]
    print(markdown(f"An order on the live page, {args.scenario}", figures, f"Load average: {load()}."))
    return 0


if __name__ == "__main__":
    sys.exit(main())
