"""Runs stock Mininet beside an Open vSwitch where Mininet expects one: `python stock.py ARGUMENT...` for `mn`.

In namespaces of its own, not in our sandbox: there /sys is locked read-only, and stock Mininet mounts it anew.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

NAMESPACES = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
if os.geteuid() != 0:
    NAMESPACES += ["--user", "--map-root-user"]
MN = Path(sys.executable).with_name("mn")


def start_open_vswitch() -> None:
    """One for the whole machine, with the default paths."""
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)
    place = Path("/run/openvswitch")
    place.mkdir()
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["ovsdb-tool", "create", place / "conf.db", "/usr/share/openvswitch/vswitch.ovsschema"], check=True)
    quiet = ["--pidfile", "--detach", "-vconsole:off", "-vsyslog:off", "--log-file=/dev/null", "--no-chdir"]
    subprocess.run(["ovsdb-server", place / "conf.db", f"--remote=punix:{place}/db.sock", *quiet], check=True)
    subprocess.run(["ovs-vsctl", "--no-wait", "init"], check=True)
    subprocess.run(["ovs-vswitchd", *quiet], check=True)


if __name__ == "__main__":
    start_open_vswitch()
    sys.exit(subprocess.run([sys.executable, MN, *sys.argv[1:]], check=False).returncode)
