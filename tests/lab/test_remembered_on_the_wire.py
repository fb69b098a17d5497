"""What DPI boxes count and remember by order: connections frozen, and addresses refused for a time after a hit."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from foretold import run_as_foretold

import shutdownlab as sl
from shutdownlab.model.scenario import Outcome

pytestmark = pytest.mark.thorough

MADE_UP = {"title": "Made up", "source": "made up"}
SECONDS = 6
ECHO = ["ping", "-c", "1", "-W", "1", "151.101.0.81"]
PAGE = ["curl", "-4", "-sS", "-m", "2", "-o", "/dev/null"]


def scenario() -> dict[str, Any]:
    phases = [
        {"phase": "names", "start": ["names"]},
        {"phase": "addresses", "stop": ["names"], "start": ["addresses"]},
        {"phase": "all", "stop": ["addresses"], "start": ["all"]},
        {"phase": "refused", "stop": ["all"], "start": ["refused"]},
    ]
    return {
        "format": 1, "name": "remembered", "title": "Remembered", "topology": "two-operators",
        "policies": {
            "names": MADE_UP | {"block": {"sites": ["www.bbc.com"]}, "freeze_after": "16KiB"},
            "addresses": MADE_UP | {
                "block": {"addresses": ["151.101.0.0/16", "2a04:4e40::/32"]}, "freeze_after": "16KiB",
            },
            "all": MADE_UP | {
                "block": "everything", "freeze_after": "16KiB", "where": {"operators": ["northnet"]},
                "except": {"sites": ["kaspi.kz"]},
            },
            "refused": MADE_UP | {
                "block": {"sites": ["www.bbc.com"]}, "action": "drop",
                "residual": {"for": f"{SECONDS}s", "key": "2-tuple"},
            },
        },
        "probes": {
            "page": {"test": "web", "url": "https://www.bbc.com/", "families": ["ipv4", "ipv6"]},
            "file": {"test": "throughput", "url": "https://www.bbc.com/bytes/1000000"},
            "bank": {"test": "throughput", "url": "https://kaspi.kz/bytes/1000000"},
            "ping": {"test": "ping", "host": "8.8.8.8"},
        },
        "timeline": [
            {"at": f"2030-05-01T{hour:02}:00Z", "title": "", **phase} for hour, phase in enumerate(phases, 1)
        ],
        "ends": "2030-05-02T00:00Z",
    }  # fmt: skip


def test_downloads_freeze_as_the_model_has_it(tmp_path: Path) -> None:
    made = scenario()
    measured = run_as_foretold(made, tmp_path)
    frozen = {r.phase for r in measured.results if r.target == "file" and r.outcome is Outcome.BLOCKED}
    assert frozen == {"names", "addresses", "all", "refused"}


def test_an_address_is_refused_for_a_time_once_a_name_was_asked_of_it() -> None:
    with sl.lab(scenario(), at="refused") as lab:
        one, other = "northnet/coast", "northnet/capital"
        assert lab.exec(one, ECHO).returncode == 0
        assert lab.exec(one, [*PAGE, "https://www.bbc.com/"]).returncode == 28  # the box drops it
        caught = time.monotonic()
        assert lab.exec(one, ECHO).returncode == 1, "whatever the protocol"
        assert lab.exec(one, ["ping", "-c", "1", "-W", "1", "8.8.8.8"]).returncode == 0, "another address"
        assert lab.exec(other, ECHO).returncode == 0, "another client"
        deadline = caught + SECONDS + 15
        while lab.exec(one, ECHO).returncode:
            assert time.monotonic() < deadline, "it never lapses"
        assert time.monotonic() > caught + SECONDS / 2
