"""The report as a page: its words are true of the results, its parts are there, and nothing in it is anybody's code."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import shutdownlab as sl
from shutdownlab.cli import app
from shutdownlab.model.scenario import Outcome
from shutdownlab.reporting.page.account import MEANINGS, ORDER, SYMBOLS, RunAccount
from shutdownlab.reporting.page.document import document
from shutdownlab.reporting.page.evidence import extract_of
from shutdownlab.reporting.page.headline import headline, story
from shutdownlab.reporting.page.provenance import provenance
from shutdownlab.reporting.page.whys import Whys
from shutdownlab.reporting.page.words import listed
from shutdownlab.results.result import THE_MODEL, Result

ROOT = Path(__file__).parents[2]
OLD = ROOT / "tests/data/run-0.1"
BEGIN = datetime(2030, 5, 1, 8, tzinfo=UTC)
SECTIONS = ["timeline", "phases", "cells", "map", "network", "orders", "outside", "expectations", "making", "cite"]
EMPTY = {"meta", "link", "input", "br", "hr", "img"}


class Parsed(HTMLParser):
    """A page taken apart: its elements with their attributes, its text by element, and what is not closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in EMPTY:
            self.open.append(tag)
            self.texts.setdefault(tag, []).append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        for tag in set(self.open):
            self.texts[tag][-1] += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def data_of(page: str) -> dict[str, Any]:
    [packed] = re.findall(r'id="pg-data">([^<]*)<', page)
    found: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(packed)))
    return found


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "first"
    sl.verify("first-shutdown").write(folder)
    return folder


@pytest.fixture(scope="module")
def page(first: Path) -> str:
    return sl.report(first).html


# --- the words ---


def cell(phase: int, column: str, outcome: str, region: str = "north", **more: Any) -> Result:
    return Result(
        phase=f"p{phase}", time=BEGIN + timedelta(hours=6 * phase), operator=more.pop("operator", "one"), region=region,
        subscriber="ordinary" if region else "", target=column, family="ipv4", outcome=outcome, column=column,
        access="fixed", **more,
    )  # fmt: skip


def account(results: Sequence[Result], status: str = "finished", phases: int = 0) -> RunAccount:
    count = phases or len({result.phase for result in results}) + 1
    planned = [
        {"phase": f"p{n}", "at": (BEGIN + timedelta(hours=6 * n)).isoformat(), "title": ""} for n in range(count)
    ]
    return RunAccount("run", status, {"phases": planned[: phases or count - 1]}, results)


def test_phases_in_which_routes_change_have_drawings_of_their_own(tmp_path: Path) -> None:
    sl.verify("iran-2019").write(tmp_path / "run")
    data = data_of(sl.report(tmp_path / "run", tmp_path / "report.html").html)
    by_phase = {name: data["drawings"][place] for (name, *_), place in zip(data["phases"], data["drawn"], strict=True)}
    assert len(data["drawings"]) == 3
    assert {name for name, drawing in by_phase.items() if "withdrawn" not in drawing} == {"baseline", "back"}
    assert by_phase["mobile"] == by_phase["tci"] != by_phase["floor"]  # what is filtered changes no route


def test_a_country_that_is_always_whole_has_one_drawing(first: Path, tmp_path: Path) -> None:
    data = data_of(sl.report(first, tmp_path / "report.html").html)
    assert data["drawings"] == data["drawn"] == []


def test_of_the_flagship_it_says_what_was_cut_where_when_and_for_how_long(flagship_page: str) -> None:
    page = Parsed(flagship_page)
    assert page.texts["h1"] == [
        "From 5 January 2022, 10:30 UTC ordinary subscribers in all six regions reached nothing but port holes, "
        "calls (72%) and SMS (72%), for 52.5 h in four stretches."
    ]
    told = page.texts["header"][0]
    for sentence in (
        "It began on 2 January 2022, 12:00 UTC: mobile subscribers in Mangystau lost foreign web, allowed sites, DNS, "
        "ping and port holes.",
        "From 8 January 2022, 10:00 UTC ordinary subscribers reached nothing but allowed sites, DNS, port holes, "
        "calls (72%) and SMS (72%), for 35.5 h in two stretches.",
        "Foreign web was gone for 93.5 h in Almaty;",
        "From outside, BGP showed nothing: it was as usual in 22 phases.",
        "From 11 January 2022, 02:15 UTC everything that was measured got through again.",
    ):
        assert sentence in told


