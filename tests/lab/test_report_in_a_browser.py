"""The report in a real browser, Chromium: at every width, in light and dark, with a keyboard alone, and by axe's rules.

See chromium.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from chromium import PAGES, pictured, violations
from chromium import browser as browser

import shutdownlab as sl
from shutdownlab.library import load
from shutdownlab.reporting.graph import draw

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    sl.verify("first-shutdown").write(folder / "run")
    sl.report(folder / "run", folder / "report.html")
    return folder / "report.html"


def opened(browser: Browser, file: Path, width: int = 1440, scheme: Any = "light", **more: Any) -> Page:
    """The page, ready; a script's error or a request for anything else fails the test."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, **more)
    page = context.new_page()
    page.on("pageerror", lambda error: pytest.fail(f"the script failed: {error}"))
    page.on("request", lambda request: request.url.startswith("file:") or pytest.fail(f"it asked for {request.url}"))
    page.goto(file.as_uri())
    if more.get("java_script_enabled", True):
        page.wait_for_selector("html[data-ready]")
    return page


def chosen(page: Page) -> str:
    return page.locator("#pg-read").inner_text().split(" · ")[0]


@pytest.mark.parametrize(("width", "scheme"), PAGES)
def test_nothing_is_wider_than_the_screen_and_axe_finds_nothing(
    browser: Browser, file: Path, width: int, scheme: str
) -> None:
    page = opened(browser, file, width, scheme, bypass_csp=True)  # axe is a script that is not the page's own
    assert page.evaluate("document.documentElement.scrollWidth") == width
    pictured(page, f"report-{width}-{scheme}")
    assert violations(page) == []
    page.locator("td.pg-blocked[data-row]").first.click()
    assert page.locator("dialog").is_visible()
    assert violations(page) == []


@pytest.mark.parametrize("width", [360, 1440])
def test_names_without_a_space_make_nothing_wider_than_the_screen(browser: Browser, width: int, tmp_path: Path) -> None:
    long = "long" * 60
    sl.verify(load("first-shutdown", set={"title": long, "policies.blackout.title": long})).write(tmp_path / "run")
    sl.report(tmp_path / "run", tmp_path / "report.html")
    page = opened(browser, tmp_path / "report.html", width)
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_a_phase_is_chosen_for_all_views_at_once(browser: Browser, file: Path) -> None:
    page = opened(browser, file)
    assert chosen(page) == "blackout"
    assert page.locator(".pg-tiles b").first.inner_text() != "100%"
    page.locator("#pg-select").select_option(label="06 May 12:00 restored")
    assert chosen(page) == "restored"
    assert page.locator("tr.pg-chosen button").inner_text() == "restored"
    assert page.locator("td.pg-cell").count() > 50
    assert page.locator("td.pg-blocked[data-row]").count() == 0
    assert {tile.inner_text() for tile in page.locator(".pg-tiles b").all()} == {"100%"}
    assert page.locator("#pg-stops").inner_text().endswith("No order.")
    page.locator("button[data-phase]", has_text="messenger").click()
    assert "whatsapp-reset" in page.locator("#pg-stops").inner_text()
    assert page.locator("#network [data-node=northnet-box] .pg-badge-text").text_content() == "✕ 2"
    assert page.locator("#network [data-node=gateway] .pg-badge-text").count() == 0
    assert page.url.endswith("#phase=messenger")


def test_a_phase_that_the_address_is_changed_to_is_shown(browser: Browser, file: Path) -> None:
    page = opened(browser, file)
    for name in ("allowlist", "baseline"):
        page.evaluate("name => { location.hash = `#phase=${name}`; }", name)
        page.locator("#pg-read", has_text=name).wait_for()
    page.evaluate("location.hash = '#map'")  # a link to a section changes no phase
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert page.locator("#pg-read").inner_text().startswith("baseline")


@pytest.mark.thorough
def test_the_network_is_drawn_as_routes_are_in_the_chosen_phase(browser: Browser, tmp_path: Path) -> None:
    sl.verify("egypt-2011").write(tmp_path / "run")
    sl.report(tmp_path / "run", tmp_path / "report.html")
    page = opened(browser, tmp_path / "report.html")
    said = []
    for place in ("0", "8", "0"):
        page.locator("#pg-select").select_option(value=place)
        said.append("withdrawn" in (page.locator("#network svg").text_content() or ""))
    assert said == [False, True, False]
    assert page.locator("#network svg").count() == 1
    assert page.locator("#network svg .pg-made").count() > 10  # what is marked in it is marked in each


