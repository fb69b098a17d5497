"""What a program imports that starts runs: nothing of what builds a country, which is for the sandbox's own process."""

from __future__ import annotations

import subprocess
import sys

import pytest

BUILD_A_COUNTRY = ("mininet", "os_ken", "aioquic", "cryptography", "pyroute2", "shutdownlab.country.assembly")


@pytest.mark.parametrize("starts", ["shutdownlab.runner.launch", "shutdownlab.country.lab"])
def test_who_starts_a_country_in_a_sandbox_imports_nothing_that_builds_one(starts: str) -> None:
    code = f"import sys, {starts}; print(*(name for name in {BUILD_A_COUNTRY!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
