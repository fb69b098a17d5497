"""What the test of a whole run's confinement runs, in namespaces that play a machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from invocation import MAIN
from sandboxed import be_a_machine, seen_of_network


def whole_run(payload: Mapping[str, Any]) -> int:
    """Run a scenario in a machine of our own, and compare what went over its interfaces and which sockets are open."""
    be_a_machine()
    before = seen_of_network()
    argv = [sys.executable, "-c", MAIN, "run", payload["scenario"], "--out", payload["out"]]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    status = subprocess.run(argv, env=env, cwd=payload["place"], check=False).returncode
    Path(payload["result"]).write_text(json.dumps({"before": before, "after": seen_of_network()}))
    return status
