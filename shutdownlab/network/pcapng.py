"""Writes pcapng (draft-ietf-opsawg-pcapng): sections, packets with comments, and decryption secrets."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from shutdownlab.inspection.capture import CONTROLS

_SECTION, _INTERFACE, _STATISTICS, _PACKET, _SECRETS = 0x0A0D0D0A, 1, 5, 6, 0x0A
_LINKTYPE_ETHERNET: Final = 1
LONGEST_FRAME: Final = 1 << 17
"""Maximum captured length of a packet, in bytes."""
_COMMENT, _USER_APPLICATION, _NAME, _DESCRIPTION, _RESOLUTION = 1, 4, 2, 3, 9
_LOST_BY_SYSTEM: Final = 7
"""isb_osdrop."""
_END: Final = b"\0\0\0\0"
_IN_COMMENT: Final = 1000
"""Maximum number of addresses in one comment: an option has at most 65,535 bytes."""
_NSS_KEY_LOG: Final = 0x544C534B
"""Secrets Type "TLSK": lines of an NSS key log."""
_SECRETS_LIMIT: Final = 1 << 18
"""Maximum bytes of secrets in one block; readers treat much larger blocks as damaged."""


def section(
    ports: Sequence[tuple[str, str]], comment: str = "", application: str = "", controls: Sequence[str] = ()
) -> bytes:
    """Returns the blocks at the start of a file: a section header, and an interface for each port, with times in ns.

    ports: name and description of each. controls: addresses of control measurements, put into comments for readers of
    the file.
    """
    about = [(_COMMENT, comment.encode()), (_USER_APPLICATION, application.encode())]
    parts = [controls[first : first + _IN_COMMENT] for first in range(0, len(controls), _IN_COMMENT)]
    about += [(_COMMENT, " ".join((CONTROLS, *part)).encode()) for part in parts]
    head = struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)
    blocks = _block(_SECTION, head + _options([each for each in about if each[1]]))
    for name, purpose in ports:
        named = [(_NAME, name.encode()), (_DESCRIPTION, purpose.encode()), (_RESOLUTION, b"\x09")]
        blocks += _block(_INTERFACE, struct.pack("<HHI", _LINKTYPE_ETHERNET, 0, LONGEST_FRAME) + _options(named))
    return blocks


def packet(port: int, at_ns: int, frame: bytes, comments: Iterable[str] = ()) -> bytes:
    """Returns the block of a frame. `port`: index in the `ports` of `section`."""
    head = struct.pack("<IIIII", port, at_ns >> 32, at_ns & 0xFFFFFFFF, len(frame), len(frame))
    return _block(_PACKET, head + _padded(frame) + _options([(_COMMENT, text.encode()) for text in comments]))


def last_words(at_ns: int, comment: str) -> bytes:
    """Returns a comment for which no later packet exists, as a comment on the first port's statistics."""
    head = struct.pack("<III", 0, at_ns >> 32, at_ns & 0xFFFFFFFF)
    return _block(_STATISTICS, head + _options([(_COMMENT, comment.encode())]))


def lost(port: int, at_ns: int, packets: int) -> bytes:
    """Returns the statistics of a port: the number of packets that the kernel dropped before they were recorded."""
    head = struct.pack("<III", port, at_ns >> 32, at_ns & 0xFFFFFFFF)
    return _block(_STATISTICS, head + _options([(_LOST_BY_SYSTEM, struct.pack("<Q", packets))]))


def secrets(key_log: bytes) -> Iterator[bytes]:
    """Yields Decryption Secrets Blocks with the complete lines of an NSS key log. They must precede the packets."""
    part = bytearray()
    for line in dict.fromkeys(key_log.splitlines(keepends=True)):
        if not line.endswith(b"\n"):
            continue
        if len(part) + len(line) > _SECRETS_LIMIT:
            yield _secrets(part)
            part.clear()
        part += line
    if part:
        yield _secrets(part)


def _secrets(lines: bytes | bytearray) -> bytes:
    return _block(_SECRETS, struct.pack("<II", _NSS_KEY_LOG, len(lines)) + _padded(bytes(lines)))


def _block(kind: int, body: bytes) -> bytes:
    length = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + length + body + length


def _options(options: Sequence[tuple[int, bytes]]) -> bytes:
    if not options:
        return b""
    return b"".join(struct.pack("<HH", code, len(value)) + _padded(value) for code, value in options) + _END


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
