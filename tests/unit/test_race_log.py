"""What a box remembers of the races it has run."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest

from shutdownlab.box import race_log
from shutdownlab.box.race_log import RaceLog

SERVER, OTHER, CLIENT = bytes((192, 0, 2, 1)), bytes((192, 0, 2, 2)), bytes((10, 0, 0, 1))
V6 = bytes.fromhex("20010db8000000000000000000000001")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Both clocks, set by hand."""
    clock = SimpleNamespace(wall=1_000_000_000.0, running=100.0)
    monkeypatch.setattr(time, "time_ns", lambda: int(clock.wall * 1e9))
    monkeypatch.setattr(time, "monotonic", lambda: clock.running)
    return clock


def injects(clock: SimpleNamespace, log: RaceLog, took: float, ends: tuple[bytes, bytes] = (CLIENT, SERVER)) -> None:
    """A second later, the box answers a packet that came so long ago."""
    clock.wall, clock.running = clock.wall + 1, clock.running + 1
    log.note(int((clock.wall - took) * 1e9), ends)


def test_the_slowest_since_a_moment_is_reported(clock: SimpleNamespace) -> None:
    log = RaceLog()
    assert log.since(0.0) == (0, 0.0)
    for took in (0.5, 0.001, 0.25, 0.125):
        injects(clock, log, took)
    assert log.since(100.0) == (4, pytest.approx(0.5, abs=1e-6))
    assert log.since(102.5) == (2, pytest.approx(0.25, abs=1e-6))
    assert log.since(104.5) == (0, 0.0)


def test_only_answers_to_what_one_of_the_ends_sent_or_got_count(clock: SimpleNamespace) -> None:
    log = RaceLog()
    injects(clock, log, 0.5)
    injects(clock, log, 0.001, (OTHER, CLIENT))
    injects(clock, log, 0.002, (V6, V6))
    assert log.since(0.0, ["192.0.2.2"]) == (1, pytest.approx(0.001, abs=1e-6))
    assert log.since(0.0, ["2001:db8::1", "192.0.2.2"]) == (2, pytest.approx(0.002, abs=1e-6))
    assert log.since(0.0, ["192.0.2.9"]) == (0, 0.0)


def test_a_clock_that_was_set_back_makes_no_box_fast(clock: SimpleNamespace) -> None:
    log = RaceLog()
    injects(clock, log, -3.0)
    assert log.since(0.0) == (1, pytest.approx(3.0, abs=1e-6))


def test_what_is_forgotten_may_have_been_slow(clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(race_log, "_KEPT", 4)
    log = RaceLog()
    for _ in range(4):
        injects(clock, log, 0.001)
    assert log.since(101.5) == (3, pytest.approx(0.001, abs=1e-6))
    count, slowest = log.since(50.0)
    assert count > 4
    assert slowest >= 50