def test_hours_are_those_of_the_phases_in_which_nobody_got_through(flagship: Path) -> None:
    run = sl.Run.open(flagship)
    cut = {name for name, _ in run.table.phases if run.table[name, "foreign web"].fraction == 0}
    moments = [*(at for _, at in run.table.phases), sl.load("kazakhstan-2022").scenario.ends]
    hours = sum(
        (until - at).total_seconds() / 3600
        for (name, at), until in zip(run.table.phases, moments[1:], strict=True)
        if name in cut
    )
    assert hours == 52.5 + 35.5
    in_almaty = 93.5 - hours  # the second window, and mobile's allowlist, left out Almaty
    windows = {"window-2", "window-2-capital"}
    left_out = {
        name
        for name, _ in run.table.phases
        if {
            result.outcome.got_through
            for result in run.results
            if result.phase == name and result.region == "almaty" and result.column == "foreign web" and result.weight
        }
        == {False}
    } - cut
    assert left_out >= windows
    assert in_almaty == sum(
        (until - at).total_seconds() / 3600
        for (name, at), until in zip(run.table.phases, moments[1:], strict=True)
        if name in left_out
    )


def test_where_everything_got_through_it_says_so() -> None:
    assert headline(account([cell(0, "web", "ok"), cell(1, "web", "ok")])) == (
        "Everything that was measured got through, in two phases."
    )
    slow = account([cell(0, "web", "throttled")])
    assert headline(slow) == "From 1 May 2030, 08:00 UTC web got through slowly, until what was measured ends."


@pytest.mark.parametrize(
    ("services", "told"),
    [
        (
            "abc",
            ["these still got through to nobody: a, for 6 h; b, for 12 h; c, for 12 h in two stretches."],
        ),
        (
            "ab",
            [
                "a still got through to nobody, for 6 h (first on 1 May 2030, 08:00 UTC).",
                "b still got through to nobody, for 12 h (first on 1 May 2030, 08:00 UTC).",
            ],
        ),
    ],
)
def test_losses_outside_the_cut_offs_are_told_in_a_sentence_or_two(services: str, told: list[str]) -> None:
    gone = {"a": {0}, "b": {0, 1}, "c": {1, 4}}
    found = [
        cell(n, c, "blocked" if n == 3 or (c in services and n in gone[c]) else "ok")
        for n in range(6)
        for c in "abcdefgh"
    ]
    said = [each for each in story(account(found)) if each.startswith("When the country was not cut off, ")]
    assert said == [f"When the country was not cut off, {each}" for each in told]


def test_a_block_of_one_service_is_not_called_a_shutdown() -> None:
    found = [
        cell(n, c, "blocked" if (n, c) == (1, "chat") else "ok") for n in (0, 1, 2) for c in ("chat", "web", "dns")
    ]
    assert headline(account(found)) == "From 1 May 2030, 14:00 UTC chat got through to nobody in north, for 6 h."


def test_who_lost_something_is_said_of_all_of_them_or_of_some() -> None:
    def lost(*blocked: str) -> str:
        found = [
            cell(1, "web", "blocked" if operator in blocked and region == "north" else "ok", region, operator=operator)
            for operator in ("one", "two")
            for region in ("north", "south")
        ]
        return headline(account([cell(0, "web", "ok"), *found], phases=3))

    assert lost("one", "two") == "From 1 May 2030, 14:00 UTC subscribers in north lost web, for 6 h."
    assert lost("one") == "From 1 May 2030, 14:00 UTC subscribers of one in north lost web, for 6 h."


def test_all_regions_but_one_are_said_by_that_one() -> None:
    regions = ("north", "south", "east", "west")
    found = [cell(1, "web", "ok" if region == "west" else "blocked", region) for region in regions]
    told = headline(account([cell(0, "web", "ok"), *found], phases=3))
    assert told == "From 1 May 2030, 14:00 UTC subscribers in all regions but west lost web, for 6 h."


def test_services_that_were_gone_for_equally_long_are_named_together() -> None:
    found = [cell(0, name, "blocked", region) for name in ("chat", "web") for region in ("north", "south")]
    found += [cell(1, name, "ok", region) for name in ("chat", "web") for region in ("north", "south")]
    assert "Chat and web were gone for 6 h in every region." in list(story(account(found)))


def test_seconds_in_which_nobody_got_through_are_reported_as_seconds() -> None:
    back = cell(1, "web", "ok").model_copy(update={"time": BEGIN + timedelta(seconds=13)})
    told = account([cell(0, "web", "blocked"), back])
    assert "<td>13 s</td>" in document(told, (), Whys(), {}, "", "")


