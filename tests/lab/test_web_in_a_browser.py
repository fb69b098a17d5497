"""The live page in a real browser, Chromium, with a real country behind it, steered end to end.

See chromium.py.
"""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from chromium import PAGES, pictured, violations
from chromium import browser as browser
from invocation import shutdownlab as command_of

import shutdownlab as sl
from shutdownlab.results.decision import BoxDecision
from shutdownlab.results.events import Decided, encode
from shutdownlab.results.run import Run
from shutdownlab.web.run_source import FinishedRun
from shutdownlab.web.server import PageServer, Place, guests_of

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PATIENCE_MS = 60_000
"""On a busy machine; an idle one answers an order within two seconds."""

WATCH_TRIES = """() => {
  window.tried = "";
  new MutationObserver(() => {
    for (const cell of document.querySelectorAll("td.pg-trying")) tried ||= cell.getAttribute("aria-label");
  }).observe(document.getElementById("cells"), { subtree: true, childList: true });
}"""


KEEP_STREAM = """
  const Stream = window.EventSource;
  window.EventSource = function (...where) { return (window.stream = new Stream(...where)); };
"""
"""What tells the page of its server, kept where a test can have it fail and come back, as the browser tells of that."""


COUNT_STREAMS = """
  const Stream = window.EventSource;
  window.streams = 0;
  window.EventSource = function (...where) { streams += 1; return new Stream(...where); };
"""
WATCH_CONNECTION = """() => {
  window.seen = [];
  let last = "true";
  new MutationObserver(() => {
    const now = document.documentElement.dataset.connected;
    if (now !== last) seen.push(last = now);
  }).observe(document.documentElement, { attributes: true, attributeFilter: ["data-connected"] });
}"""


@dataclass(frozen=True)
class Links:
    steer: str
    follow: str
    students: tuple[str, ...]
    process: subprocess.Popen[str]


@pytest.fixture(autouse=True)
def pages_closed(browser: Browser) -> Iterator[None]:
    """A page that nobody looks at any more would be drawn all the same."""
    yield
    for context in browser.contexts:
        context.close()


@pytest.fixture(scope="module")
def links(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Links]:
    pytest.importorskip("uvicorn", reason="no uvicorn: pip install 'shutdownlab[web]'")
    place = tmp_path_factory.mktemp("web")
    argv, env = command_of("same", place)
    argv = [*argv, "web", "examples/breakdowns.yaml", "--students", "2"]
    root = Path(__file__).parents[2]
    with (place / "said").open("w+") as said:
        process = subprocess.Popen(argv, cwd=root, env=env, stdout=subprocess.PIPE, stderr=said, text=True)
        try:
            assert process.stdout is not None
            found = dict(process.stdout.readline().strip().split(": ") for _ in range(4))
            yield Links(found["to steer"], found["to follow"], (found["student 1"], found["student 2"]), process)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)


