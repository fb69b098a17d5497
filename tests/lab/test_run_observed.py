"""What is seen of operators from outside: a result of theirs, and of no subscriber."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import outside
import pytest
from invocation import Json, Record, invoke, small


def with_an_observer(scenario: Json) -> None:
    scenario["observations"] = {"visible": {"observer": "bgp", "column": "BGP", "families": ["ipv4", "ipv6"]}}
    scenario["timeline"] = scenario["timeline"][:2]
    seen: Json = {"observations": "all", "outcome": "ok", "source": "FACT"}
    scenario["timeline"][1]["expect"].insert(1, seen)


def test_in_a_blackout_the_world_still_has_routes_to_every_operator(tmp_path: Path) -> None:
    done = invoke(tmp_path, "run", small(tmp_path, with_an_observer), "--out", "results")
    assert done.code == 0, done.output
    assert "BGP" in done.output
    rows = [row for row in Record(tmp_path / "results").rows if row["target"] == "visible"]
    columns = ("phase", "operator", "region", "subscriber", "access", "class", "family", "outcome", "expected")
    assert [tuple(row[column] for column in columns) for row in rows] == [
        (phase, operator, "", "", "", "", family, "ok", "ok")
        for phase in ("baseline", "blackout")
        for operator in ("northnet", "southcell")
        for family in ("ipv4", "ipv6")
    ]


def test_an_operator_whose_routes_are_withdrawn_is_gone_from_the_world_and_no_other_is(tmp_path: Path) -> None:
    argv, env = outside.command("same", "observed:withdrawn", {"place": str(tmp_path)}, tmp_path)
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False, timeout=180)
    assert done.returncode == 0, done.stderr
    before, after = json.loads((tmp_path / "seen.json").read_text())
    assert set(map(tuple, before.values())) == {("ok", None)}
    gone = {where for where, found in after.items() if found == ["blocked", "network_unreachable"]}
    assert gone and all(where.startswith("southcell ") for where in gone), after
    assert after["northnet ipv4"] == ["ok", None]


@pytest.fixture(scope="module")
def sightings(tmp_path_factory: pytest.TempPathFactory) -> Json:
    place = tmp_path_factory.mktemp("troubled")
    argv, env = outside.command("same", "observed:troubled", {"place": str(place)}, place)
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return dict(json.loads((place / "seen.json").read_text()))


def test_in_a_whole_country_all_is_seen_from_abroad(sightings: Json) -> None:
    for found in sightings["whole"]:
        assert set(found["readings"].values()) == {1.0} and found["left_out"] == []


def test_a_phase_that_is_looked_at_again_is_looked_at_with_what_was_known_before_it(sightings: Json) -> None:
    first, second = sightings["twice"]
    assert len(first) > 10 and second == first


def test_a_collector_that_has_died_is_no_outage(sightings: Json) -> None:
    assert len(sightings["killed"]) == 2
    for found in sightings["killed"]:
        assert found["readings"] == sightings["whole"][0]["readings"]
        [reason] = found["left_out"]
        assert reason.startswith("the collector was killed by SIGKILL")


def test_a_line_that_the_testbed_has_lost_is_unknown_and_no_outage(sightings: Json) -> None:
    for found in sightings["lost"]:
        assert found["left_out"] and {"all", "southcell", "capital"}.isdisjoint(found["readings"])
        assert set(found["readings"].values()) == {1.0}, "what is known is told"
        assert {"northnet", "coast"} <= found["readings"].keys()


def test_a_line_that_the_scenario_has_cut_is_an_outage(sightings: Json) -> None:
    for found in sightings["cut"]:
        assert found["left_out"] == [] and found["readings"]["northnet"] == 1.0
        assert found["readings"]["southcell"] < 1.0 and found["readings"]["all"] < 1.0
