"""Messages over TCP, in threads: a controller's servers and connections besides OpenFlow."""

from __future__ import annotations

import socket
import threading
from collections import deque
from collections.abc import Callable
from typing import Final

from shutdownlab.protocol.messages import Message, MessageError, decode, encode
from shutdownlab.system.line_socket import LineSocket

_FIRST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 1.0
_BACKLOG: Final = 1000

OnMessage = Callable[["MessageLink", Message], None]
OnEnd = Callable[["MessageLink", str], None]


class MessageLink:
    """One connection. `send` may be called from any thread."""

    def __init__(self, connection: socket.socket) -> None:
        """connection: its peer must read what is sent within seconds."""
        self._lines = LineSocket(connection, waits=True)

    def send(self, message: Message) -> None:
        """Sends one message; if the peer does not read it, closes the connection, which ends `read`."""
        if not self._lines.send(encode(message)):
            self._lines.shut_down()

    def close(self) -> None:
        """Closes the connection, which ends `read`."""
        self._lines.shut_down()

    def read(self, on_message: OnMessage, on_end: OnEnd) -> None:
        """Calls `on_message` with each message until the connection ends, then `on_end` with the reason."""
        lines, why = self._lines, ""
        try:
            while lines.ended is None:
                for line in lines.receive():
                    on_message(self, decode(line))
        except MessageError as error:
            why = f"it sent an invalid message: {error}"
        lines.close()
        on_end(self, why or lines.ended or "")


def listen(address: tuple[str, int], on_message: OnMessage, on_end: OnEnd) -> None:
    """Accepts connections at `address` in a thread, from now on; raises OSError if it cannot listen."""
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    server = socket.create_server(address, family=family, backlog=64)

    def accept() -> None:
        while True:
            connection, _ = server.accept()
            _thread(MessageLink(connection).read, on_message, on_end)

    _thread(accept)


class Uplink:
    """A connection to a superior controller, reconnected whenever it is lost; messages sent meanwhile are queued."""

    def __init__(self, address: tuple[str, int], hello: Message, on_message: OnMessage, on_end: OnEnd) -> None:
        """Connects to `address`, from now on, with `hello` as the first message of every connection."""
        self._address = address
        self._hello = hello
        self._on_message = on_message
        self._on_end = on_end
        self._lock = threading.Lock()
        self._link: MessageLink | None = None
        self._waiting: deque[Message] = deque(maxlen=_BACKLOG)
        _thread(self._keep_up)

    def send(self, message: Message) -> None:
        """Sends now, or once connected; beyond a thousand queued messages the oldest are dropped."""
        with self._lock:
            if self._link is None:
                self._waiting.append(message)
            else:
                self._link.send(message)

    def _keep_up(self) -> None:
        pause = _FIRST_PAUSE_S
        never = threading.Event()
        while True:
            try:
                connection = socket.create_connection(self._address, timeout=_LONGEST_PAUSE_S)
            except OSError:
                never.wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_S)
                continue
            pause = _FIRST_PAUSE_S
            link = MessageLink(connection)
            with self._lock:
                link.send(self._hello)
                while self._waiting:
                    link.send(self._waiting.popleft())
                self._link = link
            link.read(self._on_message, self._lost)

    def _lost(self, link: MessageLink, why: str) -> None:
        with self._lock:
            self._link = None
        self._on_end(link, why)


def _thread(target: Callable[..., None], *arguments: object) -> None:
    threading.Thread(target=target, args=arguments, daemon=True).start()
