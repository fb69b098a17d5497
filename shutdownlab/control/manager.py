"""Runs one controller app in one process.

    python -m shutdownlab.control.manager controllers/isp.py --name kcell --topology topologies/kazakhstan.yaml

Addresses are derived from the topology (see `addresses`), so that controllers started by hand find each other.
"""

from __future__ import annotations

from shutdownlab.control import framework  # noqa: F401 - must be imported first: see there

# isort: split

import argparse
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from shutdownlab import library
from shutdownlab.config.problems import BadInput
from shutdownlab.control.addresses import AUTHORITY, controller_addresses
from shutdownlab.control.app import run_app
from shutdownlab.control.settings import DEFAULT_PROFILE, ControllerSettings
from shutdownlab.model.box_checks import profile_named
from shutdownlab.system import polling
from shutdownlab.system.child_process import stop_descriptor
from shutdownlab.system.signals import ignore_alone


def serve(path: Path, settings: ControllerSettings, stop_fd: int, ready: Callable[[], None]) -> None:
    """Runs the app until `stop_fd` asks this process to end; calls `ready` once it listens.

    A controller of a run ignores Ctrl-C, but processes that a user's own app starts do not.

    The frameworks cannot be stopped (os-ken's threads are not daemons and never end): exit by `os._exit` afterwards.
    """
    ignored = ignore_alone()
    run_app(str(path), settings)
    ready()
    signals: set[int] = set()
    while signals <= ignored:
        polling.wait([stop_fd])
        signals = set(os.read(stop_fd, 64))


def main() -> None:
    """The command line; exits with 2 on bad input."""
    options = argparse.ArgumentParser(prog="python -m shutdownlab.control.manager", description=__doc__.split("\n")[0])
    options.add_argument("app", type=Path, help="controllers/isp.py or controllers/authority.py")
    options.add_argument("--name", required=True, help=f"the operator, or {AUTHORITY}")
    options.add_argument("--topology", required=True, help="a file, or the name of a shipped one")
    options.add_argument("--host", default="127.0.0.1", help="address to listen at, of all controllers")
    options.add_argument("--first-port", type=int, default=6653, help="first of all controllers' ports")
    options.add_argument("--profile", default=DEFAULT_PROFILE, help="what the DPI boxes work by")
    given = options.parse_args()
    try:
        country = library.load_topology(given.topology)
        profile = profile_named(given.profile)
    except BadInput as error:
        sys.exit(_bad(str(error)))
    names = country.topology.operators
    if given.name not in {AUTHORITY, *names}:
        sys.exit(_bad(f"--name: found {given.name}; expected {AUTHORITY} or one of {', '.join(names)}"))
    plan = controller_addresses(names, given.host, given.first_port)
    settings = ControllerSettings(given.name, country.network, country.apps, plan, dict.fromkeys(names, profile))

    def ready() -> None:
        host, port = plan.openflow[given.name]
        sys.stderr.write(f"{given.name}: switches at {host}:{port}, orders and boxes at {plan.boxes[given.name][1]}\n")

    stop_fd = stop_descriptor()
    signal.signal(signal.SIGINT, signal.getsignal(signal.SIGTERM))
    serve(given.app, settings, stop_fd, ready)
    os._exit(0)


def _bad(text: str) -> int:
    sys.stderr.write(f"{text}\n")
    return 2


if __name__ == "__main__":
    main()