def test_at_the_end_it_says_what_nobody_reaches_and_what_some_do() -> None:
    found = [cell(0, name, "ok") for name in ("chat", "mail", "web")]
    found += [cell(1, "chat", "blocked"), cell(1, "mail", "blocked")]
    found += [cell(1, "web", "blocked", weight=1.0), cell(1, "web", "ok", "south", weight=1.0)]
    gone = "chat and mail got through to nobody, and web did not get through to everybody"
    assert f"It was not over when the record ends: {gone}." in list(story(account(found)))


def test_a_fault_is_distinguished_from_a_block() -> None:
    found = [cell(0, "web", "ok"), cell(1, "web", "down", failure="fault: cable"), cell(2, "web", "ok")]
    assert headline(account(found)).endswith("for 6 h; it was a fault, which is not blocking.")
    assert "One measurement did not get through for faults, which are no block: cable." in list(story(account(found)))


def test_a_country_of_which_one_in_a_hundred_is_left_is_cut_off() -> None:
    def dark(phase: int, *left: str) -> list[Result]:
        ways = [(name, "ok" if name in left else "blocked", 0.99) for name in ("chat", "mail", "web")]
        return [cell(phase, name, outcome, weight=weight) for name, outcome, weight in ways]

    few = [cell(n, name, "ok", operator="two", weight=0.01) for n in (1, 2) for name in ("chat", "web")]
    found = account(
        [*dark(0, "chat", "mail", "web"), *dark(1), *dark(2, "mail"), *few, *dark(3, "chat", "mail", "web")]
    )
    assert headline(found) == (
        "From 1 May 2030, 14:00 UTC ordinary subscribers in north reached nothing but chat (1%) and web (1%), for 6 h."
    )
    assert "In total it was cut off from 1 May 2030, 14:00 UTC to 2 May 2030, 02:00 UTC, for 12 h." in [*story(found)]
    assert (
        "From 1 May 2030, 20:00 UTC ordinary subscribers reached nothing but chat (1%), mail and web (1%), for 6 h."
        in [*story(found)]
    )


def test_many_services_that_hardly_anybody_reached_are_said_by_the_most() -> None:
    names = [f"s{n}" for n in range(8)]
    found = [cell(1, name, "blocked", weight=0.9) for name in names]
    found += [cell(1, name, "ok", operator="two", weight=0.1) for name in names]
    told = headline(account([cell(0, "s0", "ok"), *found], phases=3))
    assert told.endswith("subscribers in north reached next to nothing: at most 10% of them anything, for 6 h.")
    told = headline(account([cell(0, "s0", "ok"), cell(1, "calls", "ok"), *found], phases=3))
    assert told.endswith("in north reached nothing but calls, and at most 10% of them anything else, for 6 h.")


def test_the_page_and_the_map_open_on_the_phase_that_the_headline_is_of() -> None:
    """Downloads are measured in the milder phase alone, which makes its average the lower one."""
    dark = [cell(1, "web", "blocked"), cell(1, "calls", "ok")]
    milder = [cell(2, "web", "ok", operator="two", weight=0.1), cell(2, "web", "blocked", weight=0.9)]
    milder += [cell(2, "speed", "blocked"), cell(2, "mail", "blocked"), cell(2, "calls", "ok")]
    found = account([cell(0, "web", "ok"), cell(0, "calls", "ok"), *dark, *milder], phases=4)
    assert headline(found).startswith("From 1 May 2030, 14:00 UTC")
    assert found.spans[found.worst].name == "p1"


def test_a_region_that_was_cut_off_is_told_though_the_country_was_not() -> None:
    """It was told of services that got through to nobody in the whole country alone, as if there was nothing else."""

    def found(chat: str) -> RunAccount:
        """Chat, in the whole country, and beside it everything in the north; a block of chat is the greater part."""
        first = [cell(0, name, "ok", region) for name in ("chat", "web", "mail") for region in ("north", "south")]
        second = [cell(1, "chat", chat, region) for region in ("north", "south")]
        second += [cell(1, name, "ok", region) for name in ("web", "mail") for region in ("north", "south")]
        third = [cell(2, name, "blocked", "north") for name in ("chat", "web", "mail")]
        third += [cell(2, name, "ok", "south", weight=1.0) for name in ("chat", "web", "mail")]
        return account([*first, *second, *third], phases=4)

    dark = "From 1 May 2030, 20:00 UTC ordinary subscribers in north reached nothing at all, for 6 h."
    assert headline(found("ok")) == dark
    assert dark not in list(story(found("ok")))
    assert headline(found("blocked")).startswith("From 1 May 2030, 14:00 UTC chat got through to nobody")
    assert dark in list(story(found("blocked")))


