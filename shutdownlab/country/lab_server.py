"""Serves a program's requests to a lab in the sandbox, until the program hangs up. The other end is `country.lab`."""

from __future__ import annotations

import os
import queue
import selectors
import signal
import socket
import subprocess
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from shutdownlab.config.scalars import ports
from shutdownlab.control.processes import ControlError
from shutdownlab.country.attach_socket import listen
from shutdownlab.country.breakage import BREAKAGES, brief, lines_of
from shutdownlab.country.message_socket import MessageSocket
from shutdownlab.country.porter import start_porter
from shutdownlab.country.session import Session
from shutdownlab.country.shared_session import door_at
from shutdownlab.country.terminal import attached, make_ready
from shutdownlab.protocol.session import (
    GIVEN_UP,
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
    PutInForce,
    Refused,
    Routes,
    SignalProgram,
    StartProgram,
    Tried,
)
from shutdownlab.results.exit_codes import EXIT_BROKEN
from shutdownlab.servers.daemon import Listening, listening
from shutdownlab.system.child_process import ending

_BESIDE: Final = ("The web page shows what you do here.", "ends the lab, in the terminal that started it")
_TICK_S: Final = 1.0
"""How often faults are looked for."""
_PATIENCE_S: Final = 0.02
"""Seconds between two checks whether a server listens: each reads a few files of /proc."""


def serve(payload: Mapping[str, Any]) -> int:
    """Starts the `plan`'s country, reports it over the `socket` (a file descriptor), and serves; returns an exit code.

    Other terminals may attach at the `offered` socket (a file descriptor, or -1). Their orders are carried out by the
    program outside, which receives the socket at which they arrive.
    """
    link = MessageSocket(socket.socket(fileno=payload["socket"]))
    os.set_inheritable(payload["socket"], False)
    try:
        session = Session(payload["plan"], lambda step: link.send(Opening(step)))
    except BREAKAGES as error:
        link.send(Refused(0, "\n".join(lines_of(error))))
        return EXIT_BROKEN
    make_ready(session)
    doors = [_let_in(session, payload["offered"])] if payload["offered"] >= 0 else []
    datapath = session.country.datapath
    link.send(Opened(datapath.name, datapath.why, len(doors)), [door.fileno() for door in doors])
    for door in doors:
        door.close()
    _LabServer(session, link).run()
    return 0


def _let_in(session: Session, offered: int) -> socket.socket:
    """Lets other terminals attach; returns the socket for their sessions. Call it before any thread is started."""
    path = session.files / "terminals"
    door = door_at(path)
    command_line = partial(attached, session.plan, session.country, path, *_BESIDE)
    start_porter(listen(offered), session.plan.loaded.network, session.country.net, command_line)
    return door


@dataclass(frozen=True, slots=True)
class _Starting:
    """A server that does not listen on all its ports yet. `before`: what already listened on the node."""

    request: StartProgram
    process: subprocess.Popen[Any]
    before: frozenset[Listening]
    deadline: float

    def missing(self) -> list[str]:
        """Returns the ports on which no new process listens."""
        new = listening(self.process.pid) - self.before
        return [text for text in self.request.ports if not _is_open(text, new)]


