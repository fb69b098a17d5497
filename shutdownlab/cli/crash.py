"""Reports a crash, which is a bug in shutdownlab or in a package that extends it."""

from __future__ import annotations

import shlex
import sys
import tempfile
import traceback

from shutdownlab import __version__
from shutdownlab.config.extensions import ExtensionBug, modules_of_others
from shutdownlab.config.wording import on_one_line, shortened

EXIT_CRASHED = 70
"""EX_SOFTWARE of sysexits.h."""


def report_crash(error: Exception) -> int:
    """Prints on standard error what to report, and writes the traceback to a new file; returns the exit code."""
    text = "".join(traceback.format_exception(error))
    kind = "" if isinstance(error, ExtensionBug) else f"{type(error).__name__}: "
    what = shortened(on_one_line(f"{kind}{error}"), 300)
    whose, where_there = _whose(error)
    print(f"{whose} has a bug: {what}{where_there}", file=sys.stderr)
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


def _whose(error: Exception) -> tuple[str, str]:
    """Returns what to call the program with the bug, and the place in it if it is a package that extends this one."""
    others = modules_of_others()
    if isinstance(error, ExtensionBug):
        module = error.module.partition(".")[0]
        return f"the package {others.get(module, module)}", f" ({error.where})"
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        owner = others.get(frame.f_globals.get("__name__", "").partition(".")[0])
        if owner is not None:
            return f"the package {owner}, or its use of shutdownlab,", f" ({frame.f_code.co_filename}, line {line})"
    return f"shutdownlab {__version__}", ""
