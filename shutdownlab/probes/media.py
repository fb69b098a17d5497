"""The audio of a call: an RTP stream each way (RFC 3550) of a few packets of G.711 silence, counted."""

from __future__ import annotations

import asyncio
import errno
import secrets
import socket
import struct
from typing import Final, Self

from shutdownlab.model.telephony import MEDIA
from shutdownlab.probes.failure import failure_of, is_own

PACKETS: Final = 5
_INTERVAL_S: Final = 0.02
_SAMPLES: Final = 160
_SILENCE: Final = b"\xff" * _SAMPLES  # µ-law zero
_VERSION_2: Final = 0x80
_PCMU: Final = 0
_HEADER: Final = struct.Struct("!BBHII")


class MediaStream:
    """One end of a call's audio: listens from the start, sends once it knows the destination."""

    def __init__(self, address: str) -> None:
        """Binds an even port of the operator's media range on `address`; raises `OSError`."""
        self._loop = asyncio.get_running_loop()
        self._sock = _bind(address)
        self.port: int = self._sock.getsockname()[1]
        self.sent = 0
        self.received = 0
        self.unsent: OSError | None = None
        """Why this machine itself has sent less than it should."""
        self._source = secrets.randbits(32)
        self._to: tuple[str, int] | None = None
        self._next: asyncio.TimerHandle | None = None
        self._all_sent = asyncio.Event()
        self._all_received = asyncio.Event()
        self._loop.add_reader(self._sock, self._read)

    def start(self, address: str, port: int) -> None:
        """Starts sending `PACKETS` packets, one every 20 ms; a second call does nothing."""
        if self._to is None:
            self._to = (address, port)
            self._send()

    async def exchanged(self) -> None:
        """Returns once all packets have been sent and as many have been received."""
        await self._all_sent.wait()
        await self._all_received.wait()

    def close(self) -> None:
        if self._next is not None:
            self._next.cancel()
        self._loop.remove_reader(self._sock)
        self._sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _send(self) -> None:
        header = _HEADER.pack(_VERSION_2, _PCMU, self.sent, self.sent * _SAMPLES, self._source)
        try:
            self._sock.sendto(header + _SILENCE, self._to or ("", 0))
        except OSError as error:  # an ICMP error: the other side's count will show it
            self.unsent = error if is_own(failure_of(error)) else self.unsent
        self.sent += 1
        if self.sent < PACKETS:
            self._next = self._loop.call_later(_INTERVAL_S, self._send)
        else:
            self._all_sent.set()

    def _read(self) -> None:
        try:
            data = self._sock.recv(2048)
        except OSError:
            return
        if len(data) > _HEADER.size and data[0] >> 6 == 2 and data[1] & 0x7F == _PCMU:
            self.received += 1
            if self.received >= PACKETS:
                self._all_received.set()


def _bind(address: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    for port in range(MEDIA.first, MEDIA.last + 1, 2):
        sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            sock.bind((address, port))
        except OSError:
            sock.close()
        else:
            return sock
    raise OSError(errno.EADDRINUSE, f"no free port from {MEDIA.first} to {MEDIA.last} on {address}")
