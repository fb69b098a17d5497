"""A policy for a prefix, and for a share of addresses, meets those who have their addresses there, and nobody else."""

from __future__ import annotations

from pathlib import Path

import shutdownlab as sl
from shutdownlab.model.scenario import Outcome

MADE_UP = {"title": "Off", "block": "everything", "source": "made up"}
SCENARIO = {
    "format": 1, "name": "by-address", "title": "By address", "topology": "two-operators",
    "policies": {
        "prefix": MADE_UP | {"where": {"prefixes": ["100.65.2.0/24", "2001:db8:64:4::/64"]}},
        "half": MADE_UP | {"where": {"share": 0.5}},
    },
    "probes": {"www.bbc.com": {"test": "web", "url": "https://www.bbc.com/", "families": ["ipv4", "ipv6"]}},
    "timeline": [
        {"phase": "quiet", "at": "2030-05-01T08:00Z", "title": ""},
        {"phase": "prefix", "at": "2030-05-01T09:00Z", "title": "", "start": ["prefix"]},
        {"phase": "half", "at": "2030-05-01T10:00Z", "title": "", "stop": ["prefix"], "start": ["half"]},
    ],
    "ends": "2030-05-02T00:00Z",
}  # fmt: skip


def test_who_has_an_address_there_is_cut_off_over_both_ip_versions(tmp_path: Path) -> None:
    results = list(sl.run(SCENARIO, tmp_path / "run").results)
    model = [(r.phase, r.vantage, r.target, r.family, r.outcome, r.failure) for r in sl.verify(SCENARIO)]
    assert [(r.phase, r.vantage, r.target, r.family, r.outcome, r.failure) for r in results] == model
    off = {
        phase: {r.vantage for r in results if r.phase == phase and r.outcome is Outcome.BLOCKED}
        for phase in ("quiet", "prefix", "half")
    }
    assert off == {
        "quiet": set(),
        "prefix": {"southcell/coast/ordinary", "northnet/coast/ordinary"},
        "half": {"northnet/capital/ordinary", "northnet/capital/government", "southcell/capital/ordinary"},
    }
