"""Subscribers behind a carrier-grade NAT: beyond the border they come from one address, as the model has it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import shutdownlab as sl
from shutdownlab.model.scenario import Outcome

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from behind import INNER, SHARED, scenario

pytestmark = pytest.mark.thorough


def test_observers_beyond_the_border_see_the_shared_address_as_the_model_has_it(tmp_path: Path) -> None:
    made, addresses = scenario(), {"inner": INNER, "shared": SHARED}
    for name, address in addresses.items():
        ping = ["ping", "-c", "1", "-W", "1", address]
        made["probes"][name] = {"test": "command", "command": ping, "timeout": "4s", "during": ["box-shared"]}
    measured = sl.run(made, tmp_path / "run", trust=True)
    by_model = [r for r in measured.results if r.target not in addresses]
    found = {(r.phase, r.vantage, r.target, r.family.value): (r.outcome.value, r.failure) for r in by_model}
    model = {
        (r.phase, r.vantage, r.target, r.family.value): (r.outcome.value, r.failure) for r in sl.verify(scenario())
    }
    assert found == model
    came = {
        r.phase: r.outcome for r in by_model if (r.operator, r.region, r.target) == ("southcell", "capital", "ping")
    }
    assert came["gateway-inner"] is Outcome.BLOCKED
    assert came["gateway-shared"] is came["access-inner"] is came["discarded"] is Outcome.OK
    reached = {(r.operator, r.target) for r in measured.results if r.target in addresses and r.outcome is Outcome.OK}
    assert reached == {("southcell", "inner")}  # of its own operator; nobody else reaches it, by either address
