"""GTP-U tunnels of roaming subscribers: one process carries their packets between visited operator and home network.

The subscriber's own node plays the serving gateway, the home network's router the packet gateway. Each has a TUN device
that routes lead to, and UDP sockets for the tunnels. The process serves both ends.
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
"""The name of the process."""
_TUNSETIFF: Final = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_LONGEST: Final = 65_535
_BATCH: Final = 64
_BUFFER: Final = 4 << 20
"""Bytes of each socket buffer: packets that the kernel queues for unresolved neighbours must not fill it for others."""
_SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 32, 33

_NO_ROOM: Final = frozenset({errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM})
_SENT_AND_DROPPED: Final = 8 + 3
"""The column of /proc/net/dev that counts dropped outgoing packets."""

Inner = bytes
"""A subscriber's address in the home network, packed."""


@dataclass(frozen=True, slots=True)
class Tunnel:
    """One tunnel, seen from one of its ends.

    teid: its number. local, remote: the outer addresses of this end and the other. inner: the subscriber's addresses.
    """

    teid: int
    local: str
    remote: str
    inner: tuple[Inner, ...]


@dataclass(frozen=True, slots=True)
class TunnelEnd:
    """The tunnels that end on a node.

    netns: the node's network namespace. interface: its TUN device, which must exist. at_home: whether the tunnel of a
    packet is found by its destination (at the home router) or by its source (at the subscriber).
    """

    netns: Path
    interface: str
    at_home: bool
    tunnels: tuple[Tunnel, ...]


def address_in(packet: bytes, *, target: bool) -> Inner | None:
    """Returns the source or destination address of an IP packet, packed; None if it is not an IP packet."""
    if len(packet) >= 20 and packet[0] >> 4 == 4:
        return packet[16:20] if target else packet[12:16]
    if len(packet) >= 40 and packet[0] >> 4 == 6:
        return packet[24:40] if target else packet[8:24]
    return None


class _End:
    """An open end. Raises `OSError` if its interface or addresses are missing."""

    def __init__(self, end: TunnelEnd, opened: ExitStack) -> None:
        self.end = end
        self.sent = self.received = self.unsent = self.foreign = 0
        """Packets sent into tunnels, received from them, not sent for want of a route, and belonging to no tunnel."""
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
                    except PermissionError:  # above net.core's limit: for root of the machine only
                        sock.setsockopt(socket.SOL_SOCKET, asked, _BUFFER)
                sock.bind((local, gtp.PORT))

    def descriptors(self) -> Iterator[tuple[int, Callable[[], None]]]:
        """Yields each file descriptor to poll, with the function that reads it."""
        yield self._device, self._enter
        for sock in self._sockets.values():
            yield sock.fileno(), partial(self._leave, sock)

    def _enter(self) -> None:
        """Sends packets from the node's TUN device into their tunnels."""
        for _ in range(_BATCH):
            try:
                packet = os.read(self._device, _LONGEST)
            except BlockingIOError:
                return
            address = address_in(packet, target=self.end.at_home)
            tunnel = self._by_inner.get(address) if address is not None else None
            if tunnel is None:  # the node's own, such as an IPv6 listener report
                self.foreign += 1
                continue
            try:
                self._sockets[tunnel.local].sendto(gtp.wrapped(tunnel.teid, packet), (tunnel.remote, gtp.PORT))
                self.sent += 1
            except OSError as error:  # no route, or an ICMP error about an earlier datagram
                self.unsent += error.errno not in _NO_ROOM
                self._lost += error.errno in _NO_ROOM

    def _leave(self, sock: socket.socket) -> None:
        """Receives packets from tunnels and hands them to the node."""
        for _ in range(_BATCH):
            try:
                data, (sender, port) = sock.recvfrom(_LONGEST)
            except BlockingIOError:
                return
            except OSError:  # an ICMP error about an earlier datagram
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
        """Returns whether a packet has an address of the tunnel's subscriber: nobody can send as another."""
        return address_in(packet, target=not self.end.at_home) in tunnel.inner

    @property
    def counters(self) -> Mapping[str, int]:
        """Packets counted since the start; `dropped`: lost to full queues, here and in the kernel."""
        kernel = _lost_in_queues(self.end.netns, self.end.interface)
        counts = {"sent": self.sent, "received": self.received, "unsent": self.unsent, "foreign": self.foreign}
        return counts | {"dropped": self._lost + kernel}


def _lost_in_queues(netns: Path, interface: str) -> int:
    """Returns how many packets the kernel has dropped in full queues of the tunnels' sockets and of the interface."""
    with inside(netns):
        sockets = Path("/proc/thread-self/net/udp").read_text().splitlines()[1:]
        devices = Path("/proc/thread-self/net/dev").read_text().splitlines()[2:]
    own = (line.split() for line in sockets)
    at_sockets = sum(int(fields[-1]) for fields in own if fields[1].endswith(f":{gtp.PORT:04X}"))
    figures = next(line.partition(":")[2].split() for line in devices if line.partition(":")[0].strip() == interface)
    return at_sockets + int(figures[_SENT_AND_DROPPED])


def start_tunnels(ends: Mapping[str, TunnelEnd]) -> Forked:
    """Forks the process that serves these ends (by node name).

    Call `wait_ready` on the result. It sends its `Counters` on request, and when `stop` ends it.
    """

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
