"""Tunnels of those who roam: one process carries their packets between the operator and their home, as GTP-U.

A serving gateway's part is on the subscriber's own node, a packet gateway's on the home's router; each has an interface
of packets (a TUN device), which routes lead to, and sockets of the tunnels' UDP. Both ends are the process's.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import socket
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from shutdownlab.protocol import gtp
from shutdownlab.protocol.messages import Counters, encode
from shutdownlab.system.child_process import Child, Forked, fork
from shutdownlab.system.netns import inside

TUNNELS: Final = "home-tunnels"
"""What the process is called."""
_TUNSETIFF: Final = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_LONGEST: Final = 65_535
_BATCH: Final = 64
_BUFFER: Final = 4 << 20
"""Octets. What is sent to where nobody answers ARP the kernel keeps, and it must not fill what others send by."""
_SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 32, 33

_NO_ROOM: Final = frozenset({errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM})
_SENT_AND_DROPPED: Final = 8 + 3
"""Which of a device's figures counts what it should have sent and dropped (/proc/net/dev)."""

Inner = bytes
"""An address of a subscriber's at home, as it is on the wire."""


@dataclass(frozen=True, slots=True)
class Tunnel:
    """One tunnel, as one of its ends has it. teid: its number. local, remote: the addresses of this end and the other.
    inner: the addresses that are in it at the subscriber's end."""

    teid: int
    local: str
    remote: str
    inner: tuple[Inner, ...]


@dataclass(frozen=True, slots=True)
class TunnelEnd:
    """The tunnels that end on a node. netns: the node's; interface: its TUN device, which is there already. at_home:
    packets are told apart by where they go, else by where they come from."""

    netns: Path
    interface: str
    at_home: bool
    tunnels: tuple[Tunnel, ...]


def address_in(packet: bytes, *, target: bool) -> Inner | None:
    """The source of an IP packet, or its target; None: it is no IP packet."""
    if len(packet) >= 20 and packet[0] >> 4 == 4:
        return packet[16:20] if target else packet[12:16]
    if len(packet) >= 40 and packet[0] >> 4 == 6:
        return packet[24:40] if target else packet[8:24]
    return None


