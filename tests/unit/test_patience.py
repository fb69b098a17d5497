"""A step waits for the network only while its agent is there to hear it."""

from __future__ import annotations

import asyncio
import time
from itertools import count

import pytest

from shutdownlab.probes import patience as module
from shutdownlab.probes.patience import MOST, patience
from shutdownlab.system.processor import waited_s


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
    assert time.monotonic() - began >= MOST * 0.05


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


def test_a_process_knows_how_long_it_had_no_processor() -> None:
    before = waited_s()
    assert waited_s() >= before >= 0
