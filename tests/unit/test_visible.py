"""What of /tmp and /run a command in a lab needs: seen inside, or said to be lost before anything starts."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from shutdownlab.country.visible import Needs, needs


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder right under /tmp with a tool in it; a working directory elsewhere, and a PATH without any of it."""
    folder = Path(tempfile.mkdtemp(prefix="visible-", dir="/tmp"))
    (folder / "bin").mkdir()
    tool = folder / "bin/tool"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    monkeypatch.chdir("/usr")
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    yield folder
    shutil.rmtree(folder)


def test_a_command_that_has_nothing_to_do_with_tmp_needs_nothing() -> None:
    found = needs((), ["curl", "-m", "5", "https://kaspi.kz/tmp/x", "/usr/tmp/y", "a/tmp/b"])
    assert (found.lost, found.note()) == ((), "")


@pytest.mark.parametrize("text", ["a/" + "x" * 100_000, "/tmp/" + "x" * 5000, "nul/\0", "\udcff/\udcfe"])
def test_words_that_are_no_names_of_files_are_no_mistake(text: str) -> None:
    assert needs((), ["sh", "-c", text]).keep == needs(()).keep


def test_a_place_of_the_path_that_may_not_be_looked_at_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_path: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setenv("PATH", "/tmp/closed/bin:/closed/bin:/usr/bin")
    monkeypatch.setattr(Path, "is_dir", refused)
    assert needs((), ["sh"]).keep == ()


def test_a_tool_is_seen_with_all_that_is_installed_beside_it(installed: Path) -> None:
    assert set(needs((), [f"{installed}/bin/tool"]).keep) == {installed, installed / "bin/tool"}


def test_a_tool_on_the_path_or_behind_a_link_or_an_interpreter_is_found(
    installed: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", f"{installed}/bin:/usr/bin:/nowhere:relative")
    assert needs((), ["tool"]).keep == (installed,)
    assert needs((), ["sh", "-c", "tool | sort"]).keep == (installed,)
    monkeypatch.setenv("PATH", "/usr/bin")
    script = installed / "bin/script"
    shutil.copy(sys.executable, installed / "bin/python")
    for outside in (Path("/dev/shm"), Path("/root")):
        if outside.is_dir():
            break
    link = outside / f"{installed.name}-link"
    script.write_text(f"#!{installed}/bin/python -s\n")
    script.chmod(0o755)
    link.symlink_to(script)
    try:
        assert needs((), [str(link)]).keep == (installed,)
    finally:
        link.unlink()


def test_files_that_the_command_or_its_shell_names_are_seen_and_tools_with_what_is_beside_them(installed: Path) -> None:
    data, tool = installed / "data", installed / "bin/tool"
    data.touch()
    texts = (f"cat <{data}|wc", f"--config={data}", f"{data},{data}", str(data))
    for argv in (["x", text] for text in texts):
        assert needs((), argv) == Needs((data,)), argv
    assert needs((), ["sh", "-c", f"ls {installed}/d??a {installed}/nothing*"]) == Needs((data,))
    assert set(needs((), ["sh", "-c", f"x; {tool} y"]).keep) == {installed, tool}


def test_what_would_be_written_to_tmp_and_lost_is_said(installed: Path) -> None:
    found = needs((), ["sh", "-c", f"curl -o /tmp/page.html https://x/; ls /run; cat {installed}/bin/tool"])
    assert found.lost == ("/tmp/page.html", "/run")
    assert found.note() == (
        "/tmp, /run, /var/tmp and /var/log belong to the lab: empty at first, deleted at the end; to keep what is "
        "written to /tmp/page.html, /run, write it below /usr"
    )


def test_lines_of_a_script_count_as_the_command_does(installed: Path) -> None:
    found = needs([f"northnet-coast {installed}/bin/tool", "# a comment", "northnet-coast tcpdump -w /var/tmp/x.pcap"])
    assert (set(found.keep), found.lost) == ({installed, installed / "bin/tool"}, ("/var/tmp/x.pcap",))


def test_a_user_whose_directory_is_in_tmp_is_told_that_its_files_are_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/tmp")
    assert Needs().note().endswith("and so is everything written to /tmp; to keep files, start in another directory")
