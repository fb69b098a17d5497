"""A WireGuard peer. Usage: `wireguard_server.py DEVICE ADDRESS/LENGTH`, with its configuration in `uapi.conf`.

It starts wireguard-go, configures it by its own protocol (https://www.wireguard.com/xplatform/), and exits with it. It
does not start `ip` or `wg`, because the process monitor would report their exit as a fault.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

from pyroute2 import IPRoute

_CONTROL = Path("/var/run/wireguard")
_PATIENCE_S = 0.02


def _configure(device: str, wireguard: subprocess.Popen[bytes]) -> None:
    with socket.socket(socket.AF_UNIX) as control:
        while True:
            try:
                control.connect(str(_CONTROL / f"{device}.sock"))
                break
            except (FileNotFoundError, ConnectionRefusedError):
                if wireguard.poll() is not None:
                    sys.exit(f"wireguard-go ended with status {wireguard.returncode}")
                time.sleep(_PATIENCE_S)
        control.sendall(b"set=1\n" + Path("uapi.conf").read_bytes() + b"\n")
        answer = b""
        while not answer.endswith(b"\n\n"):
            more = control.recv(4096)
            if not more:
                break
            answer += more
    if answer != b"errno=0\n\n":
        sys.exit(f"wireguard-go refuses its configuration: {answer!r}")


def main(device: str, address: str) -> int:
    """Serves until wireguard-go ends; returns its exit status."""
    wireguard = subprocess.Popen(["wireguard-go", "-f", device])
    _configure(device, wireguard)
    host, length = address.split("/")
    with IPRoute() as netlink:
        [index] = netlink.link_lookup(ifname=device)
        netlink.addr("add", index=index, address=host, prefixlen=int(length))
        netlink.link("set", index=index, state="up")  # from here on it listens
    return wireguard.wait()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
