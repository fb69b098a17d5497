"""One country for several terminals: one process holds what is in force, and the terminals send it orders in turn.

The process that built the country has a `SharedSession`; a command line in another process of the sandbox has a
`DistantSession`, which sends requests over a socket file.
"""

from __future__ import annotations

import selectors
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from shutdownlab.config.problems import BadInput
from shutdownlab.control.processes import ControlError
from shutdownlab.country.breakage import brief
from shutdownlab.country.country import Country
from shutdownlab.country.lab_plan import LabPlan
from shutdownlab.country.message_socket import MessageSocket
from shutdownlab.country.session import Session
from shutdownlab.protocol.messages import Message, MessageError
from shutdownlab.protocol.session import (
    AskComplaints,
    AskInForce,
    Complaints,
    Done,
    InForce,
    Measure,
    ProbeAnswer,
    PutInForce,
    Refused,
    Tried,
)

_BACKLOG: Final = 8


class SharedSession(Session):
    """A session that one thread at a time uses: orders and measurements wait for each other."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Takes the arguments of `Session`."""
        self._turn = threading.RLock()
        super().__init__(*arguments, **options)

    def put_in_force(
        self, phase: str, policies: Sequence[str], moved: bool = True, faults: Sequence[str] | None = None
    ) -> None:
        """Like `Session.put_in_force`, one caller at a time."""
        with self._turn:
            super().put_in_force(phase, policies, moved, faults)

    def faults(self) -> Iterator[str]:
        """Like `Session.faults`, one caller at a time."""
        with self._turn:
            return iter(list(super().faults()))

    def measure(
        self,
        asked: Sequence[Measure],
        wanted: Callable[[], bool] = lambda: True,
        tried: Callable[[Tried], None] = lambda _: None,
    ) -> Iterator[ProbeAnswer]:
        """Like `Session.measure`, one caller at a time."""
        with self._turn:
            return iter(list(super().measure(asked, wanted, tried)))

    def serve(self, door: Path) -> None:
        """Listens at a socket file for other command lines' sessions, in a thread of its own."""
        listener = door_at(door)
        # One thread, which never ends: a DPI box that it restarts would end with it.
        threading.Thread(
            target=answer_all, args=(listener, self._answered), name="other terminals", daemon=True
        ).start()

    def _answered(self, message: Message) -> Message:
        number = getattr(message, "number", 0)
        match message:
            case AskInForce():
                return InForce(number, self.phase, tuple(self.active))
            case AskComplaints():
                return Complaints(number, tuple(self.faults()))
            case PutInForce():
                self.put_in_force(message.phase, message.policies, message.moved, message.faults)
                return Done(number)
            case Measure():
                (answer,) = self.measure([message])
                return answer
            case _:
                return Refused(number, f"{type(message).__name__} is nothing to ask here")


def door_at(path: Path) -> socket.socket:
    """Returns a socket that listens at a file for the sessions of other command lines."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen(_BACKLOG)
    return listener


def answer_all(listener: socket.socket, answered: Callable[[Message], Message]) -> None:
    """Answers other command lines' sessions, one message after another, forever.

    An exception of `answered` is sent as a refusal.
    """
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is listener:
                    link = MessageSocket(listener.accept()[0])
                    selector.register(link, selectors.EVENT_READ, link)
                    continue
                try:
                    for message in key.data.receive():
                        key.data.send(_safely(message, answered))
                except (EOFError, MessageError, BrokenPipeError):
                    selector.unregister(key.fileobj)
                    key.data.close()


def _safely(message: Message, answered: Callable[[Message], Message]) -> Message:
    number = getattr(message, "number", 0)
    try:
        return answered(message)
    except BadInput as mistake:
        return Refused(number, "\n".join(mistake.lines()))
    except (ControlError, OSError) as broken:
        return Refused(number, brief(str(broken)))
    except Exception as bug:  # that terminal waits for an answer in any case
        return Refused(number, f"{type(bug).__name__}: {bug}")


class DistantSession:
    """The session of another process, as a command line needs it: `plan`, `country`, and what is in force.

    `country`: its state when this process was forked from the one that built it.
    """

    def __init__(self, plan: LabPlan, country: Country, door: Path) -> None:
        """Connects to the socket file of a `SharedSession`; raises OSError."""
        self.plan, self.country = plan, country
        connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connected.connect(str(door))
        self._link = MessageSocket(connected)
        self._numbers = iter(range(1, 1 << 62))

    @property
    def phase(self) -> str | None:
        """The phase of the last order; None if that was for no phase."""
        return self._in_force().phase

    @property
    def active(self) -> tuple[str, ...]:
        """The policies in force."""
        return self._in_force().policies

    def put_in_force(self, phase: str, policies: Sequence[str], moved: bool = True) -> None:
        """Like `Session.put_in_force`; raises `ControlError`."""
        self._ask(PutInForce(next(self._numbers), phase, tuple(policies), moved))

    def faults(self) -> Iterator[str]:
        """Like `Session.faults`."""
        told: Complaints = self._ask(AskComplaints(next(self._numbers)))
        return iter(told.texts)

    def measure(self, asked: Sequence[Measure]) -> Iterator[ProbeAnswer]:
        """Like `Session.measure`; an unknown name raises `ControlError`, which suggests what was meant."""
        for each in asked:
            yield self._ask(Measure(next(self._numbers), each.vantage, each.target, each.family))

    def _in_force(self) -> InForce:
        told: InForce = self._ask(AskInForce(next(self._numbers)))
        return told

    def _ask(self, request: PutInForce | Measure | AskInForce | AskComplaints) -> Any:
        with suppress(EOFError, BrokenPipeError):
            self._link.send(request)
            while True:
                for answer in self._link.receive():
                    if getattr(answer, "number", None) != request.number:
                        continue  # the answer to a request that Ctrl-C interrupted
                    if isinstance(answer, Refused):
                        raise ControlError(answer.text)
                    return answer
        raise ControlError("the lab has ended")
