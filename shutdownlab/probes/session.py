"""State shared by the steps of one measurement."""

from __future__ import annotations

import asyncio
import socket
import time
from dataclasses import dataclass, field

from shutdownlab.model.probe import Family
from shutdownlab.probes.equipment import Equipment
from shutdownlab.probes.program import RunningProgram
from shutdownlab.probes.telephones import Telephones
from shutdownlab.probes.trace import Trace
from shutdownlab.probes.trust import TrustStore
from shutdownlab.protocol.probing import ProbeRequest
from shutdownlab.system.processor import waited_s


@dataclass(slots=True)
class ProbeSession:
    """One measurement under way: its request, the agent's equipment, and the record of its steps.

    `programs`: those that it runs. `began`: when its work began, by `time.monotonic`.
    """

    request: ProbeRequest
    equipment: Equipment
    trace: Trace = field(default_factory=Trace)
    programs: list[RunningProgram] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)
    _waited: float = field(default_factory=waited_s)

    @property
    def trust(self) -> TrustStore:
        return self.equipment.trust

    @property
    def telephones(self) -> Telephones:
        return self.equipment.telephones

    @property
    def patience(self) -> float:
        """The timeout of a single step, in seconds."""
        return self.request.timeout

    @property
    def family(self) -> Family:
        return self.request.family

    @property
    def address_family(self) -> socket.AddressFamily:
        return socket.AF_INET if self.family is Family.IPV4 else socket.AF_INET6

    def begin(self) -> None:
        """Marks the start of its work: until now it waited for its turn."""
        self.began, self._waited = time.monotonic(), self.waited_s()

    def waited_s(self) -> float:
        """Returns for how many seconds this process and its programs have waited for a CPU so far."""
        return waited_s() + sum(program.waited_s() for program in self.programs)

    @property
    def kept_away(self) -> float:
        """The share of its working time for which it waited for a CPU, 0 to 1."""
        return min(1.0, (self.waited_s() - self._waited) / max(time.monotonic() - self.began, 1e-3))

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()
