"""Switches off what an interface may leave to its device, through the ethtool ioctl: names as in `ethtool -k`."""

from __future__ import annotations

import array
import ctypes
import fcntl
import socket
import struct

_SIOCETHTOOL = 0x8946
_GET_STRING_COUNT, _GET_STRINGS, _SET_FEATURES = 0x37, 0x1B, 0x3B
_FEATURE_STRINGS = 4
_STRING_LENGTH = 32


def switch_off(interface: str, feature: str) -> None:
    """Switch a feature of an interface of the calling thread's network namespace off, if this kernel has it.

    Raises OSError.
    """
    names = _feature_names(interface)
    if feature not in names:
        return
    bit = names.index(feature)
    blocks = bytearray()
    for block in range((len(names) + 31) // 32):
        mask = 1 << (bit % 32) if block == bit // 32 else 0
        blocks += struct.pack("=II", mask, 0)  # which bits are meant, and their new values
    _ethtool(interface, struct.pack("=II", _SET_FEATURES, len(blocks) // 8) + blocks)


def _feature_names(interface: str) -> tuple[str, ...]:
    """The kernel's features, a name a bit."""
    asked = struct.pack("=IIQI", _GET_STRING_COUNT, 0, 1 << _FEATURE_STRINGS, 0)
    count = struct.unpack("=IIQI", _ethtool(interface, asked))[3]
    room = bytes(count * _STRING_LENGTH)
    answer = _ethtool(interface, struct.pack("=III", _GET_STRINGS, _FEATURE_STRINGS, count) + room)[12:]
    strings = (answer[at : at + _STRING_LENGTH] for at in range(0, len(answer), _STRING_LENGTH))
    return tuple(string.rstrip(b"\0").decode() for string in strings)


def _ethtool(interface: str, command: bytes) -> bytes:
    buffer = array.array("B", command)
    address = ctypes.c_uint64(buffer.buffer_info()[0]).value
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCETHTOOL, struct.pack("=16sQ16x", interface.encode(), address))
    return buffer.tobytes()
