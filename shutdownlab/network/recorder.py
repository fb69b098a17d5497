"""Records the frames that each switch receives, on all its ports, in one pcapng file per switch.

Each switch records a frame once, on the port where it arrives, in the order in which the kernel received the frames of
all ports: so the file shows connections as the switch and its DPI box saw them. Segmentation offload is enabled in the
lab, so TCP segments are recorded as the sender's kernel passes them on, up to 64 KiB, with checksums left to a network
card. Events (a phase begins, an order is given) become comments on the next packet. Frames dropped because recording
was too slow are counted in the statistics at the file's end, which `shutdownlab inspect` and Wireshark's tools show.
"""

from __future__ import annotations

import json
import select
import shutil
import socket
import struct
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from shutdownlab.network.arrivals import SETTLED_S, Arrivals, stamp
from shutdownlab.network.pcapng import last_words, lost, packet, secrets, section
from shutdownlab.system.child_process import Child, Forked, fork
from shutdownlab.system.netns import inside

RECORDER: Final = "recorder"
"""The process name."""
_ETH_P_ALL: Final = 3
_SOL_PACKET: Final = 263
_PACKET_IGNORE_OUTGOING: Final = 23
_PACKET_STATISTICS: Final = 6
_RECEIVE_BUFFER: Final = 8 << 20
_FLUSH_S: Final = 1.0
_END_S: Final = 5.0
_COPIED_A_SECOND: Final = 10 << 20
"""Bytes of captures copied per second on the slowest disk allowed for."""


@dataclass(frozen=True, slots=True)
class Tap:
    """A switch to record: the namespace of its ports, and their names and descriptions.

    key_logs: pattern of the NSS key logs, in the capture's directory, whose secrets are embedded at the end.
    controls: addresses of control measurements, which the DPI box at this switch passes without inspection.
    """

    switch: str
    netns: Path
    ports: tuple[tuple[str, str], ...]
    key_logs: str = ""
    controls: tuple[str, ...] = ()


@dataclass(slots=True)
class _Capture:
    """A switch's capture file. `untold`: times (ns) and comments for the next packet."""

    tap: Tap
    path: Path
    start: bytes
    file: BinaryIO = field(init=False)
    untold: list[tuple[int, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.file = self.path.open("wb")
        self.file.write(self.start)

    def add(self, port: int, at_ns: int, frame: bytes) -> None:
        comments = [text for when, text in self.untold if when <= at_ns]
        del self.untold[: len(comments)]
        self.file.write(packet(port, at_ns, frame, comments))

    def tell_lost(self, port: int, packets: int) -> None:
        """Writes how many packets of a port the kernel dropped, if any."""
        if packets:
            self.file.write(lost(port, time.time_ns(), packets))

    def close(self) -> None:
        for at_ns, text in self.untold:
            self.file.write(last_words(at_ns, text))
        self.file.close()
        if self.tap.key_logs:
            self._embed_secrets()

    def _embed_secrets(self) -> None:
        """Rewrites the file with the secrets before the packets, where readers need them."""
        logs = sorted(self.path.parent.glob(self.tap.key_logs))
        draft = self.path.with_suffix(".draft")
        with self.path.open("rb") as old, draft.open("wb") as new:
            new.write(self.start)
            new.writelines(secrets(b"".join(log.read_bytes() for log in logs)))
            old.seek(len(self.start))
            shutil.copyfileobj(old, new, 1 << 20)
        draft.replace(self.path)


def start_recorder(taps: Sequence[Tap], directory: Path, about: str = "", application: str = "") -> Forked:
    """Forks the recorder, which writes a file `SWITCH.pcapng` per switch into `directory` until it is stopped.

    about: a comment on each file, after the switch's name. application: name of the writing program.
    """
    directory.mkdir(parents=True, exist_ok=True)

    def main(child: Child) -> None:
        with select.epoll() as poller:
            sockets: dict[int, tuple[socket.socket, _Capture, int]] = {}
            captures = {}
            for tap in taps:
                comment = f"what {tap.switch} receives{about and f', {about}'}"
                start = section(tap.ports, comment, application, tap.controls)
                captures[tap.switch] = _Capture(tap, directory / f"{tap.switch}.pcapng", start)
                for number, (name, _) in enumerate(tap.ports):
                    opened = _open(tap.netns, name)
                    sockets[opened.fileno()] = opened, captures[tap.switch], number
                    poller.register(opened.fileno(), select.EPOLLIN)
            poller.register(child.stop_fd, select.EPOLLIN)
            poller.register(child.lines, select.EPOLLIN)
            child.ready()
            _record(poller, sockets, captures, child)
            for opened, capture, number in sockets.values():
                capture.tell_lost(number, _dropped(opened))
            for capture in captures.values():
                capture.close()

    return fork(RECORDER, main)


def mark(recorder: Forked, text: str, switch: str = "") -> None:
    """Adds a comment at the present time to the captures of all switches, or of `switch`."""
    recorder.send(json.dumps({"at_ns": time.time_ns(), "text": text, "switch": switch}).encode() + b"\n")


def patience_s(directory: Path) -> float:
    """Returns how many seconds the recorder may take to end: embedding secrets copies the captures."""
    return _END_S + sum(path.stat().st_size for path in directory.glob("*.pcapng")) / _COPIED_A_SECOND


def _record(
    poller: select.epoll,
    sockets: Mapping[int, tuple[socket.socket, _Capture, int]],
    captures: Mapping[str, _Capture],
    child: Child,
) -> None:
    flushed = time.monotonic()
    arrivals: Arrivals[tuple[_Capture, int]] = Arrivals()
    ended = False
    while not ended:
        began = time.time_ns()
        ready = {found for found, _ in poller.poll(SETTLED_S if arrivals else _FLUSH_S, len(sockets) + 2)}
        ended = child.stop_fd in ready
        if ended or child.lines.fileno() in ready:
            _hear(child, captures)
        for descriptor in sockets if ended else ready & sockets.keys():
            opened, capture, number = sockets[descriptor]
            arrivals.read(opened, (capture, number), None if ended else began)
        for at_ns, (capture, number), frame in arrivals.settled(None if ended else began):
            capture.add(number, at_ns, frame)
        if time.monotonic() - flushed > _FLUSH_S:
            flushed = time.monotonic()
            for capture in captures.values():
                capture.file.flush()


def _hear(child: Child, captures: Mapping[str, _Capture]) -> None:
    for line in child.receive():
        command = json.loads(line)
        for capture in [captures[command["switch"]]] if command["switch"] else captures.values():
            capture.untold.append((command["at_ns"], command["text"]))


def _dropped(opened: socket.socket) -> int:
    """Returns how many frames the kernel dropped as the socket's buffer was full (packet(7), PACKET_STATISTICS)."""
    try:
        return int(struct.unpack("=II", opened.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))[1])
    except OSError:
        return 0


def _open(netns: Path, port: str) -> socket.socket:
    with inside(netns):
        opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        opened.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        stamp(opened)
        opened.setblocking(False)
        opened.bind((port, _ETH_P_ALL))
        return opened
