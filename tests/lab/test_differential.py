"""What `verify` says is what real packets find, whatever is ordered: `make differential` does it at length."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from differential import Maker, compared, differences

import shutdownlab as sl

KEPT: dict[str, dict[str, Any]] = {
    # A host of sites that a policy spares had their IPv6 address as the source of its own traffic.
    "own traffic comes from the own address": {
        "block": {"protocols": ["tcp", "icmp"]},
        "direction": "inbound",
        "except": {"apps": ["wikipedia", "egov-kz"]},
        "where": {"operators": ["northnet"]},
    },
}
"""Policies whose measurement once differed from what was verified."""


def test_a_made_up_shutdown_is_measured_as_it_is_verified(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    cells, differ = compared(1, 2, tmp_path / "run")
    assert differ == 0, capfd.readouterr().out
    assert cells == 3 * 64


def test_what_once_differed_does_no_longer(tmp_path: Path) -> None:
    made = Maker(1).scenario(0)
    for number, (title, policy) in enumerate(KEPT.items(), start=1):
        made["policies"][f"kept-{number}"] = {"title": title, "source": "EXAMPLE", **policy}
        before = [f"kept-{number - 1}"] if number > 1 else []
        phase = {"phase": f"kept-{number}", "at": f"2030-05-02T{number:02}:00Z", "title": title}
        made["timeline"].append(phase | {"start": [f"kept-{number}"], "stop": before})
    made["ends"] = "2030-05-04T00:00Z"
    assert list(differences(sl.run(made, out=tmp_path / "run"), sl.verify(made))) == []
