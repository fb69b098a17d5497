"""What a report says of what outsiders saw: their signals, the alerts of their detectors, and that it was so."""

from __future__ import annotations

import re
from html import escape
from pathlib import Path

import pytest

import shutdownlab as sl
from shutdownlab.reporting.page.outsiders import outsiders_sentence
from shutdownlab.reporting.page.report import account_of
from shutdownlab.results.reading import Basis, Reading, write_readings
from shutdownlab.results.run import Run

PROBED = {"blackout": 0.3, "allowlist": 0.4}


def reading(signal: str, phase: str, value: float, basis: Basis = "measured") -> Reading:
    return Reading(signal, phase, "country", "", "ipv4", value, "share", basis)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run in which active probing shows the blackout, and BGP nothing."""
    folder = tmp_path_factory.mktemp("watched") / "run"
    sl.verify("first-shutdown").write(folder)
    phases = [span.phase for span in Run.open(folder).phases]
    readings = [reading("active-probing", phase, PROBED.get(phase, 1.0)) for phase in phases]
    readings += [reading("bgp", phase, 1.0) for phase in phases]  # the page has an order of its own
    readings += [reading("tor", phase, 1.5, "modelled") for phase in phases]
    write_readings(folder, [*readings, Reading("bgp", phases[0], "operator", "northnet", "ipv4", 0.0, "share", "held")])
    return Run.open(folder)


@pytest.fixture(scope="module")
def page(run: Run) -> str:
    return sl.report(run).html


def test_a_signal_that_fell_has_its_alert_at_the_time_of_its_phase(run: Run) -> None:
    bgp, probing, tor = account_of(run).watched
    spans = {span.phase: span.at for span in run.phases}

    assert (bgp.alerts, bgp.judged, tor.judged) == ((), True, False)
    assert probing.lowest == ("blackout", 0.3)
    (alert,) = probing.alerts
    assert alert.level == "critical"
    assert alert.begins == spans["blackout"]
    assert alert.ends is not None
    assert spans["allowlist"] < alert.ends <= spans["restored"], "what is usual, a week's median, falls meanwhile"


def test_the_story_says_who_noticed_first_and_who_did_not(run: Run, page: str) -> None:
    sentence = outsiders_sentence(account_of(run))

    assert re.match(r"Outsiders' detectors raised alerts: first active probing, at .*; no alert in BGP\.", sentence)
    assert escape(sentence, quote=False) in page or escape(sentence) in page


def test_the_section_has_a_row_a_signal_and_the_timeline_a_curve(page: str) -> None:
    section = page[page.index('<section id="outside"') :]
    section = section[: section.index("</section>")]

    assert "<b>30%</b> in blackout" in section
    assert re.search(r"critical: \d\d \w{3} \d\d:\d\d to \d\d \w{3} \d\d:\d\d", section)
    assert "no rule is known" in section
    assert page.count('class="pg-alert"') == 1
    assert page.count('class="pg-signal"') == 2 * 7
    assert page.count('class="pg-signal pg-modelled"') == 7


def test_where_nobody_looked_on_the_page_has_no_such_section(tmp_path: Path) -> None:
    sl.verify("first-shutdown").write(tmp_path / "run")
    (tmp_path / "run/readings.csv").unlink()  # as of a run without --observe
    page = sl.report(tmp_path / "run").html

    assert 'id="outside"' not in page
    assert "pg-signal" not in page[page.index("<body") : page.index('id="pg-data"')]
    assert "detectors" not in page[page.index("<body") : page.index('id="pg-data"')]


def test_a_result_of_the_model_has_what_outsiders_would_see_of_it_and_says_by_whom(tmp_path: Path) -> None:
    """So that a page made without packets answers what outsiders saw too."""
    verified = sl.verify("iran-2019")
    verified.write(tmp_path / "run")
    run = Run.open(tmp_path / "run")
    assert {(each.phase, each.basis) for each in run.readings} == {(p.phase, "modelled") for p in verified.phases}
    assert run.signals == list(verified.signals)
    sentence = outsiders_sentence(account_of(run))
    assert sentence.startswith("By the model, outsiders' detectors would raise alerts: first BGP, at 16 November 2019,")
    assert "(modelled)" not in sentence, "of all of them it is said once"
    page = sl.report(run).html
    assert "What sources say that outsiders saw, and what was seen here" in page
    assert 'class="pg-signal"' not in page, "all curves are pale"
    assert re.findall(r'pg-swatch pg-signal[^"]*"></span> ([^<]*)<', page) == [
        "an outside signal, as a share of a quiet day: modelled"
    ]