def test_a_cell_opens_with_the_keyboard_alone_on_why_it_came_out_so(browser: Browser, file: Path) -> None:
    page = opened(browser, file.with_name(file.name), width=768)
    page.goto(f"{file.as_uri()}#phase=messenger")
    page.reload()
    page.wait_for_selector("html[data-ready]")
    assert chosen(page) == "messenger"
    page.locator(".pg-matrix td[tabindex='0']").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    shown = page.locator("dialog").inner_text()
    assert "whatsapp from northnet/capital/ordinary" in shown
    assert "blocked (connection_reset)" in shown
    assert "whatsapp-reset: Northnet's DPI box answers WhatsApp with TCP resets" in shown
    assert "in force since messenger" in shown
    page.keyboard.press("Escape")
    assert not page.locator("dialog").is_visible()
    assert page.evaluate("document.activeElement.getAttribute('aria-label')").startswith("whatsapp ipv4 from northnet")


def test_outcomes_keep_colours_of_their_own_where_the_system_sets_the_colours(browser: Browser, file: Path) -> None:
    page = opened(browser, file, forced_colors="active")
    of = "each => getComputedStyle(each).backgroundColor"
    blocked = page.locator("#cells .pg-legend .pg-blocked").evaluate(of)
    assert blocked == page.locator("td.pg-blocked").first.evaluate(of)
    others = [page.locator(f"#cells .pg-legend .pg-{each}").first.evaluate(of) for each in ("ok", "throttled")]
    assert len({blocked, *others, page.locator("body").evaluate(of)}) == 4
    of_services = "#timeline .pg-swatch:not(.pg-unmeasured, .pg-signal, .pg-alert)"  # outsiders have rows of their own
    swatches = [each.evaluate(of) for each in page.locator(of_services).all()]
    assert len(set(swatches)) == len(swatches) == 4


def test_of_a_cell_that_got_through_nothing_is_said_to_let_it_through(browser: Browser, file: Path) -> None:
    page = opened(browser, file)
    page.locator("button[data-phase]", has_text="baseline").click()
    page.locator("td.pg-ok").first.click()
    assert "In full: shutdownlab explain RUN --at baseline" in page.locator("dialog").inner_text()


def test_the_name_of_an_open_cell_and_the_way_out_stay_in_sight_and_nothing_shines_through(
    browser: Browser, file: Path
) -> None:
    page = opened(browser, file, width=360)
    page.set_viewport_size({"width": 360, "height": 400})
    page.locator("#pg-cells td.pg-blocked, #pg-cells .pg-blocked").first.click()
    above = page.evaluate("""() => {
      const dialog = document.querySelector("dialog"), name = dialog.querySelector("h2");
      dialog.scrollTop = 150;
      const way = dialog.querySelector(".pg-close").getBoundingClientRect(), box = dialog.getBoundingClientRect();
      const at = (x, y) => document.elementFromPoint(x, y);
      const covered = [at(way.left - 4, way.top + way.height / 2), at(box.left + 4, box.top + 4)];
      return [dialog.scrollTop, ...covered.map((each) => each === name), at(way.left + 4, way.top + 4).className];
    }""")
    assert above == [150, True, True, "pg-close"]


def test_the_table_of_cells_is_walked_as_grids_are(browser: Browser, file: Path) -> None:
    """By the keys of the ARIA Authoring Practices' grid pattern; what was not measured is passed over."""
    page = opened(browser, file)
    page.locator("button[data-phase]", has_text="blackout").click()

    def at(key: str) -> str:
        page.keyboard.press(key)
        return str(page.evaluate("document.activeElement.getAttribute('aria-label')")).partition(":")[0]

    page.locator(".pg-matrix td[tabindex='0']").first.focus()
    assert at("End") == "call ipv4 from northnet/capital/ordinary"
    assert at("PageDown") == at("PageDown") == "call ipv4 from southcell/coast/ordinary"
    assert at("Home") == "whatsapp ipv4 from southcell/coast/ordinary"
    assert at("ArrowLeft") == "whatsapp ipv4 from southcell/coast/ordinary"
    assert at("PageUp") == at("Control+Home") == "whatsapp ipv4 from northnet/capital/ordinary"
    assert at("ArrowDown") == "whatsapp ipv4 from northnet/capital/government"
    assert at("End") == "bridge-179 ipv4 from northnet/capital/government", "calls are not measured from there"
    assert at("Control+End") == "call ipv4 from southcell/coast/ordinary"
    assert page.locator(".pg-matrix td[tabindex='0']").count() == 1
    assert chosen(page) == "blackout"


