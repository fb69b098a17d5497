"""Reading captures: pcap (both byte orders, micro- and nanoseconds) and pcapng, plain or gzipped.

What can be read is read; a capture that ends in the middle, or holds what is not understood, gives warnings. Sources:
draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng, and the link-layer registry of tcpdump.org.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, cast

from shutdownlab.inspection.packet import Packet, decode, decode_ethertype, decode_ip
from shutdownlab.inspection.words import unsigned32

MAX_RECORD: Final = 1 << 20
"""A longer packet is taken for damage (tcpdump's own limit is 256 KiB)."""
CHUNK: Final = 1 << 20

NULL, ETHERNET, PPP, RAW_BSD, RAW_OPENBSD, RAW, C_HDLC = 0, 1, 9, 12, 14, 101, 104
LOOP, LINUX_SLL, IPV4, IPV6, LINUX_SLL2 = 108, 113, 228, 229, 276
KNOWN_LINKS: Final = frozenset(
    (NULL, ETHERNET, PPP, RAW_BSD, RAW_OPENBSD, RAW, C_HDLC, LOOP, LINUX_SLL, IPV4, IPV6, LINUX_SLL2)
)

_PCAP: Final = {
    b"\xa1\xb2\xc3\xd4": (">", 1e-6),
    b"\xd4\xc3\xb2\xa1": ("<", 1e-6),
    b"\xa1\xb2\x3c\x4d": (">", 1e-9),
    b"\x4d\x3c\xb2\xa1": ("<", 1e-9),
}
_SECTION: Final = b"\x0a\x0d\x0d\x0a"


class NotACaptureError(Exception):
    """The file is no capture; the message says what it seems to be."""


class Capture:
    """Iterate once: `(time in seconds, link type, frame)` of each packet in file order."""

    def __init__(self, name: str, source: _Source, start: bytes, warnings: list[str]) -> None:
        self.name = name
        self.source = source
        self.start = start
        self.warnings = warnings
        self.packets = 0

    def __iter__(self) -> Iterator[tuple[float, int, bytes]]:
        if self.start == _SECTION:
            yield from self._pcapng()
        else:
            yield from self._pcap()

    def _warn(self, text: str) -> None:
        self.warnings.append(f"{self.name}: {text}")

    def _pcap(self) -> Iterator[tuple[float, int, bytes]]:
        order, unit = _PCAP[self.start]
        header = self.source.take(20)
        if len(header) < 20:
            self._warn("ends within the file header; no packets")
            return
        link = cast(int, struct.unpack(order + "I", header[16:20])[0]) & 0x0FFFFFFF
        if link not in KNOWN_LINKS:
            self._warn(f"link type {link} is not understood; its packets are counted, not inspected")
        little = order == "<"
        source = self.source
        while True:
            at, data = source.window(16)
            if len(data) - at < 16:
                if len(data) > at:
                    self._warn(f"ends within the header of packet {self.packets + 1}; {self.packets} packets read")
                return
            seconds = unsigned32(data, at, little)
            fraction = unsigned32(data, at + 4, little)
            length = unsigned32(data, at + 8, little)
            if length > MAX_RECORD:
                self._warn(
                    f"packet {self.packets + 1} claims {length:,} bytes: the file is damaged there; "
                    f"{self.packets} packets read"
                )
                return
            if len(data) - at < 16 + length:
                at, data = source.window(16 + length)
                if len(data) - at < 16 + length:
                    self._warn(
                        f"ends within packet {self.packets + 1} ({len(data) - at - 16} of {length} bytes); "
                        f"{self.packets} packets read"
                    )
                    return
            source.at = at + 16 + length
            self.packets += 1
            yield seconds + fraction * unit, link, data[at + 16 : at + 16 + length]

    def _pcapng(self) -> Iterator[tuple[float, int, bytes]]:
        order = "<"
        links: list[tuple[int, float]] = []
        strange: set[int] = set()
        first = True
        while True:
            head = (_SECTION if first else b"") + self.source.take(4 if first else 8)
            if len(head) < 8:
                if head:
                    self._warn(f"ends within a block header after packet {self.packets}")
                return
            if head[:4] == _SECTION:
                magic = self.source.take(4)
                if magic not in (b"\x4d\x3c\x2b\x1a", b"\x1a\x2b\x3c\x4d"):
                    self._warn(f"a section without a valid byte order; {self.packets} packets read")
                    return
                order = "<" if magic[0] == 0x4D else ">"
                links = []
                length = struct.unpack(order + "I", head[4:8])[0] - 4
            else:
                length = struct.unpack(order + "I", head[4:8])[0]
            first = False
            kind = struct.unpack(order + "I", head[:4])[0]
            if length < 12 - 4 or length > MAX_RECORD + 4096:
                self._warn(f"a block of {length:,} bytes: the file is damaged there; {self.packets} packets read")
                return
            body = self.source.take(length - 8)
            if len(body) < length - 8:
                self._warn(f"ends within a block after packet {self.packets}; {self.packets} packets read")
                return
            if kind == 1 and len(body) >= 8:
                link = struct.unpack(order + "H", body[:2])[0]
                if link not in KNOWN_LINKS and link not in strange:
                    strange.add(link)
                    self._warn(f"link type {link} is not understood; its packets are counted, not inspected")
                links.append((link, _resolution(body[8:-4], order)))
                continue
            packet = _packet_block(kind, body, order, links)
            if packet is not None:
                self.packets += 1
                yield packet
            elif kind in (2, 3, 6):
                self._warn(f"an unreadable packet block after packet {self.packets}")


def _packet_block(
    kind: int, body: bytes, order: str, links: list[tuple[int, float]]
) -> tuple[float, int, bytes] | None:
    """An enhanced (6), simple (3) or obsolete (2) packet block's time, link type and frame."""
    if kind == 6 and len(body) >= 24:
        interface, high, low, length = struct.unpack_from(order + "IIII", body)
    elif kind == 2 and len(body) >= 24:
        interface, _, high, low, length = struct.unpack_from(order + "HHIII", body)
    elif kind == 3 and len(body) >= 8 and links:
        (length,) = struct.unpack_from(order + "I", body)
        length = min(length, len(body) - 8)
        return 0.0, links[0][0], body[4 : 4 + length]
    else:
        return None
    if interface >= len(links) or 20 + length > len(body):
        return None
    link, unit = links[interface]
    return ((high << 32) | low) * unit, link, body[20 : 20 + length]


def _resolution(options: bytes, order: str) -> float:
    """Seconds of one timestamp tick: option if_tsresol (9), microseconds without."""
    at = 0
    while at + 4 <= len(options):
        code, length = struct.unpack_from(order + "HH", options, at)
        if code == 0:
            break
        if code == 9 and length >= 1 and at + 4 < len(options):
            value = options[at + 4]
            return float(2.0 ** -(value & 0x7F)) if value & 0x80 else float(10.0**-value)
        at += 4 + ((length + 3) & ~3)
    return 1e-6


class _Rewound:
    """A stream with the bytes that were already taken from it put back in front."""

    def __init__(self, taken: bytes, stream: BinaryIO) -> None:
        self.taken = taken
        self.stream = stream

    def read(self, size: int = -1) -> bytes:
        taken, self.taken = self.taken, b""
        return taken or self.stream.read(size)


class _Gunzip:
    """Decompresses as far as the data is sound; the library's own reader loses what came before the damage."""

    def __init__(self, stream: _Rewound, warn: list[str], name: str) -> None:
        self.stream = stream
        self.warn = warn
        self.name = name
        self.inflate = zlib.decompressobj(31)
        self.rest = b""
        self.fed = False

    def read(self, size: int) -> bytes:
        while True:
            data = self.rest or self.stream.read(size)
            self.rest = b""
            if not data:
                if self.fed and not self.inflate.eof:
                    self.warn.append(f"{self.name}: the compressed data ends in the middle")
                self.fed = False
                return b""
            if self.inflate.eof:
                if data[:2] != b"\x1f\x8b":
                    return b""  # padding after the last member
                self.inflate = zlib.decompressobj(31)
            self.fed = True
            try:
                found = self.inflate.decompress(data)
            except zlib.error as error:
                self.warn.append(f"{self.name}: the compressed data is damaged ({error})")
                self.fed = False
                self.stream = _Rewound(b"", io.BytesIO())
                return b""
            self.rest = self.inflate.unused_data
            if found:
                return found


class _Source:
    """A file read in pieces; `window` shows at least so many bytes without consuming them, if there are as many."""

    def __init__(self, stream: BinaryIO | _Gunzip) -> None:
        self.stream = stream
        self.data = b""
        self.at = 0
        self.ended = False

    def window(self, size: int) -> tuple[int, bytes]:
        if len(self.data) - self.at < size and not self.ended:
            self._fill(size)
        return self.at, self.data

    def take(self, size: int) -> bytes:
        at, data = self.window(size)
        taken = data[at : at + size]
        self.at = at + len(taken)
        return taken

    def _fill(self, size: int) -> None:
        parts = [self.data[self.at :]]
        have = len(parts[0])
        while have < size:
            more = self.stream.read(CHUNK)
            if not more:
                self.ended = True
                break
            parts.append(more)
            have += len(more)
        self.data = b"".join(parts)
        self.at = 0


def open_capture(path: Path) -> Capture:
    """Open a capture file. Raises `NotACaptureError` if it is none, OSError if it cannot be read."""
    return read_capture(path.open("rb"), str(path))


def read_capture(stream: BinaryIO, name: str) -> Capture:
    """A capture from an open binary stream at its start, gzipped or not. Raises `NotACaptureError`."""
    warnings: list[str] = []
    source = _Source(stream)
    at, data = source.window(2)
    if data[at : at + 2] == b"\x1f\x8b":
        source = _Source(_Gunzip(_Rewound(data, stream), warnings, name))
    start = source.take(4)
    if start == _SECTION or start in _PCAP:
        return Capture(name, source, start, warnings)
    at, data = source.window(512)
    raise NotACaptureError(f"{name}: {_looks_like(start + data[at:])}; expected a pcap or pcapng file")


def _looks_like(start: bytes) -> str:
    if not start:
        return "an empty file"
    if start[:4] in (b"\xfd7zX", b"\x28\xb5\x2f\xfd", b"BZh9", b"PK\x03\x04"):
        return "a compressed file of a kind that is not read (gzip is)"
    sample = start[:512]
    if all(32 <= byte < 127 or byte in b"\t\r\n" for byte in sample):
        return "a text file"
    return f"not a capture (it starts with {start[:4].hex(' ')})"


def decode_frame(link: int, frame: bytes) -> Packet:
    """Decode a captured frame of any known link type. Never raises; of an unknown one `problem` says so."""
    if link == ETHERNET:
        return decode(frame)
    if link in (RAW, RAW_BSD, RAW_OPENBSD, IPV4, IPV6):
        return decode_ip(frame, 0)
    if link == LINUX_SLL and len(frame) >= 16:
        return decode_ethertype(frame, 16, (frame[14] << 8) | frame[15])
    if link == LINUX_SLL2 and len(frame) >= 20:
        return decode_ethertype(frame, 20, (frame[0] << 8) | frame[1])
    if link in (NULL, LOOP) and len(frame) >= 4:
        # The address family in the capturing host's byte order, whose numbers for IPv6 differ; the version tells.
        return decode_ip(frame, 4)
    if link == PPP and len(frame) >= 4:
        at = 2 if frame[:2] == b"\xff\x03" else 0
        if frame[at : at + 2] in (b"\x00\x21", b"\x00\x57"):
            return decode_ip(frame, at + 2)
        if frame[at] in (0x21, 0x57):
            return decode_ip(frame, at + 1)
    if link == C_HDLC and len(frame) >= 4:
        return decode_ethertype(frame, 4, (frame[2] << 8) | frame[3])
    packet = Packet(frame)
    packet.problem = "not IP, or a link type that is not understood"
    return packet