class _End:
    """One end, open. Raises `OSError` where its interface or addresses are missing."""

    def __init__(self, end: TunnelEnd, opened: ExitStack) -> None:
        self.end = end
        self.sent = self.received = self.unsent = self.foreign = 0
        """Packets put into tunnels, taken out of them, for which there was no way, and that were of none."""
        self._lost = 0
        self._by_inner = {inner: tunnel for tunnel in end.tunnels for inner in tunnel.inner}
        self._by_number = {(tunnel.teid, tunnel.remote): tunnel for tunnel in end.tunnels}
        self._sockets: dict[str, socket.socket] = {}
        with inside(end.netns):
            self._device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            opened.callback(os.close, self._device)
            name = end.interface.encode()
            fcntl.ioctl(self._device, _TUNSETIFF, struct.pack("16sH22x", name, _IFF_TUN | _IFF_NO_PI))
            for local in dict.fromkeys(tunnel.local for tunnel in end.tunnels):
                sock = opened.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK))
                self._sockets[local] = sock
                for forced, asked in ((_SO_SNDBUFFORCE, socket.SO_SNDBUF), (_SO_RCVBUFFORCE, socket.SO_RCVBUF)):
                    try:
                        sock.setsockopt(socket.SOL_SOCKET, forced, _BUFFER)
                    except PermissionError:  # beyond net.core's most: root of the machine only
                        sock.setsockopt(socket.SOL_SOCKET, asked, _BUFFER)
                sock.bind((local, gtp.PORT))

    def descriptors(self) -> Iterator[tuple[int, Callable[[], None]]]:
        """Of what is to be read, and what reads it."""
        yield self._device, self._enter
        for sock in self._sockets.values():
            yield sock.fileno(), partial(self._leave, sock)

    def _enter(self) -> None:
        """Put packets that the node sends into their tunnels."""
        for _ in range(_BATCH):
            try:
                packet = os.read(self._device, _LONGEST)
            except BlockingIOError:
                return
            address = address_in(packet, target=self.end.at_home)
            tunnel = self._by_inner.get(address) if address is not None else None
            if tunnel is None:  # a node's own, such as a listener report of IPv6
                self.foreign += 1
                continue
            try:
                self._sockets[tunnel.local].sendto(gtp.wrapped(tunnel.teid, packet), (tunnel.remote, gtp.PORT))
                self.sent += 1
            except OSError as error:  # no route, or an error that somebody on the way has sent about one before
                self.unsent += error.errno not in _NO_ROOM
                self._lost += error.errno in _NO_ROOM

    def _leave(self, sock: socket.socket) -> None:
        """Take packets out of their tunnels, and give them to the node."""
        for _ in range(_BATCH):
            try:
                data, (sender, port) = sock.recvfrom(_LONGEST)
            except BlockingIOError:
                return
            except OSError:  # what ICMP has told of a datagram before
                continue
            found = gtp.unwrapped(data)
            tunnel = self._by_number.get((found[0], sender)) if found is not None and port == gtp.PORT else None
            if found is None or tunnel is None or not self._is_of(tunnel, found[1]):
                self.foreign += 1
                continue
            try:
                os.write(self._device, found[1])
                self.received += 1
            except OSError:
                self._lost += 1

    def _is_of(self, tunnel: Tunnel, packet: bytes) -> bool:
        """Whether a packet is the subscriber's, whose tunnel it came by: nobody speaks as another."""
        return address_in(packet, target=not self.end.at_home) in tunnel.inner

    @property
    def counters(self) -> Mapping[str, int]:
        """Since the start; `dropped`: for want of room, here and in the kernel's queues before."""
        kernel = _lost_in_queues(self.end.netns, self.end.interface)
        told = {"sent": self.sent, "received": self.received, "unsent": self.unsent, "foreign": self.foreign}
        return told | {"dropped": self._lost + kernel}


def _lost_in_queues(netns: Path, interface: str) -> int:
    """What the kernel has dropped because nobody came to read it: at the tunnels' sockets, and at the interface."""
    with inside(netns):
        sockets = Path("/proc/thread-self/net/udp").read_text().splitlines()[1:]
        devices = Path("/proc/thread-self/net/dev").read_text().splitlines()[2:]
    own = (line.split() for line in sockets)
    at_sockets = sum(int(fields[-1]) for fields in own if fields[1].endswith(f":{gtp.PORT:04X}"))
    figures = next(line.partition(":")[2].split() for line in devices if line.partition(":")[0].strip() == interface)
    return at_sockets + int(figures[_SENT_AND_DROPPED])


def start_tunnels(ends: Mapping[str, TunnelEnd]) -> Forked:
    """Fork the process that has these ends, by the names of their nodes; `wait_ready` on the result, and `stop` it for
    its `Counters`, which it tells whenever it is asked, too."""

    def main(child: Child) -> None:
        with ExitStack() as opened:
            there = {name: _End(end, opened) for name, end in ends.items()}
            poller = opened.enter_context(select.epoll())
            readers = {fd: read for each in there.values() for fd, read in each.descriptors()}
            for fd in (child.stop_fd, child.lines.fileno(), *readers):
                poller.register(fd, select.EPOLLIN)

            def tell() -> None:
                child.send(encode(Counters(child.name, {name: dict(end.counters) for name, end in there.items()})))

            child.ready()
            while True:
                ready = [fd for fd, _ in poller.poll()]
                if child.stop_fd in ready:
                    tell()
                    return
                for fd in ready:
                    if fd in readers:
                        readers[fd]()
                    elif child.receive():
                        tell()

    return fork(TUNNELS, main)
