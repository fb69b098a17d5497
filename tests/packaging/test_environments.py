"""What the set-up says and leaves when it cannot go on: offline, behind a proxy, with a false package, killed.

On the smallest of the environments: all are made by the same steps.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOWHERE = "127.0.0.1:9"


def command(place: Path, **settings: str) -> tuple[list[str], dict[str, str]]:
    """scripts/environment for `uv` in an empty place, with no settings of pip's but these."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PIP_", "UV_")) and "PROXY" not in name.upper()
    }
    defaults = {
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_RETRIES": "1",
        "PIP_DEFAULT_TIMEOUT": "2",
        "VENV": str(place / "venv"),
    }
    return [str(ROOT / "scripts/environment"), "uv"], kept | defaults | settings


def said(place: Path, status: int, **settings: str) -> str:
    """What it says, a line a step, when it ends with this status."""
    argv, environment = command(place, **settings)
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (status, ""), done.stderr
    assert all(line.startswith("setup: ") for line in done.stderr.splitlines())
    return done.stderr.replace("setup: ", "")


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("settings", "why", "what_to_do"),
    [
        ({"PIP_NO_INDEX": "1"}, "No matching distribution found for uv==", "pip download --no-deps -r requirements/uv"),
        (
            {"PIP_INDEX_URL": f"http://{NOWHERE}/simple"},
            "the package index is out of reach", "PIP_NO_INDEX=1 PIP_FIND_LINKS=DIR make setup",
        ),
        (
            {"PIP_INDEX_URL": "https://example.invalid/simple", "HTTPS_PROXY": f"http://{NOWHERE}"},
            "the proxy does not answer", "None: env -u NAME make setup",
        ),
        ({"PIP_INDEX_URL": "http://192.0.2.1/simple"}, "the index is not served over HTTPS", "PIP_TRUSTED_HOST=HOST"),
    ],
    ids=["no index", "offline", "proxy", "no HTTPS"],
)  # fmt: skip
def test_an_index_out_of_reach_is_reported_with_what_to_do(
    tmp_path: Path, settings: dict[str, str], why: str, what_to_do: str
) -> None:
    told = said(tmp_path, 1, **settings)
    assert f"pip could not install uv: {why}" in told
    assert what_to_do in told
    assert f"all of pip's words: {tmp_path}/venv-uv.log" in told


def test_a_package_that_is_not_the_one_locked_is_refused(tmp_path: Path) -> None:
    [version] = re.findall(r"^uv==(\S+)", (ROOT / "requirements/uv.txt").read_text(), re.MULTILINE)
    (tmp_path / f"uv-{version}-py3-none-any.whl").write_bytes(b"another")
    told = said(tmp_path, 1, PIP_NO_INDEX="1", PIP_FIND_LINKS=str(tmp_path))
    assert "pip could not install uv: a package is not the one that was locked" in told


def test_a_folder_that_is_no_environment_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "venv-uv").mkdir()
    (tmp_path / "venv-uv" / "thesis.txt").write_text("years of work")
    assert "exists and is not a virtual environment" in said(tmp_path, 2)
    assert (tmp_path / "venv-uv" / "thesis.txt").read_text() == "years of work"


@pytest.mark.thorough
def test_killed_half_way_it_starts_anew(tmp_path: Path) -> None:
    argv, environment = command(tmp_path, PIP_INDEX_URL=f"http://{NOWHERE}/simple", PIP_RETRIES="30")
    log, half = tmp_path / "venv-uv.log", tmp_path / "venv-uv" / "lib" / "half-written"
    with subprocess.Popen(argv, env=environment, stderr=subprocess.DEVNULL, process_group=0) as killed:
        deadline = time.monotonic() + 60
        while not (log.exists() and "Retrying" in log.read_text()):  # pip is at work
            assert killed.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        os.killpg(killed.pid, 9)
    half.write_text("")
    assert "making an environment" in said(tmp_path, 1, PIP_NO_INDEX="1")
    assert not half.exists()
