"""What a program imports that starts runs: nothing of what builds a country, which is for the sandbox's own process."""

from __future__ import annotations

import subprocess
import sys

import pytest

BUILD_A_COUNTRY = ("mininet", "os_ken", "aioquic", "cryptography", "pyroute2", "shutdownlab.country.assembly")
LEFT_OUT = (*BUILD_A_COUNTRY, "shutdownlab.reporting.page.report", "shutdownlab.reporting.junit")
REFUSED = """
import contextlib, io, sys
from shutdownlab.cli import app
told = io.StringIO()
with contextlib.redirect_stderr(told), contextlib.suppress(SystemExit):
    app(["run", "first-shutdown", "--until", "baseline", "--keys"])
assert "--pcap" in told.getvalue() or "pcap" in told.getvalue(), told.getvalue()
"""


def imported(code: str, names: tuple[str, ...]) -> list[str]:
    """Which of these modules a Python has imported that ran this code."""
    asked = f"{code}\nimport sys\nprint(*(name for name in {names!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.parametrize("starts", ["shutdownlab.runner.launch", "shutdownlab.country.lab"])
def test_who_starts_a_country_in_a_sandbox_imports_nothing_that_builds_one(starts: str) -> None:
    assert imported(f"import {starts}", BUILD_A_COUNTRY) == []


def test_the_command_run_has_come_to_its_run_without_what_builds_a_country_or_writes_pages_of_one() -> None:
    assert imported(REFUSED, LEFT_OUT) == []
