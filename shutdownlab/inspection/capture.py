"""Reads captures: pcap (both byte orders, micro- and nanoseconds) and pcapng, concatenated, plain or compressed.

Reads as much as it can; a capture that ends early, has truncated packets or unsupported link types gives warnings.
Sources: draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng.
"""

from __future__ import annotations

import struct
from collections.abc import Generator, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple, cast

from shutdownlab.config.addresses import is_address
from shutdownlab.inspection.foreign_files import ENOUGH, kind_of
from shutdownlab.inspection.links import READ, name_of
from shutdownlab.inspection.unpacking import CUT_OFF, LONGEST_MAGIC, Unpacked, packing_of
from shutdownlab.inspection.words import unsigned32

MAX_RECORD: Final = 1 << 20
"""Bytes; a longer packet is taken for damage (tcpdump's own limit is 256 KiB)."""
MAX_BLOCK: Final = 256 << 20
"""Bytes; a longer block of pcapng is taken for damage. The secrets of a long capture's connections take some MiB."""
CHUNK: Final = 1 << 20

_PCAP: Final = {
    b"\xa1\xb2\xc3\xd4": (">", 1e-6, 16),
    b"\xd4\xc3\xb2\xa1": ("<", 1e-6, 16),
    b"\xa1\x2b\x3c\x4d": (">", 1e-6, 16),
    b"\x4d\x3c\x2b\xa1": ("<", 1e-6, 16),
    b"\xa1\xb2\x3c\x4d": (">", 1e-9, 16),
    b"\x4d\x3c\xb2\xa1": ("<", 1e-9, 16),
    b"\xa1\xb2\xcd\x34": (">", 1e-6, 24),
    b"\x34\xcd\xb2\xa1": ("<", 1e-6, 24),
}
"""By magic number: byte order, seconds per unit of the timestamps' fraction, and size of the packet header in bytes.

24-byte headers are from Alexey Kuznetzov's libpcap, which old Linux systems shipped; 0xa12b3c4d is Navtel's."""
_VERSIONS: Final = (b"\0\2\0\4", b"\2\0\4\0")
"""The version number (2.4, in either byte order) that follows the magic number in nearly every file."""
_SECTION: Final = b"\x0a\x0d\x0d\x0a"
_BYTE_ORDERS: Final = (b"\x4d\x3c\x2b\x1a", b"\x1a\x2b\x3c\x4d")
_OF_PACKETS: Final = (2, 3, 6)
"""The types of blocks with a packet: obsolete, simple and enhanced."""
_LOST: Final = frozenset({5, 7})
"""Options of interface statistics: packets lost by the interface (isb_ifdrop) and by the system (isb_osdrop)."""

UNKNOWN_SIDE: Final = -1
FROM_BOX: Final = 2
"""In place of a side: the box sent the frame, after inspecting or forging it."""
PORTS: Final = {
    b"border-intl": 0,
    b"border-ix": 0,
    b"gateway": 1,
    b"exchange": 1,
    b"box-inside": FROM_BOX,
    b"box-outside": FROM_BOX,
}
"""The names of a DPI switch's ports in a recording of a run (`run --pcap`), as interface descriptions; their sides."""


CONTROLS: Final = "control addresses, which DPI boxes pass on unseen:"
"""The beginning of the comment in a recording that lists the control addresses."""


class NotACaptureError(Exception):
    """The file is not a capture of IP packets; the message says what it seems to be."""


class _Interface(NamedTuple):
    """A pcapng interface: its link type, seconds per timestamp tick, seconds added to timestamps, and maximum captured
    bytes per packet (0: all)."""

    link: int
    tick: float
    offset: int
    longest: int


