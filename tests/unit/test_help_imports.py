"""What it takes to show help."""

from __future__ import annotations

import subprocess
import sys

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


OF_COMMANDS = """
import contextlib, io, sys
from shutdownlab.cli import app
for command in sys.argv[1:]:
    before = {*sys.modules}
    with contextlib.redirect_stdout(io.StringIO()):
        app([command, "--help"], standalone_mode=False)
    added = sorted(sys.modules.keys() - before)
    print(*(f"{command}: {name}" for name in added if name.startswith(("shutdownlab.library", "shutdownlab.model"))))
"""
QUICK = (
    "run", "resume", "report", "verify", "explain", "diff", "detect", "matrix", "list", "show", "apps", "plot",
    "export", "judge", "compare", "doctor", "schema", "check", "lab", "exec", "attach", "web", "inspect", "profiles",
    "cost",
)  # fmt: skip


def test_help_of_a_command_loads_nothing_of_countries() -> None:
    done = subprocess.run([sys.executable, "-c", OF_COMMANDS, *QUICK], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
    assert len(done.stdout.splitlines()) == len(QUICK)
