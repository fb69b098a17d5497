"""The main program of a controller under Ryu, run by the Python that has Ryu (see `ryu`)."""

from __future__ import annotations

from shutdownlab.control import framework  # noqa: F401 - must be imported first: see there

# isort: split

import os
import pickle
from typing import NoReturn

from shutdownlab.control.manager import serve
from shutdownlab.system.child_process import Child, go_on


def main(given: int, lines: int) -> NoReturn:
    """Runs the controller whose name, app and settings are pickled in the file descriptor `given`; `lines`: the
    descriptor of the connection to the parent."""
    with os.fdopen(given, "rb") as file:
        name, app, settings = pickle.load(file)

    def controller(child: Child) -> None:
        serve(app, settings, child.stop_fd, child.ready)

    go_on(name, lines, controller)
