"""The README's examples that need a country, run as they are written."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from readme import ROOT, block_with, in_a_shell

pytestmark = pytest.mark.thorough


def test_the_class_sees_what_it_is_told_to_try(tmp_path: Path) -> None:
    lines = block_with("shutdownlab lab first-shutdown")
    typed = 'shutdownlab() { command shutdownlab "$@" <<< "southcell-capital ping -c 1 -W 1 8.8.8.8"; }'
    done = in_a_shell(lines, tmp_path, typed)
    assert done.returncode == 0, done.stderr
    assert "expectations met" in done.stdout
    assert "100% packet loss" in done.stdout + done.stderr
    assert "<title>www.bbc.com</title>" in done.stdout
    assert re.search(r" 34[.]19\S+ +5222 +tcp ", done.stdout), "WhatsApp's connections, in the capture"


def test_forged_certificates_are_believed_once_the_root_is(tmp_path: Path) -> None:
    distrusts, trusts = block_with("interception-2019").splitlines()
    done = in_a_shell(distrusts, ROOT)
    assert done.returncode == 60, done.stderr
    done = in_a_shell(trusts, ROOT)
    assert done.returncode == 0, done.stderr
    assert "<title>www.bbc.com</title>" in done.stdout
