"""Waits for what processes of a running country reply: that they have applied an order, or their counters."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from shutdownlab.protocol.messages import Applied, Counters, CountersRequest, Message, decode, encode
from shutdownlab.servers.start import ServicesNotReady
from shutdownlab.system import polling
from shutdownlab.system.child_process import Forked

_DEADLINE_S: Final = 15.0


def wait_until_applied(process: Forked, serial: int) -> None:
    """Waits for `Applied` for the message just sent, by its serial number; raises `ServicesNotReady`."""
    if reply_of(process, _DEADLINE_S, lambda message: message == Applied(serial), []) is None:
        raise ServicesNotReady([f"{process.name} has not confirmed its orders"])


def counters_of(process: Forked, seconds: float) -> Counters | None:
    """Asks a process for its counters; returns None if it does not answer within `seconds`."""
    process.send(encode(CountersRequest()))
    reply = reply_of(process, seconds, lambda message: isinstance(message, Counters), [])
    return reply if isinstance(reply, Counters) else None


def lost_by(process: Forked, seconds: float, before: int) -> int:
    """Returns how many packets the tunnels or the delay line have lost to full queues since the total was `before`.

    Returns 0 if the process does not answer within `seconds`, which is checked elsewhere.
    """
    counters = counters_of(process, seconds)
    return lost_in(counters.counters) - before if counters is not None else 0


def lost_in(counters: Mapping[str, Any]) -> int:
    """Returns how many packets the kernel has dropped in total, at all ends, as a process did not take them in time."""
    return sum(int(end["dropped"]) for end in counters.values() if isinstance(end, Mapping))


def reply_of(process: Forked, seconds: float, fits: Callable[[Message], bool], aside: list[Message]) -> Message | None:
    """Returns the first message that fits of those that are there or come within `seconds`, or None.

    aside: gets all others.
    """
    end = time.monotonic() + seconds
    while True:
        process.flush(max(0.0, end - time.monotonic()))
        messages = [decode(line) for line in process.receive()]
        found = next(filter(fits, messages), None)
        aside += [message for message in messages if message is not found]
        left = end - time.monotonic()
        if found is not None or process.hung_up or left <= 0:
            return found
        polling.wait([process], seconds=left)
