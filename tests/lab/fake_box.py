"""A DPI box's end of its channels, without a box: obeys every policy and decides what a test wants."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterable
from pathlib import Path

from shutdownlab.inspection.verdict import Decision
from shutdownlab.protocol.messages import Applied, BoxPolicy, Decisions, Hello, Inbox, Message, encode
from shutdownlab.system.netns import inside


class FakeBox:
    """Connected to one controller. `policies` are those it was sent."""

    def __init__(self, name: str, controller: tuple[str, int], netns: Path) -> None:
        self.policies: list[BoxPolicy] = []
        with inside(netns):
            self._socket = socket.create_connection(controller, timeout=10)
        self._socket.settimeout(None)
        self.say(Hello(name))
        threading.Thread(target=self._obey, daemon=True).start()

    def say(self, message: Message) -> None:
        self._socket.sendall(encode(message))

    def decide(self, decisions: Iterable[Decision]) -> None:
        self.say(Decisions(tuple(decisions)))

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)

    def _obey(self) -> None:
        inbox = Inbox()
        while data := self._socket.recv(1 << 16):
            for message in inbox.feed(data):
                assert isinstance(message, BoxPolicy), message
                self.policies.append(message)
                self.say(Applied(message.serial))
        self._socket.close()
