"""What a controller under Ryu runs, in the Python that has it (see `ryu`)."""

from __future__ import annotations

from shutdownlab.control import framework  # noqa: F401 - ahead of all others: see there

# isort: split

import os
import pickle
from typing import NoReturn

from shutdownlab.control.manager import serve
from shutdownlab.system.child_process import Child, go_on


def main(given: int, lines: int) -> NoReturn:
    """Be the controller whose name, app and settings are in the file `given`; `lines` leads to its parent."""
    with os.fdopen(given, "rb") as file:
        name, app, settings = pickle.load(file)

    def controller(child: Child) -> None:
        serve(app, settings, child.stop_fd, child.ready)

    go_on(name, lines, controller)
