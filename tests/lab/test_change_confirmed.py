"""A change to the flagship that loosens one exemption: found in a second, explained, and confirmed by real packets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import shutdownlab as sl

pytestmark = pytest.mark.thorough

FLAGSHIP = Path(__file__).parents[2] / "scenarios" / "kazakhstan-2022.yaml"
BEFORE = "    except: {subscribers: [government], ports: [179, 3785, 5060]}\n    source: CF, NB, RA, SEED, N99\n"
AFTER = BEFORE.replace("5060", "5060, 9001")
WHERE = "all operators, datacentre, ordinary, `blackout`, `blackout-2`, `blackout-3`"


@pytest.fixture
def pull_request(tmp_path: Path) -> Path:
    """A repository with the flagship in its last commit, and a change in the working tree."""
    mine = tmp_path / "kazakhstan.yaml"
    mine.write_text(FLAGSHIP.read_text())
    env = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    who = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    for command in (("init", "-q"), ("add", "."), (*who, "commit", "-qm", "as it was")):
        subprocess.run(("git", *command), cwd=tmp_path, env=env, check=True)
    assert mine.read_text().count(BEFORE) == 2  # `blackout`, and its piece outside the capital
    mine.write_text(mine.read_text().replace(BEFORE, AFTER, 1))
    return mine


def shutdownlab(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "shutdownlab", *arguments]
    env = {**os.environ, "COLUMNS": "200"}
    env.pop("GITHUB_STEP_SUMMARY", None)
    return subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True, check=False)


def test_one_exemption_too_many_is_found_explained_shown_in_five_lines_and_confirmed_by_packets(
    pull_request: Path,
) -> None:
    folder, name = pull_request.parent, pull_request.name
    line = pull_request.read_text()[: pull_request.read_text().index(AFTER)].count("\n") + 1

    found = shutdownlab(folder, "verify", name)
    assert found.returncode == 1
    assert "blackout: bridge-9001 from " in found.stdout
    assert f"expected blocked [CF, NB, RA], saw ok (`blackout` spares ports 9001, {name}:{line})" in found.stdout

    told = shutdownlab(folder, "explain", name, "--at", "blackout", "--from", "kcell/almaty", "--to", "bridge-9001")
    assert told.returncode == 0
    assert len(told.stdout.splitlines()) <= 24
    assert "spares it for blackout" in told.stdout and "tcp_dst 9001" in told.stdout

    comment = shutdownlab(folder, "diff", f"HEAD:{name}", name, "--format", "github")
    assert comment.returncode == 1
    assert comment.stdout.splitlines() == [
        f"::error file={name},line={line}::{WHERE}: bridge-9001: blocked → ok, since `blackout` excepts 9001 now, "
        f"{name}:{line}",
        "Of 10,972 cells, 45 newly allowed.",
    ]

    confirmed = shutdownlab(folder, "run", name, "--changed-since", "HEAD", "--sample", "2%", "--out", "pr")
    assert confirmed.returncode == 1, confirmed.stdout + confirmed.stderr  # what is expected of it has not changed
    assert "3 of 22 phases have cells that changed since HEAD." in confirmed.stdout
    run = sl.Run.open(folder / "pr")
    selection = json.loads((folder / "pr" / "selection.json").read_text())
    drawn = sum(map(len, selection["drawn"].values()))
    assert f"The model says the same of all {45 + drawn} cells." in confirmed.stdout
    assert drawn > 10
    by_certainty = Counter("held" if result.held else "measured" for result in run.results)
    assert by_certainty == {"measured": 45 + drawn, "held": 10_972 - 45 - drawn}
    assert {result.phase for result in run.results if not result.held} == {"blackout", "blackout-2", "blackout-3"}
    changed = [result for result in run.results if result.target == "bridge-9001" and not result.held]
    assert Counter(result.outcome.value for result in changed)["ok"] >= 45
    assert {result.tries for result in run.results if result.held} == {0}
    assert run.manifest["cells"] - run.manifest["held"] == 45 + drawn
    inside = [result for result in run.results if not result.held and result.region]
    assert sum(1 for _ in run.measurements()) == len(inside)
