"""Fetches the captures of nDPI's own tests from Debian's source package, and merges captures.

    python -m benchmarks.corpus FOLDER      # as any user, on Debian or a derivative, about 130 MB

apt uses configuration in FOLDER only, so that the machine's own does not change. Existing files are kept.
"""

from __future__ import annotations

import struct
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, Final

from shutdownlab.inspection.capture import NotACaptureError, open_capture

_SOURCE: Final = """Types: deb-src
URIs: http://deb.debian.org/debian
Suites: {suite}
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
"""
_KINDS: Final = frozenset({".pcap", ".pcapng", ".cap"})
_LONGEST: Final = 262_144
"""Most bytes of a packet, as declared in captures (libpcap's MAXIMUM_SNAPLEN)."""
_GAP_S: Final = 1.0
"""Time between one capture's last packet and the next capture's first."""


def captures(folder: Path) -> list[Path]:
    """Returns the captures in a folder and below it, in order of their paths."""
    return sorted(path for path in folder.rglob("*") if path.suffix in _KINDS and path.is_file())


def fetch(folder: Path, suite: str = "stable") -> int:
    """Downloads nDPI's source and extracts its captures to a folder; returns how many captures are in it.

    Raises `CalledProcessError`.
    """
    own = folder / "apt"
    for place in ("lists/partial", "sources", "cache/archives/partial"):
        (own / place).mkdir(parents=True, exist_ok=True)
    (own / "sources" / "debian.sources").write_text(_SOURCE.format(suite=suite))
    options = (
        "Dir::Etc::sourcelist=/dev/null",
        f"Dir::Etc::sourceparts={own.absolute()}/sources",
        f"Dir::State::lists={own.absolute()}/lists",
        f"Dir::Cache={own.absolute()}/cache",
    )
    apt = ["apt-get", "-q", *(word for option in options for word in ("-o", option))]
    subprocess.run([*apt, "update"], cwd=folder, check=True)
    subprocess.run([*apt, "source", "--download-only", "--tar-only", "ndpi"], cwd=folder, check=True)
    for archive in folder.glob("ndpi_*.orig.tar.*"):
        with tarfile.open(archive) as tar:
            members = [member for member in tar if Path(member.name).suffix in _KINDS and member.isfile()]
            tar.extractall(folder, members, filter="data")
        archive.unlink()
    return len(captures(folder))


def merge(paths: Iterable[Path], into: Path) -> tuple[Path, int] | None:
    """Concatenates captures into one file, so that benchmarks do not measure program starts.

    Returns the file, with the packets of the most frequent link type and times that never decrease, and its number of
    packets; None if no file is a capture.
    """
    made: dict[int, BinaryIO] = {}
    counts: Counter[int] = Counter()
    begin = 0.0
    with ExitStack() as stack:
        for path in paths:
            first: float | None = None
            last = begin
            for seconds, link, frame in _packets(path):
                first = seconds if first is None else first
                last = max(last, begin + seconds - first)
                if link not in made:
                    made[link] = stack.enter_context((into / f"link-{link}.pcap").open("wb"))
                    made[link].write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, _LONGEST, link))
                whole = int(last)
                head = struct.pack("<IIII", whole, int((last - whole) * 1e6), len(frame), len(frame))
                made[link].write(head + frame)
                counts[link] += 1
            begin = last + _GAP_S
    return next(((into / f"link-{link}.pcap", count) for link, count in counts.most_common(1)), None)


def _packets(path: Path) -> Iterator[tuple[float, int, bytes]]:
    """Yields a capture's packets, up to the first that cannot be read."""
    try:
        yield from open_capture(path)
    except (NotACaptureError, OSError):
        return


def main() -> int:
    """Fetches to the folder on the command line; returns 0, or 2 without one."""
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    print(f"{fetch(folder)} captures in {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
