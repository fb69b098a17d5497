"""Which files of servers somebody else has changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from shutdownlab.country.server_files import ServerFiles
from shutdownlab.servers.daemon import Daemon


@pytest.fixture
def resolver(tmp_path: Path) -> Daemon:
    files: dict[str, str | bytes] = {"unbound.conf": "server:\n", "root.zone": ". 60 IN SOA\n"}
    daemon = Daemon("unbound", "one-resolver", ("unbound",), tmp_path / "unbound", files)
    daemon.write()
    return daemon


@pytest.fixture
def noticing(resolver: Daemon) -> ServerFiles:
    files = ServerFiles()
    files.begin([resolver])
    return files


def test_files_that_nobody_changes_are_not_told_of(resolver: Daemon, noticing: ServerFiles) -> None:
    (resolver.directory / "unbound.log").write_text("a line of its own")
    assert list(noticing.found()) == []


def _written(path: Path) -> None:
    path.write_text("server: # longer than before")


def _replaced(path: Path) -> None:
    new = path.with_suffix(".new")
    new.write_text("server:\n")
    new.replace(path)


def _written_over(path: Path) -> None:
    """As `cp --preserve` does: octets as many, of the same time."""
    before = path.stat()
    path.write_text("serv&r:\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_file_that_is_written_replaced_or_removed_is_told_once_whenever_it_was(
    resolver: Daemon, noticing: ServerFiles
) -> None:
    for change in (
        _written,
        _replaced,
        _written_over,
        Path.unlink,
    ):
        change(resolver.directory / "unbound.conf")
        noticing.begin([resolver])
        assert list(noticing.found()) == ["somebody has changed unbound.conf of unbound on one-resolver"]
        assert list(noticing.found()) == []


def test_what_an_order_writes_is_not_told_of(resolver: Daemon, noticing: ServerFiles) -> None:
    path = resolver.directory / "unbound.conf"
    path.write_text("server: # by order")
    noticing.wrote(path)
    assert list(noticing.found()) == []


def test_a_program_that_a_user_brings_may_change_its_own_files(tmp_path: Path) -> None:
    daemon = Daemon("mine", "servers", ("mine",), tmp_path / "mine", {"state": "1"}, forks=True)
    daemon.write()
    noticing = ServerFiles()
    noticing.begin([daemon])
    (daemon.directory / "state").write_text("2, and more")
    assert list(noticing.found()) == []
