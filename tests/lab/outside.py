"""Starts sandboxes in processes of their own, as this user or as an ordinary one, and watches what is left of them."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
ORDINARY = 65534
"""User id `nobody` has everywhere."""

_RUN = (
    "import json, signal, sys; from pathlib import Path; from shutdownlab.system.sandbox import run_in_sandbox; "
    "signal.signal(signal.SIGHUP, signal.SIG_DFL); "  # the tests may run under nohup
    "sys.exit(run_in_sandbox(sys.argv[1], json.loads(sys.argv[2]), run_dir=Path(sys.argv[3])))"
)
_OPEN_TUN = (
    "mount --make-rprivate / && mount -t tmpfs tmpfs /run && mknod -m 666 /run/tun c 10 200 "
    '&& mount --bind /run/tun /dev/net/tun && exec "$@"'
)


def command(user: str, target: str, payload: Mapping[str, Any], run_dir: Path) -> tuple[list[str], dict[str, str]]:
    """The argv and the environment of a process that runs `target` in a sandbox. user: "same" or "ordinary".

    Skips the test where an ordinary user can't be had.
    """
    python, env = python_of(user, run_dir)
    return [*python, "-c", _RUN, target, json.dumps(payload), str(run_dir)], env


def python_of(user: str, run_dir: Path) -> tuple[list[str], dict[str, str]]:
    """The argv of a Python with our modules, run as this user ("same") or an "ordinary" one, and its environment.

    run_dir is given to that user. Skips the test where an ordinary user can't be had.
    """
    packages = [entry for entry in sys.path if entry.endswith("site-packages")]
    own = run_dir.parent / f"{run_dir.name}-site"
    own.mkdir(exist_ok=True)
    # PYTHONPATH alone leaves out what an editable install knows: shutdownlab.scenarios and its like.
    (own / "sitecustomize.py").write_text(f"import site\nfor place in {packages!r}:\n    site.addsitedir(place)\n")
    places = [str(own), str(HERE), str(ROOT), *packages]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(places), "PYTHONDONTWRITEBYTECODE": "1"}
    if user == "same":
        return [sys.executable], env
    if os.geteuid() != 0:
        pytest.skip("not root: this run is an ordinary user's already")
    os.chown(run_dir, ORDINARY, ORDINARY)
    for parent in run_dir.parents:
        if parent.stat().st_uid == 0 and parent.is_relative_to("/tmp") and parent != Path("/tmp"):
            parent.chmod(parent.stat().st_mode | stat.S_IXOTH)
    become = [
        "setpriv",
        f"--reuid={ORDINARY}",
        f"--regid={ORDINARY}",
        "--clear-groups",
        "env",
    ]  # setpriv itself keeps root's rights until it has found the program
    if stat.S_IMODE(Path("/dev/net/tun").stat().st_mode) & 0o006 != 0o006:
        become = ["unshare", "--mount", "sh", "-c", _OPEN_TUN, "sh", *become]
    env["HOME"] = "/"
    return [*become, _python_for_all(become, env)], env


def machine_of_its_own(user: str, run_dir: Path) -> tuple[list[str], dict[str, str]]:
    """The argv of a Python, as `python_of`, in namespaces that play a machine (no sandbox: root's holds no other)."""
    (*become, python), env = python_of(user, run_dir)
    root = user == "same" and os.geteuid() == 0
    machine = ["unshare", "--net", "--mount", *([] if root else ["--user", "--map-root-user"])]
    return [*become, *machine, "sh", "-c", 'mount -t tmpfs tmpfs /run && exec "$@"', "sh", python], env


def _python_for_all(become: list[str], env: dict[str, str]) -> str:
    """A Python of this version that the ordinary user may run with our modules."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    for python in (sys.executable, f"/usr/bin/python{version}"):
        needed = "import mininet.net, pyroute2, shutdownlab.network.net, shutdownlab.scenarios"
        trial = [*become, python, "-c", needed]
        try:
            if subprocess.run(trial, env=env, cwd="/", capture_output=True, check=False).returncode == 0:
                return python
        except OSError:
            continue
    return pytest.skip(
        f"user {ORDINARY} can run neither {sys.executable} nor /usr/bin/python{version} with our modules"
    )


def wait_until(condition: Callable[[], object], what: str, seconds: float = 60.0) -> None:
    """Fail if `condition` isn't true within so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.02)


def descendants(pid: int) -> list[int]:
    """All processes below one, itself included, parents first."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found = [pid]
    for each in found:
        found += children.get(each, [])
    return found


def names(pid: int) -> str:
    """A process's short name; empty when it has gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def links(pid: int) -> list[str]:
    """The links, but lo, of the network namespace where a process is, never of ours; none where it is gone already."""
    try:
        theirs = Path(f"/proc/{pid}/ns/net").readlink()
    except FileNotFoundError:
        return []
    assert theirs != Path("/proc/self/ns/net").readlink(), f"the process {pid} is in no namespace of its own"
    listed = subprocess.run([*_beside(pid), "ip", "-json", "link"], capture_output=True, text=True, check=False).stdout
    return [link["ifname"] for link in json.loads(listed or "[]") if link["ifname"] != "lo"]


def cut_off(pid: int) -> None:
    """Take down every link of the network namespace where a process is, never of ours; gone already is fine."""
    for link in links(pid):
        subprocess.run([*_beside(pid), "ip", "link", "set", link, "down"], check=False)


def _beside(pid: int) -> list[str]:
    """How a command begins that is to run in the network namespace of a process."""
    return ["nsenter", f"--target={pid}", "--user", "--net", "--preserve-credentials"]


KINDS = ("net", "mnt", "pid", "ipc", "uts", "user")


class Namespaces(set[str]):
    """Namespaces by their names, held: the kernel gives the number of one that is gone to the next that is made."""

    def __init__(self) -> None:
        super().__init__()
        self._held: list[int] = []

    def take(self, path: Path) -> None:
        """Add the one that this file of /proc stands for, if it is still there and new."""
        with suppress(OSError):
            if str(path.readlink()) not in self:
                self._held.append(os.open(path, os.O_RDONLY))
                self.add(str(Path(f"/proc/self/fd/{self._held[-1]}").readlink()))

    def __del__(self) -> None:
        for descriptor in self._held:
            os.close(descriptor)


def namespaces(pids: list[int]) -> Namespaces:
    """The namespaces these processes are in, and we are not."""
    found = Namespaces()
    for pid in pids:
        for kind in KINDS:
            found.take(Path(f"/proc/{pid}/ns/{kind}"))
    found -= _names("self")
    return found


def in_namespaces(wanted: set[str]) -> list[int]:
    """Every process of the machine that is in one of them."""
    everyone = (entry.name for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [int(process) for process in everyone if _names(process) & wanted]


def _names(process: str) -> set[str]:
    found = set()
    for kind in KINDS:
        with suppress(OSError):
            found.add(str(Path(f"/proc/{process}/ns/{kind}").readlink()))
    return found
