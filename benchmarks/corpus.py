"""The captures that nDPI tests itself with, out of Debian's source package, and captures put together.

    python -m benchmarks.corpus FOLDER      # fetches them: any user, Debian and its like, about 130 MB

apt is told of sources in FOLDER alone: nothing of the machine's own set-up changes. What is there already is kept.
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
"""Bytes of a packet, as captures declare them (libpcap's MAXIMUM_SNAPLEN)."""
_GAP_S: Final = 1.0
"""Between one capture's last packet and the next one's first."""


def captures(folder: Path) -> list[Path]:
    """Those in a folder and below it, in order of their paths."""
    return sorted(path for path in folder.rglob("*") if path.suffix in _KINDS and path.is_file())


def fetch(folder: Path, suite: str = "stable") -> int:
    """Download nDPI's source to a folder and take its captures out; how many there are. Raises `CalledProcessError`."""
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
    """One capture after another in one file, and how many packets: so that programs are measured, not their starts.

    Of the link type that most packets have; time does not run backwards. None where no file is a capture.
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
    """A capture's, up to where it breaks off."""
    try:
        yield from open_capture(path)
    except (NotACaptureError, OSError):
        return


def main() -> int:
    """Fetch to the folder that is named; 0."""
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    print(f"{fetch(folder)} captures in {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
