"""Reads and writes whole frames of an interface through AF_PACKET, keeping offload metadata.

`PACKET_VNET_HDR` puts a 10-byte `virtio_net_hdr` before each frame read or written, so that a partial checksum stays
partial and a 64 KB segmentation-offload frame stays one frame. `PACKET_IGNORE_OUTGOING` keeps a socket from reading the
frames it sent; `PACKET_QDISC_BYPASS` hands frames straight to the device. The kernel strips the VLAN tag from a
received frame; it is restored from the auxiliary data.

A `Batch` reads many frames with one `recvmmsg` into reusable buffers, and forwards unchanged frames from the same
buffers with one `sendmmsg`. See packet(7), and `linux/virtio_net.h` for the header.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import socket
import struct
import sys
import time
from array import array
from contextlib import suppress
from pathlib import Path
from typing import Final

from shutdownlab.system.netns import inside
from shutdownlab.system.vnet_header import DATA_VALID, HEADER, NEEDS_CSUM, NO_OFFLOAD, with_tag

# linux/if_packet.h, asm-generic/socket.h: not in Python's socket module.
_SOL_PACKET: Final = 263
_PACKET_ADD_MEMBERSHIP: Final = 1
_PACKET_STATISTICS: Final = 6
_PACKET_AUXDATA: Final = 8
_PACKET_VNET_HDR: Final = 15
_PACKET_QDISC_BYPASS: Final = 20
_PACKET_IGNORE_OUTGOING: Final = 23
_PACKET_MR_PROMISC: Final = 1
_SO_RCVBUFFORCE: Final = 33
_SO_TIMESTAMPNS: Final = 35
_ETH_P_ALL: Final = 3

SLOT: Final = 17 * 4096
"""Bytes reserved per frame: header, Ethernet header, VLAN tag, and the largest IP packet of 65,535 bytes."""

_RECEIVE_BUFFER: Final = 8 * 1024 * 1024
_STAMPS_WITHIN_S: Final = 30.0

_libc: Final = ctypes.CDLL(None, use_errno=True)


class _Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


class _Message(ctypes.Structure):
    """`struct mmsghdr` on a 64-bit machine."""

    _fields_ = [
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint),
        ("iov", ctypes.c_void_p),
        ("iov_length", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
        ("padding", ctypes.c_int),
        ("received", ctypes.c_uint),
    ]


_libc.recvmmsg.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p]
_libc.sendmmsg.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int]

_MESSAGE: Final = ctypes.sizeof(_Message)
_AUXDATA: Final = 40  # CMSG_SPACE(sizeof(struct tpacket_auxdata)) on a 64-bit machine
_TAG_AT: Final = 16 + 16  # offset in it of tp_vlan_tci and tp_vlan_tpid, both 0 for an untagged frame
_STAMP: Final = 32  # CMSG_SPACE(sizeof(struct timespec)); the kernel writes it before the auxiliary data
_STAMP_AT: Final = 16  # offset in it of the seconds and nanoseconds


class PacketSocket:
    """One interface, opened by `open_wire`; frames in and out are `virtio_net_hdr` + Ethernet frame."""

    __slots__ = ("_dropped", "_socket", "fd", "ifname", "read_errors", "received", "refused", "sent")

    def __init__(self, raw: socket.socket, ifname: str) -> None:
        """Takes ownership of `raw`, a bound AF_PACKET socket with the options of this module set."""
        self._socket = raw
        self._dropped = 0
        self.fd = raw.fileno()
        self.ifname = ifname
        self.received = 0
        """Frames read."""
        self.sent = 0
        """Frames accepted by the device."""
        self.refused = 0
        """Frames refused by the device: it is down, its queue is full, or they exceed its MTU without offload."""
        self.read_errors = 0
        """Failed reads: the interface went down, or `virtio_net_hdr` can't express a frame's offload."""

    def fileno(self) -> int:
        """Returns the file descriptor, for selectors."""
        return self.fd

    def close(self) -> None:
        """Closes the socket; a second call does nothing."""
        self._socket.close()

    def send(self, raw: bytes) -> None:
        """Sends one frame preceded by its `virtio_net_hdr`; a frame that the device refuses is counted in `refused`."""
        try:
            self._socket.send(raw, socket.MSG_DONTWAIT)
        except OSError:
            self.refused += 1
        else:
            self.sent += 1

    def send_frame(self, frame: bytes) -> None:
        """Sends one frame that needs no offload (checksums valid, no longer than the MTU)."""
        self.send(NO_OFFLOAD + frame)

    def dropped(self) -> int:
        """Returns how many frames the kernel has dropped so far because the receive buffer was full."""
        counters = self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8)  # the kernel resets it on reading
        self._dropped += struct.unpack("=II", counters)[1]
        return self._dropped

    def counters(self) -> dict[str, int]:
        """Returns all counters by name."""
        return {
            "received": self.received,
            "sent": self.sent,
            "refused": self.refused,
            "dropped": self.dropped(),
            "read_errors": self.read_errors,
        }


def open_wire(netns: Path | None, ifname: str, *, stamped: bool = False) -> PacketSocket:
    """Opens interface `ifname` of the network namespace at `netns` (None: the caller's own).

    stamped: whether frames carry the time of their arrival, for a stamped `Batch`.

    The caller stays in its namespace; the socket belongs to the other one. The interface is put in promiscuous mode,
    with IPv6 disabled so that it sends no packets of its own. Raises OSError naming interface and namespace if it
    doesn't exist, or if the caller lacks CAP_NET_RAW there.
    """
    where = f"{ifname} in {netns or 'this network namespace'}"
    raw: socket.socket | None = None
    try:
        with inside(netns):
            raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, 0)
            index = socket.if_nametoindex(ifname)
            raw.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, stamped)
            if stamped:
                _wait_for_stamps()
            with suppress(OSError):  # the kernel may have no IPv6
                Path(f"/proc/sys/net/ipv6/conf/{ifname}/disable_ipv6").write_text("1")
        for option in (_PACKET_VNET_HDR, _PACKET_IGNORE_OUTGOING, _PACKET_QDISC_BYPASS, _PACKET_AUXDATA):
            raw.setsockopt(_SOL_PACKET, option, 1)
        raw.setsockopt(
            _SOL_PACKET, _PACKET_ADD_MEMBERSHIP, struct.pack("iHH8s", index, _PACKET_MR_PROMISC, 0, bytes(8))
        )
        try:  # exceeds net.core.rmem_max; only the machine's root may
            raw.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
        except PermissionError:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        # The socket had protocol 0 until now, so that nothing is received before every option is set.
        raw.bind((ifname, _ETH_P_ALL))
    except OSError as error:
        if raw is not None:
            raw.close()
        raise OSError(error.errno or errno.ENODEV, f"cannot open {where}: {error.strerror or error}") from error
    return PacketSocket(raw, ifname)


def _wait_for_stamps() -> None:
    """Waits until the kernel timestamps frames on arrival. Raises OSError (ETIME) after 30 seconds.

    Linux starts doing so some time after the first socket asked for it (`net_enable_timestamp` defers it to a work
    queue). Until then it timestamps a frame when it is read, so that the frames of two interfaces would appear in the
    order of reading.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as own:
        own.bind(("127.0.0.1", 0))
        own.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, True)
        own.settimeout(_STAMPS_WITHIN_S)
        deadline = time.monotonic() + _STAMPS_WITHIN_S
        while True:
            own.sendto(b"", own.getsockname())
            sent = time.time_ns()
            time.sleep(0.0002)  # makes the time of arrival differ from the time of reading
            (_, _, stamp), *_ = own.recvmsg(0, _STAMP)[1]
            seconds, nanoseconds = struct.unpack("=qq", stamp)
            if seconds * 10**9 + nanoseconds <= sent:
                return
            if time.monotonic() > deadline:
                raise OSError(errno.ETIME, f"the kernel stamps no frames, {_STAMPS_WITHIN_S:g} s after it was asked")


