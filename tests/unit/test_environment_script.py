"""What `scripts/environment` says where its packages cannot be had."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.thorough
def test_a_proxy_that_does_not_answer_is_named_without_its_password(tmp_path: Path) -> None:
    for folder in ("scripts", "requirements"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    for file in ("pyproject.toml", "setup.py"):
        shutil.copy(ROOT / file, tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "PYTHON": sys.executable,
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_INDEX_URL": "https://index.invalid/simple",
            "PIP_RETRIES": "1",
            "HTTPS_PROXY": f"http://me:secret@{address}",
        }
        argv = [str(tmp_path / "scripts/environment"), "uv"]
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert f"the proxy does not answer: HTTPS_PROXY=http://{address};" in done.stderr
    assert "None: env -u NAME make setup" in done.stderr
    assert "secret" not in done.stderr