class Capture:
    """An open capture. Iterate it once: yields `(time in seconds, link type, frame)` of each packet, in file order.

    Iterating raises `NotACaptureError` if no packet has a supported link type: for pcap at once, for pcapng at the end.
    """

    def __init__(self, name: str, source: _Source, start: bytes, warnings: list[str]) -> None:
        self.name = name
        self.source = source
        self.start = start
        self.warnings = warnings
        self.packets = 0
        self.side = UNKNOWN_SIDE
        """The side on which the box got the last packet: a `Side`'s number; UNKNOWN_SIDE if the file does not say; or
        FROM_BOX if the box sent it or, as it belongs to one of the lab's control connections, did not inspect it."""
        self.cut = 0
        """Packets that the capture truncated."""
        self._longest = 0
        """The most bytes that were kept of a truncated packet."""
        self._unread: dict[int, int] = {}
        """Number of packets by unsupported link type."""
        self._joined = 0
        """Number of further files concatenated to the first."""
        self._unreadable = 0
        """Number of invalid packet blocks."""
        self._lost: dict[tuple[int, int, int], int] = {}
        """Packets lost while capturing, from interface statistics: by section, interface and option code (which tells
        whether the interface or the system lost them)."""

    def __iter__(self) -> Iterator[tuple[float, int, bytes]]:
        while (yield from (self._pcapng() if self.start == _SECTION else self._pcap())):
            self._joined += 1
        if self._joined:
            files = "another file is" if self._joined == 1 else f"{self._joined:,} other files are"
            self._warn(f"{files} appended to it, and read too")
        if self.cut:
            cut = f"{self.cut:,} of {self.packets:,} packets were cut when they were captured"
            self._warn(f"{cut}, to {self._longest:,} bytes at most; the rest of them is missing")
        if self._unreadable:
            blocks = "packet block" if self._unreadable == 1 else "packet blocks"
            self._warn(f"{self._unreadable:,} unreadable {blocks}, left out")
        if lost := sum(self._lost.values()):
            packets = "packet was" if lost == 1 else "packets were"
            self._warn(f"{lost:,} {packets} lost while it was captured; their content is missing")
        unread = sum(self._unread.values())
        names = ", ".join([name_of(link) for link in self._unread])
        if unread and unread == self.packets:
            raise NotACaptureError(f"only packets of {names}")
        if unread:
            self._warn(f"{unread:,} of {self.packets:,} packets are of {names}, which cannot be read")

    def _warn(self, text: str) -> None:
        self.warnings.append(f"{self.name}: {text}")

    def _ends_within(self, where: str) -> None:
        """Warns that the file ends early, within `where`; merges this with a warning that its compressed data does."""
        unpacked = f"{self.name}: {CUT_OFF}"
        if self.warnings and self.warnings[-1] == unpacked:
            self.warnings[-1] = f"{unpacked}, within {where}"
        else:
            self._warn(f"ends within {where}")

    def _pcap(self) -> Generator[tuple[float, int, bytes], None, bool]:
        """Yields one pcap file's packets; returns whether another file is concatenated to it."""
        order, unit, before = _PCAP[self.start]
        header = self.source.take(20)
        if len(header) < 20:
            self._ends_within("the file header; no packets")
            return False
        link = cast(int, struct.unpack(order + "I", header[16:20])[0]) & 0xFFFF  # above: the length of checksums
        if link not in READ:
            if self.packets == 0:
                raise NotACaptureError(f"packets of {name_of(link)}")
            self._warn(f"the data after packet {self.packets} is of {name_of(link)}, which cannot be read")
            return False
        little = order == "<"
        source = self.source
        while True:
            at, data = source.window(before)
            if _begins_file(data[at : at + 12]):
                self.start = source.take(4)
                return True
            if len(data) - at < before:
                if len(data) > at:
                    self._ends_within(f"the header of packet {self.packets + 1}; {self.packets} packets read")
                return False
            seconds = unsigned32(data, at, little)
            fraction = unsigned32(data, at + 4, little)
            length = unsigned32(data, at + 8, little)
            if length > MAX_RECORD:
                self._warn(
                    f"packet {self.packets + 1} claims {length:,} bytes: the file is damaged there; "
                    f"{self.packets} packets read"
                )
                return False
            if len(data) - at < before + length:
                at, data = source.window(before + length)
                if len(data) - at < before + length:
                    self._ends_within(
                        f"packet {self.packets + 1} ({len(data) - at - before} of {length} bytes); "
                        f"{self.packets} packets read"
                    )
                    return False
            source.at = at + before + length
            self.packets += 1
            if unsigned32(data, at + 12, little) > length:
                self._count_cut(length)
            yield seconds + fraction * unit, link, data[at + before : at + before + length]

    def _count_cut(self, kept: int) -> None:
        self.cut += 1
        self._longest = max(self._longest, kept)

    def _pcapng(self) -> Generator[tuple[float, int, bytes], None, bool]:
        """Yields the packets of one file's sections; returns whether a pcap file is concatenated to it."""
        order = "<"
        section = 0
        links: list[_Interface] = []
        sides: list[int] = []
        controls: set[bytes] = set()
        first = True
        while True:
            head = (_SECTION if first else b"") + self.source.take(4 if first else 8)
            if len(head) < 8:
                if head:
                    self._ends_within(f"a block header after packet {self.packets}")
                return False
            if head[:4] in _PCAP and head[4:8] in _VERSIONS:
                self.start = head[:4]
                self.source.at -= 4
                return True
            if head[:4] == _SECTION:
                magic = self.source.take(4)
                if magic not in _BYTE_ORDERS:
                    self._warn(f"a section without a valid byte order; {self.packets} packets read")
                    return False
                order = "<" if magic[0] == 0x4D else ">"
                links, sides = [], []
                section += 1
                length = struct.unpack(order + "I", head[4:8])[0] - 4
            else:
                length = struct.unpack(order + "I", head[4:8])[0]
            first = False
            kind = struct.unpack(order + "I", head[:4])[0]
            longest = MAX_BLOCK if kind not in _OF_PACKETS else MAX_RECORD + 4096
            if length < 12 - 4 or length > longest:
                self._warn(f"a block of {length:,} bytes: the file is damaged there; {self.packets} packets read")
                return False
            body = self.source.take(length - 8)
            if len(body) < length - 8:
                self._ends_within(f"a block after packet {self.packets}; {self.packets} packets read")
                return False
            if head[:4] == _SECTION:
                controls |= _controls(body[12:-4], order)
            if kind == 1 and len(body) >= 8:
                link, _, longest = struct.unpack_from(order + "HHI", body)
                options = _options(body[8:-4], order)
                offset = options.get(14, b"")
                added = struct.unpack(order + "q", offset)[0] if len(offset) == 8 else 0
                links.append(_Interface(link, _resolution(options.get(9, b"")), added, longest))
                sides.append(PORTS.get(options.get(3, b""), UNKNOWN_SIDE))
                continue
            if kind == 5 and len(body) >= 12:
                (interface,) = struct.unpack_from(order + "I", body)
                for code, value in _options(body[12:-4], order).items():
                    if code in _LOST and len(value) == 8:
                        self._lost[section, interface, code] = struct.unpack(order + "Q", value)[0]
                continue
            packet = _packet_block(kind, body, order, links)
            if packet is not None:
                self.packets += 1
                now, link, frame, original, interface = packet
                self.side = sides[interface] if FROM_BOX in sides else UNKNOWN_SIDE
                if controls and FROM_BOX in sides and not controls.isdisjoint(_ends(frame)):
                    self.side = FROM_BOX
                if link not in READ:
                    self._unread[link] = self._unread.get(link, 0) + 1
                if original > len(frame):
                    self._count_cut(len(frame))
                yield now, link, frame
            elif kind in (2, 3, 6):
                self._unreadable += 1


