"""Stock Mininet in a sandbox: what the tests of `mn --custom` run inside, as "stock:mn" to `run_in_sandbox`."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def mn(payload: Mapping[str, Any]) -> int:
    """Run `mn` with these arguments and this input, beside an Open vSwitch where Mininet expects one."""
    start_open_vswitch()
    return subprocess.run(payload["argv"], input=payload["typed"], text=True, check=False).returncode


def start_open_vswitch() -> None:
    """One for the whole machine, with the default paths."""
    place = Path("/run/openvswitch")
    place.mkdir()
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["ovsdb-tool", "create", place / "conf.db", "/usr/share/openvswitch/vswitch.ovsschema"], check=True)
    quiet = ["--pidfile", "--detach", "-vconsole:off", "-vsyslog:off", "--log-file=/dev/null", "--no-chdir"]
    subprocess.run(["ovsdb-server", place / "conf.db", f"--remote=punix:{place}/db.sock", *quiet], check=True)
    subprocess.run(["ovs-vsctl", "--no-wait", "init"], check=True)
    subprocess.run(["ovs-vswitchd", *quiet], check=True)
