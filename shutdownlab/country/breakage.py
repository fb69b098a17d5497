"""Failures of a running country that are no bug of the program, and how they are reported."""

from __future__ import annotations

import errno
import re
import sysconfig
from pathlib import Path

from shutdownlab.config.extensions import modules_of_others
from shutdownlab.control.processes import ControlError
from shutdownlab.measure.supervisor import AgentError
from shutdownlab.servers.start import ServicesNotReady
from shutdownlab.system.child_process import ForkedError
from shutdownlab.system.limits import limit_reached

BREAKAGES = (ControlError, ServicesNotReady, ForkedError, AgentError, OSError)
"""Processes that died or did not start, orders that were not carried out, files that cannot be written."""

_TRACEBACK = "Traceback (most recent call last):"
_FRAME = re.compile(r' +File "(?P<file>[^"]+)", line (?P<line>\d+)')
_NOT_THE_USERS = (
    "<",
    *{sysconfig.get_path(each) for each in ("stdlib", "platlib", "purelib")},
    f"{Path(__file__).parents[1]}/",
)


def lines_of(error: BaseException) -> list[str]:
    """Returns the lines that describe an error; of a Python traceback only the last."""
    text = str(error) or repr(error)
    if isinstance(error, ServicesNotReady):
        text = "\n".join(error.problems)
    elif isinstance(error, OSError) and error.strerror:
        text = f"{error.strerror}: {error.filename}" if error.filename else error.strerror
        text = with_limit(text, error)
    return brief(text).splitlines()


def with_limit(text: str, error: BaseException | None) -> str:
    """Returns `text`, which describes `error`, with the limit of this process that caused it, if one did."""
    limit = limit_reached(error) if isinstance(error, OSError) and error.errno != errno.ENOSPC else ""
    return f"{text} ({limit})" if limit else text


def brief(text: str) -> str:
    """Returns `text` with every traceback reduced to its last line and the user's own file and line that raised it.

    The logs have the full tracebacks.
    """
    kept: list[str] = []
    inside, where = False, ""
    for line in text.splitlines():
        if inside and not line.startswith(" "):  # the traceback's last line
            inside = False
            kept[-1] += line + where
        elif inside:
            if (frame := _FRAME.match(line)) and _is_the_users(frame["file"]):
                where = f" ({frame['file']}, line {frame['line']})"
        elif _TRACEBACK in line:
            inside, where = True, ""
            kept.append(line.partition(_TRACEBACK)[0])
        else:
            kept.append(line)
    return "\n".join(line for line in kept if line.strip())


def _is_the_users(file: str) -> bool:
    """Returns whether the user can mend a file: it is beside a scenario, or of a package that extends shutdownlab."""
    if not file.startswith(_NOT_THE_USERS):
        return True
    own = file.removeprefix(sysconfig.get_path("purelib")).lstrip("/").partition("/")[0]
    return own.removesuffix(".py") in modules_of_others()


def in_one_line(text: str) -> str:
    """Returns what `brief` does as one line, for a sentence or a cell of a table."""
    return " ".join(line.strip() for line in brief(text).splitlines())
