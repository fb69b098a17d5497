"""What is probed first after an order, and what of a failed first try is told: never more than that it failed once."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

import shutdownlab as sl
from shutdownlab.country.lab_node import LabMeasurement
from shutdownlab.library import Shutdown
from shutdownlab.model.scenario import Outcome
from shutdownlab.results.cells import Cell, cells_of
from shutdownlab.web.course import Course
from shutdownlab.web.foresight import Foreseen, batches, foresee, key_of
from shutdownlab.web.history import Moment, added, as_shutdown, kept_of
from shutdownlab.web.ledger import Ledger, News

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def moment(name: str, *policies: str) -> Moment:
    return Moment(name, name, BEGIN, policies, (), None, False)


@pytest.fixture(scope="module")
def base() -> Shutdown:
    found = sl.load("first-shutdown")
    assert isinstance(found, Shutdown)
    return found


def steered(base: Shutdown, *moments: Moment) -> tuple[Shutdown, list[Cell]]:
    """The last of these moments, and its cells."""
    there: tuple[Moment, ...] = ()
    for each in moments:
        there = added(there, each)
    shutdown = as_shutdown(base, base.scenario.default_choices(), there, BEGIN)
    return shutdown, [cell for cell in cells_of(shutdown, shutdown.scenario.phase(there[-1].name)) if cell.vantage]


def foreseen(base: Shutdown, *moments: Moment) -> tuple[Foreseen, list[Cell]]:
    shutdown, cells = steered(base, *moments)
    return foresee(shutdown, shutdown.scenario.timeline[-1].phase), cells


def test_the_cells_that_an_order_changes_are_probed_first(base: Shutdown) -> None:
    before, _ = foreseen(base, moment("start"))
    after, cells = foreseen(base, moment("start"), moment("reset", "whatsapp-reset"))
    first, rest = batches(cells, after, before.outcomes)
    changed = [cell for cell in cells if after.outcomes[key_of(cell)] is not before.outcomes[key_of(cell)]]

    assert changed
    assert {cell.target for cell in changed} == {"whatsapp"}
    assert first[: len(changed)] == changed
    assert sorted(map(key_of, (*first, *rest))) == sorted(map(key_of, cells)), "each of them once"
    assert all(after.hopeless(cell) for cell in changed)


def test_beside_what_changes_others_show_how_fast_the_machine_is_and_most_of_a_big_country_waits(
    base: Shutdown,
) -> None:
    known, cells = foreseen(base, moment("start"))
    many = cells * 20
    first, rest = batches(many, known, known.outcomes)

    assert 50 <= len(first) <= 60
    assert len(first) + len(rest) == len(many)


def test_without_the_model_everything_is_probed_at_once(base: Shutdown) -> None:
    _, cells = steered(base, moment("start"))

    assert batches(cells, None, {}) == (cells, [])


def found(outcome: Outcome, failure: str | None = None) -> LabMeasurement:
    return LabMeasurement(outcome, failure, "certain", None, "", 0.1, {"test_keys": {}})


def test_a_first_try_that_failed_is_no_verdict_and_takes_none_back(base: Shutdown) -> None:
    now = moment("start")
    shutdown, (cell, other, *_) = steered(base, now)
    ledger = Ledger(kept_of(66))
    ledger.begin(now)

    told = ledger.take_try(shutdown, ledger.newest, cell, Outcome.BLOCKED, "generic_timeout_error")
    ledger.take(shutdown, ledger.newest, other, found(Outcome.OK))
    ledger.take_try(shutdown, ledger.newest, other, Outcome.BLOCKED, "connection_reset")
    result = ledger.result("start", key_of(cell))

    assert told == News(shown=True, sign=True)
    assert result is not None
    assert result.outcome is Outcome.UNKNOWN
    assert result.failure is not None
    assert "generic_timeout_error" in result.failure
    assert "being confirmed" in result.failure
    assert ledger.result("start", key_of(other)).outcome is Outcome.OK  # type: ignore[union-attr]
    assert ledger.contents().trying == {key_of(cell), key_of(other)}
    ledger.take(shutdown, ledger.newest, cell, found(Outcome.OK))
    assert ledger.contents().trying == {key_of(other)}


def test_a_cell_believed_blocked_that_fails_again_is_not_reported_anew(base: Shutdown) -> None:
    now = moment("start")
    shutdown, (cell, *_) = steered(base, now)
    ledger = Ledger(8)
    ledger.begin(now)
    ledger.take(shutdown, ledger.newest, cell, found(Outcome.BLOCKED, "connection_reset"))

    assert ledger.take_try(shutdown, ledger.newest, cell, Outcome.BLOCKED, "connection_reset") == News()
    assert ledger.contents().trying == frozenset()


def test_what_an_order_left_unconfirmed_was_never_measured(base: Shutdown) -> None:
    shutdown, (cell, other, *_) = steered(base, moment("start"))
    ledger = Ledger(8)
    ledger.begin(moment("start"))
    ledger.take(shutdown, ledger.newest, other, found(Outcome.OK))
    for each in (cell, other):
        ledger.take_try(shutdown, ledger.newest, each, Outcome.BLOCKED, "generic_timeout_error")
    ledger.begin(moment("blackout", "blackout"))

    assert ledger.result("start", key_of(cell)) is None
    assert ledger.result("start", key_of(other)) is not None
    assert ledger.contents().trying == frozenset()


def test_a_try_of_before_an_order_says_nothing_of_after_it(base: Shutdown) -> None:
    shutdown, (cell, *_) = steered(base, moment("start"))
    ledger = Ledger(8)
    ledger.begin(moment("start"))
    old = ledger.newest
    ledger.begin(moment("blackout", "blackout"))

    assert ledger.take_try(shutdown, old, cell, Outcome.BLOCKED, "connection_reset") == News()
    assert ledger.contents().trying == frozenset()


def test_an_order_is_settled_when_the_last_cell_that_was_to_change_is_certain(base: Shutdown) -> None:
    before, _ = foreseen(base, moment("start"))
    new = moment("reset", "whatsapp-reset")
    after, cells = foreseen(base, moment("start"), new)
    shutdown, _ = steered(base, moment("start"), new)
    ledger = Ledger(8)
    ledger.begin(moment("start"))
    plain, plain_cells = steered(base, moment("start"))
    for cell in plain_cells:
        ledger.take(plain, ledger.newest, cell, found(before.outcomes[key_of(cell)]))
    ledger.begin(new)
    ledger.expect(after, cells)
    changed = [cell for cell in cells if after.changes(cell, ledger.latest())]
    news = [ledger.take(shutdown, ledger.newest, cell, found(Outcome.BLOCKED)) for cell in changed]

    assert [each.settled for each in news] == [False] * (len(changed) - 1) + [True]
    assert all(each.sign for each in news)


def test_big_countries_keep_fewer_moments_so_that_the_page_is_drawn_as_fast() -> None:
    assert (kept_of(10), kept_of(66), kept_of(521), kept_of(100_000)) == (60, 60, 15, 8)


def test_the_course_of_an_order_keeps_when_it_first_came_so_far() -> None:
    course = Course("Start x", confirmed=0.1).reached({"sign": 0.7}).reached({"sign": 2.0, "whole": 3.0})

    assert course.text() == "Start x: carried out after 0.1 s, first sign after 0.7 s, everything measured after 3.0 s"
    assert Course().reached({"sign": 1.0}) == Course(), "before the first order there is none"
