"""Namespaces and veth pairs of a test's own: never named, never in the machine's network, gone with the test."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import threading
import time
from pathlib import Path
from types import TracebackType

import pytest

from shutdownlab.system.netns import inside
from shutdownlab.system.syscalls import CLONE_NEWNET, unshare


class Cables:
    """Makes namespaces (as paths) and joins them; a context manager."""

    def __init__(self) -> None:
        self._descriptors: list[int] = []

    def __enter__(self) -> Cables:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for descriptor in self._descriptors:
            os.close(descriptor)

    def netns(self) -> Path:
        """Return a new network namespace with its loopback up."""
        made: list[int | OSError] = []

        def make() -> None:
            try:
                unshare(CLONE_NEWNET)
                made.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY))
            except OSError as error:
                made.append(error)

        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
        if isinstance(made[0], OSError):
            pytest.skip(f"no network namespace for this user: {made[0]}; run the suite in `unshare -Urn`")
        self._descriptors.append(made[0])
        path = Path(f"/proc/{os.getpid()}/fd/{made[0]}")
        self.run(path, "ip", "link", "set", "lo", "up")
        return path

    def veth(self, a: Path, if_a: str, b: Path, if_b: str) -> None:
        """Join namespaces `a` and `b` by a veth pair, both ends up."""
        self.run(a, "ip", "link", "add", "name", if_a, "type", "veth", "peer", "name", if_b, "netns", str(b))
        for netns, ifname in ((a, if_a), (b, if_b)):
            self.run(netns, "ip", "link", "set", "dev", ifname, "up")

    def address(self, netns: Path, ifname: str, *addresses: str) -> None:
        """Give an interface addresses, usable at once."""
        for address in addresses:
            nodad = ("nodad",) if ":" in address else ()
            self.run(netns, "ip", "address", "add", address, "dev", ifname, *nodad)

    def run(self, netns: Path, *argv: str, timeout: float = 30) -> str:
        """Run a command in a namespace and return what it printed; a failure fails the test with it."""
        done = subprocess.run(["nsenter", f"--net={netns}", *argv], capture_output=True, text=True, timeout=timeout)
        assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
        return done.stdout

    def start(self, netns: Path, *argv: str) -> subprocess.Popen[str]:
        """Start a command in a namespace."""
        pipe = subprocess.PIPE
        return subprocess.Popen(["nsenter", f"--net={netns}", *argv], stdout=pipe, stderr=pipe, text=True)

    def through_tcp(self, a: Path, b: Path, family: socket.AddressFamily, address: str, sent: bytes) -> bytes:
        """Send bytes from namespace `a` to `b` and return what arrived."""
        deadline_s = 15.0
        with inside(b):
            listener = socket.create_server((address, 0), family=family)
        with inside(a):
            client = socket.socket(family)
        client.settimeout(deadline_s)
        client.connect(listener.getsockname())
        server, _ = listener.accept()
        client.setblocking(False)
        arrived, at = bytearray(), 0
        end = time.monotonic() + deadline_s
        while len(arrived) < len(sent):
            left = end - time.monotonic()
            assert left > 0, f"{len(arrived)} of {len(sent)} bytes within {deadline_s} s"
            readable, writable, _ = select.select([server], [client] if at < len(sent) else [], [], left)
            if writable:
                at += client.send(sent[at : at + 262_144])
            if readable:
                arrived += server.recv(262_144)
        for end_point in (client, server, listener):
            end_point.close()
        return bytes(arrived)

    def tcp_checksum_errors(self, netns: Path) -> int:
        """Return how many TCP segments the namespace's kernel has thrown away for a bad checksum."""
        with inside(netns):
            lines = Path("/proc/thread-self/net/snmp").read_text().splitlines()
        names, values = (line.split() for line in lines if line.startswith("Tcp:"))
        return int(values[names.index("InCsumErrors")])
