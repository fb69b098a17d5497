"""Nothing that runs in a sandbox can change the machine, whoever runs it: each way out is tried."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import outside
import pytest

USERS = pytest.mark.parametrize("user", ["same", "ordinary"])
DEVICES = {f"/dev/{name}" for name in ("full", "net/tun", "null", "random", "tty", "urandom", "zero", "pts/ptmx")}
# /dev/console: the terminal that a sandbox was started from, if there is one.
AT_A_TERMINAL = DEVICES | {"/dev/console"}


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory of the machine's that stays visible inside."""
    made = Path(tempfile.mkdtemp(prefix="shutdownlab-test-", dir="/var/lib" if os.geteuid() == 0 else Path.home()))
    yield made
    shutil.rmtree(made)


@USERS
def test_every_way_out_is_refused(user: str, place: Path, tmp_path: Path) -> None:
    result, made = tmp_path / "result", tmp_path / "made"
    file, secret, setuid = (place / name for name in ("file", "secret", "setuid"))
    file.write_text("as it was")
    shutil.copy("/usr/bin/touch", setuid)
    if os.geteuid() == 0:
        secret.write_text("another user's")
        secret.chmod(0o600)
        os.chown(secret, 12345, 12345)
        setuid.chmod(0o4755)
        place.chmod(0o755)
    else:
        secret = Path("/etc/shadow")  # nobody but root can make one of another user's
    neighbour = subprocess.Popen(["sleep", "600"])
    with (
        socket.socket(socket.AF_UNIX) as abstract,
        socket.socket(socket.AF_UNIX) as named,
        socket.create_server(("127.0.0.1", 0)) as server,
    ):
        named.bind(str(place / "socket"))
        (place / "socket").chmod(0o666)
        named.listen()
        abstract.bind(f"\0shutdownlab-{os.getpid()}")
        abstract.listen()
        payload = {
            "result": str(result),
            "file": str(file),
            "secret": str(secret),
            "setuid": str(setuid),
            "made": str(made),
            "process": neighbour.pid,
            "named": str(place / "socket"),
            "abstract": f"shutdownlab-{os.getpid()}",
            "port": server.getsockname()[1],
        }
        argv, env = outside.command(user, "escapes:attempts", payload, tmp_path)
        if user == "ordinary":
            os.chown(place, outside.ORDINARY, outside.ORDINARY)
            os.chown(file, outside.ORDINARY, outside.ORDINARY)
        with file.open() as given:
            done = subprocess.run(
                argv, stdin=given, env=env, cwd="/", capture_output=True, text=True, timeout=60, check=False
            )
    try:
        assert done.returncode == 0, done.stderr
        assert neighbour.poll() is None
    finally:
        neighbour.kill()
        neighbour.wait()
    told = json.loads(result.read_text())
    outcomes = told["outcomes"]
    assert len(outcomes) > 50
    assert {name for name, outcome in outcomes.items() if outcome == "done"} == set()
    assert outcomes["speak to the hypervisor"] == "EAFNOSUPPORT"
    assert outcomes["io_uring_setup"] == outcomes["userfaultfd"] == outcomes["clone3"] == "ENOSYS"
    assert outcomes["reach a socket by its name"] == "ECONNREFUSED"
    assert outcomes["write standard input's file"] == "EROFS"
    assert outcomes["enter a namespace of control groups"] == "EPERM"
    assert {outcomes[name] for name in ("keyctl", "add_key", "bpf", "init_module", "reboot", "settimeofday")} == {
        "EPERM"
    }
    assert outcomes["type into the terminal"] == "EPERM"
    assert DEVICES <= set(told["seen"]["devices"]) <= AT_A_TERMINAL
    assert told["seen"]["no new privileges"]
    assert max(told["seen"]["processes"]) < 20
    assert file.read_text() == "as it was"
    assert made.stat().st_uid == (outside.ORDINARY if user == "ordinary" else os.geteuid())


@pytest.mark.parametrize("user", [pytest.param("same", marks=pytest.mark.thorough), "ordinary"])
def test_a_command_that_stops_the_sandbox_does_not_hang_it_and_is_reported(user: str, tmp_path: Path) -> None:
    argv, env = outside.command(user, "escapes:stop", {}, tmp_path)
    begun = time.monotonic()
    done = subprocess.run(argv, env=env, cwd="/", capture_output=True, text=True, timeout=60, check=False)
    assert time.monotonic() - begun < 30
    assert "lab-worker, its process 2, has been stopped" in done.stderr


@USERS
def test_a_node_s_sys_names_the_node_s_interfaces(user: str, tmp_path: Path) -> None:
    result = tmp_path / "result"
    argv, env = outside.command(user, "escapes:own_sysfs", {"result": str(result)}, tmp_path)
    done = subprocess.run(argv, env=env, cwd="/", capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(result.read_text()) == [["eth7", "eth8", "lo"]] * 2


def test_what_a_command_leaves_of_standard_input_is_there_for_the_next(tmp_path: Path) -> None:
    (tmp_path / "numbers").write_text("1\n2\n3\n")
    argv, env = outside.command("same", "escapes:first_line", {}, tmp_path)
    with (tmp_path / "numbers").open() as given:
        done = subprocess.run(argv, stdin=given, env=env, capture_output=True, text=True, timeout=60, check=False)
        assert done.stdout == "1\n"
        assert os.read(given.fileno(), 100) == b"2\n3\n"
