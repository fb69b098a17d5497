"""A delay line's arithmetic: when frames are due, what is lost, what overflows. No sockets, no clock."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shutdownlab.network.delay_line import DelayedLink, LinkDirection, Moderation, start_relay
from shutdownlab.system.vnet_header import HEADER, NO_OFFLOAD


def link(delay_ms: float = 10, **given: float) -> DelayedLink:
    return DelayedLink("test", None, "a", "b", delay_ms, **given)  # type: ignore[arg-type]


def raw(length: int = 100) -> bytes:
    return NO_OFFLOAD + bytes(length)


def test_a_frame_is_given_out_when_its_delay_is_over_and_not_before() -> None:
    line = LinkDirection(link(10), "s")
    line.accept(raw(), 1.0)
    assert line.due == pytest.approx(1.010)
    assert line.release(1.0099) == []
    assert line.release(1.0101) == [raw()]
    assert line.due is None


def test_a_limited_rate_spaces_frames_out() -> None:
    line = LinkDirection(link(10, rate_mbit=1), "s")
    for _ in range(3):
        line.accept(raw(1250), 0.0)  # 10 ms each at 1 Mbit/s
    assert len(line.release(0.0201)) == 1
    assert len(line.release(0.0299)) == 0
    assert len(line.release(0.0301)) == 1
    assert len(line.release(0.0401)) == 1


def test_a_line_that_was_idle_has_not_saved_up_rate() -> None:
    line = LinkDirection(link(0, rate_mbit=1), "s")
    line.accept(raw(1250), 0.0)
    line.release(1.0)
    line.accept(raw(1250), 1.0)
    assert line.due == pytest.approx(1.010)


def test_an_offloaded_frame_takes_the_time_of_all_its_segments_headers() -> None:
    line = LinkDirection(link(0, rate_mbit=8), "s")  # a microsecond a byte
    line.accept(struct.pack("=BBHHHH", 1, 1, 54, 1000, 34, 16) + bytes(54 + 3500), 0.0)
    assert line.due == pytest.approx((54 + 3500 + 3 * 54) / 1e6)


def test_a_full_queue_drops_at_the_tail_and_counts() -> None:
    line = LinkDirection(link(10, queue_bytes=3 * (100 + HEADER)), "s")
    for _ in range(5):
        line.accept(raw(), 0.0)
    assert line.overflowed == 2
    assert len(line.release(1.0)) == 3
    line.accept(raw(), 1.0)
    assert line.overflowed == 2


def test_the_share_of_frames_lost_is_the_one_asked_for_and_repeats_with_the_seed() -> None:
    def survivors(seed: str) -> list[bytes]:
        line = LinkDirection(link(1, loss=0.2), seed)
        for i in range(5000):
            line.accept(NO_OFFLOAD + struct.pack("!I", i), 0.0)
        assert line.lost + len(line.release(1.0)) == 5000
        line = LinkDirection(link(1, loss=0.2), seed)
        for i in range(5000):
            line.accept(NO_OFFLOAD + struct.pack("!I", i), 0.0)
        return line.release(1.0)

    first = survivors("1")
    assert 0.17 < 1 - len(first) / 5000 < 0.23
    assert survivors("1") == first
    assert survivors("2") != first


@given(
    jitter=st.floats(0, 10),
    rate=st.none() | st.floats(0.1, 1000),
    gaps=st.lists(st.floats(0, 0.02), min_size=1, max_size=50),
)
def test_frames_never_overtake_each_other_and_none_is_early(
    jitter: float, rate: float | None, gaps: list[float]
) -> None:
    line = LinkDirection(DelayedLink("t", None, "a", "b", 10, jitter_ms=jitter, rate_mbit=rate), "s")
    now, accepted = 0.0, dict[bytes, float]()
    for i, gap in enumerate(gaps):
        now += gap
        frame = NO_OFFLOAD + struct.pack("!I", i)
        line.accept(frame, now)
        accepted[frame] = now
    out = list[bytes]()
    while line.due is not None:
        due = line.due
        given = line.release(due)
        assert given
        for frame in given:
            assert due >= accepted[frame] + 0.010 - jitter / 1000 - 1e-9
        out += given
    assert out == list(accepted)


@pytest.mark.parametrize(
    ("figures", "complaint"),
    [
        ({"delay_ms": -1}, "delay_ms between 0 and 60000, found -1"),
        ({"delay_ms": 60_001}, "delay_ms between 0 and 60000"),
        ({"jitter_ms": 11}, "jitter_ms between 0 and delay_ms, found 11"),
        ({"loss": 1.5}, "loss between 0 and 1, found 1.5"),
        ({"rate_mbit": 0}, "rate_mbit above 0, found 0"),
        ({"queue_bytes": 0}, "queue_bytes above 0, found 0"),
    ],
)
def test_a_figure_out_of_range_is_refused_by_name(figures: dict[str, float], complaint: str) -> None:
    with pytest.raises(ValueError, match=f"link test: expected {complaint}"):
        link(**figures)


def test_a_relay_that_wakes_now_and_then_need_not_rest() -> None:
    moderation = Moderation(0.0)
    assert [moderation.rest_s(number * 0.005) for number in range(200)] == [0.0] * 200


def test_a_relay_that_would_wake_for_every_frame_wakes_250_times_a_second() -> None:
    moderation, now, rounds = Moderation(0.0), 0.0, 0
    while now < 10.0:
        now += 0.0001 + moderation.rest_s(now)
        rounds += 1
    assert rounds == pytest.approx(2500 + 32, abs=2)


def test_an_interface_can_be_the_end_of_one_link_only() -> None:
    netns = Path("/run/netns/x")
    with pytest.raises(ValueError, match="the interface b of /run/netns/x is an end of two delayed links"):
        start_relay([DelayedLink("1", netns, "a", "b", 1), DelayedLink("2", netns, "b", "c", 1)])
