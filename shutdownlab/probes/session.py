"""What the steps of one measurement share."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass, field

from shutdownlab.model.probe import Family
from shutdownlab.probes.equipment import Equipment
from shutdownlab.probes.telephones import Telephones
from shutdownlab.probes.trace import Trace
from shutdownlab.probes.trust import TrustStore
from shutdownlab.protocol.probing import ProbeRequest


@dataclass(slots=True)
class ProbeSession:
    """One measurement under way: its request, what the agent has for it, and the record of its steps."""

    request: ProbeRequest
    equipment: Equipment
    trace: Trace = field(default_factory=Trace)

    @property
    def trust(self) -> TrustStore:
        return self.equipment.trust

    @property
    def telephones(self) -> Telephones:
        return self.equipment.telephones

    @property
    def patience(self) -> float:
        """Seconds a single step may take."""
        return self.request.timeout

    @property
    def family(self) -> Family:
        return self.request.family

    @property
    def address_family(self) -> socket.AddressFamily:
        return socket.AF_INET if self.family is Family.IPV4 else socket.AF_INET6

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()
