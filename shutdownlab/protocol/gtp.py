"""Users' packets in the tunnels of mobile networks, GTP-U (3GPP TS 29.281): version 1, without options. Pure."""

from __future__ import annotations

import struct
from typing import Final

from shutdownlab.inspection.tunnels import GTP_USER

PORT: Final = GTP_USER
"""Of UDP, at both ends (4.4.2.3)."""
_HEADER: Final = struct.Struct("!BBHI")
_FLAGS: Final = 0x30
"""Version 1, GTP and not GTP', and none of the optional fields (5.1)."""
_OPTIONS: Final = 0x07
_PACKET: Final = 0xFF
"""The message that is a user's packet (G-PDU)."""


def wrapped(teid: int, packet: bytes) -> bytes:
    """A user's IP packet as the data of a datagram of the tunnel of this number, 0 to 2³² - 1."""
    return _HEADER.pack(_FLAGS, _PACKET, len(packet), teid) + packet


def unwrapped(data: bytes) -> tuple[int, bytes] | None:
    """The number of a tunnel, and the IP packet in a datagram of it; None: it is none that `wrapped` makes."""
    if len(data) < _HEADER.size:
        return None
    flags, kind, length, teid = _HEADER.unpack_from(data)
    if flags & ~_OPTIONS != _FLAGS or flags & _OPTIONS or kind != _PACKET or length != len(data) - _HEADER.size:
        return None
    return teid, data[_HEADER.size :]
