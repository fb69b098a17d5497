"""The packets of OpenVPN's first exchange. Pure.

Packet: opcode (5 bits) and key id (3), session id (8 octets), acknowledged packet ids (count, ids, the remote session
id if any), packet id (4); over TCP a length (2) before it. Source: OpenVPN wire protocol,
https://openvpn.github.io/openvpn-rfc/openvpn-wire-protocol.html.
"""

from __future__ import annotations

import struct
from typing import Final

_CLIENT_RESET: Final = 7
_SERVER_RESET: Final = 8
SESSION_ID_SIZE: Final = 8


def client_reset(session_id: bytes) -> bytes:
    """P_CONTROL_HARD_RESET_CLIENT_V2, key 0, packet 0, nothing to acknowledge."""
    return bytes([_CLIENT_RESET << 3]) + session_id + struct.pack("!BI", 0, 0)


def answers(packet: bytes, session_id: bytes) -> bool:
    """Whether a packet is the server's hard reset for our session: it acknowledges our packet 0."""
    if len(packet) < 10 or packet[0] >> 3 != _SERVER_RESET:
        return False
    acknowledged = 4 * packet[9]
    remote = packet[10 + acknowledged : 10 + acknowledged + SESSION_ID_SIZE]
    return acknowledged > 0 and remote == session_id
