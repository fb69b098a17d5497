"""Serves command lines beside a live page of the same country: their orders go through the page's `Steering`."""

from __future__ import annotations

import socket
import threading
from typing import Final

from shutdownlab.control.processes import ControlError
from shutdownlab.country.lab import Lab, LabError
from shutdownlab.country.shared_session import answer_all
from shutdownlab.protocol.messages import Message
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
)
from shutdownlab.web.steering import Steering

_WHO: Final = "at the prompt"


class PromptDoor:
    """Answers the sessions of command lines in a steered country, from `start` on."""

    def __init__(self, lab: Lab, steering: Steering, door: socket.socket) -> None:
        self._lab, self._steering, self._door = lab, steering, door
        self._reported = len(lab.faults)

    def start(self) -> None:
        """Starts answering, in a daemon thread."""
        threading.Thread(target=answer_all, args=(self._door, self._answered), name="prompts", daemon=True).start()

    def _answered(self, message: Message) -> Message:
        try:
            return self._done(message)
        except LabError as error:
            raise ControlError(str(error)) from error

    def _done(self, message: Message) -> Message:
        lab, number = self._lab, getattr(message, "number", 0)
        match message:
            case AskInForce():
                return InForce(number, lab.at, lab.active)
            case AskComplaints():
                new, self._reported = lab.faults[self._reported :], len(lab.faults)
                return Complaints(number, new)
            case PutInForce():
                self._steering.put_in_force(message.phase, message.policies, _WHO, moved=message.moved)
                return Done(number)
            case Measure():
                found = lab.probe(message.vantage, message.target, message.family)
                return ProbeAnswer(
                    number, found.outcome.value, found.failure, found.seconds, found.certainty, found.value, found.unit,
                    dict(found.record),
                )  # fmt: skip
            case _:
                return Refused(number, f"{type(message).__name__} is nothing to ask here")
