"""Waiting for descriptors."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from shutdownlab.system import polling
from shutdownlab.system.child_process import fork


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_readable_descriptors_are_distinguished_from_writable_ones(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    assert polling.wait([ours], seconds=0) == set()
    assert polling.wait([ours], [theirs], 5) == {theirs.fileno()}
    theirs.send(b"x")
    assert polling.wait([ours, theirs], seconds=5) == {ours.fileno()}
    theirs.close()
    ours.recv(1)
    assert polling.wait([ours], seconds=5) == {ours.fileno()}, "the end counts"


def test_a_time_that_is_over_already_is_no_mistake(pair: tuple[socket.socket, socket.socket]) -> None:
    assert polling.wait([pair[0]], seconds=-1.0) == set()


def test_descriptors_above_1023_are_waited_for() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2100:
        pytest.skip(f"this user may have {hard} files open")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2100), hard))
    ours, theirs = socket.socketpair()
    high = 2000
    try:
        os.dup2(ours.fileno(), high)
        theirs.send(b"x")
        assert polling.wait([high], seconds=5) == {high}
    finally:
        os.close(high)
        ours.close()
        theirs.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_without_poll_select_waits() -> None:
    code = (
        "import select, socket; del select.poll; from shutdownlab.system import polling; a, b = socket.socketpair(); "
        "b.send(b'x'); assert polling.wait([a], [b], 5) == {a.fileno(), b.fileno()}; a.recv(1); "
        "assert polling.wait([a], seconds=0) == set()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_child_is_heard_by_a_parent_with_a_thousand_files_open() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 1300:
        pytest.skip(f"this user may have {hard} files open")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1300), hard))
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        child = fork("child", lambda child: child.ready())
        child.wait_ready()
        assert child.end(10) == "ended with status 0"
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
