"""A ping that this machine could not send was not lost on the way."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from typing import Any

import pytest

from shutdownlab.probes import ping as module
from shutdownlab.probes.equipment import Equipment
from shutdownlab.probes.failure import StepFailed, is_own
from shutdownlab.probes.session import ProbeSession
from shutdownlab.protocol.probing import ProbeRequest


class Sockets:
    """The socket module, with sockets that hear nothing, and send the first packet but no other."""

    def __init__(self, number: int) -> None:
        self.number, self.sent = number, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(socket, name)

    def socket(self, *_: object) -> socket.socket:
        return _Socket(self)


class _Socket(socket.socket):
    def __init__(self, all_of_them: Sockets) -> None:
        super().__init__(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.bind(("127.0.0.1", 0))
        self.all_of_them = all_of_them

    def sendto(self, *_: Any) -> int:
        self.all_of_them.sent += 1
        if self.all_of_them.sent > 1:
            raise OSError(self.all_of_them.number, os.strerror(self.all_of_them.number))
        return 64


def failure(number: int, monkeypatch: pytest.MonkeyPatch, count: int) -> str:
    """What a probe of so many pings fails with whose later ones cannot be sent, by this error."""
    sockets = Sockets(number)
    monkeypatch.setattr(module, "socket", sockets)
    session = ProbeSession(ProbeRequest("x", "x", "m:f", timeout=0.2), Equipment())

    async def pinged() -> None:
        await module.ping(session, "192.0.2.1", count=count, needed=count)

    with pytest.raises(StepFailed) as failed:
        asyncio.run(pinged())
    assert sockets.sent > 1
    return failed.value.failure


@pytest.mark.parametrize("count", [1, 3])
def test_a_ping_that_this_machine_had_no_room_for_is_its_own_error(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    assert is_own(failure(errno.ENOBUFS, monkeypatch, count))


def test_a_later_ping_without_a_route_is_one_without_a_reply(monkeypatch: pytest.MonkeyPatch) -> None:
    assert failure(errno.ENETUNREACH, monkeypatch, 3) == "generic_timeout_error"
