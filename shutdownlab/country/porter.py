"""Lets other terminals into a country: the process in the sandbox with which `shutdownlab attach` communicates.

It is forked from the process that built the country once that is up, and forks a process for each terminal, which runs
a command line of its own in the same country or executes the requested program. Each leads a session whose controlling
terminal is the one it was given; if that closes, or the other end hangs up, SIGHUP ends it.
"""

from __future__ import annotations

import fcntl
import os
import pty
import pwd
import selectors
import shutil
import signal
import socket
import sys
import termios
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NoReturn

from shutdownlab.config.problems import BadInput
from shutdownlab.country.attach_socket import peer_user
from shutdownlab.country.message_socket import MessageSocket
from shutdownlab.model.lookup import node_named
from shutdownlab.model.network import Network
from shutdownlab.network.net import EmulatedNetwork
from shutdownlab.protocol.messages import MessageError
from shutdownlab.protocol.session import Attach, Ended, Refused, TerminalMade
from shutdownlab.system import syscalls
from shutdownlab.system.streams import flush_standard_streams

_SHELLS: Final = ("bash", "sh")
_NOT_FOUND, _NOT_EXECUTABLE = 127, 126

CommandLine = Callable[[], int]
"""Reads commands at this process's terminal until there are no more; returns an exit code."""


def start_porter(listener: socket.socket, network: Network, net: EmulatedNetwork, command_line: CommandLine) -> None:
    """Forks the porter, which lets in the terminals that connect to `listener`.

    Call it from the main thread before others start. The porter ends with this process. `network`, `net`: the nodes as
    planned and as emulated; `command_line` is called in a new process each time.
    """
    flush_standard_streams()
    parent = os.getpid()
    if os.fork() == 0:
        status = 1
        try:
            syscalls.die_with_parent(parent)
            syscalls.name_process("lab-porter")
            os.setsid()  # Ctrl-C at the first terminal must not reach this process
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)
            _Porter(listener, network, net, command_line).run()
        finally:
            os._exit(status)
    listener.close()


class _Porter:
    def __init__(
        self, listener: socket.socket, network: Network, net: EmulatedNetwork, command_line: CommandLine
    ) -> None:
        self.listener, self.network, self.net, self.command_line = listener, network, net, command_line
        self.selector = selectors.DefaultSelector()
        self.inside: dict[int, tuple[MessageSocket, int]] = {}
        """The connection and process of each terminal, by the process's pidfd."""

    def run(self) -> NoReturn:
        self.selector.register(self.listener, selectors.EVENT_READ)
        while True:
            for key, _ in self.selector.select():
                if key.fileobj is self.listener:
                    self._take_in()
                elif key.fd in self.inside:
                    self._has_ended(key.fd)
                else:
                    self._hear(key.data)

    def _take_in(self) -> None:
        connected, _ = self.listener.accept()
        link = MessageSocket(connected)
        if peer_user(connected) != os.getuid():  # the socket's directory keeps other users out
            link.close()
        else:
            self.selector.register(link, selectors.EVENT_READ, link)

    def _hear(self, link: MessageSocket) -> None:
        try:
            for message in link.receive():
                if not isinstance(message, Attach):
                    raise MessageError("a terminal sends only that it connects")
                self._let_in(link, message)
        except (EOFError, MessageError, BrokenPipeError, OSError):
            self._hang_up(link)

    def _hang_up(self, link: MessageSocket) -> None:
        """Closes the connection of a terminal that has gone, and sends SIGHUP to what it runs."""
        self.selector.unregister(link)
        link.close()
        for other, pid in self.inside.values():
            if other is link:
                with suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGHUP)

    def _let_in(self, link: MessageSocket, asked: Attach) -> None:
        files = link.take_files(asked.files)
        try:
            try:
                node = node_named(self.network, asked.node, "NODE").name if asked.node is not None else None
            except BadInput as mistake:
                link.send(Refused(0, "\n".join(mistake.lines())))
                return
            if not files:
                master, slave = pty.openpty()
                files = (slave, slave, slave)
                try:
                    link.send(TerminalMade(), (master,))
                finally:
                    os.close(master)
            pid = os.fork()
            if pid == 0:
                self._be(asked, node, files)
            ended = os.pidfd_open(pid)
            self.inside[ended] = link, pid
            self.selector.register(ended, selectors.EVENT_READ)
        finally:
            for file in set(files):
                os.close(file)

    def _has_ended(self, pidfd: int) -> None:
        link, pid = self.inside.pop(pidfd)
        self.selector.unregister(pidfd)
        os.close(pidfd)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        with suppress(BrokenPipeError, OSError):
            link.send(Ended(0, status))

    def _be(self, asked: Attach, node: str | None, files: Sequence[int]) -> NoReturn:
        """Runs in the process of one terminal. Never returns."""
        status = 1
        try:
            syscalls.die_with_parent()
            os.setsid()
            for number, file in enumerate(files):
                os.dup2(file, number)
            if os.isatty(0):
                fcntl.ioctl(0, termios.TIOCSCTTY, 0)
            os.environ.update(asked.variables)
            if node is None:
                signal.signal(signal.SIGINT, signal.default_int_handler)
                status = self.command_line()
            else:
                status = _become(self.net.get(node), asked.argv or _shell())
        except SystemExit as leaving:
            status = leaving.code if isinstance(leaving.code, int) else 1
        except BaseException as error:
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
        finally:
            with suppress(Exception):
                flush_standard_streams()
            os._exit(status)


def _become(node: Any, argv: Sequence[str]) -> int:
    """Executes a program on a node in place of this process; returns an exit code only if that fails."""
    node.enter()()
    try:
        os.execvpe(argv[0], list(argv), {**os.environ, **node.environment()})
    except FileNotFoundError:
        sys.stderr.write(f"{argv[0]}: command not found\n")
        return _NOT_FOUND
    except OSError as error:
        sys.stderr.write(f"{argv[0]}: {(error.strerror or str(error)).lower()}\n")
        return _NOT_EXECUTABLE


def _shell() -> tuple[str, ...]:
    """Returns the user's own shell if it exists, else bash or sh."""
    wished = os.environ.get("SHELL") or pwd.getpwuid(os.getuid()).pw_shell
    found = wished if Path(wished).is_file() else next(filter(None, map(shutil.which, _SHELLS)), "/bin/sh")
    return (found,)
