"""Forked children: what parent and child tell each other, and every way in which a child ends."""

from __future__ import annotations

import logging
import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shutdownlab.system import polling
from shutdownlab.system.child_process import Child, Forked, ForkedError, fork


@contextmanager
def running(main: object, enter: object = None, *, aside: bool = True) -> Iterator[Forked]:
    child = fork("tested", main, enter, aside=aside)  # type: ignore[arg-type]
    try:
        yield child
    finally:
        child.end(0)
        child.close()


def echo(child: Child) -> None:
    """Send every line back until told to stop."""
    child.ready()
    while True:
        readable = select.select([child.lines, child.stop_fd], [], [])[0]
        for line in child.receive():
            child.send(line + b"!\n")
        if child.stop_fd in readable:
            child.send(b"stopped\n")
            return


def test_parent_and_child_speak_in_lines_both_ways() -> None:
    with running(echo) as child:
        child.wait_ready()
        assert child.send(b"one\n")
        assert select.select([child], [], [], 10)[0]
        assert child.receive() == [b"one!"]
        assert child.stop() == [b"stopped"]
        assert (child.status, child.failure) == (0, None)


def test_what_a_child_says_last_is_heard_however_much_it_is() -> None:
    many = 200_000

    def main(child: Child) -> None:
        for number in range(many):
            child.send(b"%d\n" % number)

    with running(main) as child:
        assert child.wait(20) == 0
        lines = child.receive()
    assert lines[-1] == b"%d" % (many - 1)
    assert len(lines) == many


def test_an_exception_in_a_child_is_its_failure(capfd: pytest.CaptureFixture[str]) -> None:
    def main(child: Child) -> None:
        child.ready()
        raise RuntimeError("a reason")

    with running(main) as child:
        assert child.wait(10) == 1
        assert child.failure is not None
        assert "RuntimeError: a reason" in child.failure
        assert child.is_ready
    assert "RuntimeError: a reason" in capfd.readouterr().err


def test_a_child_that_fails_before_it_is_ready_says_why() -> None:
    def main(child: Child) -> None:
        raise RuntimeError("no interface")

    with running(main) as child, pytest.raises(ForkedError, match="no interface"):
        child.wait_ready()


def test_a_child_that_is_killed_before_it_is_ready_is_reported() -> None:
    def main(child: Child) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with running(main) as child, pytest.raises(ForkedError, match="was killed by SIGKILL"):
        child.wait_ready()


def test_a_child_that_does_not_stop_is_killed() -> None:
    def main(child: Child) -> None:
        child.ready()
        signal.pause()
        while True:
            signal.pause()

    with running(main) as child:
        child.wait_ready()
        with pytest.raises(ForkedError, match="was killed"):
            child.stop(0.1)
        assert child.status == -signal.SIGKILL


def test_a_child_enters_before_the_descriptors_of_its_parent_are_closed() -> None:
    reading, writing = os.pipe()

    def enter() -> None:
        os.write(writing, b"entered")

    def main(child: Child) -> None:
        try:
            os.write(writing, b"still open")
        except OSError:
            child.send(b"closed\n")

    with running(main, enter) as child:
        assert child.wait(10) == 0
        assert child.receive() == [b"closed"]
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        assert pipe.read() == b"entered"


def test_a_child_leaves_the_keyboard_s_signals_to_its_parent() -> None:
    with running(echo) as child:
        child.wait_ready()
        os.kill(child.pid, signal.SIGINT)
        os.kill(child.pid, signal.SIGHUP)
        assert child.send(b"there\n")
        assert select.select([child], [], [], 10)[0]
        assert child.receive() == [b"there!"]


def test_a_child_has_a_session_of_its_own_by_which_linux_shares_processors_out() -> None:
    with running(echo) as child:
        child.wait_ready()
        assert os.getsid(child.pid) == child.pid != os.getsid(0)
    with running(echo, aside=False) as child:
        child.wait_ready()
        assert os.getsid(child.pid) == os.getsid(0), "it has its turn with all others of its parent's session"


def test_what_a_child_logs_does_not_reach_what_has_the_descriptor_of_a_file_that_was_closed(tmp_path: Path) -> None:
    def log(child: Child) -> None:
        logging.getLogger("library").warning("what a library has to say")
        child.send(b"told to stop\n" if polling.wait([child.stop_fd], seconds=0.1) else b"at work\n")

    handlers = [logging.FileHandler(tmp_path / f"log{number}") for number in range(8)]
    logging.root.handlers += handlers
    try:
        with running(log) as child:
            assert child.wait(20) == 0
            assert child.receive() == [b"at work"]
    finally:
        for handler in handlers:
            logging.root.removeHandler(handler)
            handler.close()