def test_where_the_focus_is_can_be_seen_in_a_cell_that_is_not_as_expected_too(browser: Browser, tmp_path: Path) -> None:
    sl.report(Path(__file__).parents[1] / "data/run-0.1", tmp_path / "old.html")
    page = opened(browser, tmp_path / "old.html")
    page.evaluate("document.querySelector('.pg-matrix td.pg-cell').classList.add('pg-unmet')")
    cell = page.locator(".pg-matrix td.pg-cell").first
    colour = "cell => getComputedStyle(cell).outlineColor"
    unmet = cell.evaluate(colour)
    page.keyboard.press("Tab")  # from here on the browser shows where the focus is
    cell.focus()
    assert cell.evaluate(colour) == page.locator("#pg-read").evaluate(
        "each => { each.style.color = 'var(--accent)'; return getComputedStyle(each).color; }"
    )
    assert cell.evaluate(colour) != unmet


def test_on_a_phone_no_heading_lies_above_the_cells_of_a_small_table(browser: Browser, tmp_path: Path) -> None:
    sl.report(Path(__file__).parents[1] / "data/run-0.1", tmp_path / "old.html")
    page = opened(browser, tmp_path / "old.html", width=360)
    page.locator("td.pg-blocked[data-row]").last.click(timeout=5000)
    assert "blocked" in page.locator("dialog").inner_text()


def test_a_long_word_in_a_service_s_name_does_not_lie_on_its_neighbour(browser: Browser, tmp_path: Path) -> None:
    source = Path(__file__).parents[2] / "scenarios/first-shutdown.yaml"
    (tmp_path / "own.yaml").write_text(source.read_text().replace("column: Telegram", "column: Kurznachrichtendienste"))
    sl.verify(tmp_path / "own.yaml").write(tmp_path / "run")
    sl.report(tmp_path / "run", tmp_path / "own.html")
    page = opened(browser, tmp_path / "own.html", width=768)
    heading = page.locator(".pg-over thead th", has_text="Kurznachrichtendienste")
    assert heading.evaluate("each => each.scrollWidth <= each.clientWidth")


def test_the_timeline_is_read_and_walked(browser: Browser, file: Path) -> None:
    page = opened(browser, file)
    page.locator("#pg-timeline .pg-hit").first.hover()
    assert chosen(page) == "baseline"
    page.locator("#pg-timeline .pg-hit").nth(3).click()
    assert chosen(page) == "one-way"
    page.locator("#pg-timebox").focus()
    page.keyboard.press("ArrowRight")
    assert chosen(page) == "blackout"
    page.keyboard.press("End")
    assert chosen(page) == "restored"
    page.keyboard.press("Home")
    assert chosen(page) == "baseline"


def test_on_a_phone_the_names_of_the_timeline_stay_in_sight(browser: Browser, file: Path) -> None:
    page = opened(browser, file, width=360)
    box = page.locator("#pg-timebox")
    for left in (0, 200, 0):
        box.evaluate("(box, left) => { box.scrollLeft = left; }", left)
        page.wait_for_function(
            """left => {
              const name = document.querySelector("#pg-names text").getBoundingClientRect();
              return document.getElementById("pg-timebox").scrollLeft === left && name.left >= 0 && name.right < 220;
            }""",
            arg=left,
        )


def test_in_the_drawing_of_the_network_no_mark_lies_on_a_name_and_names_come_back(browser: Browser, file: Path) -> None:
    page = opened(browser, file)
    names = page.locator("#network [data-node$=-sw] text:not(.pg-made)")
    narrow = page.locator("#network text[textLength]").count
    over = """() => [...document.querySelectorAll("#network [data-node]")].flatMap((node) => {
      const mark = node.querySelector(".pg-badge-stop"), box = (each) => each.getBoundingClientRect();
      const lies = (text) => box(text).right > box(mark).left && box(text).bottom > box(mark).top + 4
        && box(text).top < box(mark).bottom - 4;
      return mark ? [...node.querySelectorAll("text:not(.pg-made)")].filter(lies).map((text) => text.textContent) : [];
    })"""
    assert page.locator("#network .pg-badge-stop").count() == 4
    assert page.evaluate(over) == []
    drawn = file.read_text().count(' textLength="')
    assert narrow() > drawn
    assert names.first.get_attribute("text-anchor") == "start"
    page.locator("button[data-phase]", has_text="restored").click()
    assert page.locator("#network .pg-badge-stop").count() == 0
    assert names.first.get_attribute("text-anchor") == "middle"
    assert narrow() == drawn, "as they were drawn"


