"""Waits for what processes of a running country reply: that they have applied an order, or their counters."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from shutdownlab.protocol.messages import Applied, Counters, CountersRequest, Message, decode, encode
from shutdownlab.servers.start import ServicesNotReady
from shutdownlab.system import polling
from shutdownlab.system.child_process import Forked

_DEADLINE_S: Final = 15.0


def wait_until_applied(process: Forked, serial: int) -> None:
    """Waits for `Applied` for the message just sent, by its serial number; raises `ServicesNotReady`."""
    if _reply(process, _DEADLINE_S, lambda message: message == Applied(serial)) is None:
        raise ServicesNotReady([f"{process.name} has not confirmed its orders"])


def counters_of(process: Forked, seconds: float) -> Counters | None:
    """Asks a process for its counters; returns None if it does not answer within `seconds`."""
    process.send(encode(CountersRequest()))
    reply = _reply(process, seconds, lambda message: isinstance(message, Counters))
    return reply if isinstance(reply, Counters) else None


def _reply(process: Forked, seconds: float, fits: Callable[[Message], bool]) -> Message | None:
    """Returns the first message that fits of those that come within `seconds`, or None; others are dropped."""
    end = time.monotonic() + seconds
    while not process.hung_up and (left := end - time.monotonic()) > 0:
        process.flush(left)
        polling.wait([process], seconds=left)
        found = next(filter(fits, map(decode, process.receive())), None)
        if found is not None:
            return found
    return None
