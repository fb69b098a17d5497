"""Operators' own resolvers lie about names, to whom the policy says, and every cell comes out as the model has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from foretold import cells, run_as_foretold


def lie(sites: list[str], answer: str, **where: Any) -> dict[str, Any]:
    return {"title": "", "block": {"sites": sites}, "by": "dns", "answer": answer, "source": "made up", **where}


PHASES = {
    "whole": {},
    "nxdomain": {"start": ["nxdomain", "nodata"]},
    "refused": {"stop": ["nxdomain"], "start": ["refused"]},
    "false": {"stop": ["nodata", "refused"], "start": ["false", "bogon"]},
    "silent": {"stop": ["false"], "start": ["silent"]},
    "dead": {"faults": ["resolver"]},
    "again": {},
    "back": {"stop": ["silent", "bogon"]},
}
SCENARIO: dict[str, Any] = {
    "format": 1,
    "name": "lying",
    "title": "Resolvers lie",
    "topology": "two-operators",
    "policies": {
        "nxdomain": lie(["bbc.com"], "nxdomain", where={"operators": ["northnet"]}),
        "nodata": {"title": "", "block": {"apps": ["whatsapp"]}, "by": "dns", "answer": "nodata", "source": "made up"},
        "refused": lie(["kaspi.kz"], "refused", where={"subscribers": ["ordinary"]}),
        "false": lie(["bbc.com"], "100.64.0.53"),
        "bogon": lie(["kaspi.kz"], "10.10.34.34", where={"regions": ["coast"]}),
        "silent": lie(["bbc.com"], "none"),
    },
    "faults": {"resolver": {"title": "", "kill": {"resolvers": ["northnet"]}, "source": "made up"}},
    "probes": {
        "whatsapp": {"test": "app", "app": "whatsapp"},
        "www.bbc.com": {"test": "web", "url": "https://www.bbc.com/", "families": ["ipv4", "ipv6"]},
        "kaspi.kz": {"test": "web", "url": "https://kaspi.kz/"},
        "dns": {"test": "dns", "host": "www.bbc.com", "families": ["ipv4", "ipv6"]},
        "elsewhere": {"test": "dns", "host": "www.bbc.com", "resolver": "8.8.8.8"},
    },
    "timeline": [
        {"phase": name, "at": f"2030-05-01T{number:02}:00Z", "title": "", **phase}
        for number, (name, phase) in enumerate(PHASES.items())
    ],
    "ends": "2030-05-02T00:00Z",
}


def test_lies_of_resolvers_are_heard_by_those_whom_they_are_told_and_by_nobody_else(tmp_path: Path) -> None:
    measured = run_as_foretold(SCENARIO, tmp_path)
    found = {cell[:4]: cell[4:] for cell in cells(measured.results)}
    assert found["nxdomain", "northnet/coast/ordinary", "dns", "ipv4"] == ("blocked", "dns_nxdomain_error")
    assert found["nxdomain", "southcell/coast/ordinary", "dns", "ipv4"] == ("ok", None)
    assert found["refused", "northnet/capital/ordinary", "kaspi.kz", "ipv4"] == ("blocked", "dns_refused_error")
    assert found["refused", "northnet/capital/government", "kaspi.kz", "ipv4"] == ("ok", None)
    assert found["false", "northnet/coast/ordinary", "dns", "ipv4"] == ("blocked", None)  # a forged answer
    assert found["false", "northnet/coast/ordinary", "dns", "ipv6"] == ("blocked", "dns_no_answer")
    assert found["silent", "northnet/coast/ordinary", "dns", "ipv4"] == ("blocked", "generic_timeout_error")
    assert found["again", "northnet/coast/ordinary", "dns", "ipv4"] == ("blocked", "generic_timeout_error")
    assert all(outcome == "ok" for cell, (outcome, _) in found.items() if cell[2] == "elsewhere")
    assert all(outcome == "ok" for cell, (outcome, _) in found.items() if cell[0] == "back")