def _begins_file(start: bytes) -> bool:
    """Returns whether another file begins here, of pcap or pcapng, instead of a packet."""
    if start[:4] == _SECTION:
        return start[8:12] in _BYTE_ORDERS
    return start[:4] in _PCAP and start[4:8] in _VERSIONS


def _packet_block(
    kind: int, body: bytes, order: str, links: list[_Interface]
) -> tuple[float, int, bytes, int, int] | None:
    """Parses an enhanced (6), simple (3) or obsolete (2) packet block; returns None if it is none or invalid.

    Returns time in seconds, link type, frame, length on the wire in bytes, and interface number.
    """
    if kind == 6 and len(body) >= 24:
        interface, high, low, length, original = struct.unpack_from(order + "IIIII", body)
    elif kind == 2 and len(body) >= 24:
        interface, _, high, low, length, original = struct.unpack_from(order + "HHIIII", body)
    elif kind == 3 and len(body) >= 8 and links:
        (original,) = struct.unpack_from(order + "I", body)
        length = min(original, len(body) - 8, links[0].longest or original)
        return 0.0, links[0].link, body[4 : 4 + length], original, 0
    else:
        return None
    if interface >= len(links) or 20 + length > len(body):
        return None
    of = links[interface]
    return of.offset + ((high << 32) | low) * of.tick, of.link, body[20 : 20 + length], original, interface


