"""docs/signals.md: what outsiders saw of each shutdown, beside what is emulated."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from shutdownlab import library
from shutdownlab.reporting import signals_page

ROOT = Path(__file__).parents[2]


@cache
def page() -> str:
    return signals_page.rendered()


def test_the_page_that_ships_is_made_from_the_scenarios_as_they_are() -> None:
    assert (ROOT / signals_page.PAGE).read_text() == page(), "a scenario or the model has changed: `make reference`"


def test_every_documented_fact_about_a_signal_is_emulated() -> None:
    facts = [line for line in page().splitlines() if line.startswith("| ") and line.endswith((" yes |", " |"))]
    assert sum(line.endswith("| yes |") for line in facts) > 100
    assert not [line for line in facts if line.endswith(("| **no** |", "| left out |"))]


def test_all_seventeen_shutdowns_say_what_outsiders_saw() -> None:
    shutdowns = [name for name, _ in library.shipped("scenarios") if name != "first-shutdown"]
    assert len(shutdowns) == 17
    assert [name for name in shutdowns if f"[{name}](../scenarios/{name}.yaml)" not in page()] == []
