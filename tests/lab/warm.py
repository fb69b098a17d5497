"""Starts of the command line from a process that has imported it: imports are most of what a refusal takes.

A start is a process of its own all the same: forked from one without threads, which has run nothing else, with its own
arguments, environment, directory and standard streams, and it ends as an interpreter does. The first sandbox that it
starts gets such a process for its gate too, in place of a new interpreter: a child of the start, forked before this has
run anything.
"""

from __future__ import annotations

import fcntl
import gc
import json
import os
import pickle
import pkgutil
import resource
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from tempfile import TemporaryFile
from types import SimpleNamespace
from typing import IO, Any

from pydantic import BaseModel

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
    for model in _below(BaseModel):
        model.model_rebuild()  # a start does so when it first needs one
    threads = len(list(Path("/proc/self/task").iterdir()))
    assert threads == 1, f"{threads - 1} threads would be lost in a start"
    gc.freeze()  # what no start changes stays shared with it
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
    _keep_a_gate_ready()
    main()


def _below(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for each in model.__subclasses__():
        yield each
        yield from _below(each)


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


_STANDARD = (0, 1, 2)
_OUT_OF_THE_WAY = 200
"""Descriptors from here on are none that a sandbox is given."""


def _keep_a_gate_ready() -> None:
    """Have the first sandbox of this process start in a child that is forked now; the others as ever."""
    from shutdownlab.system import sandbox

    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid == 0:
        ours.close()
        _be_a_gate(its)
    its.close()
    ready = [(pid, ours)]

    def popen(argv: Sequence[str], **options: Any) -> object:
        streams = [options[name] for name in ("stdin", "stdout", "stderr")]
        if not ready or subprocess.PIPE in streams:
            return subprocess.Popen(argv, **options)
        number, asked = ready.pop()
        with asked, Path(os.devnull).open("r+b", 0) as nothing:
            used = [nothing if stream == subprocess.DEVNULL else stream for stream in streams]
            _ask_gate(asked, argv, used, options["pass_fds"], options["start_new_session"])
        return _Gate(number, argv)

    vars(sandbox)["subprocess"] = SimpleNamespace(Popen=popen)


def _ask_gate(
    asked: socket.socket,
    argv: Sequence[str],
    streams: Iterable[int | IO[bytes] | None],
    pass_fds: Sequence[int],
    own_session: bool,
) -> None:
    """Hand over what an interpreter that is started now would inherit from this process."""
    given = [
        standard if stream is None else stream if isinstance(stream, int) else stream.fileno()
        for standard, stream in zip(_STANDARD, streams, strict=True)
    ]
    ignored = [number for number in signal.valid_signals() if signal.getsignal(number) is signal.SIG_IGN]
    order = {
        "arguments": argv[argv.index("-c") + 2 :],
        "place": str(Path.cwd()),
        "environment": dict(os.environ),
        "ignored": list(map(int, ignored)),
        "blocked": list(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, ()))),
        "own_session": own_session,
        "numbers": [*_STANDARD, *pass_fds],
    }
    socket.send_fds(asked, [json.dumps(order).encode()], [*given, *pass_fds])


def _be_a_gate(asked: socket.socket) -> None:
    """Wait for a sandbox to be started, then be its gate; end with this process's parent where there is none."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    data, descriptors, *_ = socket.recv_fds(asked, _MOST_BYTES, 100)
    if not data:
        os._exit(0)
    order = json.loads(data)
    moved = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _OUT_OF_THE_WAY) for descriptor in descriptors]
    os.closerange(0, _OUT_OF_THE_WAY)
    for descriptor, number in zip(moved, order["numbers"], strict=True):
        os.dup2(descriptor, number)
        os.close(descriptor)
    if order["own_session"]:
        os.setsid()
    for kind in {value for name, value in vars(resource).items() if name.startswith("RLIMIT_")}:
        resource.setrlimit(kind, resource.prlimit(os.getppid(), kind))
    os.environ.clear()
    os.environ.update(order["environment"])
    os.chdir(order["place"])
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        if callable(signal.getsignal(number)) or number in order["ignored"]:
            ignored = number in order["ignored"]
            default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
            signal.signal(number, signal.SIG_IGN if ignored else default)
    signal.pthread_sigmask(signal.SIG_SETMASK, order["blocked"])
    sys.argv = ["-c", *order["arguments"]]
    _boot(*map(int, order["arguments"]))


def _boot(order_fd: int, report_fd: int, parent: int) -> None:
    """What `shutdownlab.system.sandbox` has a new interpreter do, but for finding the package, which is imported."""
    import shutdownlab
    from shutdownlab.system.sandbox import pass_gate

    order = os.fdopen(order_fd, "rb")
    sys.path[:], package = pickle.load(order)
    assert Path(package).samefile(str(shutdownlab.__file__)), package
    pass_gate(order, report_fd, parent)


class _Gate:
    """As much of `subprocess.Popen` as a sandbox needs of its gate."""

    def __init__(self, pid: int, argv: Sequence[str]) -> None:
        self.pid = pid
        self.args = argv
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.poll() is None:
            ended = os.pidfd_open(self.pid)
            try:
                if not select.select([ended], [], [], timeout)[0]:
                    raise subprocess.TimeoutExpired(list(self.args), timeout or 0)
            finally:
                os.close(ended)
        code = self.poll()
        assert code is not None
        return code

    def kill(self) -> None:
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)
