"""Waits until a process of a running country confirms that it has applied an order."""

from __future__ import annotations

import select
import time
from typing import Final

from shutdownlab.protocol.messages import Applied, decode
from shutdownlab.servers.start import ServicesNotReady
from shutdownlab.system.child_process import Forked

_DEADLINE_S: Final = 15.0


def wait_until_applied(process: Forked, serial: int) -> None:
    """Waits for `Applied` for the message just sent, by its serial number; raises `ServicesNotReady`."""
    poller = select.poll()
    poller.register(process, select.POLLIN)
    end = time.monotonic() + _DEADLINE_S
    while not process.hung_up and (left := end - time.monotonic()) > 0:
        process.flush(left)
        poller.poll(1000 * left)
        if any(decode(line) == Applied(serial) for line in process.receive()):
            return
    raise ServicesNotReady([f"{process.name} does not say that it does what it was ordered to"])