def opened(
    browser: Browser, link: str, width: int = 1440, scheme: Any = "light", *, init: str = "", **more: Any
) -> Page:
    """The page, with cells in it; a script's error, or a request for anything else, fails the test."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, **more)
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.on("pageerror", lambda error: pytest.fail(f"the script failed: {error}"))
    page.on("request", lambda r: r.url.startswith((link, "data:")) or pytest.fail(f"it asked for {r.url}"))
    if init:
        page.add_init_script(init)
    page.goto(link)
    page.wait_for_selector("#pg-cells td.pg-cell")
    return page


def shows(page: Page, moment: str, cell: str) -> None:
    """Wait until that moment is shown, and in it a cell of that class."""
    page.wait_for_selector(f'html[data-shown="{moment}"]')
    page.wait_for_selector(f"#pg-cells {cell}")


def asked(page: Page, button: str, place: str, words: str) -> None:
    """Press a button of the dialog until this is the answer; on a busy machine a page may take too long to come."""
    dialog, end = page.locator("dialog"), time.monotonic() + PATIENCE_MS / 1000
    while True:
        dialog.get_by_role("button", name=button, exact=True).click()
        dialog.locator(f'button:enabled:text-is("{button}")').wait_for()
        said = dialog.locator(place).inner_text() if dialog.locator(place).count() else "nothing"
        if words in said and "reached" not in dialog.inner_text().partition("Its machine")[0]:
            return
        assert time.monotonic() < end, f"{button}: {dialog.inner_text()}"


def test_a_country_is_steered_and_every_viewer_sees_it(browser: Browser, links: Links) -> None:
    page, follower = opened(browser, links.steer), opened(browser, links.follow)
    page.evaluate(WATCH_TRIES)
    began = time.monotonic()
    page.click('button[data-do="start"]:not([aria-pressed="true"])')
    started = page.locator('button[data-do="stop"]').first.get_attribute("data-name")
    shows(page, f"start-{started}", "td.pg-blocked")
    print(f"from the order to a blocked cell on the screen: {time.monotonic() - began:.1f} s")
    shows(follower, f"start-{started}", "td.pg-blocked")
    assert "failing now, being confirmed" in page.evaluate("tried"), "a first try that failed is shown as that"
    page.locator("#live-log li", has_text="first change believed after").wait_for()
    assert follower.locator("button[data-do]:enabled").count() == 0, "who follows gives no orders"
    assert f"Start {started}" in follower.locator("#live-log").inner_text()

    decided = page.locator("#live-log li.live-decision", has_text="northnet-box: ").filter(
        has_text=" by messengers: tls "
    )
    decided.first.locator("button").click()
    page.locator("dialog h2", has_text="whatsapp from northnet/").wait_for()
    page.locator("dialog", has_text="Decided at").wait_for()
    page.keyboard.press("Escape")
    page.uncheck('#live-kinds input[value="decision"]')
    assert decided.first.is_hidden()
    page.check('#live-kinds input[value="decision"]')
    page.locator("#pg-cells td.pg-blocked").first.click()
    dialog = page.locator("dialog")
    dialog.wait_for()
    assert "What was tried" in dialog.inner_text()
    page.keyboard.press("Escape")

    page.click('button[data-do="undo"]:enabled')
    page.wait_for_selector('html[data-shown="undo"]')
    page.wait_for_selector("#pg-cells td.pg-ok")
    assert page.locator('button[data-do="stop"]').count() == 0


def test_a_fault_is_thrown_seen_as_down_and_mended(browser: Browser, links: Links) -> None:
    page = opened(browser, links.steer)
    page.click('button[data-do="throw"][data-name="fibre"]')
    shows(page, "throw-fibre", "td.pg-down")
    page.click('button[data-do="mend"][data-name="fibre"]')
    page.wait_for_selector('html[data-shown="mend-fibre"]')
    page.locator("#pg-cells td.pg-ok").nth(3).wait_for()
    assert page.locator("#pg-cells td.pg-down").count() == 0


def test_one_can_be_a_subscriber(browser: Browser, links: Links) -> None:
    page = opened(browser, links.steer)
    page.locator("#pg-cells button[data-who]").first.click()
    dialog = page.locator("dialog")
    dialog.wait_for()
    who = dialog.locator("h2").inner_text()
    assert re.search(r"Resolver\s+\d+\.\d+\.\d+\.\d+ \(", dialog.inner_text())

    asked(page, "Trace", ".live-hops", "border")
    assert "border" in dialog.locator(".live-hops").inner_text()

    asked(page, "Open", ".live-address", "Secure")
    frame = page.frame_locator("dialog iframe")
    assert "www.bbc.com" in frame.locator("h1").inner_text()
    assert "Secure" in dialog.locator(".live-address").inner_text()

    dialog.get_by_role("button", name="Terminal on this machine").click()
    page.wait_for_selector("dialog .xterm-helper-textarea")
    page.keyboard.type("ip -br addr; tty; echo $((6*7))-here\n")
    page.locator("dialog .xterm-rows", has_text="42-here").wait_for()
    pictured(page, "web-somebody")
    page.keyboard.type("sh -c 'echo aw''ake; exec sleep 1000'\n")
    page.locator("dialog .xterm-rows", has_text="awake").wait_for()  # before that nothing is there to be interrupted
    page.keyboard.press("Control+C")
    page.locator("dialog .xterm-rows", has_text="^C").wait_for()
    page.keyboard.type("exit\n")
    page.locator("dialog .xterm-rows", has_text="the shell has ended").wait_for()
    assert page.evaluate("document.activeElement.textContent") == "Terminal on this machine", "no key is held there"
    page.keyboard.press("Escape")
    dialog.wait_for(state="hidden")
    assert who.count("/") == 2


@pytest.mark.thorough
def test_a_terminal_is_in_sight_when_it_opens(browser: Browser, links: Links) -> None:
    page = opened(browser, links.steer)
    page.set_viewport_size({"width": 1280, "height": 700})
    page.locator("#pg-cells button[data-who]").first.click()
    page.locator("dialog").get_by_role("button", name="Terminal on this machine").click()
    page.locator("dialog .xterm-rows", has_text="$").wait_for()
    in_sight = """() => {
      const screen = document.querySelector("dialog .live-terminal").getBoundingClientRect();
      const dialog = document.querySelector("dialog").getBoundingClientRect();
      return screen.top >= dialog.top && screen.bottom <= dialog.bottom;
    }"""
    page.wait_for_function(in_sight)


@pytest.mark.thorough
def test_a_page_that_was_cut_off_says_so_until_it_hears_the_server_again(browser: Browser, links: Links) -> None:
    page = opened(browser, links.follow, init=KEEP_STREAM)
    state = page.locator("#live-state")
    page.wait_for_selector('html[data-connected="true"]')
    page.evaluate("stream.dispatchEvent(new Event('error'))")
    assert (page.locator("html").get_attribute("data-connected"), "server is gone" in state.inner_text()) == (
        "false",
        True,
    )
    page.evaluate("stream.dispatchEvent(new Event('open'))")  # and nothing has changed meanwhile that would be told
    assert (page.locator("html").get_attribute("data-connected"), "probes repeat" in state.inner_text()) == (
        "true",
        True,
    )


def test_a_page_that_hears_nothing_says_so_and_asks_anew(browser: Browser, links: Links) -> None:
    """Of a network that drops everything, the browser does not tell the page."""
    page = opened(browser, links.follow, init=COUNT_STREAMS)
    page.wait_for_selector('html[data-connected="true"]')
    page.clock.install()
    page.clock.resume()
    page.reload()
    page.wait_for_selector('html[data-connected="true"]')
    page.evaluate(WATCH_CONNECTION)
    page.clock.fast_forward(60_000)
    page.wait_for_selector('html[data-connected="true"]')
    assert page.evaluate("[streams, seen]") == [2, ["false", "true"]]
    assert "gone" not in page.locator("#live-state").inner_text()


@pytest.mark.parametrize(("width", "scheme"), PAGES)
def test_nothing_is_wider_than_the_screen_and_axe_finds_nothing(
    browser: Browser, links: Links, width: int, scheme: str
) -> None:
    page = opened(browser, links.steer, width, scheme, bypass_csp=True)  # axe is a script that is not the page's own
    assert page.evaluate("document.documentElement.scrollWidth") == width
    pictured(page, f"web-{width}-{scheme}")
    assert violations(page) == []
    page.locator("#pg-cells button[data-who]").first.click()
    page.locator("dialog").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert violations(page) == []


def test_an_order_can_be_given_and_a_cell_opened_by_keyboard_alone(browser: Browser, links: Links) -> None:
    page = opened(browser, links.steer)
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        focus = page.evaluate("[document.activeElement.dataset.do || '', document.activeElement.dataset.name || '']")
        reached.add(focus[0])
        if focus[0] == "phase":
            break
    assert "phase" in reached
    page.keyboard.press("Enter")
    page.wait_for_selector(f'html[data-shown^="{focus[1]}"]')
    page.wait_for_selector('html[data-busy="false"]')
    page.locator("#pg-cells td[tabindex='0']").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.locator("dialog").wait_for()
    page.keyboard.press("Escape")
    page.locator("#pg-cells td:focus").wait_for()


def test_when_it_is_ended_the_page_says_so_and_keeps_what_it_has(browser: Browser, links: Links) -> None:
    page = opened(browser, links.students[0])
    links.process.send_signal(signal.SIGINT)
    assert links.process.wait(60) == 0
    page.locator("#live-state", has_text="gone").wait_for()
    assert page.locator("#pg-cells td.pg-cell").count() > 3


def test_a_run_that_is_over_is_replayed_by_its_own_time(browser: Browser, tmp_path: Path) -> None:
    sl.verify("first-shutdown").write(tmp_path / "run")
    reset = BoxDecision(
        number=1, src="100.64.4.10", sport=40_000, dst="31.13.86.51", dport=443, proto=6, opener="inside",
        action="reset", rule="whatsapp-reset", protocol="tls", app="whatsapp", host="v.whatsapp.net",
    )  # fmt: skip
    with (tmp_path / "run" / "events.jsonl").open("ab") as record:
        record.write(encode(Decided(phase="messenger", where="northnet-box", decisions=(reset,))))
    source = FinishedRun(Run.open(tmp_path / "run"))
    with PageServer(source, Place(), guests_of(Place(), steers=False)) as server:
        source.start()
        page = opened(browser, next(iter(server.links.values())))
        assert page.locator("#steer").is_hidden(), "a run cannot be steered"
        assert page.locator("#pg-cells button[data-who]").count() == 0, "nor is anybody in it to be"
        assert page.locator("#live-state").inner_text() == "Worked out by the model, not measured."
        page.select_option("#pg-select", label="01 May 08:00 baseline")
        page.select_option("#live-speed", "0.25")
        page.click("#live-play")
        page.locator("#live-passed", has_text="0 of 4 h").wait_for()
        page.select_option("#live-speed", "168")  # within a phase that would have lasted 16 s
        page.wait_for_selector('html[data-shown="restored"]', timeout=12_000)
        page.wait_for_selector('html[data-playing="false"]')
        assert page.locator("#pg-read").inner_text().startswith("restored")
        page.wait_for_selector('html[data-listed="restored"]')
        page.select_option("#pg-select", label="01 May 12:00 messenger")
        decided = page.locator("#live-log .live-decision button")
        decided.first.click()
        page.locator("dialog h2", has_text="whatsapp from northnet/coast/ordinary").wait_for()
        page.locator("dialog", has_text="whatsapp-reset").wait_for()
        page.keyboard.press("Escape")
        assert decided.count() == 1, "the list is of the phase that is shown"
        page.select_option("#pg-select", label="06 May 12:00 restored")
        page.wait_for_selector('html[data-listed="restored"]')
        assert decided.count() == 0
        page.locator("td.pg-ok").first.click()
        page.locator("dialog").wait_for()
        source.end()
