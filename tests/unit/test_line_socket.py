"""Lines over a stream socket: whole however they are cut, never waiting unless asked to, and why a connection ended."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from shutdownlab.system.line_socket import BACKLOG, LineSocket

Ends = tuple[LineSocket, socket.socket]


@pytest.fixture
def ends() -> Iterator[Ends]:
    ours, theirs = socket.socketpair()
    with theirs:
        lines = LineSocket(ours, limit=100)
        yield lines, theirs
        lines.close()


@pytest.mark.parametrize("step", [1, 2, 7, 1000])
def test_lines_are_found_however_the_stream_is_cut(ends: Ends, step: int) -> None:
    lines, peer = ends
    stream = b"one\ntwo\n\nthree and more\n"
    found = []
    for at in range(0, len(stream), step):
        peer.sendall(stream[at : at + step])
        found += lines.receive()
    assert found == [b"one", b"two", b"three and more"]
    assert lines.ended is None


def test_what_was_sent_before_the_end_is_received_and_then_the_end_is_known(ends: Ends) -> None:
    lines, peer = ends
    peer.sendall(b"last\nnot ended")
    peer.close()
    assert lines.receive() == [b"last"]
    assert lines.ended == "it closed the connection"
    assert not lines.send(b"too late\n")


def test_a_line_that_never_ends_ends_the_connection(ends: Ends) -> None:
    lines, peer = ends
    for _ in range(20):
        peer.sendall(b"x" * 10)
        assert lines.receive() == []
    assert lines.ended is not None
    assert "more than 100 bytes" in lines.ended


def test_sending_never_waits_for_a_peer_that_does_not_read_and_stops_taking_at_last(ends: Ends) -> None:
    lines, peer = ends
    line = b"y" * (1 << 20) + b"\n"
    sent = 0
    while lines.send(line):
        sent += 1
    assert sent * len(line) > BACKLOG
    assert lines.waiting > BACKLOG
    assert not lines.flush()

    def read_all() -> int:
        got = 0
        while got < sent * len(line):
            got += len(peer.recv(1 << 20))
        return got

    reader = threading.Thread(target=read_all)
    reader.start()
    assert lines.flush(10)
    reader.join(10)
    assert not reader.is_alive()


def test_one_that_waits_returns_with_the_next_line_or_the_end() -> None:
    ours, theirs = socket.socketpair()
    lines = LineSocket(ours, waits=True)
    speaker = threading.Timer(0.05, theirs.sendall, (b"hello\n",))
    speaker.start()
    assert lines.receive() == [b"hello"]
    speaker.join()
    ender = threading.Timer(0.05, lines.shut_down)
    ender.start()
    assert lines.receive() == []
    assert lines.ended == "it closed the connection"
    ender.join()
    lines.close()
    theirs.close()


def test_a_peer_that_is_gone_ends_no_process_in_which_a_library_gave_sigpipe_its_default() -> None:
    """As mrtparse does when it is imported."""
    talk = (
        "import signal, socket; from shutdownlab.system.line_socket import LineSocket; "
        "signal.signal(signal.SIGPIPE, signal.SIG_DFL); ours, theirs = socket.socketpair(); theirs.close(); "
        "lines = LineSocket(ours); print(lines.send(b'a\\n'), lines.ended, flush=True); "
        "ours, theirs = socket.socketpair(); theirs.close(); print(LineSocket(ours).send_with(b'a\\n', [0]))"
    )
    done = subprocess.run([sys.executable, "-c", talk], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "False Broken pipe\nFalse\n"), done.stderr


def test_open_files_go_with_a_line() -> None:
    ours, theirs = socket.socketpair()
    sender, receiver = LineSocket(ours, waits=True), LineSocket(theirs)
    reading, writing = os.pipe()
    assert sender.send_with(b"take this\n", [writing])
    os.close(writing)
    assert receiver.receive() == [b"take this"]
    (taken,) = receiver.take_files(1)
    with os.fdopen(taken, "w") as pipe:
        pipe.write("through it")
    with os.fdopen(reading) as pipe:
        assert pipe.read() == "through it"
    sender.close()
    receiver.close()
