"""A program on a lab's node, seen from outside: the part of `subprocess.Popen`'s interface that makes sense here."""

from __future__ import annotations

import io
import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import IO, Any

_CHUNK = 1 << 16


class Program:
    """A program that runs on a node. Started by `Lab.popen` and `Lab.serve`.

    args: its argv. node: where it runs. returncode: None while it runs, then as in `subprocess.Popen`: its exit code,
    or -N if signal N ended it (also if the lab ended). stdin, stdout, stderr: file objects if PIPE was requested, else
    None.
    """

    def __init__(self, node: str, args: Sequence[str], send_signal: Callable[[int], None]) -> None:
        """Made by `Lab`. send_signal: sends a signal to the program."""
        self.node = node
        self.args = list(args)
        self.returncode: int | None = None
        self.stdin: IO[Any] | None = None
        self.stdout: IO[Any] | None = None
        self.stderr: IO[Any] | None = None
        self._over = threading.Event()
        self._send_signal = send_signal

    def ended(self, status: int) -> None:
        """Called by `Lab` when the program has ended with `status`."""
        if not self._over.is_set():
            self.returncode = status
            self._over.set()

    def poll(self) -> int | None:
        """Returns `returncode` without waiting."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Waits at most `timeout` seconds for its end; returns `returncode`. Raises subprocess.TimeoutExpired."""
        if not self._over.wait(timeout):
            raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Sends a signal to it and all its children; does nothing if it has ended."""
        if self.returncode is None:
            self._send_signal(number)

    def terminate(self) -> None:
        """Sends SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Sends SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def communicate(self, input: Any = None, timeout: float | None = None) -> tuple[Any, Any]:  # noqa: A002
        """Writes `input`, reads both outputs to their ends and waits; returns (stdout, stderr), None if not piped.

        Raises subprocess.TimeoutExpired with the output so far, as bytes, in `output` and `stderr`; the program keeps
        running.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        text = next((f for f in (self.stdin, self.stdout, self.stderr) if isinstance(f, io.TextIOBase)), None)
        given = input.encode() if isinstance(input, str) else bytes(input or b"")
        read = _exchange(self.stdin, given, [f for f in (self.stdout, self.stderr) if f is not None], deadline)
        outputs = [None if f is None else read[f] for f in (self.stdout, self.stderr)]
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        late = any(file is not None and not file.closed for file in (self.stdout, self.stderr))
        if late or not self._over.wait(left):
            raise subprocess.TimeoutExpired(self.args, timeout or 0.0, outputs[0], outputs[1])
        out, err = (o if o is None or text is None else o.decode(errors="replace") for o in outputs)
        return out, err

    def __enter__(self) -> Program:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in (self.stdout, self.stderr, self.stdin):
            if file is not None:
                file.close()
        self.wait()

    def __repr__(self) -> str:
        state = "running" if self.returncode is None else f"ended with {self.returncode}"
        return f"<{type(self).__name__} {self.args[0]!r} on {self.node}: {state}>"


def _exchange(
    stdin: IO[Any] | None, given: bytes, outputs: Sequence[IO[Any]], deadline: float | None
) -> dict[IO[Any], bytes]:
    """Writes to one pipe while reading the others to their ends; returns what was read. Closes each when it is done."""
    read: dict[IO[Any], bytes] = dict.fromkeys(outputs, b"")
    with selectors.DefaultSelector() as selector:
        for output in outputs:
            selector.register(output, selectors.EVENT_READ)
        if stdin is not None and not stdin.closed:
            if given:
                os.set_blocking(stdin.fileno(), False)
                selector.register(stdin, selectors.EVENT_WRITE)
            else:
                stdin.close()
        while selector.get_map():
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                break
            for key, _ in selector.select(left):
                file: Any = key.fileobj
                if file is stdin:
                    given = _written(key.fd, given)
                    done = not given
                else:
                    data = os.read(key.fd, _CHUNK)
                    read[file] += data
                    done = not data
                if done:
                    selector.unregister(file)
                    file.close()
    return read


def _written(fd: int, given: bytes) -> bytes:
    """Writes what the pipe accepts; returns the rest, which is empty if its reader has gone."""
    try:
        return given[os.write(fd, given) :]
    except BlockingIOError:
        return given
    except BrokenPipeError:
        return b""


class Server(Program):
    """A program that listens. Started by `Lab.serve`; `ports` are those on which it was seen to listen."""

    ports: tuple[str, ...] = ()
    _log: IO[bytes] | None = None

    def log_to(self, log: IO[bytes]) -> None:
        """Called by `Lab` with the file that gets the program's output."""
        self._log = log

    @property
    def output(self) -> str:
        """Its standard output and error so far."""
        if self._log is None:
            return ""
        return os.pread(self._log.fileno(), os.fstat(self._log.fileno()).st_size, 0).decode(errors="replace")

    def stop(self, timeout: float = 5.0) -> None:
        """Stops it: SIGTERM, then SIGKILL after `timeout` seconds. Returns once it has ended."""
        self.terminate()
        try:
            self.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            self.wait()

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
