"""Runs controllers under Ryu, in a Python that has it, while the rest of a run stays in its own Python.

Ryu uses eventlet's threads, which must replace Python's before anything else is imported; Mininet does not work with
them. So only controllers use that Python: each is forked as usual, and then executes it with its settings.
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from shutdownlab.system.child_process import Child
from shutdownlab.system.kernel import MachineCannot

if TYPE_CHECKING:
    from shutdownlab.control.settings import ControllerSettings

_PACKAGE: Final = Path(__file__).parent.parent / "__init__.py"
# Imports our own package from its files, even if the other Python has a shutdownlab; the framework first.
_BOOT: Final = """\
import os, sys
from importlib.util import module_from_spec, spec_from_file_location
spec = spec_from_file_location("shutdownlab", sys.argv[1], submodule_search_locations=[os.path.dirname(sys.argv[1])])
sys.modules["shutdownlab"] = module_from_spec(spec)
spec.loader.exec_module(sys.modules["shutdownlab"])
from shutdownlab.control import framework
"""
_GO_ON: Final = (
    f"{_BOOT}from shutdownlab.control.ryu_controller import main\nmain(int(sys.argv[2]), int(sys.argv[3]))\n"
)
_ASK: Final = f"""{_BOOT}
import json, shutdownlab.control.ryu_controller
from importlib.metadata import version
print(json.dumps([version("ryu"), "%d.%d.%d" % sys.version_info[:3], sys.prefix, sys.base_prefix]))
"""
_TRIAL_S: Final = 60.0
_MEND: Final = (
    "give --ryu-python the Python of an environment with Ryu 4.34 and what shutdownlab needs; "
    "in a checkout `scripts/environment ryu` makes one and prints its path (Python 3.11)"
)


@dataclass(frozen=True, slots=True)
class RyuPython:
    """A Python with Ryu. `version`: Ryu's; `python`: Python's; `keep`: the folders that it runs from."""

    path: Path
    version: str
    python: str
    keep: tuple[Path, ...]

    def __str__(self) -> str:
        return f"Ryu {self.version} under Python {self.python}"

    def go_on(self, child: Child, app: Path, settings: ControllerSettings) -> NoReturn:
        """Executes this Python as the controller. Called in a forked child."""
        given = os.memfd_create("controller")
        with os.fdopen(given, "wb", closefd=False) as file:
            pickle.dump((child.name, app, settings), file)
        os.lseek(given, 0, os.SEEK_SET)
        argv = [str(self.path), "-P", "-W", "ignore", "-c", _GO_ON, str(_PACKAGE), str(given)]
        child.go_on_as(argv, _environment(), [given])


def ryu_python(given: str | Path | None) -> RyuPython:
    """Returns the Python to run controllers in: the given one, else that of the environment beside ours (`NAME-ryu`).

    Raises `MachineCannot` if it does not exist or does not have Ryu.
    """
    beside = Path(sys.prefix).with_name(f"{Path(sys.prefix).name}-ryu") / "bin" / "python"
    path = Path.cwd() / given if given is not None else beside  # unresolved: the link's path determines the environment
    argv = [str(path), "-P", "-W", "ignore", "-c", _ASK, str(_PACKAGE)]
    try:
        asked = subprocess.run(
            argv, env=_environment(), capture_output=True, text=True, timeout=_TRIAL_S, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        why = error.strerror or str(error) if isinstance(error, OSError) else f"no answer within {_TRIAL_S:g} s"
        raise MachineCannot("run controllers under Ryu", f"{path}: {why}", _MEND) from None
    if asked.returncode:
        why = (asked.stderr.strip().splitlines() or [f"it ended with status {asked.returncode}"])[-1]
        raise MachineCannot("run controllers under Ryu", f"{path}: {why}", _MEND)
    version, python, *places = json.loads(asked.stdout.splitlines()[-1])
    return RyuPython(path, version, python, tuple(map(Path, places)))


def _environment() -> dict[str, str]:
    """Returns our environment without the variables that point Python to our packages."""
    kept_out = {"PYTHONPATH", "PYTHONHOME"}
    return {k: v for k, v in os.environ.items() if k not in kept_out} | {"SHUTDOWNLAB_OPENFLOW": "ryu"}


__all__ = ["RyuPython", "ryu_python"]