class _LabServer:
    """Handles orders and programs in this thread; measurements, which may take long, in another."""

    def __init__(self, session: Session, link: MessageSocket) -> None:
        self.session, self.link = session, link
        self.programs: dict[int, subprocess.Popen[Any]] = {}
        self.starting: list[_Starting] = []
        self.selector = selectors.DefaultSelector()
        self.asked: queue.SimpleQueue[Measure | MeasureAll] = queue.SimpleQueue()
        self.abandoned: set[int] = set()
        """Numbers of the requests that were abandoned."""
        self.measuring = threading.Lock()
        """Held while probes are under way: anything that forks must wait for them to end."""
        self.measurer: threading.Thread | None = None
        self.faults_told: set[str] = set()
        self.looked_at = time.monotonic()

    def run(self) -> None:
        """Serves until the program outside hangs up."""
        self.selector.register(self.link, selectors.EVENT_READ)
        try:
            while True:
                for key, _ in self.selector.select(_PATIENCE_S if self.starting else _TICK_S):
                    if key.fileobj is self.link:
                        for message in self.link.receive():
                            self._do(message)
                    else:
                        self._ended(key.data, key.fd)
                self._look_at_servers()
                if time.monotonic() - self.looked_at > _TICK_S:
                    self._tell_faults()
        except (EOFError, BrokenPipeError):
            return

    def _do(self, message: object) -> None:
        match message:
            case StartProgram():
                self._start(message)
            case SignalProgram(program=number, signal=sent) if number in self.programs:
                with suppress(ProcessLookupError):
                    os.killpg(self.programs[number].pid, sent)
            case PutInForce():
                self._put_in_force(message)
            case Measure() | MeasureAll():
                self._measure(message)
            case Abandon(number=number):
                self.abandoned.add(number)
            case AskRoutes(number=number):
                try:
                    self.link.send(Routes(number, self.session.routes()))
                except OSError as error:
                    self.link.send(Refused(number, f"a router does not answer: {error}"))
            case AskBoxes(number=number, recent=recent):
                try:
                    self.link.send(Boxes(number, self.session.country.box_counters(_TICK_S, recent)))
                except ControlError as error:
                    self.link.send(Refused(number, brief(str(error))))
            case _:  # a signal to a program that has ended
                pass

    def _start(self, message: StartProgram) -> None:
        country = self.session.country
        files = self.link.take_files(message.files)
        node = country.net.get(message.node)
        before: frozenset[Listening] = frozenset()
        try:
            if message.ports:
                before = node.namespace.run(lambda: listening(threading.get_native_id()))
            process = node.spawn(
                message.argv,
                stdin=files[0],
                stdout=files[1],
                stderr=files[2],
                env=country.environment() | message.variables,
                cwd=message.cwd,
            )
        except OSError as error:
            self.link.send(Refused(message.number, str(error.filename or message.argv[0]), error.errno or 0))
            return
        finally:
            for file in files:
                os.close(file)
        self.programs[message.number] = process
        self.selector.register(os.pidfd_open(process.pid), selectors.EVENT_READ, message.number)
        if message.ports:
            self.starting.append(_Starting(message, process, before, time.monotonic() + message.seconds))
        else:
            self.link.send(Done(message.number))

    def _ended(self, number: int, pidfd: int) -> None:
        status = self.programs.pop(number).wait()
        self.selector.unregister(pidfd)
        os.close(pidfd)
        for each in [each for each in self.starting if each.request.number == number]:
            self.starting.remove(each)
            waited = ", ".join(each.request.ports)
            self.link.send(Refused(number, f"{each.request.argv[0]} {ending(status)} before it listened on {waited}"))
        self.link.send(Ended(number, status))

    def _look_at_servers(self) -> None:
        for each in list(self.starting):
            missing = each.missing()
            if missing and time.monotonic() < each.deadline:
                continue
            self.starting.remove(each)
            if missing:
                text = f"does not listen on {', '.join(missing)} after {each.request.seconds:g} s"
                self.link.send(Refused(each.request.number, f"{each.request.argv[0]} {text}"))
                with suppress(ProcessLookupError):
                    os.killpg(each.process.pid, signal.SIGKILL)
            else:
                self.link.send(Done(each.request.number))

    def _put_in_force(self, message: PutInForce) -> None:
        try:
            self.session.put_in_force(message.phase, message.policies, message.moved, message.faults)
        except (ControlError, OSError) as error:
            self.link.send(Refused(message.number, brief(str(error))))
        else:
            self.link.send(Done(message.number))

    def _tell_faults(self) -> None:
        """Reports new faults; not while probes are under way, because a dead DPI box is forked again."""
        if not self.measuring.acquire(blocking=False):
            return
        try:
            for text in self.session.faults():
                if text not in self.faults_told:
                    self.faults_told.add(text)
                    self.link.send(LabFault(text))
        except ControlError as error:
            if str(error) not in self.faults_told:
                self.faults_told.add(str(error))
                self.link.send(LabFault(str(error)))
        finally:
            self.measuring.release()
            self.looked_at = time.monotonic()

    def _measure(self, message: Measure | MeasureAll) -> None:
        self.asked.put(message)
        if self.measurer is None:
            self.measurer = threading.Thread(target=self._measure_all, daemon=True)
            self.measurer.start()

    def _measure_all(self) -> None:
        """Measures all requests that have arrived by the time the last ones are done; each `MeasureAll` by itself."""
        while True:
            asked, many = [], deque([self.asked.get()])
            with suppress(queue.Empty):
                while True:
                    many.append(self.asked.get_nowait())
            while many:
                first = many.popleft()
                if isinstance(first, Measure):
                    asked.append(first)
                elif not self._answered(first.asked, first.number):
                    return
            if asked and not self._answered(asked):
                return

    def _answered(self, asked: Sequence[Measure], number: int | None = None) -> bool:
        """Measures all of these until request `number` is abandoned; returns False if the program outside has gone."""
        waiting, refusal = {each.number for each in asked}, GIVEN_UP

        def tried(first: Tried) -> None:
            if number is not None:
                self.link.send(first)

        try:
            try:
                with self.measuring:
                    for measured in self.session.measure(asked, lambda: number not in self.abandoned, tried):
                        waiting.discard(measured.number)
                        self.link.send(measured)
            except BrokenPipeError:
                return False
            except Exception as error:  # the program outside waits for an answer in any case
                refusal = f"{type(error).__name__}: {error}"
            for each in waiting:
                self.link.send(Refused(each, refusal))
        except BrokenPipeError:
            return False
        if number is not None:
            self.abandoned.discard(number)
        return True


def _is_open(text: str, new: frozenset[Listening]) -> bool:
    wanted = ports(text)
    return any(wanted.contains(each.protocol, each.port) for each in new)
