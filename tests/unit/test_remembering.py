"""What comes of a probe beside others, where a DPI box remembers whom it has caught: `shutdownlab verify`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from shutdownlab.model.scenario import Outcome
from shutdownlab.results.cells import cells_of
from shutdownlab.verifier.verify import Verified, verify

BASE = Path(__file__).parents[2] / "scenarios/first-shutdown.yaml"
CAUGHT = {"test": "tls", "host": "www.bbc.com", "port": "tcp/443"}
BESIDE: dict[str, dict[str, Any]] = {
    "its port": {"test": "tcp", "host": "www.bbc.com", "port": "tcp/443"},
    "another port": {"test": "tcp", "host": "www.bbc.com", "port": "tcp/80"},
    "ping": {"test": "ping", "host": "www.bbc.com"},
    "another host": {"test": "tcp", "host": "www.wikipedia.org", "port": "tcp/443"},
}


def remembered(key: str, *, probes: dict[str, Any], stops: bool = True, action: str = "drop") -> Verified:
    """Northnet's boxes catch the BBC's name for an hour, then for another, and at last, where it `stops`, no more."""
    made = yaml.safe_load(BASE.read_text())
    for left_out in ("accounts", "expectations", "observations", "signals"):
        made.pop(left_out, None)
    made["policies"] = {
        "catch": {
            "title": "The BBC's name, and for a minute what else goes there",
            "block": {"sites": ["www.bbc.com"]},
            "by": "dpi",
            "action": action,
            "residual": {"for": "60s", "key": key},
            "where": {"operators": ["northnet"]},
            "source": "EXAMPLE",
        }
    }
    made["probes"] = probes
    phases: list[dict[str, Any]] = [
        {"phase": name, "at": f"2030-05-01T0{hour}:00Z", "title": name}
        for hour, name in enumerate(("before", "caught", "still", "after"))
    ]
    phases[1]["start"] = ["catch"]
    phases[3] |= {"stop": ["catch"]} if stops else {}
    made["timeline"] = phases
    return verify(made)


def outcomes(found: Verified, phase: str, operator: str = "northnet") -> dict[str, tuple[Outcome, str | None]]:
    """Of ordinary subscribers in the capital, by probe."""
    where = (phase, operator, "capital", "ordinary")
    return {
        result.target: (result.outcome, result.failure)
        for result in found
        if (result.phase, result.operator, result.region, result.subscriber) == where
    }


UNDECIDED = (
    Outcome.UNKNOWN,
    "undecided: ok or blocked (generic_timeout_error): whether caught was measured there less than 60 s before",
)
OK = (Outcome.OK, None)


@pytest.mark.parametrize(
    ("key", "met"),
    [("4-tuple", set()), ("3-tuple", {"its port"}), ("2-tuple", {"its port", "another port", "ping"})],
)
def test_what_a_box_remembers_of_one_probe_may_or_may_not_stop_another(key: str, met: set[str]) -> None:
    found = remembered(key, probes={"caught": CAUGHT, **BESIDE})
    for phase in ("caught", "still"):
        assert outcomes(found, phase) == {
            "caught": (Outcome.BLOCKED, "generic_timeout_error"),
            **{name: UNDECIDED if name in met else OK for name in BESIDE},
        }
    for phase in ("before", "after"):
        assert set(outcomes(found, phase).values()) == {OK}
    assert set(outcomes(found, "caught", "southcell").values()) == {OK}


def test_nothing_is_undecided_where_no_other_probe_is_caught() -> None:
    found = remembered("2-tuple", probes=BESIDE)
    assert found.undecided == []
    assert set(outcomes(found, "caught").values()) == {OK}


def test_a_box_whose_rules_stay_the_same_remembers_the_phase_before() -> None:
    probes = {"caught": CAUGHT | {"during": ["caught"]}, "ping": BESIDE["ping"]}
    found = remembered("2-tuple", probes=probes, stops=False)
    assert outcomes(found, "still") == {"ping": UNDECIDED}
    assert outcomes(found, "after") == {"ping": OK}  # nobody was caught in the one before


def test_a_probe_that_is_caught_itself_may_fail_otherwise_after_another() -> None:
    """A reset meets the ClientHello; where the box remembers, the SYN before it."""
    page = {"test": "web", "url": "https://www.bbc.com/"}
    found = outcomes(remembered("2-tuple", probes={"caught": CAUGHT, "page": page}, action="reset"), "caught")
    could = "undecided: blocked (connection_reset) or blocked (connection_refused)"
    assert found == {
        "caught": (Outcome.UNKNOWN, f"{could}: whether page was measured there less than 60 s before"),
        "page": (Outcome.UNKNOWN, f"{could}: whether caught was measured there less than 60 s before"),
    }


def test_what_stays_the_same_is_followed_once_though_boxes_remember() -> None:
    """A phase like the one before it, as a night like the night before."""
    found = remembered("2-tuple", probes={"caught": CAUGHT, **BESIDE}, stops=False)
    assert outcomes(found, "still") == outcomes(found, "after")
    (still, after), probe = found.timeline[2:], "ping"
    cells = {
        phase.phase: [cell for cell in cells_of(found.shutdown, phase) if cell.target == probe]
        for phase in found.timeline
    }
    classes = found.verifier.classes
    alike = [
        classes.of(still, one, one.vantage) == classes.of(after, other, other.vantage)
        for one, other in zip(cells["still"], cells["after"], strict=True)
        if one.vantage is not None and other.vantage is not None
    ]
    assert alike and all(alike)
