"""A step waits for the network only while its agent is there to hear it."""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Callable
from itertools import count

import pytest

from shutdownlab.model.probe import MOST_PATIENCE
from shutdownlab.probes import patience as module
from shutdownlab.probes.patience import patience
from shutdownlab.system.processor import waited_s


class Skipping(selectors.SelectSelector):
    """Waits for nothing: the time passes at once."""

    now = 100.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(0)
        self.now += 0.0 if found else timeout or 0.0
        return found


class Imagined(asyncio.SelectorEventLoop):
    """A loop whose time is its selector's."""

    def __init__(self, selector: Skipping) -> None:
        self._skipping = selector
        super().__init__(selector)

    def time(self) -> float:
        return self._skipping.now


def runs_out_after(seconds: float, waited: Callable[[float], float], renewed_at: float | None = None) -> float:
    """When so much patience is at its end, of whoever had no processor for `waited` seconds by so many: no real time.

    renewed_at: when it is renewed.
    """
    loop = Imagined(Skipping())
    began = loop.time()

    async def step() -> None:
        async with patience(seconds, lambda: waited(loop.time() - began)) as end:
            if renewed_at is not None:
                loop.call_at(began + renewed_at, end.renew, seconds)
            await loop.create_future()

    with pytest.raises(TimeoutError):
        loop.run_until_complete(step())
    loop.close()
    return loop.time() - began


async def answered(after_s: float, within_s: float, busy_s: float = 0.0) -> float | None:
    """How long it took until an answer that comes so late was heard, in a loop that is busy at first; None: it was not.

    It is there in the loop's round in which the timer has run out too, as data in a socket is.
    """
    loop, began = asyncio.get_running_loop(), time.monotonic()
    answer: asyncio.Future[None] = loop.create_future()
    timer = loop.call_later(after_s, answer.set_result, None)
    loop.call_soon(time.sleep, busy_s)
    try:
        async with patience(within_s):
            await answer
    except TimeoutError:
        timer.cancel()
        return None
    return time.monotonic() - began


def test_an_answer_that_came_while_the_agent_was_away_is_heard() -> None:
    assert asyncio.run(answered(after_s=0.02, within_s=0.04, busy_s=0.2)) is not None


def test_what_needs_one_more_packet_after_the_agent_was_away_has_the_time_for_it() -> None:
    """A timer that has run out 0.16 s late gives them back."""
    assert asyncio.run(answered(after_s=0.25, within_s=0.04, busy_s=0.2)) is not None


def test_silence_that_the_agent_was_there_for_is_a_timeout() -> None:
    began = time.process_time()
    assert asyncio.run(answered(after_s=20.0, within_s=0.05)) is None
    assert time.process_time() - began < 1, "it waits, and is not busy"


def test_time_for_which_the_agent_had_no_processor_is_given_back_but_not_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    total = count(0.0, 1000.0)
    monkeypatch.setattr(module, "waited_s", lambda: next(total))
    began = time.monotonic()
    assert asyncio.run(answered(after_s=60.0, within_s=0.05)) is None
    assert time.monotonic() - began >= MOST_PATIENCE * 0.05


def test_an_end_that_is_set_anew_stands_whether_or_not_the_agent_was_away() -> None:
    async def step() -> float:
        loop = asyncio.get_running_loop()
        began = loop.time()
        with pytest.raises(TimeoutError):
            async with patience(30.0) as end:
                end.reschedule(began + 0.05)
                loop.call_soon(time.sleep, 0.2)
                await asyncio.sleep(20.0)
        return loop.time() - began

    assert asyncio.run(step()) < 10.0


def test_a_step_that_ends_leaves_no_timer_behind() -> None:
    async def steps() -> None:
        for _ in range(3):
            async with patience(0.02):
                pass
        await asyncio.sleep(0.05)

    asyncio.run(steps())


def test_what_ends_otherwise_within_its_patience_ends_so() -> None:
    async def step() -> None:
        async with patience(5.0):
            raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        asyncio.run(step())


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5])
def test_a_wait_for_the_processor_that_is_usual_is_in_the_patience_already(share: float) -> None:
    assert runs_out_after(2.0, lambda passed: share * passed) == pytest.approx(2.0)


def test_what_is_beyond_the_usual_wait_is_given_back_and_no_more() -> None:
    """1.6 of 2 s, of which 1 s is usual: 0.6 s more. That it then has its processor for."""
    assert runs_out_after(2.0, lambda passed: 0.8 * min(passed, 2.0)) == pytest.approx(2.6)


def test_who_never_has_a_processor_has_four_times_the_patience() -> None:
    assert MOST_PATIENCE == 4
    assert runs_out_after(2.0, lambda passed: passed) == pytest.approx(8.0, abs=0.1)


def test_patience_that_is_renewed_is_whole_again_with_all_that_can_be_given_back() -> None:
    assert runs_out_after(2.0, lambda _: 0.0, renewed_at=1.5) == pytest.approx(3.5)
    assert runs_out_after(2.0, lambda passed: passed, renewed_at=7.5) == pytest.approx(15.5, abs=0.1)


def test_a_process_knows_how_long_it_had_no_processor() -> None:
    before = waited_s()
    assert waited_s() >= before >= 0