def test_on_a_phone_the_heading_of_a_wide_table_is_read_without_scrolling(browser: Browser, file: Path) -> None:
    page = opened(browser, file, width=360)
    for heading in page.locator("caption > span").all():
        box = heading.bounding_box()
        assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= 360, heading.inner_text()


def test_without_scripts_the_words_the_timeline_and_the_tables_are_there(browser: Browser, file: Path) -> None:
    page = opened(browser, file, java_script_enabled=False)
    assert page.locator("h1").inner_text().startswith("From 2 May 2030")
    assert page.locator("#pg-timeline").is_visible()
    assert page.locator(".pg-over tbody tr").count() == 7
    assert "results.csv has every cell" in page.locator("#cells").inner_text()
    assert not page.locator("#pg-bar").is_visible()


def test_it_is_ready_within_a_second_and_prints(browser: Browser, file: Path) -> None:
    page = opened(browser, file)
    page.emulate_media(media="print")
    assert not page.locator("#pg-bar").is_visible()
    assert page.locator(".pg-over").is_visible()
    assert page.pdf().startswith(b"%PDF")


def test_a_cell_that_differs_from_another_run_says_what_it_was(browser: Browser, file: Path, tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "scenarios/first-shutdown.yaml").read_text()
    rule = "    title: Northnet's DPI box answers WhatsApp with TCP resets\n"
    (tmp_path / "mine.yaml").write_text(text.replace(rule, f"{rule}    except: {{regions: [coast]}}\n"))
    sl.verify(tmp_path / "mine.yaml").write(tmp_path / "new")
    sl.report(tmp_path / "new", tmp_path / "two.html", against=file.parent / "run")
    page = opened(browser, tmp_path / "two.html")
    page.locator("button[data-phase]", has_text="messenger").click()
    marked = page.locator("td.pg-changed")
    assert marked.count() == 1
    assert str(marked.first.get_attribute("aria-label")).endswith("; blocked (connection_reset) in run")
    marked.first.click()
    assert "In run\n✕ blocked (connection_reset)" in page.locator("dialog").inner_text()


def test_the_map_is_coloured_by_the_chosen_phase(browser: Browser, tmp_path: Path) -> None:
    sl.verify("karakalpakstan-2022").write(tmp_path / "run")
    sl.report(tmp_path / "run", tmp_path / "map.html")
    page = opened(browser, tmp_path / "map.html")

    def colour(region: str) -> str | None:
        shape = page.locator(f"#map .pg-map [data-operator=''][data-region={region}]").first
        return str(shape.evaluate("shape => getComputedStyle(shape).fill"))

    dark = colour("karakalpakstan")
    assert page.locator("#map-title").inner_text() == "Map"
    assert colour("tashkent") != dark
    page.locator("#pg-range").focus()
    page.keyboard.press("Home")
    assert page.locator("#pg-map-phase").inner_text() == chosen(page)
    assert colour("karakalpakstan") == colour("tashkent") != dark
    box = page.locator("#map .pg-map use.pg-area").first.bounding_box()
    assert box is not None and box["width"] > 50


def test_no_text_of_a_drawing_is_wider_than_its_box(browser: Browser) -> None:
    """Operators' and transits' titles, and long lists of prefixes."""
    page = browser.new_page()
    for scenario in ("egypt-2011", "iran-2019", "kashmir-2019"):
        page.set_content(draw(load(scenario).network))
        assert page.evaluate(_TEXTS_BEYOND_THEIR_BOX) == []


_TEXTS_BEYOND_THEIR_BOX = """() => [...document.querySelectorAll("svg > text, svg > g > text")].filter((text) => {
  const own = text.getBoundingClientRect();
  const box = (text.parentNode.querySelector(":scope > rect") || text.ownerSVGElement).getBoundingClientRect();
  return own.left < box.left - 1 || own.right > box.right + 1 || own.top < box.top - 3 || own.bottom > box.bottom + 3;
}).map((text) => text.textContent)"""
