"""DPI boxes that get copies and race the servers: one that has no processor loses, and that is no way through it."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import harm
import outside
import pytest
from invocation import Json, small

import shutdownlab as sl
from shutdownlab import library

CELLS = [(place, "dns", "ipv4") for place in ("northnet/coast", "northnet/capital", "southcell/coast")]
LOSES_WITHIN_S = 120


def racing(scenario: Json) -> None:
    """A resolver abroad is asked for a name that boxes answer first, with an address of their own."""
    scenario["profile"] = "turkmenistan-dns"
    scenario["policies"] = {"forged": {"title": "One site", "block": {"sites": ["www.bbc.com"]}, "source": "FACT"}}
    scenario["probes"] = {"dns": {"test": "dns", "host": "www.bbc.com", "resolver": "8.8.8.8"}}
    baseline, *_ = scenario["timeline"]
    scenario["timeline"] = [baseline]


@pytest.mark.thorough
def test_what_gets_through_because_an_on_path_box_has_no_processor_is_not_ok(tmp_path: Path) -> None:
    with sl.lab(small(tmp_path, racing)) as lab:
        lab.put_in_force(["forged"])
        boxes = [pid for pid in outside.descendants(os.getpid()) if outside.names(pid).startswith("dpi-")]
        assert len(boxes) == 2
        with harm.starved(boxes):
            starved = [found for _, found in lab.measure(3 * CELLS)]
        assert {found.outcome.value for found in starved} <= {"unknown", "blocked"}
        assert {found.outcome.value for _, found in lab.measure(CELLS)} == {"blocked"}


@pytest.mark.thorough
def test_what_gets_through_because_a_server_near_by_was_faster_than_an_on_path_box_is_not_ok(tmp_path: Path) -> None:
    """Servers answer after 4 ms. The box runs for 1 ms in 30: its waits lose to them, and to no server 40 ms away."""
    country = library.shipped_file("two-operators").read_text().replace("transit: {delay: 20ms", "transit: {delay: 2ms")
    assert "delay: 2ms, bandwidth: 1gbit" in country
    (tmp_path / "near.yaml").write_text(country)

    def near(scenario: Json) -> None:
        racing(scenario)
        scenario["topology"] = "near.yaml"

    with sl.lab(small(tmp_path, near)) as lab:
        lab.put_in_force(["forged"])
        boxes = [pid for pid in outside.descendants(os.getpid()) if outside.names(pid).startswith("dpi-")]
        lost, end = 0, time.monotonic() + LOSES_WITHIN_S
        with harm.starved(boxes, period_us=30_000):
            while lost < 10:
                assert time.monotonic() < end, f"{lost} races were lost"
                starved = [found for _, found in lab.measure(10 * CELLS)]
                assert {found.outcome.value for found in starved} <= {"unknown", "blocked"}
                lost += sum("it may have come too late" in (found.failure or "") for found in starved)
        outside.wait_until(lambda: blocked(lab), "a box with a processor of its own wins every race", 60)


def test_what_gets_through_because_on_path_boxes_stood_still_for_a_moment_is_not_ok(tmp_path: Path) -> None:
    """They wait for no processor: they are stopped, as a debugger or a freezer does it, and go on after 1.5 s."""
    with sl.lab(small(tmp_path, racing)) as lab:
        lab.put_in_force(["forged"])
        boxes = processes("dpi-")
        goes_on = threading.Timer(1.5, signal_all, (boxes, signal.SIGCONT))
        signal_all(boxes, signal.SIGSTOP)
        goes_on.start()
        try:
            stopped = [found for _, found in lab.measure(CELLS)]
        finally:
            goes_on.join()
        assert {found.outcome.value for found in stopped} <= {"unknown", "blocked"}
        assert {found.outcome.value for _, found in lab.measure(CELLS)} == {"blocked"}


@pytest.mark.thorough
def test_what_gets_through_because_a_switch_forwarded_the_answer_before_the_forged_one_is_not_ok(
    tmp_path: Path,
) -> None:
    """The box is in time; its switch has no processor, and finds both answers when it goes on."""
    with sl.lab(small(tmp_path, racing)) as lab:
        lab.put_in_force(["forged"])
        switches = processes("ovs-vswitchd")
        for period_us in (100_000, 30_000, 500_000):
            with harm.starved(switches, period_us=period_us):
                starved = [found for _, found in lab.measure(10 * CELLS)]
            assert {found.outcome.value for found in starved} <= {"unknown", "blocked"}


def processes(name: str) -> list[int]:
    """The country's processes whose short name begins so."""
    found = [pid for pid in outside.descendants(os.getpid()) if outside.names(pid).startswith(name)]
    assert found
    return found


def signal_all(pids: list[int], number: int) -> None:
    for pid in pids:
        os.kill(pid, number)


def blocked(lab: sl.Lab) -> bool:
    """Whether all are; where others keep this machine busy, a wait of 3 ms is nothing rare."""
    return {found.outcome.value for _, found in lab.measure(CELLS)} == {"blocked"}