def test_a_region_that_was_cut_off_before_the_country_is_told_of_in_its_turn() -> None:
    """Sentences about regions all stood behind those about the country: from January on, then from August on."""
    names, north, south = ("chat", "mail", "web"), "north", "south"
    found = [cell(n, name, "ok", region) for n in (0, 4) for name in names for region in (north, south)]
    found += [
        cell(1, name, "blocked" if region == north else "ok", region) for name in names for region in (north, south)
    ]
    found += [cell(2, name, "blocked", region) for name in names for region in (north, south)]
    found += [
        cell(3, name, "ok" if name == "mail" else "blocked", region) for name in names for region in (north, south)
    ]
    told = account(found)
    assert headline(told).startswith(
        "From 1 May 2030, 20:00 UTC ordinary subscribers in both regions reached nothing at"
    )
    assert [each[:27] for each in story(told) if "subscribers" in each and each.startswith("From")] == [
        "From 1 May 2030, 14:00 UTC ",
        "From 2 May 2030, 02:00 UTC ",
    ]


def test_a_region_that_lost_nothing_is_not_said_to_be_cut_off() -> None:
    regions = {"north": 5.0, "south": 5.0, "capital": 0.1}
    found = [
        cell(1, name, "ok" if region == "capital" else "blocked", region, weight=weight)
        for region, weight in regions.items()
        for name in ("chat", "web")
    ]
    told = headline(account([cell(0, "web", "ok"), *found], phases=3))
    assert told.endswith("ordinary subscribers in north and south reached nothing at all, for 6 h.")


def test_what_is_open_in_regions_that_were_spared_alone_is_not_said_of_the_others() -> None:
    found = [cell(1, "chat", "ok", "south"), cell(1, "chat", "blocked", "north")]
    for name in (f"s{n}" for n in range(8)):
        for region, share in (("north", 0.1), ("south", 0.3)):
            found.append(cell(1, name, "ok", region, operator="two", weight=share))
            found.append(cell(1, name, "blocked", region, weight=1 - share))
    told = headline(account([cell(0, "chat", "ok"), *found], phases=3))
    assert told.endswith("subscribers in north reached next to nothing: at most 10% of them anything, for 6 h.")


def test_dates_have_their_year_where_there_are_several() -> None:
    def over(days: int) -> str:
        found = [cell(0, "web", "ok"), cell(1, "web", "blocked"), cell(2, "web", "ok")]
        found[2] = found[2].model_copy(update={"time": BEGIN + timedelta(days=days)})
        return document(account(found), (), Whys(), {}, "", "")

    assert ">01 May 08:00 p0<" in (one := over(200)) and "01 May 2030 08:00" not in one
    several = over(400)
    assert ">01 May 2030 08:00 p0<" in several and ">05 Jun 2031 08:00 p2<" in several
    marks = re.findall(r">([0-9]+ [A-Z][a-z]{2}(?: 20[0-9]{2})?)</text>", several)
    assert len(marks) > 3
    assert [mark[-4:] for mark in marks if mark[-1].isdigit()] == ["2030", "2031"]  # the first of each year


@pytest.mark.parametrize(
    ("scenario", "said", "never"),
    [
        # Six apps stay blocked when all else is back: whoever has the rest of the web is not cut off.
        ("uganda-2026", "From 13 January 2026, 15:00 UTC ordinary subscribers in both regions", "but other web"),
        # Fibre was switched off by order: that is how it began, and no fault.
        ("afghanistan-2025", "It began on 16 September 2025, 06:00 UTC: fixed subscribers in", "a fault"),
        # Calls and short messages are no Internet: what got through is said, and does not make it less of a cut.
        (
            "kashmir-2019",
            "in all regions but Delhi reached nothing but calls (31 to 58%) and SMS (32 to 42%)",
            "speed)",
        ),
    ],
)
def test_what_is_said_of_shutdowns_that_ship(scenario: str, said: str, never: str, tmp_path: Path) -> None:
    sl.verify(scenario).write(tmp_path / "run")
    told = Parsed(sl.report(tmp_path / "run").html).texts["header"][0]
    assert said in told
    assert never not in told.partition("Throttling")[0]


def test_names_that_are_lists_are_distinguished() -> None:
    assert listed(["Kupwara and Bandipora", "Doda, Kishtwar", "Delhi"]) == (
        "Kupwara and Bandipora; Doda, Kishtwar; and Delhi"
    )
    assert listed(["north", "south", "east"]) == "north, south and east"


def test_cells_without_a_verdict_count_neither_way_and_are_mentioned() -> None:
    found = [cell(0, "web", "unknown"), cell(0, "dns", "ok")]
    assert headline(account(found)) == "Everything that has a verdict got through."
    assert list(story(account(found)))[-1] == "One cell of 2 has no verdict."


