"""`sl.lab` wherever a program may run, and however it ends: nothing hangs, and nothing is left."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import outside
import pytest
import tiny
from invocation import invoke

import shutdownlab as sl

CAPITAL = "southcell/capital"
"""The subscriber of the tiny country."""


@pytest.fixture(scope="module")
def small_one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A country for tests in which it does not matter."""
    return tiny.written(tmp_path_factory.mktemp("country"), "southcell")


BUSY = """
import asyncio, threading
import shutdownlab as sl

def look(places):
    with sl.lab("two-operators") as lab:
        places.append(lab.exec("southcell/coast", ["hostname", "-I"]).stdout.split()[0])
        places.append(lab.probe("southcell/coast", "kaspi.kz").outcome)

async def cell():  # as in a notebook, whose kernel is an asyncio loop
    beside = []
    thread = threading.Thread(target=look, args=(beside,))
    thread.start()
    own = []
    look(own)
    thread.join()
    print(*own, *beside)

asyncio.run(cell())
"""


@pytest.mark.parametrize("user", [pytest.param("above a checkout", marks=pytest.mark.thorough), "ordinary"])
def test_two_labs_at_once_in_a_running_loop_and_in_a_thread(user: str, tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    if user == "ordinary":
        python, env = outside.python_of(user, place)
        cwd = Path("/")
    else:
        (place / "shutdownlab").symlink_to(outside.ROOT)
        python, env, cwd = [sys.executable], {n: v for n, v in os.environ.items() if n != "PYTHONPATH"}, place
    done = subprocess.run(
        [*python, "-c", BUSY], cwd=cwd, env=env, capture_output=True, text=True, timeout=180, check=False
    )
    assert (done.stdout, done.returncode) == ("100.65.2.10 ok 100.65.2.10 ok\n", 0), done.stderr


@contextmanager
def script(country: Path, *lines: str) -> Iterator[subprocess.Popen[str]]:
    """A program of its own that has a lab, `lab`; killed if it is still there at the end."""
    text = "\n".join(
        ["import shutdownlab as sl", f"with sl.lab({str(country)!r}) as lab:", *(f"    {line}" for line in lines)]
    )
    argv = [sys.executable, "-c", text]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for_end(namespaces: set[str]) -> None:
    assert namespaces
    outside.wait_until(lambda: not outside.in_namespaces(namespaces), "the end of every process of the lab")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_of_a_program_that_was_interrupted_or_killed(number: signal.Signals, small_one: Path) -> None:
    with script(small_one, "print('up', flush=True)", f"lab.exec('{CAPITAL}', ['sleep', '1000'])") as process:
        assert process.stdout
        assert process.stdout.readline() == "up\n", process.communicate()[1]
        namespaces = outside.namespaces(outside.descendants(process.pid))
        process.send_signal(number)
        _, complaint = process.communicate(timeout=60)
        assert process.returncode == -number
        assert ("KeyboardInterrupt" in complaint) == (number == signal.SIGINT)
        wait_for_end(namespaces)


@pytest.mark.thorough
def test_nothing_is_left_of_a_lab_that_nobody_closed_or_whose_building_was_interrupted(small_one: Path) -> None:
    argv = [sys.executable, "-c", "import shutdownlab as sl; lab = sl.lab('two-operators')\nprint(lab, flush=True)"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        outside.wait_until(lambda: "lab-worker" in map(outside.names, outside.descendants(process.pid)), "a worker")
        namespaces = outside.namespaces(outside.descendants(process.pid))
        assert process.communicate(timeout=120)[0] == "<Lab two-operators: 29 nodes, no phase>\n"
        wait_for_end(namespaces)
    with script(small_one, "pass") as process:
        outside.wait_until(lambda: "lab-worker" in map(outside.names, outside.descendants(process.pid)), "a worker")
        namespaces = outside.namespaces(outside.descendants(process.pid))
        process.send_signal(signal.SIGINT)
        begin = time.monotonic()
        process.communicate(timeout=60)
        assert time.monotonic() - begin < 30
        wait_for_end(namespaces)


def worker() -> int:
    """The process that runs the country of the one lab there is."""
    (found,) = [pid for pid in outside.descendants(os.getpid()) if outside.names(pid) == "lab-worker"]
    return found


def once_it_sleeps(lab: sl.Lab, pid: int, number: signal.Signals) -> None:
    """Send a signal to a process as soon as a `sleep` runs in the lab."""

    def send() -> None:
        lab.exec(CAPITAL, ["sh", "-c", "until pgrep -x sleep; do :; done"])
        os.kill(pid, number)

    threading.Thread(target=send).start()


def test_an_interrupted_call_leaves_the_lab_as_it_is(small_one: Path) -> None:
    with sl.lab(small_one) as lab:
        once_it_sleeps(lab, os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            lab.exec(CAPITAL, ["sleep", "98765"])
        shell = ["sh", "-c", "while pgrep -x sleep >/dev/null; do :; done"]
        assert lab.exec(CAPITAL, shell, timeout=10).returncode == 0, "what was interrupted is no more"

        # A lab whose inside dies answers everybody who waits, and everybody who comes later.
        waiting = lab.popen(CAPITAL, ["sleep", "98765"])
        once_it_sleeps(lab, worker(), signal.SIGKILL)
        with pytest.raises(sl.LabEnded, match="the country of tiny was killed by SIGKILL"):
            lab.exec(CAPITAL, ["sleep", "98765"])
        assert waiting.wait(5) == -signal.SIGKILL
        for call in (lambda: lab.probe(CAPITAL, "www.bbc.com"), lambda: lab.exec(CAPITAL, ["true"])):
            with pytest.raises(sl.LabEnded, match="was killed by SIGKILL"):
                call()
        assert lab.closed


@pytest.mark.thorough
def test_a_lab_whose_inside_does_not_react_is_closed_all_the_same(small_one: Path) -> None:
    with sl.lab(small_one) as lab:
        namespaces = outside.namespaces([worker()])
        os.kill(worker(), signal.SIGSTOP)
        begin = time.monotonic()
    assert time.monotonic() - begin < 30
    wait_for_end(namespaces)
    with pytest.raises(sl.LabEnded, match="this lab is closed"):
        lab.exec(CAPITAL, ["true"])
    lab.close()


def test_wrong_arguments_of_a_lab_are_reported_before_anything_is_started() -> None:
    with pytest.raises(sl.BadInput, match="at: found unknown phase 'black-out'"):
        sl.lab("first-shutdown", at="black-out")
    with pytest.raises(sl.BadInput, match="choose: found unknown account 'comand'"):
        sl.lab("first-shutdown", choose={"comand": "direct"})
    with pytest.raises(sl.BadInput, match="a topology has no phases"):
        sl.lab("two-operators", at="blackout")
    with pytest.raises(sl.BadInput, match="datapath: found unknown datapath 'fast'"):
        sl.lab("two-operators", datapath="fast")  # type: ignore[arg-type]
    with pytest.raises(sl.BadInput, match="no such file"):
        sl.lab("nonesuch")


def test_exec_sees_the_tools_and_files_of_tmp_that_its_command_names_and_says_what_is_lost(tmp_path: Path) -> None:
    place = Path(tempfile.mkdtemp(prefix="tools-", dir="/tmp"))
    try:
        (place / "lib").mkdir()
        (place / "lib/data").write_text("its own data\n")
        tool = place / "tool"
        tool.write_text(
            '#!/bin/sh\ncat "$(dirname "$0")/lib/data"; echo lost > /tmp/lost && echo kept > kept; cat "$1"\n'
        )
        tool.chmod(0o755)
        (place / "named").write_text("a file that is named\n")
        name = f"/tmp/{place.name}-not-there"
        done = invoke(
            tmp_path, "exec", "two-operators", "--from", "northnet/coast", "--",
            "sh", "-c", f"{tool} {place}/named; touch {place}/new || touch {name}",
        )  # fmt: skip
        assert done.code == 0, done.output
        assert "its own data\na file that is named\n" in done.output
        assert f"deleted at the end; to keep what is written to {place}/new, {name}, write it below " in done.output
        assert "Read-only file system" in done.output
        assert (tmp_path / "kept").read_text() == "kept\n"
        assert not (place / "new").exists() and not Path(name).exists()
    finally:
        shutil.rmtree(place)
