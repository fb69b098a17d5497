"""A program's connection to the country in its sandbox: starts it, sends requests, receives messages, and ends it.

A thread per connection starts the sandbox, which ends with the thread that started it, and receives its messages; any
thread may send requests. The other end is `country.lab_server`.
"""

from __future__ import annotations

import io
import itertools
import os
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import IO, Any, Final

from shutdownlab.country.lab_plan import LabPlan
from shutdownlab.country.lab_program import Program
from shutdownlab.country.message_socket import socket_pair
from shutdownlab.country.visible import on_path
from shutdownlab.protocol.messages import MessageError
from shutdownlab.protocol.session import (
    Abandon,
    AskBoxes,
    AskRoutes,
    Boxes,
    Done,
    Ended,
    LabFault,
    Measure,
    MeasureAll,
    Opened,
    Opening,
    ProbeAnswer,
    PutInForce,
    Refused,
    Routes,
    SignalProgram,
    StartProgram,
    Tried,
)
from shutdownlab.system.child_process import ending
from shutdownlab.system.sandbox import Sandbox, start_sandbox

_OPEN_S: Final = 300.0
"""Timeout of each step of building a country: each takes longer for a large country, or on a busy machine."""
_CLOSE_S: Final = 5.0
_TAIL: Final = 4000

Streams = tuple[int | IO[Any] | None, int | IO[Any] | None, int | IO[Any] | None]
"""Standard input, output and error as `subprocess.Popen` takes them."""


class LabError(RuntimeError):
    """Raised if the country failed a request: an order was not confirmed, a server does not listen, or it has ended."""


class LabEnded(LabError):
    """Raised once the country has ended or was closed, and so cannot answer."""