class Batch:
    """Buffers for up to `size` frames read and forwarded together. One batch serves many sockets, one at a time.

    It reserves `size` x 68 KB of address space, of which frames use only the pages they need: one page for small ones.
    """

    __slots__ = (
        "_control",
        "_keep",
        "_lengths",
        "_memory",
        "_messages_in",
        "_messages_out",
        "_out_lengths",
        "_received",
        "_size",
        "_stamps",
        "_tags",
        "count",
        "tagged",
    )

    def __init__(self, size: int = 32, *, stamped: bool = False) -> None:
        """Reserves `size` slots (1 to 1024). A `stamped` batch must read only stamped sockets, and vice versa."""
        self._size = size
        self._memory = mmap.mmap(-1, size * SLOT)
        anchor = (ctypes.c_char * (size * SLOT)).from_buffer(self._memory)
        stamp = _STAMP if stamped else 0
        ancillary = stamp + _AUXDATA  # bytes of control data per frame
        control = (ctypes.c_char * (size * ancillary))()
        iov_in, iov_out = (_Iovec * size)(), (_Iovec * size)()
        messages_in, messages_out = (_Message * size)(), (_Message * size)()
        for i in range(size):
            for iov, messages in ((iov_in, messages_in), (iov_out, messages_out)):
                iov[i].base = ctypes.addressof(anchor) + i * SLOT
                iov[i].length = SLOT
                messages[i].iov = ctypes.addressof(iov[i])
                messages[i].iov_length = 1
            messages_in[i].control = ctypes.addressof(control) + i * ancillary
            messages_in[i].control_length = ancillary
        self._keep = (anchor, control, iov_in, iov_out, messages_in, messages_out)
        self._messages_in = ctypes.addressof(messages_in)
        self._messages_out = ctypes.addressof(messages_out)
        words = memoryview(messages_in).cast("B").cast("I")
        self._received = words[_Message.received.offset // 4 :: _MESSAGE // 4]
        self._out_lengths = memoryview(iov_out).cast("B").cast("Q")[1::2]  # size_t of a 64-bit machine
        self._control = memoryview(control).cast("B").cast("I")[(stamp + _TAG_AT) // 4 :: ancillary // 4]
        self._stamps = memoryview(control).cast("B").cast("q")[_STAMP_AT // 8 :] if stamped else None
        self._lengths: list[int] = []
        self._tags: list[int] = []
        self.tagged = False
        """Whether any frame of the last read had a VLAN tag."""
        self.count = 0
        """Number of frames in the last read."""

    def read(self, wire: PacketSocket) -> int:
        """Reads queued frames from `wire` without blocking; returns how many (0 if none, or if the read failed)."""
        self.count = 0
        count: int = _libc.recvmmsg(wire.fd, self._messages_in, self._size, socket.MSG_DONTWAIT, None)
        if count <= 0:
            if ctypes.get_errno() not in (errno.EAGAIN, errno.EINTR):
                wire.read_errors += 1
            return 0
        wire.received += count
        self.count = count
        self._lengths = self._received[:count].tolist()
        self._tags = self._control[:count].tolist()
        self.tagged = any(self._tags)
        return count

    def came_ns(self, i: int) -> int:
        """Returns when the kernel received frame `i` of the last read of a stamped socket, in ns since 1970."""
        assert self._stamps is not None, "the batch is not stamped"
        at = i * (_STAMP + _AUXDATA) // 8
        return self._stamps[at] * 1_000_000_000 + self._stamps[at + 1]

    def frame(self, i: int) -> bytes:
        """Returns frame `i` of the last read as an Ethernet frame, with its VLAN tag restored."""
        if self.tagged and self._tags[i]:
            return self.raw(i)[HEADER:]
        start = i * SLOT
        return self._memory[start + HEADER : start + self._lengths[i]]

    def raw(self, i: int) -> bytes:
        """Returns frame `i` with its `virtio_net_hdr`, as `PacketSocket.send` takes it."""
        start = i * SLOT
        raw = self._memory[start : start + self._lengths[i]]
        return with_tag(raw, self._tags[i]) if self.tagged and self._tags[i] else raw

    def load(self, i: int) -> tuple[bytes, bool, int]:
        """Returns frame `i`, whether its checksum can be trusted, and the payload bytes per segment (0: not segmented).

        A checksum is trusted if the kernel has verified it, or if it is still to be completed by offload.
        """
        start = i * SLOT
        memory = self._memory
        trusted = memory[start] & (NEEDS_CSUM | DATA_VALID) != 0
        segment = int.from_bytes(memory[start + 4 : start + 6], sys.byteorder) if memory[start + 1] else 0
        return self.frame(i), trusted, segment

    def forward(self, wire: PacketSocket, first: int, last: int) -> None:
        """Sends frames `first` to `last` - 1 of the last read to `wire`, unchanged (and uncopied, unless tagged)."""
        if self.tagged:
            for i in range(first, last):
                wire.send(self.raw(i))
            return
        self._out_lengths[first:last] = memoryview(array("Q", self._lengths[first:last]))
        while first < last:
            sent: int = _libc.sendmmsg(
                wire.fd, self._messages_out + first * _MESSAGE, last - first, socket.MSG_DONTWAIT
            )
            if sent > 0:
                wire.sent += sent
                first += sent
            else:  # the first frame was refused: skip it
                wire.refused += 1
                first += 1