def test_where_no_cell_has_a_verdict_nothing_is_said_to_have_got_through() -> None:
    found = [cell(0, "web", "unknown"), cell(0, "dns", "error")]
    assert headline(account(found)) == "Nothing is known: no cell has a verdict."


def test_it_does_not_say_that_all_is_back_where_the_run_broke_off() -> None:
    found = [cell(0, "web", "blocked"), cell(1, "web", "ok")]
    whole, broken = account(found), account(found, "interrupted", phases=3)
    assert any("got through again" in sentence for sentence in story(whole))
    assert not any("again" in sentence for sentence in story(broken))
    assert provenance(broken) == "The run did not finish (interrupted): of three phases two are measured, 2 cells."


def test_outsiders_who_saw_it_are_said_to_have() -> None:
    found = [cell(n, "web", "ok") for n in (0, 1)]
    seen = [cell(0, "BGP", "ok", ""), cell(1, "BGP", "blocked", "")]
    assert "From outside, BGP showed it in one phase, first on 1 May 2030, 14:00 UTC: one could not be seen." in list(
        story(account([*found, *seen]))
    )
    assert "From outside, BGP showed nothing: it was as usual in one phase." in list(
        story(account([found[0], seen[0]]))
    )


def test_without_results_it_says_that_nothing_has_been_measured() -> None:
    assert headline(account([], "crashed")) == "Nothing has been measured."
    assert list(story(account([]))) == []


@given(
    st.lists(
        st.builds(
            cell, st.integers(0, 4), st.sampled_from(["web", "chat", "dns", "BGP"]), st.sampled_from([*Outcome]),
            st.sampled_from(["north", "south", ""]), operator=st.sampled_from(["one", "two"]),
            weight=st.sampled_from([0.0, 0.5, 2.0]),
        ),
    ),
    st.sampled_from(["finished", "verified", "interrupted", "killed"]),
)  # fmt: skip
def test_of_whatever_results_the_page_is_whole_and_its_words_are_sentences(found: list[Result], status: str) -> None:
    told = account(sorted(found, key=lambda result: result.phase), status)
    for sentence in (headline(told), provenance(told), *story(told)):
        assert re.fullmatch(r"[A-Z0-9].*[.]", sentence), sentence
        assert not re.search(r"  |None|\bnothing and|, [.;]", sentence), sentence
    page = Parsed(document(told, (), Whys(), {}, "", ""))
    assert not page.open
    for column in told.services:
        if "nobody" in headline(told) and column in headline(told).split(" got through")[0]:
            assert any(told.table[span.name, column].fraction == 0 for span in told.spans)


# --- the page ---


