"""Waiting until a process of a running country says that it does what it was told."""

from __future__ import annotations

import select
import time
from typing import Final

from shutdownlab.protocol.messages import Applied, decode
from shutdownlab.servers.start import ServicesNotReady
from shutdownlab.system.child_process import Forked

_DEADLINE_S: Final = 15.0


def wait_until_applied(process: Forked, serial: int) -> None:
    """Wait for `Applied` of the message with this serial number, just sent; raises `ServicesNotReady`."""
    poller = select.poll()
    poller.register(process, select.POLLIN)
    end = time.monotonic() + _DEADLINE_S
    while not process.hung_up and (left := end - time.monotonic()) > 0:
        process.flush(left)
        poller.poll(1000 * left)
        if any(decode(line) == Applied(serial) for line in process.receive()):
            return
    raise ServicesNotReady([f"{process.name} does not say that it does what it was ordered to"])
