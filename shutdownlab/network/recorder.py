"""Records what every switch receives, port by port: a pcapng file a switch (draft-ietf-opsawg-pcapng).

Each frame is recorded once by each switch it reaches, where it comes in, in the order in which the kernel got them,
whatever their ports: who reads the file finds connections as the switch and its DPI box saw them. Segmentation offload
is on in the laboratory: TCP segments are recorded as hosts hand them over, up to 64 KiB, with checksums that a network
card would fill in.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from shutdownlab.network.arrivals import LONGEST_FRAME, SETTLED_S, Arrivals, stamp
from shutdownlab.system.child_process import Child, Forked, fork
from shutdownlab.system.netns import inside

_ETH_P_ALL: Final = 3
_SOL_PACKET: Final = 263
_PACKET_IGNORE_OUTGOING: Final = 23
_LINKTYPE_ETHERNET: Final = 1
_RECEIVE_BUFFER: Final = 8 << 20
_FLUSH_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Tap:
    """One switch: the namespace its ports are in, and their names (with what they lead to)."""

    switch: str
    netns: Path
    ports: tuple[tuple[str, str], ...]


def section(ports: Sequence[tuple[str, str]]) -> bytes:
    """The blocks a file begins with: its section, and a port each with nanosecond times."""
    blocks = _block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
    for name, purpose in ports:
        options = _option(2, name.encode()) + _option(3, purpose.encode()) + _option(9, b"\x09") + _option(0, b"")
        blocks += _block(1, struct.pack("<HHI", _LINKTYPE_ETHERNET, 0, LONGEST_FRAME) + options)
    return blocks


def packet(port: int, at_ns: int, frame: bytes) -> bytes:
    """One frame's block; `port` counts from 0 in the order of `section`."""
    head = struct.pack("<IIIII", port, at_ns >> 32, at_ns & 0xFFFFFFFF, len(frame), len(frame))
    return _block(6, head + _padded(frame))


def _block(kind: int, body: bytes) -> bytes:
    length = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + length + body + length


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + _padded(value)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def start_recorder(taps: Sequence[Tap], directory: Path) -> Forked:
    """Fork the recorder; it writes `SWITCH.pcapng` files into `directory` until it is stopped."""
    directory.mkdir(parents=True, exist_ok=True)

    def main(child: Child) -> None:
        with select.epoll() as poller:
            sockets: dict[int, tuple[socket.socket, BinaryIO, int]] = {}
            files = {tap.switch: (directory / f"{tap.switch}.pcapng").open("wb") for tap in taps}
            for tap in taps:
                files[tap.switch].write(section(tap.ports))
                for number, (name, _) in enumerate(tap.ports):
                    opened = _open(tap.netns, name)
                    sockets[opened.fileno()] = opened, files[tap.switch], number
                    poller.register(opened.fileno(), select.EPOLLIN)
            poller.register(child.stop_fd, select.EPOLLIN)
            child.ready()
            _record(poller, sockets, files, child.stop_fd)
            for file in files.values():
                file.close()

    return fork("recorder", main)


def _record(
    poller: select.epoll,
    sockets: Mapping[int, tuple[socket.socket, BinaryIO, int]],
    files: Mapping[str, BinaryIO],
    stop_fd: int,
) -> None:
    flushed = time.monotonic()
    arrivals: Arrivals[tuple[BinaryIO, int]] = Arrivals()
    ended = False
    while not ended:
        began = time.time_ns()
        ready = [found for found, _ in poller.poll(SETTLED_S if arrivals else _FLUSH_S, len(sockets) + 1)]
        ended = stop_fd in ready
        for descriptor in sockets if ended else ready:
            opened, file, number = sockets[descriptor]
            arrivals.read(opened, (file, number), None if ended else began)
        for at_ns, (file, number), frame in arrivals.settled(None if ended else began):
            file.write(packet(number, at_ns, frame))
        if time.monotonic() - flushed > _FLUSH_S:
            flushed = time.monotonic()
            for file in files.values():
                file.flush()


def _open(netns: Path, port: str) -> socket.socket:
    with inside(netns):
        opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        opened.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        stamp(opened)
        opened.setblocking(False)
        opened.bind((port, _ETH_P_ALL))
        return opened
