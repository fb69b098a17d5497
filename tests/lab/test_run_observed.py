"""What is seen of operators from outside: a result of theirs, and of no subscriber."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import outside
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
