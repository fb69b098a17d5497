"""The echo service (RFC 862) of a machine in the country, which sends back what it receives.

Quack started from the tens of thousands of machines worldwide that still run it by accident (VanderSloot et al., USENIX
Security 2018): echoed data passes the boxes in both directions. It is part of the instrument, because no scenario
depends on it.
"""

from __future__ import annotations

import socketserver
import threading
from contextlib import suppress
from typing import Final

from shutdownlab.system.namespace import Namespace

_IDLE_S: Final = 30.0
"""Seconds after which an idle connection is closed: if a shutdown cuts a connection, its end never arrives."""


class _Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.request.settimeout(_IDLE_S)
        with suppress(OSError):
            while data := self.request.recv(4096):
                self.request.sendall(data)


class _Service(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


def serve_echo(namespace: Namespace, address: str, port: int) -> None:
    """Serves echo on a node's address, in its namespace, until this process ends. Raises `OSError`."""
    with namespace.entered():
        service = _Service((address, port), _Echo)
    threading.Thread(target=service.serve_forever, args=(60.0,), name=f"echo {address}", daemon=True).start()