class LabConnection:
    """A connection, open once constructed. `opened`: the country's `Opened` message; `faults`: what has failed since.

    door: the socket at which other terminals' sessions are to be answered, if a socket was `offered` to them.
    """

    def __init__(self, plan: LabPlan, offered: int = -1) -> None:
        """offered: a socket's file descriptor. Raises `MachineCannot`, and `LabError` if the country does not start."""
        self.door: socket.socket | None = None
        self._offered = offered
        self.faults: list[str] = []
        self.why_ended: BaseException | None = None
        self._plan = plan
        self._link, keepers_end = socket_pair()
        self._owner = os.getpid()
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        opening: Future[Opened] = Future()
        self._pending: dict[int, Future[Any]] = {0: opening}
        self._programs: dict[int, Program] = {}
        self._trying: dict[int, Callable[[Tried], object]] = {}
        self._sandbox: Sandbox | None = None
        self._ending = False
        self._began: tuple[float, str] = time.monotonic(), "starting its sandbox"
        """When the current step of building began, and its name."""
        self._keeper = threading.Thread(target=self._keep, args=(keepers_end,), name=f"lab {plan.title}", daemon=True)
        self._keeper.start()
        try:
            self.opened = self._wait_open(opening)
        except BaseException:
            self._end(0.0)
            raise

    def _wait_open(self, opening: Future[Opened]) -> Opened:
        """Waits until the country is up; raises what `opening` does, and `LabError` if one step takes too long."""
        while True:
            since, step = self._began
            try:
                return opening.result(max(0.0, since + _OPEN_S - time.monotonic()))
            except FutureTimeout:
                if opening.done():
                    return opening.result()
                if self._began == (since, step):
                    raise LabError(f"{self._plan.title} is not up: {step} took more than {_OPEN_S:g} s") from None

    def number(self) -> int:
        """Returns a request number that no other request has."""
        return next(self._numbers)

    def ask(
        self,
        request: StartProgram | PutInForce | Measure | AskBoxes | AskRoutes,
        seconds: float,
        files: Sequence[int] = (),
    ) -> Any:
        """Sends a request and waits for its answer.

        Raises the refusal (`LabError`, `OSError`), `LabEnded`, and `LabError` if no answer comes in time.
        """
        future: Future[Any] = Future()
        with self._lock:
            if self.why_ended is not None:
                raise self.ended()
            self._pending[request.number] = future
        with suppress(OSError):  # it has just ended: the keeper will report it
            self._link.send(request, files)
        try:
            return future.result(seconds)
        except FutureTimeout:
            raise LabError(f"no answer from the country within {seconds:g} s") from None
        finally:
            with self._lock:
                self._pending.pop(request.number, None)

    def ask_all(
        self, request: MeasureAll, heard: Callable[[int, Future[Any]], object], tried: Callable[[Tried], object]
    ) -> None:
        """Sends a request for many measurements; calls `heard` with the number and answer of each as it arrives.

        `tried` is called before that if the first try failed. Raises `LabEnded`.
        """
        with self._lock:
            if self.why_ended is not None:
                raise self.ended()
            for each in request.asked:
                future = self._pending[each.number] = Future()
                future.add_done_callback(partial(heard, each.number))
                self._trying[each.number] = tried
        with suppress(OSError):
            self._link.send(request)

    def abandon(self, number: int) -> None:
        """Gives up what is left of a request for many measurements."""
        with suppress(OSError):
            self._link.send(Abandon(number))

    def ended(self) -> LabEnded:
        """Returns a new exception each time: one raised in several threads would gather all their tracebacks."""
        return LabEnded(str(self.why_ended))

    def signal(self, program: int, number: int) -> None:
        """Sends a signal to a program; does nothing if it, or the country, has ended."""
        with suppress(OSError):
            self._link.send(SignalProgram(program, int(number)))

    def start(self, request: StartProgram, program: Program, streams: Streams, text: bool, seconds: float) -> None:
        """Starts a program; pipes to it become its file objects, of text or bytes."""
        with ExitStack() as sent, ExitStack() as on_failure:
            files: list[int] = []
            for name, stream in zip(("stdin", "stdout", "stderr"), streams, strict=True):
                if stream == subprocess.PIPE:
                    own, other = _pipe(name == "stdin", text)
                    sent.callback(os.close, other)
                    on_failure.callback(own.close)
                    setattr(program, name, own)
                    files.append(other)
                elif stream == subprocess.STDOUT:
                    files.append(files[1])
                elif stream == subprocess.DEVNULL or (stream is None and name == "stdin"):
                    files.append(os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC))
                    sent.callback(os.close, files[-1])
                elif stream is None:
                    files.append(1 if name == "stdout" else 2)
                else:
                    files.append(stream if isinstance(stream, int) else stream.fileno())
            with self._lock:
                self._programs[request.number] = program
            try:
                self.ask(request, seconds, files)
            except BaseException as error:
                self._programs.pop(request.number, None)
                if not isinstance(error, OSError):  # it may have started: the answer was late, or Ctrl-C
                    self.signal(request.number, signal.SIGKILL)
                raise
            on_failure.pop_all()

    def close(self) -> None:
        """Ends the country within seconds; does nothing in a fork of the process that made the connection."""
        if os.getpid() == self._owner:
            self._end(_CLOSE_S)

    def _end(self, patience_s: float) -> None:
        self._ending = True
        self._link.hang_up()
        self._keeper.join(patience_s)
        if self._keeper.is_alive() and self._sandbox is not None:
            self._sandbox.gate.kill()
        self._keeper.join()

    # --- the keeper's thread ---

    def _keep(self, keepers_end: socket.socket) -> None:
        """Starts the sandbox, receives its messages, and waits for its end."""
        with tempfile.TemporaryFile() as output:
            try:
                with keepers_end:
                    self._sandbox = start_sandbox(
                        "shutdownlab.country.lab_server:serve",
                        {"plan": self._plan, "socket": keepers_end.fileno(), "offered": self._offered},
                        keep=[*self._plan.folders, *on_path()],
                        writable=[Path.cwd()],
                        stdin=subprocess.DEVNULL,
                        stdout=output,
                        stderr=output,
                        pass_fds=[keepers_end.fileno(), *([self._offered] if self._offered >= 0 else [])],
                        own_session=True,
                    )
                with suppress(EOFError, OSError, MessageError):
                    while True:
                        for message in self._link.receive():
                            self._hear(message)
                self._over(self._buried(self._sandbox, output))
            except BaseException as error:
                self._over(error)

    def _buried(self, sandbox: Sandbox, output: IO[bytes]) -> LabEnded:
        """Waits for the sandbox to end, killing it after some seconds; returns why it ended. Raises `MachineCannot`."""
        try:
            sandbox.gate.wait(_CLOSE_S)
        except subprocess.TimeoutExpired:
            sandbox.kill()
        status = sandbox.wait()
        if self._ending:
            return LabEnded("this lab is closed")
        size = os.fstat(output.fileno()).st_size
        tail = os.pread(output.fileno(), _TAIL, max(0, size - _TAIL)).decode(errors="replace").strip()
        how = ending(128 - status if status > 128 else status)
        return LabEnded(f"the country of {self._plan.title} {how}" + (f"\n{tail}" if tail else ""))

    def _hear(self, message: object) -> None:
        match message:
            case Opening(step=step):
                self._began = time.monotonic(), step
            case Opened():
                for door in self._link.take_files(message.files):
                    self.door = socket.socket(fileno=door)
                self._settle(0, message)
            case Done(number=number) | ProbeAnswer(number=number) | Boxes(number=number) | Routes(number=number):
                self._settle(number, message)
            case Refused(number=0):
                self._settle(0, LabError(f"the country of {self._plan.title} did not come up:\n{message.text}"))
            case Refused(errno=0):
                self._settle(message.number, LabError(message.text))
            case Refused():
                self._settle(message.number, OSError(message.errno, os.strerror(message.errno), message.text))
            case Ended():
                program = self._programs.pop(message.program, None)
                if program is not None:
                    program.ended(message.status)
            case LabFault():
                self.faults.append(message.text)
            case Tried() if message.number in self._trying:
                self._trying[message.number](message)

    def _settle(self, number: int, answer: object) -> None:
        with self._lock:
            future = self._pending.pop(number, None)
            self._trying.pop(number, None)
        if future is None:
            return
        if isinstance(answer, BaseException):
            future.set_exception(answer)
        else:
            future.set_result(answer)

    def _over(self, why: BaseException) -> None:
        """Fails all pending requests and ends all programs, because the country has ended."""
        with self._lock:
            self.why_ended = why
            pending, self._pending, self._trying = list(self._pending.values()), {}, {}
            programs, self._programs = list(self._programs.values()), {}
        for future in pending:
            future.set_exception(why)
        for program in programs:
            program.ended(-signal.SIGKILL)
        self._link.close()


def _pipe(to_program: bool, text: bool) -> tuple[IO[Any], int]:
    """Makes a pipe; returns our end as a file object, and the program's end as a file descriptor."""
    read, write = os.pipe()
    own, other = (write, read) if to_program else (read, write)
    stream = os.fdopen(own, "wb" if to_program else "rb")
    return (io.TextIOWrapper(stream, encoding="utf-8", errors="replace") if text else stream), other
