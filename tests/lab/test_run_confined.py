"""A whole run, as root and as an ordinary user: no packet of it gets out, and nothing of it stays."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import outside
import pytest
from differential import differences
from invocation import Record, invoke, shutdownlab, small

import shutdownlab as sl


@pytest.mark.parametrize("user", [pytest.param("same", marks=pytest.mark.thorough), "ordinary"])
def test_no_packet_of_a_run_reaches_an_interface_of_the_machine(user: str, tmp_path: Path) -> None:
    result = tmp_path / "result"
    payload = {"scenario": str(small(tmp_path)), "out": str(tmp_path / "run"), "place": str(tmp_path)}
    python, env = outside.machine_of_its_own(user, tmp_path)
    play = "import json, played, sys; sys.exit(played.whole_run(json.loads(sys.argv[1])))"
    argv = [*python, "-c", play, json.dumps({**payload, "result": str(result)})]
    done = subprocess.run(argv, env=env, cwd="/", capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    record = Record(tmp_path / "run")
    assert len(record.rows) == 3 * 18
    seen = json.loads(result.read_text())
    counters = {line.split(":")[0].strip(): line.split(":")[1].split() for line in seen["before"]["counters"]}
    assert int(counters["eth0"][1]) > 0, "the interface works: it has carried a ping"
    assert seen["after"] == seen["before"]


UNTIL = "mobile-throttled"
"""By then the gateway, DPI boxes and meters have all had orders; to its end root plays it, in test_run."""


def test_an_ordinary_user_plays_the_first_shutdown_without_sudo(tmp_path: Path) -> None:
    done = invoke(tmp_path, "run", "first-shutdown", "--until", UNTIL, "--out", "run", user="ordinary")
    assert done.code == 0, done.output
    record = Record(tmp_path / "run")
    assert {path.lstat().st_uid for path in (record.path, *record.path.rglob("*"))} == {outside.ORDINARY}
    assert (record.manifest["status"], record.manifest["unmet"]) == ("finished", 0)
    assert list(differences(sl.Run.open(record.path), sl.verify("first-shutdown"))) == []
    assert record.events_of("phase-measured")[-1]["phase"] == UNTIL


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may chroot")
def test_in_a_chroot_it_says_what_a_sandbox_needs(tmp_path: Path) -> None:
    root, result = tmp_path / "root", tmp_path / "run"
    show = f"""
        mkdir {root}
        for each in /*; do
            if [ -d "$each" ] && [ ! -L "$each" ]; then mkdir -p {root}$each && mount --rbind "$each" {root}$each
            elif [ -L "$each" ]; then cp -P "$each" {root}; fi
        done
        exec chroot {root} "$@"
    """
    argv, env = shutdownlab("same", tmp_path)
    command = ["unshare", "-m", "sh", "-c", show, "sh", *argv, "run", "first-shutdown", "--out", str(result)]
    done = subprocess.run(command, env=env, cwd="/", capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 3, done.stdout + done.stderr
    told = " ".join((done.stdout + done.stderr).split())
    assert "cannot make a sandbox in a chroot" in told
    assert "pivot_root instead of chroot" in told
