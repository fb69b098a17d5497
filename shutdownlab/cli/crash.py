"""Reports a crash, which is a bug in shutdownlab."""

from __future__ import annotations

import shlex
import sys
import tempfile
import traceback

from shutdownlab import __version__
from shutdownlab.config.wording import on_one_line, shortened

EXIT_CRASHED = 70
"""EX_SOFTWARE of sysexits.h."""


def report_crash(error: Exception) -> int:
    """Prints on standard error what to report, and writes the traceback to a new file; returns the exit code."""
    text = "".join(traceback.format_exception(error))
    what = shortened(on_one_line(f"{type(error).__name__}: {error}"), 300)
    print(f"shutdownlab {__version__} has a bug: {what}", file=sys.stderr)
    try:
        with tempfile.NamedTemporaryFile(prefix="shutdownlab-", suffix=".txt", delete=False) as file:
            file.write(text.encode(errors="replace"))
        where = f"the file {file.name}"
    except OSError:
        print(text.encode(errors="replace").decode(), file=sys.stderr)
        where = "all of the above"
    command = on_one_line(shlex.join(["shutdownlab", *sys.argv[1:]]))
    print(f"    to report it, send {where} and what you gave it, as of: {command}", file=sys.stderr)
    return EXIT_CRASHED
