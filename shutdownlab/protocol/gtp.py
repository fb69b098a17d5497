"""GTP-U (3GPP TS 29.281), version 1 without options: users' packets in tunnels of mobile networks. Pure."""

from __future__ import annotations

import struct
from typing import Final

from shutdownlab.inspection.tunnels import GTP_USER

PORT: Final = GTP_USER
"""The UDP port at both ends (4.4.2.3)."""
_HEADER: Final = struct.Struct("!BBHI")
_FLAGS: Final = 0x30
"""Version 1, GTP rather than GTP', no optional fields (5.1)."""
_OPTIONS: Final = 0x07
_PACKET: Final = 0xFF
"""The message type of a user's packet (G-PDU)."""


def wrapped(teid: int, packet: bytes) -> bytes:
    """Encapsulates an IP packet for the tunnel `teid` (0 to 2³² - 1); returns the UDP payload."""
    return _HEADER.pack(_FLAGS, _PACKET, len(packet), teid) + packet


def unwrapped(data: bytes) -> tuple[int, bytes] | None:
    """Returns the tunnel's number and the IP packet in a UDP payload; None if `wrapped` does not make such a one."""
    if len(data) < _HEADER.size:
        return None
    flags, kind, length, teid = _HEADER.unpack_from(data)
    if flags & ~_OPTIONS != _FLAGS or flags & _OPTIONS or kind != _PACKET or length != len(data) - _HEADER.size:
        return None
    return teid, data[_HEADER.size :]
