"""Describes the machine of a run, for its manifest."""

from __future__ import annotations

import os
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from shutdownlab.country.daemons import versions

_PACKAGES = ("mininet", "os-ken", "ryu", "aioquic", "pyroute2", "cryptography", "dnspython")


@cache
def _fixed() -> dict[str, object]:
    packages = {}
    for name in _PACKAGES:
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "packages": packages,
        "daemons": versions(),
        "processors": len(os.sched_getaffinity(0)),
    }


def describe_machine() -> dict[str, object]:
    """Returns kernel, package and daemon versions, processor count, and current load averages (1, 5, 15 minutes)."""
    return {**_fixed(), "load": [round(load, 2) for load in os.getloadavg()]}