def test_every_section_has_its_heading_and_is_in_the_contents(page: str) -> None:
    parsed = Parsed(page)
    assert not parsed.open
    assert [section["id"] for section in parsed.all("section") if section.get("id")] == SECTIONS
    assert {link["href"] for link in parsed.all("a")} == {f"#{name}" for name in [*SECTIONS, "main"]}
    ids = [attributes["id"] for _, attributes in parsed.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    named = {a["aria-labelledby"] for _, a in parsed.elements if "aria-labelledby" in a} - {"pg-dialog-title"}
    assert named <= set(ids)


def test_tables_have_captions_and_their_heads_say_what_they_head(page: str) -> None:
    parsed = Parsed(page)
    assert len(parsed.all("table")) == len(parsed.all("caption")) >= 4
    assert all(head.get("scope") in {"col", "row"} for head in parsed.all("th"))


def test_the_table_of_phases_is_that_of_the_run(first: Path, page: str) -> None:
    table = sl.Run.open(first).table
    [shown] = re.findall(r'<table class="pg-over">.*?</table>', page)
    rows = re.findall(r"<tr data-row=.*?</tr>", shown)
    assert len(rows) == len(table.phases)
    for (name, _), row in zip(table.phases, rows, strict=True):
        assert re.findall(r"<td[^>]*>([^<]*)</td>", row) == [str(table[name, column]) for column in table.columns]


def test_the_page_loads_nothing_and_runs_its_own_script_alone(page: str) -> None:
    parsed = Parsed(page)
    assert not any({"src", "srcset", "data", "poster"} & attributes.keys() for _, attributes in parsed.elements)
    assert not parsed.all("link")
    assert not any(name.startswith("on") for _, attributes in parsed.elements for name in attributes)
    assert "url(" not in parsed.texts["style"][0] and "@import" not in parsed.texts["style"][0]
    [policy] = [meta["content"] for meta in parsed.all("meta") if meta.get("http-equiv")]
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    digest = base64.b64encode(hashlib.sha256(parsed.texts["script"][1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy


def test_its_data_has_every_cell_of_the_run(first: Path, page: str) -> None:
    data, found = data_of(page), set()
    for (phase, *_), cells in zip(data["phases"], data["cells"], strict=True):
        for row, flat in cells.items():
            for at in range(0, len(flat), 5):
                target, family = data["columns"][flat[at]][:2]
                found.add((phase, *data["rows"][int(row)][:3], target, family, data["facts"][flat[at + 1]][0]))
    assert found == {
        (r.phase, r.operator, r.region, r.subscriber, r.target, r.family.value, r.outcome.value)
        for r in sl.Run.open(first).results
    }


def test_what_did_not_get_through_is_explained_by_the_policy_that_decided(page: str) -> None:
    data = data_of(page)
    for cells in data["cells"]:
        for flat in cells.values():
            for at in range(0, len(flat), 5):
                outcome, why = data["facts"][flat[at + 1]][0], flat[at + 2]
                assert (why >= 0) == (outcome != "ok")
    whys = [why for why in data["whys"] if why["phase"] == "messenger"]
    assert {name for why in whys for name in why["policies"]} == {"whatsapp-reset", "whatsapp-dropped"}
    assert {why["at"] for why in whys} == {"own dpi-box"}
    assert any(hop[5] and hop[1] == "DPI box, perfect" for why in whys for hop in why["hops"])


def test_lies_of_resolvers_and_routes_that_are_gone_are_decided_there(tmp_path: Path) -> None:
    sl.verify("myanmar-2021").write(tmp_path)
    page = sl.report(tmp_path).html
    whys = data_of(page)["whys"]
    assert {"own resolver", "own border", "own access-switch", "campana-border"} == {why["at"] for why in whys}
    orders = re.findall(r'<table class="pg-orders">.*?</table>', page)[0]
    assert "operators&#x27; resolvers" in orders
    assert "border routers, by BGP" in orders


def test_explanations_are_shared_by_cells_that_cannot_differ(flagship_page: str) -> None:
    data = data_of(flagship_page)
    explained = [flat[at + 2] for cells in data["cells"] for flat in cells.values() for at in range(0, len(flat), 5)]
    assert sum(why >= 0 for why in explained) > 4 * len(data["whys"])


def test_the_flagship_s_is_small_enough_to_pass_on(flagship_page: str) -> None:
    assert len(flagship_page.encode()) < 3_000_000


@pytest.mark.parametrize(
    ("held", "certainty", "said"),
    [
        ("", "confirmed", "confirmed"),
        ("p0", "held", "not measured here: held, as measured in p0"),
        (THE_MODEL, "held", "not measured: as the model has it, which has it as before"),
    ],
)
def test_a_cell_that_was_not_measured_says_what_stands_for_it(held: str, certainty: str, said: str) -> None:
    told = account([cell(0, "web", "blocked", held=held, certainty=certainty)])
    assert said in [fact[5] for fact in data_of(document(told, (), Whys(), {}, "", ""))["facts"]]


def test_of_cells_held_from_another_phase_it_is_said_that_they_were_measured_there() -> None:
    found = account([cell(0, "web", "ok"), cell(1, "web", "ok", held="p0")])
    assert provenance(found) == (
        "Measured with real packets in an emulated country: 2 cells in two phases, 1 of them in another one, from "
        "which they cannot differ."
    )


def test_what_was_worked_out_is_not_called_measured_where_cells_are_opened(page: str) -> None:
    assert "Open one for why, hop by hop." in page
    assert data_of(page)["measured"] is False
    assert data_of(document(account([cell(0, "web", "ok")]), (), Whys(), {}, "", ""))["measured"] is True


def test_nothing_of_a_users_file_becomes_markup(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
    text = (ROOT / "scenarios/first-shutdown.yaml").read_text()
    scenario = yaml.safe_load(text)
    scenario["title"] = evil
    scenario["sources"]["EXAMPLE"] = evil
    scenario["timeline"][1]["title"] = evil
    scenario["policies"]["whatsapp-reset"]["title"] = evil
    scenario["probes"]["telegram"]["column"] = evil
    scenario["topology"] = str(ROOT / "topologies/two-operators.yaml")
    file = tmp_path / "evil.yaml"
    file.write_text(yaml.safe_dump(scenario))
    sl.verify(file).write(tmp_path / "run")
    page = sl.report(tmp_path / "run").html
    parsed = Parsed(page)
    assert evil in page.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", '"').replace("&#x27;", "'")
    assert len(parsed.all("script")) == 2
    assert not parsed.all("img")
    assert not any(name.startswith("on") for _, attributes in parsed.elements for name in attributes)


def test_faults_of_the_scenario_stand_beside_the_orders_and_are_distinguished_from_them(tmp_path: Path) -> None:
    sl.verify(ROOT / "examples/breakdowns.yaml").write(tmp_path / "run")
    page = sl.report(tmp_path / "run").html
    orders = re.findall(r'<table class="pg-orders">.*?</table>', page)[0]
    assert re.search(r"fault </span><code>power</code>.*?nobody: a fault", orders)
    data = data_of(page)
    down = [why for why in data["whys"] if why["outcome"] == "down"]
    assert down and all(why["faults"] for why in down)
    assert {"blocked", "down", "ok"} <= {fact[0] for fact in data["facts"]}


def test_orders_and_faults_come_from_the_events_where_the_scenario_is_gone(tmp_path: Path) -> None:
    sl.verify(ROOT / "examples/breakdowns.yaml").write(tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text()) | {"source": ""}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    at = "2030-06-01T00:00:00Z"
    events = [
        {"event": "ordered", "at": at, "phase": "fibre", "scenario_time": "2030-06-01T10:00Z", "mode": "operators",
         "policies": ["messengers"]},
        {"event": "damaged", "at": at, "phase": "fibre", "faults": {"fibre": "The fibre is cut"}},
    ]  # fmt: skip
    (tmp_path / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    orders = re.findall(r'<table class="pg-orders">.*?</table>', sl.report(tmp_path).html)[0]
    assert "<code>messengers</code>" in orders
    assert "<code>fibre</code>" in orders and "The fibre is cut" in orders


# --- of whatever run ---


def test_a_run_of_version_0_1_has_a_page_without_what_it_did_not_record() -> None:
    page = sl.report(OLD).html
    parsed = Parsed(page)
    assert "first-shutdown" in parsed.texts["title"][0]
    assert "No drawing: the record does not say where its scenario is." in parsed.texts["p"]
    extracts = data_of(page)["extracts"]
    assert any(what == "ping://8.8.8.8" for what, *_ in extracts)


def test_a_scenario_that_has_changed_explains_nothing(first: Path, tmp_path: Path) -> None:
    for file in first.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    manifest = json.loads((tmp_path / "manifest.json").read_text()) | {"digest": "0" * 64}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    page = sl.report(tmp_path).html
    assert data_of(page)["whys"] == []
    assert "the scenario first-shutdown is not what it was when this was made" in page


def test_what_is_passed_on_does_not_tell_where_on_somebodys_machine_the_scenario_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home" / "a-name"
    monkeypatch.setenv("HOME", str(home))
    (home / "project").mkdir(parents=True)
    (home / "project" / "mine.yaml").write_bytes((ROOT / "scenarios/first-shutdown.yaml").read_bytes())
    sl.verify(home / "project" / "mine.yaml").write(home / "run")
    page = sl.report(home / "run").html
    record = "".join(file.read_text() for file in (home / "run").iterdir())
    assert "a-name" not in record + page + json.dumps(data_of(page))
    assert "<small>mine.yaml:32</small>" in page
    # and it is found again, from wherever
    monkeypatch.chdir(tmp_path)
    assert data_of(page)["whys"]
    run = sl.Run.open(home / "run")
    assert run.manifest["source"] == "~/project/mine.yaml"
    assert sl.load(run.manifest["source"]).digest == run.manifest["digest"]
    (home / "project" / "mine.yaml").unlink()
    gone = sl.report(home / "run").html
    assert "No drawing: the scenario mine.yaml cannot be read any more." in gone
    assert "a-name" not in gone


def test_a_phase_that_begins_within_a_minute_lasts_until_the_next_one(tmp_path: Path) -> None:
    shutdown = sl.load("first-shutdown", set={"timeline.messenger.at": "2030-05-01T12:00:40Z"})
    sl.verify(shutdown).write(tmp_path / "run")
    page = sl.report(tmp_path / "run").html
    texts = Parsed(page).texts["small"]
    assert "01 May 12:00:40 · 6 h" in texts
    assert "01 May 08:00 · 4 h" in texts
    assert ["messenger", "2030-05-01 12:00:40 UTC", 5.989] in [
        [name, at, h] for name, _, at, h in data_of(page)["phases"]
    ]


def test_legends_tell_what_is_not_measured_where_something_is_not(first: Path) -> None:
    texts = Parsed(sl.report(first).html).texts["li"]
    assert texts.count(" not measured") == 2, "of the timeline, and of the table of cells"


def test_a_manifest_that_is_none_is_refused(first: Path, tmp_path: Path) -> None:
    manifest = json.loads((first / "manifest.json").read_text()) | {"choices": ["command"]}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(sl.BadInput, match="choices"):
        sl.report(tmp_path)


def test_results_of_other_phases_than_the_scenarios_are_not_explained(first: Path, tmp_path: Path) -> None:
    for file in first.iterdir():
        (tmp_path / file.name).write_text(file.read_text().replace("one-way", "two-way"))
    page = sl.report(tmp_path).html
    assert "the results are not all of the scenario first-shutdown" in page
    assert data_of(page)["whys"] == []


def test_a_run_without_a_whole_phase_has_a_page_that_says_so(first: Path, tmp_path: Path) -> None:
    manifest = json.loads((first / "manifest.json").read_text()) | {"rows": {}, "status": "crashed"}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    parsed = Parsed(sl.report(tmp_path).html)
    assert parsed.texts["h1"] == ["Nothing has been measured."]
    assert "The run crashed: of seven phases none is measured" in parsed.texts["header"][0]


def test_an_extract_says_what_was_tried_and_which_controls_vouch_for_it() -> None:
    record = {
        "input": "https://www.bbc.com/", "test_name": "web_connectivity", "test_runtime": 1.5,
        "test_keys": {
            "x_id": "cut a/b/c web ipv4", "blocking": "tcp_ip", "accessible": False, "x_status": "our own",
            "queries": [{"query_type": "A", "hostname": "www.bbc.com", "resolver_address": "10.0.0.1:53",
                         "failure": None, "answers": [{"ipv4": "192.0.2.1"}]}],
            "tcp_connect": [{"ip": "192.0.2.1", "port": 443, "status": {"failure": "generic_timeout_error"}}],
            "x_control": [{"name": "path", "failure": None, "runtime": 0.25}],
        },
    }  # fmt: skip
    found = extract_of(7, record)
    assert found is not None
    name, extract = found
    assert (name, extract.line, extract.what) == ("cut a/b/c web ipv4", 7, "https://www.bbc.com/")
    assert extract.steps == (
        "DNS A www.bbc.com of 10.0.0.1:53: 192.0.2.1",
        "TCP to 192.0.2.1:443: generic_timeout_error",
    )
    assert extract.verdict == ("blocking: tcp_ip", "accessible: false")
    assert extract.controls == ("path: succeeded in 0.250 s",)
    assert extract_of(1, {"test_keys": None}) is None


def test_of_many_steps_those_that_failed_are_not_among_the_ones_left_out() -> None:
    tried = [{"ip": "192.0.2.1", "port": port, "status": {"failure": None}} for port in range(20)]
    tried.append({"ip": "192.0.2.1", "port": 443, "status": {"failure": "connection_reset"}})
    found = extract_of(1, {"test_keys": {"x_id": "a b c ipv4", "tcp_connect": tried}})
    assert found is not None
    steps = found[1].steps
    assert (len(steps), steps[0], steps[-1]) == (8, "TCP to 192.0.2.1:443: connection_reset", "and 14 more")


def test_outcomes_all_have_a_symbol_of_their_own() -> None:
    assert set(SYMBOLS) == set(MEANINGS) == set(ORDER) == set(Outcome)
    assert len(set(SYMBOLS.values())) == len(Outcome)
    script = (ROOT / "shutdownlab/reporting/page/page.js").read_text()
    for outcome, symbol in SYMBOLS.items():
        assert f'{outcome.value}: "{symbol}"' in script


# --- the doors ---


def test_the_command_writes_the_page(first: Path, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    done = CliRunner().invoke(app, ["report", str(first), "-o", str(file)])
    assert done.exit_code == 0, done.output
    assert file.read_text() == sl.report(first).html


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-o", "report.pdf"], "-o: found 'report.pdf'; expected a name that ends in .html"),
        (["-o", "no/such/folder/report.html"], "-o: found no/such/folder/report.html, which cannot be written"),
        (["-o", "report.html", "--as", "shares"], "--as: found 'shares' together with -o; expected one of the two"),
    ],
)
def test_where_it_cannot_be_written_is_said(first: Path, arguments: list[str], said: str) -> None:
    done = CliRunner().invoke(app, ["report", str(first), *arguments])
    assert done.exit_code == 2
    assert said in done.output


def test_a_notebook_shows_it_in_a_frame_of_its_own(page: str, first: Path) -> None:
    shown = sl.report(first)._repr_html_()
    [frame] = Parsed(shown).all("iframe")
    assert frame["srcdoc"] == page
    assert sl.Run.open(first)._repr_html_() == shown
