"""A lab whose faults are thrown by hand, and of which many cells are measured at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import shutdownlab as sl

SCENARIO = Path(__file__).parents[2] / "examples/breakdowns.yaml"
CELLS = [
    ("northnet/coast", "telegram", "ipv4"),
    ("northnet/capital", "telegram", "ipv4"),
    ("southcell/coast", "telegram", "ipv4"),
]


@pytest.fixture(scope="module")
def lab() -> Iterator[sl.Lab]:
    with sl.lab(SCENARIO) as opened:
        yield opened


def outcomes(lab: sl.Lab) -> list[str]:
    found = dict(lab.measure(CELLS))
    return [found[place].outcome.value for place in range(len(CELLS))]


def test_a_fault_is_thrown_by_hand_and_takes_away_what_it_says(lab: sl.Lab) -> None:
    lab.throw("fibre")

    assert lab.broken == ("fibre",)
    assert outcomes(lab) == ["down", "ok", "ok"]
    lab.mend("fibre")
    assert lab.broken == ()
    assert outcomes(lab) == ["ok", "ok", "ok"]


def test_policies_and_faults_are_put_there_together_and_stay_apart(lab: sl.Lab) -> None:
    lab.put_in_force(["blackout"], ["fibre"])

    assert (lab.active, lab.broken) == (("blackout",), ("fibre",))
    assert outcomes(lab) == ["down", "blocked", "blocked"]
    lab.put_in_force(["messengers"], [])
    assert (lab.active, lab.broken) == (("messengers",), ())
    assert outcomes(lab) == ["ok", "ok", "ok"]


def test_a_phase_brings_its_own_faults_and_takes_those_by_hand_away(lab: sl.Lab) -> None:
    lab.throw("fibre")
    lab.phase("baseline")

    assert (lab.at, lab.broken) == ("baseline", ())
    assert outcomes(lab)[0] == "ok"


def test_a_fault_that_is_not_there_is_reported(lab: sl.Lab) -> None:
    with pytest.raises(sl.BadInput, match="unknown fault 'fibr'"):
        lab.throw("fibr")


def test_what_is_abandoned_is_left_out_and_the_next_is_measured(lab: sl.Lab) -> None:
    lab.put_in_force(["blackout"])
    measuring = lab.measure(CELLS * 20)
    measuring.abandon()

    assert len(list(measuring)) < 60
    lab.put_in_force([])
    assert outcomes(lab) == ["ok", "ok", "ok"]


def test_a_dpi_box_tells_what_it_has_decided(lab: sl.Lab) -> None:
    lab.put_in_force(["messengers"])
    assert lab.probe("northnet/coast", "whatsapp").outcome == "blocked"

    rules = lab.boxes()["northnet-box"]["engine"]["rules"]
    assert sum(rules.values()) >= 1


def test_a_first_try_that_fails_is_reported_before_it_is_believed(lab: sl.Lab) -> None:
    lab.put_in_force(["blackout"])
    heard: list[tuple[int, str, str | None]] = []
    measuring = lab.measure(CELLS, hopeless=[0, 1, 2], tried=lambda place, *how: heard.append((place, *how)))
    first = next(iter(measuring))
    told = list(heard)
    list(measuring)
    lab.put_in_force([])
    list(lab.measure(CELLS, tried=lambda *what: heard.append(what)))

    assert (first[0], "blocked", "generic_timeout_error") in told
    assert sorted(place for place, *_ in heard) == [0, 1, 2], "each once, and nothing of those that get through"


def test_a_dpi_box_tells_its_latest_decisions_one_by_one(lab: sl.Lab) -> None:
    lab.put_in_force(["messengers"])
    assert lab.probe("northnet/coast", "whatsapp").outcome == "blocked"

    recent = lab.boxes(recent=50)["northnet-box"]["recent"]
    numbers = [each["number"] for each in recent]
    assert numbers == sorted(set(numbers))
    assert {(each["rule"], each["protocol"]) for each in recent} == {("messengers", "tls")}
    assert any("whatsapp" in each["host"] for each in recent)
    assert {each["opener"] for each in recent} == {"inside"}
    assert "recent" not in lab.boxes()["northnet-box"], "they are told to who asks for them"
