"""A subscriber's telephones: one for each service and address family, switched on when first needed."""

from __future__ import annotations

import socket

from shutdownlab.probes.phone import Phone


class Telephones:
    """Telephones by port and address family. Each stays on from its first use: a callee's, from its registration."""

    def __init__(self) -> None:
        self._phones: dict[tuple[int, socket.AddressFamily], Phone] = {}

    def phone(self, port: int, family: socket.AddressFamily) -> Phone:
        """Raises OSError if the port is in use or the address family is not available."""
        if (port, family) not in self._phones:
            self._phones[port, family] = Phone(port, family)
        return self._phones[port, family]

    def close(self) -> None:
        for phone in self._phones.values():
            phone.close()
        self._phones.clear()
