"""A server program as data: its node, how it is started, and how to tell that it is up."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, NamedTuple

from shutdownlab.config.addresses import Address

Protocol = Literal["tcp", "udp"]

_LISTEN = {"tcp": "0A", "udp": "07"}
"""Socket states in /proc/net: TCP_LISTEN and, for an unconnected datagram socket, TCP_CLOSE (net/tcp_states.h)."""

WRITTEN_S: Final = 946_684_800
"""Modification time of servers' files, as sent in `Last-Modified`: 1 January 2000, in every run."""


class Listening(NamedTuple):
    """A listening socket. The unspecified address stands for every address of its version."""

    protocol: Protocol
    address: Address
    port: int

    def __str__(self) -> str:
        host = f"[{self.address}]" if self.address.version == 6 else str(self.address)
        return f"{self.protocol} {host}:{self.port}"


@dataclass(frozen=True, slots=True, eq=False)
class Daemon:
    """A server process on `node`, in the foreground, which logs to standard output and error.

    `directory`: its own directory; `files` (paths below it) are written before it starts. `sockets`: the sockets it
    listens on once it is up; `lenient`: any of its addresses will do for each port. `control`: its control socket,
    which must not be in `directory`, because that outlives the process. `environment` is added to its parent's.
    `forks`: it may start processes that end while it goes on, such as one per client. `patience`: seconds it may take
    to come up, if longer than usual.
    """

    name: str
    node: str
    argv: tuple[str, ...]
    directory: Path
    files: dict[str, str | bytes] = field(default_factory=dict)
    sockets: frozenset[Listening] = frozenset()
    control: Path | None = None
    environment: dict[str, str] = field(default_factory=dict)
    lenient: bool = False
    forks: bool = False
    patience: float = 0.0

    def missing(self, found: frozenset[Listening]) -> frozenset[Listening]:
        """Returns those of its sockets that are not among those `found` on its node."""
        if not self.lenient:
            return self.sockets - found
        own = {socket.address for socket in self.sockets}
        there = {(s.protocol, s.port) for s in found if s.address in own or s.address.is_unspecified}
        return frozenset(socket for socket in self.sockets if (socket.protocol, socket.port) not in there)

    @property
    def title(self) -> str:
        return f"{self.name} on {self.node}"

    def write(self) -> None:
        """Writes the files, readable only by their owner. Raises `OSError`."""
        self.directory.mkdir(parents=True, exist_ok=True)
        for name, content in self.files.items():
            path = self.directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
            os.utime(path, (WRITTEN_S, WRITTEN_S))


def listening(pid: int) -> frozenset[Listening]:
    """Returns the listening sockets in a process's network namespace; none if the process has ended."""
    return frozenset(_sockets(Path("/proc") / str(pid) / "net"))


def _sockets(net: Path) -> Iterator[Listening]:
    tables: tuple[tuple[Protocol, str], ...] = (("tcp", "tcp"), ("tcp", "tcp6"), ("udp", "udp"), ("udp", "udp6"))
    for protocol, name in tables:
        try:
            lines = (net / name).read_text().splitlines()[1:]
        except (FileNotFoundError, ProcessLookupError):
            continue
        for line in lines:
            _, local, _, state, *_ = line.split()
            if state == _LISTEN[protocol]:
                address, port = local.split(":")
                yield Listening(protocol, _address(address), int(port, 16))


def _address(text: str) -> Address:
    """Parses an address from /proc/net, where each 32-bit word is in the machine's byte order."""
    words = (bytes.fromhex(text[at : at + 8])[::-1] for at in range(0, len(text), 8))
    return ipaddress.ip_address(b"".join(words))
