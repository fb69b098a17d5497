"""What it takes to show help."""

from __future__ import annotations

import subprocess
import sys

import pytest

ASKED = """
import contextlib, io, sys
from shutdownlab.cli import app
told = io.StringIO()
with contextlib.redirect_stdout(told):
    app(["--help"], standalone_mode=False)
assert "verify" in told.getvalue()
print(*(name for name in ("markdown_it", "pygments", "rich.markdown", "rich.traceback") if name in sys.modules))
from rich.markdown import Markdown
print(Markdown("*told*").parsed[0].type)
"""


def test_help_needs_no_parser_of_markdown_and_leaves_the_real_one_to_whoever_does() -> None:
    done = subprocess.run([sys.executable, "-c", ASKED], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["", "paragraph_open"]


OF_A_COMMAND = """
import contextlib, io, sys
from shutdownlab.cli import app
with contextlib.redirect_stdout(io.StringIO()):
    app([sys.argv[1], "--help"], standalone_mode=False)
print(*(name for name in sys.modules if name.startswith(("shutdownlab.library", "shutdownlab.model"))))
"""


@pytest.mark.parametrize("command", ["run", "verify", "explain", "diff", "report"])
def test_help_of_a_command_loads_nothing_of_countries(command: str) -> None:
    done = subprocess.run([sys.executable, "-c", OF_A_COMMAND, command], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
