"""How fast a download was: what lay unread while the machine was busy is no sign of a fast line."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from shutdownlab.measure.belief import Try, judge
from shutdownlab.model.scenario import Outcome
from shutdownlab.probes.conclusion import Conclusion
from shutdownlab.probes.throughput import DownloadMeter, concluded


def measured(*, at_once: int, then: int, waited: float) -> Conclusion:
    """A download of octets that are there when the probe first looks, and of some a quarter of a second later.

    waited: how long the probe had no processor before it looked, in seconds.
    """
    told: Iterator[float] = iter((1.0, 1.0 + waited))

    async def receive() -> Conclusion:
        meter = DownloadMeter(1.0, lambda: next(told))
        meter.count(at_once)
        began = asyncio.get_running_loop().time()
        await asyncio.sleep(0.25)
        meter.count(then)
        assert meter.elapsed >= 0.24 and asyncio.get_running_loop().time() >= began + 0.24
        return concluded(meter, 1600, 0.0, "kbit/s")

    return asyncio.run(receive())


def test_a_slow_line_is_throttled_and_a_fast_one_is_not() -> None:
    slow = measured(at_once=1_400, then=20_000, waited=0.0)
    assert (slow.outcome, slow.doubtful) == (Outcome.THROTTLED, True)
    fast = measured(at_once=1_400, then=500_000, waited=0.0)
    assert (fast.outcome, fast.doubtful, fast.failure) == (Outcome.OK, False, None)


def test_what_came_all_at_once_after_a_wait_says_nothing_of_a_slow_line() -> None:
    lump = measured(at_once=100_000, then=20_000, waited=0.8)  # 1 Mbit/s for 1.05 s, or nearly 4 in a quarter
    assert (lump.outcome, lump.doubtful, lump.unit) == (Outcome.UNKNOWN, True, "kbit/s")
    assert lump.failure is not None and "kept this probe waiting 0.80 s" in lump.failure


def test_a_wait_takes_nothing_from_a_line_that_is_fast_all_the_same() -> None:
    assert measured(at_once=100_000, then=400_000, waited=0.8).outcome is Outcome.OK


def test_two_tries_that_could_not_tell_are_not_believed_and_a_third_that_can_is() -> None:
    twice = [Try(Outcome.UNKNOWN, 0.0, 1.0, doubtful=True), Try(Outcome.UNKNOWN, 2.0, 3.0, doubtful=True)]
    assert not judge(twice, {}).believed
    assert judge([*twice, Try(Outcome.OK, 4.0, 5.0)], {}).believed
