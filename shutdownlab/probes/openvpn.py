"""The packets of OpenVPN's first exchange. Pure.

Packet: opcode (5 bits) and key id (3), session id (8 bytes), acknowledged packet ids (count, ids, the remote session id
if any), packet id (4); over TCP preceded by a length (2). Source: OpenVPN wire protocol,
https://openvpn.github.io/openvpn-rfc/openvpn-wire-protocol.html.
"""

from __future__ import annotations

import struct
from typing import Final

_CLIENT_RESET: Final = 7
_SERVER_RESET: Final = 8
SESSION_ID_SIZE: Final = 8


def client_reset(session_id: bytes) -> bytes:
    """Returns a P_CONTROL_HARD_RESET_CLIENT_V2 with key 0 and packet 0 that acknowledges nothing."""
    return bytes([_CLIENT_RESET << 3]) + session_id + struct.pack("!BI", 0, 0)


def answers(packet: bytes, session_id: bytes) -> bool:
    """Whether a packet is the server's hard reset for our session, acknowledging our packet 0."""
    if len(packet) < 10 or packet[0] >> 3 != _SERVER_RESET:
        return False
    acknowledged = 4 * packet[9]
    remote = packet[10 + acknowledged : 10 + acknowledged + SESSION_ID_SIZE]
    return acknowledged > 0 and remote == session_id
