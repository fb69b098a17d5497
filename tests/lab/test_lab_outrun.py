"""DPI boxes that get copies and race the servers: one that has no processor loses, and that is no way through it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import harm
import outside
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


def test_what_gets_through_because_an_on_path_box_has_no_processor_is_not_ok(tmp_path: Path) -> None:
    with sl.lab(small(tmp_path, racing)) as lab:
        lab.put_in_force(["forged"])
        boxes = [pid for pid in outside.descendants(os.getpid()) if outside.names(pid).startswith("dpi-")]
        assert len(boxes) == 2
        with harm.starved(boxes):
            starved = [found for _, found in lab.measure(3 * CELLS)]
        assert {found.outcome.value for found in starved} <= {"unknown", "blocked"}
        assert {found.outcome.value for _, found in lab.measure(CELLS)} == {"blocked"}


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


def blocked(lab: sl.Lab) -> bool:
    """Whether all are; where others keep this machine busy, a wait of 3 ms is nothing rare."""
    return {found.outcome.value for _, found in lab.measure(CELLS)} == {"blocked"}
