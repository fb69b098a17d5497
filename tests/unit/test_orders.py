"""How long an order is waited for: as long as somebody gets on with it, and no longer."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any, cast

import pytest

from shutdownlab import library
from shutdownlab.control.processes import AuthorityClient, ControlError, Controllers
from shutdownlab.protocol.messages import Command, Message, Obeyed, Progress, decode, encode

NETWORK = library.network("two-operators")
OWNERS = ("gateway", *NETWORK.topology.operators)
DEADLINE_S, STEP_S = 1.5, 0.5


@contextmanager
def authority(
    answers: Callable[[int], Iterator[tuple[float, Message]]], own: Mapping[str, Path] = MappingProxyType({})
) -> Iterator[AuthorityClient]:
    """A client of an authority that answers an order, given by its number, with messages after so many seconds."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection, connection.makefile("rb") as lines:
                command = decode(lines.readline())
                assert isinstance(command, Command)
                for seconds, message in answers(command.order.serial):
                    time.sleep(seconds)
                    connection.sendall(encode(message))
                lines.read()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        where = SimpleNamespace(authority=server.getsockname())
        controllers: Any = SimpleNamespace(netns=None, addresses=where, network=NETWORK, died=list, own=own)
        client = AuthorityClient(cast(Controllers, controllers))
        yield client
        client.close()
        thread.join(10)


def working(serial: int) -> Iterator[tuple[float, Message]]:
    """At work for twice the deadline, telling so, until all have obeyed."""
    for step in range(int(2 * DEADLINE_S / STEP_S)):
        yield STEP_S, Progress(serial, "northnet", 1000 * (step + 1))
    for owner in OWNERS:
        yield 0.0, Obeyed(serial, owner)


def stuck(serial: int) -> Iterator[tuple[float, Message]]:
    """One has obeyed, and then nothing more comes."""
    yield 0.0, Obeyed(serial, "gateway")


def test_an_order_with_which_somebody_gets_on_is_waited_for_beyond_the_deadline() -> None:
    with authority(working) as client:
        confirmed = client.order("phase", {}, deadline_s=DEADLINE_S)
    assert confirmed.seconds > 1.5 * DEADLINE_S
    assert [type(message) for message in confirmed.messages] == [Obeyed] * 3, "progress is no part of the record"


def test_one_with_which_nobody_gets_on_is_given_up_with_who_is_missing() -> None:
    with authority(stuck) as client, pytest.raises(ControlError, match=r"not confirmed by northnet .*southcell"):
        client.order("phase", {}, deadline_s=DEADLINE_S)


def test_of_a_controller_of_ones_own_that_confirms_nothing_one_is_told_what_confirms() -> None:
    own = {name: Path("/home/a/mine.py") for name in ("gateway", "northnet")}
    with authority(stuck, own) as client, pytest.raises(ControlError) as raised:
        client.order("phase", {}, deadline_s=DEADLINE_S)
    told = "'s controller is mine.py: `super().obey(order)` confirms, also an order with less in it"
    assert [line for line in str(raised.value).splitlines() if told in line] == [f"northnet{told}"]
