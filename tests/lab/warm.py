"""Starts of the command line from a process that has imported it: imports are most of what a refusal takes.

A start is a process of its own all the same: forked from one without threads, which has run nothing else, with its own
arguments, environment, directory and standard streams, and it ends as an interpreter does.
"""

from __future__ import annotations

import json
import os
import pkgutil
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from tempfile import TemporaryFile

_SERVE = "import sys, warm; warm.serve(int(sys.argv[1]))"
_NO_COMMAND_NEEDS = ("shutdownlab.__main__", "shutdownlab.pytest_plugin")
_MOST_BYTES = 1_000_000
"""Of a request."""

_server: list[socket.socket] = []
"""The one for all tests of this process; it ends with it."""


def start(arguments: Sequence[str], place: Path, env: Mapping[str, str], stdin: str, longest: float) -> tuple[int, str]:
    """`shutdownlab ARGUMENTS` in `place`, with this environment; its exit code, and what it wrote to both streams.

    Raises `subprocess.TimeoutExpired` after so many seconds, and kills it.
    """
    asked = _server[0] if _server else _served(env)
    request = json.dumps({"arguments": arguments, "place": str(place), "env": dict(env), "stdin": stdin})
    with TemporaryFile() as output:
        asked.settimeout(None)
        socket.send_fds(asked, [request.encode()], [output.fileno()])
        pid = int(asked.recv(100))
        asked.settimeout(longest)
        try:
            code = int(asked.recv(100))
        except TimeoutError:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            asked.settimeout(None)
            asked.recv(100)
            raise subprocess.TimeoutExpired(["shutdownlab", *arguments], longest) from None
        output.seek(0)
        return code, TextIOWrapper(output, encoding="utf-8").read()  # its lines end as where subprocess reads text


def _served(env: Mapping[str, str]) -> socket.socket:
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with its:
        subprocess.Popen([sys.executable, "-c", _SERVE, str(its.fileno())], env=env, pass_fds=[its.fileno()])
    _server.append(ours)
    return ours


def serve(descriptor: int) -> None:
    """Import the program; then fork a start for each request that comes over the socket, until its other end is closed.

    In a start, raises what the command ends with.
    """
    import shutdownlab
    from shutdownlab.cli import main

    for module in pkgutil.walk_packages(shutdownlab.__path__, "shutdownlab."):
        if module.name not in _NO_COMMAND_NEEDS:
            import_module(module.name)
    threads = len(list(Path("/proc/self/task").iterdir()))
    assert threads == 1, f"{threads - 1} threads would be lost in a start"
    with socket.socket(fileno=descriptor) as asked:
        while True:
            data, descriptors, *_ = socket.recv_fds(asked, _MOST_BYTES, 1)
            if not data:
                return
            pid = os.fork()
            if pid == 0:
                break
            os.close(descriptors[0])
            asked.send(str(pid).encode())
            _, status = os.waitpid(pid, 0)
            asked.send(str(os.waitstatus_to_exitcode(status)).encode())
    _become(json.loads(data), descriptors[0])
    main()


def _become(request: dict[str, object], output: int) -> None:
    """Have this process's arguments, environment, directory and standard streams be those that were asked for."""
    typed, written = os.pipe()
    os.set_blocking(written, False)  # what is too long for a pipe that nobody reads yet is an error
    stdin = str(request["stdin"]).encode()
    assert os.write(written, stdin) == len(stdin) if stdin else True
    os.close(written)
    for descriptor, standards in ((typed, [0]), (output, [1, 2])):
        for standard in standards:
            os.dup2(descriptor, standard)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(str(request["place"]))
    sys.argv = ["shutdownlab", *request["arguments"]]
