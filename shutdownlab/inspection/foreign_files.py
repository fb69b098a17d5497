"""Names what a file is that is no capture in a format read here, by how it begins."""

from __future__ import annotations

from typing import Final

from shutdownlab.config.wording import is_visible
from shutdownlab.inspection.unpacking import packing_of

ENOUGH: Final = 512
"""How many of its first bytes tell what a file is."""
_KINDS: Final = (
    (b"PK\x03\x04", "a zip archive, which is not unpacked"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive, which is not unpacked"),
    (b"Rar!\x1a\x07", "a rar archive, which is not unpacked"),
    (b"\x02\x21\x4c\x18", "a file compressed in LZ4's legacy format (lz4 -l), which is not unpacked"),
    (b"\x1f\x9d", "a file compressed by compress (.Z), which is not unpacked"),
    (b"LZIP", "a file compressed by lzip, which is not unpacked"),
    (b"\x89LZO\0\r\n\x1a\n", "a file compressed by lzop, which is not unpacked"),
    (b"snoop\0\0\0", "a capture of Solaris's snoop"),
    (b"GMBU", "a capture of Microsoft's Network Monitor"),
    (b"RTSS", "a capture of Microsoft's Network Monitor"),
    (b"TRSNIFF data", "a capture of Network General's Sniffer"),
    (b"XCP\0", "a capture of Network Associates' Sniffer"),
    (b"\x7fver", "a capture of Savvius's Peek"),
    (b"ETL", "a trace of Windows events"),
    (b"iptrace ", "a capture of AIX's iptrace"),
    (b"btsnoop\0", "a capture of Bluetooth"),
    (b"\x05VNF", "a capture of Visual Networks"),
    (b"ObserverPktBuffer", "a capture of Viavi's Observer"),
    (b"\0\0\2\0\x12\5\0\x10", "a capture of Tektronix's K12"),
    (b"\xac\x01\0\x1c", "a capture of Ixia's"),
    (b"\xab\x01\0\x1c", "a capture of Ixia's"),
    (b"version https://git-lfs.github.com/", "Git LFS's pointer to a file (git lfs pull gets the file itself)"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"PAR1", "a Parquet file"),
    (b"\x7fELF", "a program"),
    (b"%PDF-", "a PDF document"),
    (b"\xff\xfe", "a text file in UTF-16"),
    (b"\xfe\xff", "a text file in UTF-16"),
)
"""Magic numbers, and what files that begin with them are."""
_TAR_AT: Final = 257
"""Where a tar archive has its magic number."""


def kind_of(start: bytes) -> str:
    """Returns what a file is that begins with these bytes, `ENOUGH` of them or all."""
    if not start:
        return "an empty file"
    for magic, name in _KINDS:
        if start.startswith(magic):
            return name
    if start[_TAR_AT : _TAR_AT + 5] == b"ustar":
        return "a tar archive, which is not unpacked"
    packing = packing_of(start)
    if packing is not None:
        return f"a file compressed by {packing.name}"
    if _is_text(start[:ENOUGH]):
        return "a text file"
    return f"not a capture (it starts with {start[:4].hex(' ')})"


def _is_text(sample: bytes) -> bool:
    if len(sample) == ENOUGH:
        sample = sample[: max(sample.rfind(b" "), sample.rfind(b"\n"), ENOUGH - 4)]  # not within a character
    try:
        text = sample.decode()
    except UnicodeDecodeError:
        return False
    return all(is_visible(character) or character in "\t\r\n\ufeff" for character in text)
