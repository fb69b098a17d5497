"""A short run of the fuzzer; `make fuzz` is the long one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from fuzz_check import HANG, Failure, Share, fuzz, fuzz_command, in_processes, write
from fuzz_documents import Documents

from shutdownlab import library


@pytest.fixture(autouse=True)
def back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where files are checked stays the working directory of a test only."""
    monkeypatch.chdir(Path.cwd())


@pytest.fixture
def seed() -> int:
    number = int.from_bytes(os.urandom(4), "big")
    print(f"seed {number}")  # shown if it fails
    return number


def test_two_hundred_files_are_checked_or_refused_with_messages_in_bounded_memory(seed: int, tmp_path: Path) -> None:
    (report,) = in_processes([Share(200, seed, tmp_path, stall=HANG)])
    assert not isinstance(report, str), report
    assert 0 < report["refused"] < 200


def test_through_the_command_there_are_messages_on_standard_error_and_nothing_else(seed: int, tmp_path: Path) -> None:
    fuzz_command(2, seed, tmp_path)


def test_a_seed_makes_the_same_files_every_time() -> None:
    first, second = Documents(7), Documents(7)
    assert [first.files() for _ in range(20)] == [second.files() for _ in range(20)]


def test_the_fuzzer_notices_what_is_not_caught(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def broken(_name: str) -> None:
        raise OverflowError("on purpose")

    monkeypatch.setattr(library, "check", broken)
    with pytest.raises(Failure, match="on purpose"):
        fuzz(1, 1, tmp_path)


def test_the_files_of_a_failure_are_kept(tmp_path: Path) -> None:
    write({"main.yaml": b"a", "own.yaml": b"b"}, tmp_path)
    write({"main.yaml": b"c"}, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["main.yaml"]
