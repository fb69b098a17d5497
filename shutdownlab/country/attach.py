"""A further terminal for a running lab: `shutdownlab attach`. The other end is `country.porter`.

At a terminal it works like ssh: the program inside gets a pseudo-terminal there, which follows this one's size, and
this terminal forwards all input, Ctrl-C included. Without a terminal, the program gets this process's own streams.
"""

from __future__ import annotations

import fcntl
import os
import signal
import struct
import sys
import termios
import tty
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

from shutdownlab.country.attach_socket import RunningLab, UnsafePlace, connect
from shutdownlab.country.message_socket import MessageSocket
from shutdownlab.protocol.messages import Message, MessageError
from shutdownlab.protocol.session import Attach, Ended, Refused, TerminalMade
from shutdownlab.system import polling
from shutdownlab.system.child_process import exit_code

EXIT_LAB_ENDED = 3
_PASSED_ON: Final = ("TERM", "COLORTERM", "LANG", "LC_ALL", "LC_CTYPE", "EDITOR", "PAGER")
_CHUNK: Final = 1 << 16
_SIZE: Final = struct.Struct("4H")


class NotAttached(Exception):
    """Raised if the lab refuses this terminal; the text says why. `mistaken`: what was asked for does not exist."""

    def __init__(self, why: str, *, mistaken: bool = False) -> None:
        super().__init__(why)
        self.mistaken = mistaken


def attach(lab: RunningLab, node: str | None = None, argv: Sequence[str] = ()) -> int | None:
    """Attaches to a lab: to its command line, or to a program (by default a shell) on a node; returns its exit code.

    None: the lab has ended meanwhile. Raises `NotAttached`.
    """
    try:
        connected = connect(lab)
    except (OSError, UnsafePlace) as error:
        raise NotAttached(str(error)) from None
    link = MessageSocket(connected)
    has_terminal = os.isatty(0) and os.isatty(1)
    variables = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    messages = _messages(link)
    files = () if has_terminal else (0, 1, 2)
    sys.stdout.flush()
    try:
        link.send(Attach(node, tuple(argv), variables, len(files)), files)
        return _at_a_terminal(link, messages) if has_terminal else _status(next(messages, None))
    except BrokenPipeError:
        return None
    finally:
        link.close()


def _at_a_terminal(link: MessageSocket, messages: Iterator[Message]) -> int | None:
    made = next(messages, None)
    if not isinstance(made, TerminalMade):
        return _status(made)
    (terminal,) = link.take_files(made.files)
    try:
        _copy_size(terminal)
        with _raw(), _size_followed(terminal):
            _relay(link, terminal)
            status = _status(next(messages, None))
            while polling.wait([terminal], seconds=0) and _passed(terminal, 1):  # its last output
                pass
            return status
    finally:
        os.close(terminal)


def _relay(link: MessageSocket, terminal: int) -> None:
    """Forwards input and output until a message from the lab arrives: the program inside has ended."""
    watched: list[int] = [0, terminal]
    while True:
        ready = polling.wait([link, *watched])
        if 0 in ready and not _passed(0, terminal):
            watched.remove(0)
        if terminal in ready and not _passed(terminal, 1):
            watched.remove(terminal)
        if link.fileno() in ready:
            return


def _passed(source: int, sink: int) -> bool:
    """Copies what is available; returns False at the end. A terminal that is open nowhere any more fails with EIO."""
    try:
        data = os.read(source, _CHUNK)
        left = memoryview(data)
        while left:
            left = left[os.write(sink, left) :]
    except OSError:
        return False
    return bool(data)


def _messages(link: MessageSocket) -> Iterator[Message]:
    """Yields the lab's messages until it hangs up."""
    try:
        while True:
            yield from link.receive()
    except EOFError:
        return
    except MessageError as error:
        raise NotAttached(f"{error}; is it another version of shutdownlab?") from None


def _status(message: Message | None) -> int | None:
    match message:
        case None:
            return None
        case Ended():
            return exit_code(message.status)
        case Refused():
            raise NotAttached(message.text, mistaken=True)
        case _:
            raise NotAttached(f"it says {type(message).__name__}; is it another version of shutdownlab?")


@contextmanager
def _raw() -> Iterator[None]:
    """Puts this terminal into raw mode, so that every key is forwarded unchanged."""
    before = termios.tcgetattr(0)
    tty.setraw(0, termios.TCSADRAIN)  # keeps what has been typed meanwhile
    try:
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)


@contextmanager
def _size_followed(terminal: int) -> Iterator[None]:
    before = signal.signal(signal.SIGWINCH, lambda _number, _frame: _copy_size(terminal))
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)


def _copy_size(terminal: int) -> None:
    with suppress(OSError):
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, fcntl.ioctl(1, termios.TIOCGWINSZ, bytes(_SIZE.size)))


__all__ = ["EXIT_LAB_ENDED", "NotAttached", "attach"]
