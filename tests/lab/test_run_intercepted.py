"""A run with boxes that intercept TLS: their proxies begin by the order of a phase, and are watched from then on."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import outside
import pytest
from invocation import Json, finished, small, under_way, wait_for_event

pytestmark = pytest.mark.thorough


def intercepting(scenario: Json) -> None:
    """TLS to one site is intercepted in the second phase, the first that needs a proxy."""
    scenario["profile"] = "kazakhstan-mitm-2019"
    scenario["policies"] = {
        "interception": {"title": "One site", "block": {"sites": ["www.bbc.com"]}, "source": "FACT"},
    }
    scenario["probes"] = {"bbc": {"test": "web", "url": "https://www.bbc.com/"}}
    baseline, intercepted, _ = scenario["timeline"]
    expected = [{"outcome": "blocked", "source": "FACT"}]
    intercepted |= {"phase": "intercepted", "start": ["interception"], "expect": expected}
    scenario["timeline"] = [baseline, intercepted]


def test_a_proxy_that_is_stopped_in_the_very_phase_it_begins_in_makes_that_phase_void(tmp_path: Path) -> None:
    with under_way(tmp_path, small(tmp_path, intercepting)) as (process, record):
        wait_for_event(process, record, "confirmed", "intercepted")
        proxies = [pid for pid in outside.descendants(process.pid) if outside.names(pid).startswith("prx-")]
        stopped = outside.names(proxies[0])
        os.kill(proxies[0], signal.SIGSTOP)  # the run itself lets it go on
        done = finished(process)
    assert done.code == 0, done.output
    (voided,) = record.events_of("voided")
    assert voided["phase"] == "intercepted"
    told = [
        reason for reason in voided["reasons"] if "its TLS proxy has not answered" not in reason
    ]  # its box, if ever
    assert [reason.partition(" ")[2] for reason in told] == [f"({stopped}) was stopped for a while"]
    assert {row["outcome"] for row in record.rows if row["phase"] == "intercepted"} == {"blocked"}
