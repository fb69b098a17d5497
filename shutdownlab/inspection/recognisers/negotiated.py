"""Recognises protocols whose ends negotiate TLS in binary messages, and finds where it begins.

Remote desktops of VNC (RFC 6143 §7.1; security types 18, TLS, and 19, VeNCrypt, of the community's rfbproto), network
block devices (NBD's doc/proto.md), terminals by Telnet (RFC 854; draft-altman-telnet-starttls-02).
"""

from __future__ import annotations

import re
from typing import Final

PROTOCOLS: Final = ("nbd", "telnet", "vnc")
NOT_YET: Final = -1
"""In place of an offset: the client has not switched to TLS so far."""
NEVER: Final = -2

_VNC: Final = re.compile(rb"RFB \d{3}\.\d{3}\n")
_VNC_BEGUN: Final = b"RFB "
_OF_TLS: Final = 18
_VENCRYPT: Final = 19
_VENCRYPT_IN_CLEAR: Final = (0, 256)
"""VeNCrypt's subtypes without TLS: refused, and a password in the clear."""
_NBD_OPTION: Final = b"IHAVEOPT"
_NBD_STARTTLS: Final = 5
_TELNET: Final = re.compile(rb"\xff[\xfb-\xfe][\0-\x7f](?:\xff|\Z)")
"""A Telnet command on an option, with another behind it or nothing yet."""
_TELNET_FOLLOWS: Final = b"\xff\xfa\x2e\x01\xff\xf0"
"""The START_TLS option's FOLLOWS, each end's last bytes before TLS."""


def negotiated(client: bytes) -> str | None:
    """Returns which of these protocols a stream is of; None if of none, or if too little has arrived."""
    first = client[0] if client else -1
    if first == 0x52:  # R
        return "vnc" if _VNC.match(client) else None
    if first == 0:
        return "nbd" if client[4:12] == _NBD_OPTION and client[:3] == bytes(3) and client[3] < 4 else None
    return "telnet" if first == 0xFF and _TELNET.match(client) else None


def may_be_negotiated(client: bytes) -> bool:
    """Returns whether more bytes may show this to be one of these protocols."""
    if client[:3] == bytes(3)[: len(client)]:
        return len(client) < 4 or (client[3] < 4 and len(client) < 12 and _NBD_OPTION.startswith(client[4:]))
    return _VNC_BEGUN.startswith(client[:4]) and len(client) < 12


def turn_of(protocol: str, client: bytes) -> int:
    """Returns the offset at which TLS begins in the client's stream; NOT_YET, or NEVER."""
    if protocol == "vnc":
        return _turn_of_vnc(client)
    if protocol == "nbd":
        return _turn_of_nbd(client)
    at = client.find(_TELNET_FOLLOWS)
    return at + len(_TELNET_FOLLOWS) if at >= 0 else NOT_YET


def _turn_of_vnc(client: bytes) -> int:
    """After its version the client chooses a security type; for VeNCrypt, that one's version and a subtype too."""
    if len(client) < 13:
        return NOT_YET
    if client[12] == _OF_TLS:
        return 13
    if client[12] != _VENCRYPT:
        return NEVER
    if len(client) < 19:
        return NOT_YET
    subtype = int.from_bytes(client[15:19], "big")
    return 19 if client[13:15] == b"\0\2" and subtype not in _VENCRYPT_IN_CLEAR else NEVER


def _turn_of_nbd(client: bytes) -> int:
    """After the client's flags come its options, each with a length and that many bytes."""
    at = 4
    while client[at : at + 8] == _NBD_OPTION and len(client) >= at + 16:
        option = int.from_bytes(client[at + 8 : at + 12], "big")
        at += 16 + int.from_bytes(client[at + 12 : at + 16], "big")
        if option == _NBD_STARTTLS:
            return at
    return NOT_YET
