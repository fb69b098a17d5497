"""Putting a TCP stream back in order, as a box does it."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shutdownlab.inspection.stream import MAX_PENDING, Stream

TEXT = b"GET /index.html HTTP/1.1\r\nHost: blocked.example\r\n\r\n"


def stream(start: int = 100, limit: int = 4096, keep_last: bool = False) -> Stream:
    result = Stream(limit, keep_last)
    result.start(start)
    return result


def take(target: Stream, seq: int, data: bytes, gap: int = 65536) -> bool:
    return target.full(seq & 0xFFFFFFFF, data, len(data), gap)


def test_segments_in_any_order_give_the_same_stream() -> None:
    parts = [(0, TEXT[:8]), (8, TEXT[8:20]), (20, TEXT[20:33]), (33, TEXT[33:])]
    for order in itertools.permutations(parts):
        target = stream()
        for at, data in order:
            take(target, 100 + at, data)
        assert target.data == TEXT


def test_sequence_numbers_may_wrap_around() -> None:
    target = stream(0xFFFFFFF0)
    take(target, 0xFFFFFFF0 + 20, TEXT[20:])
    take(target, 0xFFFFFFF0, TEXT[:20])
    assert target.data == TEXT


@pytest.mark.parametrize(("keep_last", "kept"), [(False, b"aBBBcc"), (True, b"aXXXcc")])
def test_the_overlap_policy_says_whose_bytes_stay(keep_last: bool, kept: bytes) -> None:
    target = stream(keep_last=keep_last)
    take(target, 101, b"BBB")
    take(target, 101, b"XXX")
    take(target, 104, b"cc")
    take(target, 100, b"a")
    assert target.data == kept


def test_a_longer_retransmission_fills_around_what_is_there() -> None:
    target = stream()
    take(target, 103, b"DE")
    take(target, 101, b"bcdefg")
    take(target, 100, b"a")
    assert target.data == b"abcDEfg"
    other = stream(keep_last=True)
    take(other, 101, b"bcdefg")
    take(other, 103, b"DE")
    take(other, 100, b"a")
    assert other.data == b"abcDEfg"


def test_what_was_delivered_is_never_replaced() -> None:
    target = stream(keep_last=True)
    take(target, 100, b"first")
    assert not take(target, 100, b"other")
    assert take(target, 100, b"other plus")
    assert target.data == b"first plus"


def test_in_order_only_loses_what_comes_early() -> None:
    target = stream()
    assert not target.in_order(108, TEXT[8:], len(TEXT) - 8)
    assert target.in_order(100, TEXT[:8], 8)
    assert target.data == TEXT[:8]
    assert target.in_order(104, TEXT[4:], len(TEXT) - 4)
    assert target.data == TEXT


def test_memory_is_bounded_by_limit_gap_and_count() -> None:
    target = stream(limit=10)
    take(target, 100, TEXT[:12])
    take(target, 112, TEXT[12:])
    assert target.data == TEXT[:12], "the segment that reaches the limit is kept whole, no other"
    late = stream(limit=10)
    take(late, 108, TEXT[8:16])
    take(late, 116, TEXT[16:])
    take(late, 100, TEXT[:8])
    assert late.data == TEXT, "nor is anything lost of what waited for it"
    late.drop(len(TEXT) - 5)
    take(late, 100 + len(TEXT), b"more")
    assert late.data == TEXT[-5:] + b"more"
    far = stream()
    assert not take(far, 100 + 70000, b"x")
    for number in range(5000):
        take(far, 102 + 2 * number, b"x")
    assert len(far.pending) <= MAX_PENDING
    assert far.pending_bytes <= MAX_PENDING


def test_bytes_that_a_cut_capture_lacks_end_the_stream_where_they_are_missing() -> None:
    target = stream()
    target.full(100, b"GET /", 20, 65536)
    target.full(120, b" more", 5, 65536)
    assert target.data == b"GET /"
    assert target.at == 25


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(1, 12)), max_size=30), st.booleans(), st.integers(0, 2**32 - 1)
)
def test_consistent_segments_never_give_a_wrong_byte(pieces: list[tuple[int, int]], last: bool, isn: int) -> None:
    target = stream(isn, keep_last=last)
    for at, length in pieces:
        data = TEXT[at : at + length]
        if data:
            take(target, isn + at, data)
    assert TEXT.startswith(target.data)
    covered = 0
    while any(at <= covered < min(at + length, len(TEXT)) for at, length in pieces):
        covered += 1
    assert len(target.data) == covered
