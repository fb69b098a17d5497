"""A DPI box's end of its channels, without a box: obeys every policy and decides what a test wants."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterable
from pathlib import Path

from shutdownlab.inspection.verdict import Decision
from shutdownlab.protocol.messages import Applied, BoxPolicy, Decisions, Hello, Message, decode, encode
from shutdownlab.system.line_socket import LineSocket
from shutdownlab.system.netns import inside


class FakeBox:
    """Connected to one controller. `policies` are those it was sent."""

    def __init__(self, name: str, controller: tuple[str, int], netns: Path) -> None:
        self.policies: list[BoxPolicy] = []
        with inside(netns):
            self._lines = LineSocket(socket.create_connection(controller, timeout=10), waits=True)
        self.say(Hello(name))
        threading.Thread(target=self._obey, daemon=True).start()

    def say(self, message: Message) -> None:
        assert self._lines.send(encode(message)), self._lines.ended

    def decide(self, decisions: Iterable[Decision]) -> None:
        self.say(Decisions(tuple(decisions)))

    def close(self) -> None:
        self._lines.shut_down()

    def _obey(self) -> None:
        while self._lines.ended is None:
            for message in map(decode, self._lines.receive()):
                assert isinstance(message, BoxPolicy), message
                self.policies.append(message)
                self.say(Applied(message.serial))
        self._lines.close()
