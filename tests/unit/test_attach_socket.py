"""Where labs listen for other terminals: a place that is the user's own, and which lab is meant."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shutdownlab.config.problems import BadInput
from shutdownlab.country import attach_socket
from shutdownlab.country.attach_socket import UnsafePlace, connect, lab_named, listen, offered, peer_user, running_labs


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of this test's labs alone."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path / f"shutdownlab-{os.geteuid()}"


@contextmanager
def a_lab(title: str) -> Iterator[socket.socket]:
    with offered(title) as found:
        assert found.why == ""
        listener = listen(os.dup(found.descriptor))
        with listener:
            yield listener


def refusal(which: str | None = None) -> str:
    with pytest.raises(BadInput) as refused:
        lab_named(which, "--lab")
    return "\n".join(refused.value.lines())


def test_without_a_lab_it_is_said_how_to_start_one() -> None:
    assert refusal() == (
        "attach: found no running lab of yours; expected a running lab, or a run that was kept open\n"
        "    hint: start one in another terminal: `shutdownlab lab NAME`, or `run --keep`"
    )


def test_a_lab_that_is_not_up_yet_is_reported_and_not_taken_for_a_dead_one() -> None:
    with offered("later"):
        for _ in range(2):
            assert f"only {os.getpid()} (later), which is still starting" in refusal()


def test_the_only_lab_is_meant_without_a_name_and_found_by_its_process_or_its_name() -> None:
    with a_lab("one") as listener:
        for which in (None, str(os.getpid()), "one"):
            with connect(lab_named(which, "--lab")) as connected, listener.accept()[0] as taken:
                assert peer_user(taken) == peer_user(connected) == os.geteuid()
        assert f"found unknown lab 'two'; expected one of {os.getpid()} (one)" in refusal("two")


def test_of_several_labs_one_must_be_named(folder: Path) -> None:
    with a_lab("one"), a_lab("two"):
        assert (
            f"found 2 labs running: {os.getpid()} (one), {os.getpid()} (two); expected the choice of one" in refusal()
        )
        assert lab_named("two", "--lab").title == "two"
        assert len(list(folder.iterdir())) == 2
    assert list(folder.iterdir()) == [], "a lab that has ended leaves nothing"


def test_a_lab_that_ends_while_labs_are_listed_does_not_hide_the_others(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = os.scandir

    def ended_meanwhile(at: int) -> list[os.DirEntry[str]]:
        entries = list(listed(at))
        (folder / f"{os.getpid()}.ending").unlink(missing_ok=True)
        return entries

    with a_lab("ending"), a_lab("staying"):
        monkeypatch.setattr(os, "scandir", ended_meanwhile)
        assert lab_named(None, "--lab").title == "staying"
        monkeypatch.undo()


def test_what_a_killed_lab_has_left_is_removed_and_not_offered(folder: Path) -> None:
    child = os.fork()
    if child == 0:
        try:
            made = attach_socket.offered("killed")
            made.__enter__()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert [path.name for path in folder.iterdir()] == [f"{child}.killed"]
    assert running_labs() == ([], [])
    assert list(folder.iterdir()) == []


def test_the_place_may_be_deeper_than_a_socket_s_address_is_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path.joinpath(*["a-long-name-of-a-directory"] * 8)
    deep.mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    with a_lab("deep") as listener, connect(lab_named(None, "--lab")), listener.accept()[0]:
        pass


def another_s(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    os.chown(folder, 12345, 12345)


def open_to_all(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o755)


def link(folder: Path) -> None:
    (folder.parent / "elsewhere").mkdir(mode=0o700)
    folder.symlink_to("elsewhere")


@pytest.mark.parametrize(
    ("make", "why"),
    [
        pytest.param(
            another_s,
            "belongs to another user",
            marks=pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a directory away"),
        ),
        (open_to_all, "is open to other users; chmod 700"),
        (link, "is not a directory of yours"),
        (Path.touch, "is not a directory of yours"),
    ],
)
def test_a_place_that_others_could_reach_is_neither_used_nor_believed(folder: Path, make: object, why: str) -> None:
    assert callable(make)
    make(folder)
    with offered("one") as found:
        assert found.descriptor == -1
        assert why in found.why
    with pytest.raises(UnsafePlace, match=why):
        running_labs()
