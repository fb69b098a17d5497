"""The versions of the daemons on this machine, and those that were tested."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
from collections.abc import Mapping
from importlib.resources import files

import yaml

from shutdownlab.servers.start import SYSTEM_PROGRAMS

_ASK: Mapping[str, str] = {
    "ovs-vswitchd": "--version",
    "bird": "--version",
    "nginx": "-v",
    "unbound": "-V",
    "nsd": "-v",
    "kamailio": "-v",
    "openvpn": "--version",
}
"""The option with which each daemon prints its version; tayga has none."""
_PATIENCE_S = 10.0


def versions() -> dict[str, str]:
    """Returns the version of every installed daemon that prints one, by its program's name."""
    found = {}
    for daemon, option in _ASK.items():
        program = shutil.which(daemon) or shutil.which(daemon, path=SYSTEM_PROGRAMS)
        if program is None:
            continue
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            asked = subprocess.run(
                [program, option], stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE_S, check=False
            )
            if number := re.search(r"\d+(\.\d+)+", (asked.stdout + asked.stderr).decode(errors="replace")):
                found[daemon] = number[0]
    return found


def tested_versions() -> dict[str, dict[str, str]]:
    """Returns the versions of the daemons with which the tests have passed, by distribution."""
    read: dict[str, dict[str, str]] = yaml.safe_load((files("shutdownlab.country") / "tested.yaml").read_text())
    return read


def is_tested(daemon: str, version: str) -> bool:
    """Whether the tests have passed with this version, or with another patch release of it (2.0.12 with 2.0.7)."""
    return _release(version) in {_release(known[daemon]) for known in tested_versions().values() if daemon in known}


def _release(version: str) -> tuple[str, ...]:
    return tuple(version.split(".")[:2])
