"""What is on the page, and what viewers are told: the newest of what they lack, however long they were away."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import shutdownlab as sl
from shutdownlab.web.board import Board
from shutdownlab.web.history import MOST_MOMENTS, Moment, added, as_shutdown

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_viewer_is_told_what_it_lacks_and_no_more() -> None:
    board = Board()
    board.post({"a": 1, "b": 2})
    version, _ = board.since(0)
    board.post({"a": 1, "b": 3})

    assert json.loads(board.since(version)[1])["set"] == {"b": 3}
    assert json.loads(board.since(0)[1])["set"] == {"a": 1, "b": 3}


def test_what_has_not_changed_makes_no_new_version() -> None:
    board = Board()
    board.post({"a": [1, 2]})
    board.post({"a": [1, 2]})

    assert board.version == 1


def test_a_removed_part_is_reported_to_the_viewers_that_have_it() -> None:
    board = Board()
    board.post({"view/1": 1, "view/2": 2, "state": 0})
    version, _ = board.since(0)
    board.post({"view/1": 1}, family="view/")

    assert json.loads(board.since(version)[1]) == {"version": 2, "set": {}, "gone": ["view/2"]}
    board.post({"view/2": 5}, family="view/2")
    assert json.loads(board.since(version)[1])["gone"] == []


def test_ten_hours_of_changes_leave_no_more_than_the_newest() -> None:
    board = Board()
    for number in range(20_000):
        board.post({"state": number, f"view/{number % 3}": number})

    assert len(board.since(0)[1]) < 200


def test_a_waiting_viewer_is_woken_by_a_change_in_another_thread() -> None:
    board = Board()

    async def wait() -> bool:
        waiting = asyncio.ensure_future(board.changed(0, 10))
        await asyncio.sleep(0)
        await asyncio.to_thread(board.post, {"a": 1})
        return await waiting

    assert asyncio.run(wait())
    assert not asyncio.run(board.changed(1, 0.01))


def moment(name: str, minute: int, *policies: str, phase: str | None = None, whole: bool = False) -> Moment:
    return Moment(name, name.title(), BEGIN + timedelta(minutes=minute), policies, (), phase, whole)


def test_what_was_ordered_by_hand_is_a_scenario_with_those_policies_in_force() -> None:
    base = sl.load("first-shutdown")
    moments: tuple[Moment, ...] = ()
    moments = added(moments, moment("start", 0))
    moments = added(moments, moment("by-hand", 1, "blackout", "whatsapp-reset"))
    moments = added(moments, moment("by-hand", 2, "whatsapp-reset"))
    found = as_shutdown(base, base.scenario.default_choices(), moments, BEGIN + timedelta(minutes=3)).scenario

    assert [phase.phase for phase in found.timeline] == ["start", "by-hand", "by-hand-2"]
    assert [set(found.active(phase.phase, {})) for phase in found.timeline] == [
        set(), {"blackout", "whatsapp-reset"}, {"whatsapp-reset"},
    ]  # fmt: skip
    assert found.ends == BEGIN + timedelta(minutes=3)


def test_what_a_phase_expects_is_expected_only_while_all_of_it_is_in_force() -> None:
    base = sl.load("first-shutdown")
    moments = added((), moment("blackout", 0, "blackout", phase="blackout", whole=True))
    moments = added(moments, moment("stop", 1, phase="blackout"))
    found = as_shutdown(base, base.scenario.default_choices(), moments, BEGIN + timedelta(minutes=2)).scenario
    vantage = base.network.vantages[0]

    assert found.expected(found.phase("blackout"), {}, vantage, "telegram") is not None
    assert found.expected(found.phase("stop"), {}, vantage, "telegram") is None


def test_a_day_of_orders_forgets_the_oldest_and_keeps_their_names_apart() -> None:
    moments: tuple[Moment, ...] = ()
    for number in range(500):
        moments = added(moments, moment("start-blackout", number // 2, "blackout"))

    assert len(moments) == MOST_MOMENTS
    assert len({each.name for each in moments}) == MOST_MOMENTS
    assert all(a.at < b.at for a, b in pairwise(moments))