def _options(options: bytes, order: str) -> dict[int, bytes]:
    """Returns a block's readable options by code; the first counts if a code repeats."""
    found: dict[int, bytes] = {}
    for code, value in _all_options(options, order):
        found.setdefault(code, value)
    return found


def _all_options(options: bytes, order: str) -> list[tuple[int, bytes]]:
    """Returns a block's readable options as (code, value), in order."""
    found: list[tuple[int, bytes]] = []
    at = 0
    while at + 4 <= len(options):
        code, length = struct.unpack_from(order + "HH", options, at)
        if code == 0:
            break
        found.append((code, options[at + 4 : at + 4 + length]))
        at += 4 + ((length + 3) & ~3)
    return found


def _controls(options: bytes, order: str) -> set[bytes]:
    """Returns the control addresses that a section's comments (option code 1) list, packed."""
    found: set[bytes] = set()
    for code, value in _all_options(options, order):
        text = value.decode("utf-8", "replace") if code == 1 else ""
        if text.startswith(CONTROLS):
            for word in text[len(CONTROLS) :].split():
                if is_address(word):
                    found.add(ip_address(word).packed)
    return found


def _ends(frame: bytes) -> tuple[bytes, bytes]:
    """Returns an Ethernet frame's source and destination address, at the offsets where a box looks for controls."""
    if frame[12:14] == b"\x08\x00":
        return frame[26:30], frame[30:34]
    return frame[22:38], frame[38:54]


def _resolution(value: bytes) -> float:
    """Returns the seconds per timestamp tick by the option if_tsresol; 1e-6 without it."""
    if not value:
        return 1e-6
    return float(2.0 ** -(value[0] & 0x7F)) if value[0] & 0x80 else float(10.0 ** -value[0])


class _Source:
    """A buffered reader. `window(size)` returns an offset and a buffer that has at least `size` bytes from there unless
    the file ends, and consumes nothing; `take(size)` consumes."""

    def __init__(self, stream: BinaryIO | Unpacked) -> None:
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
    """Opens a capture file. Raises `NotACaptureError` if it is none, OSError if it cannot be read."""
    return read_capture(path.open("rb"), str(path))


def read_capture(stream: BinaryIO, name: str) -> Capture:
    """Opens a capture, compressed or not, in a binary stream at its start. Raises `NotACaptureError` if it is none."""
    warnings: list[str] = []
    source = _Source(stream)
    at, data = source.window(LONGEST_MAGIC)
    packing = packing_of(data[at:])
    if packing is not None:
        source = _Source(Unpacked(data[at:], stream, packing, warnings, name))
    start = source.take(4)
    if start == _SECTION or start in _PCAP:
        return Capture(name, source, start, warnings)
    at, data = source.window(ENOUGH)
    found = kind_of(start + data[at:])
    if packing is None:
        raise NotACaptureError(found)
    raise NotACaptureError(f"{found if start else 'nothing that can be unpacked'}, compressed by {packing.name}")
