"""Fetches a page as a browser does, while a Geneva strategy modifies the client's packets (`geneva_engine.py`)."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from shutdownlab.model.tool import StrategyUse
from shutdownlab.probes.conclusion import Conclusion
from shutdownlab.probes.failure import StepFailed
from shutdownlab.probes.session import ProbeSession
from shutdownlab.tools.using import Exit, Using, through

_PROGRAM = Path(__file__).with_name("geneva_engine.py")
_IPTABLES = "iptables-legacy"  # the kernel may lack nftables' netfilter queue expression


async def geneva_test(session: ProbeSession, ask: StrategyUse) -> Conclusion:
    """Fetches a page directly from `host`; raises `StepFailed`."""

    @asynccontextmanager
    async def client(using: Using) -> AsyncIterator[Exit]:
        queue, mark = str(1 + secrets.randbelow(65_000)), str(1 + secrets.randbelow(2**30))
        path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
        argv = (sys.executable, str(_PROGRAM), queue, mark, ask.strategy)
        with using.start(*argv, PYTHONPATH=path) as engine:
            await engine.says("ready")
            changed = _Changed(using, queue, mark)
            try:
                yield changed
            finally:
                await changed.undo()

    return await through(session, ask.use, client)


@dataclass(slots=True)
class _Changed:
    """Opens connections whose outgoing packets go through a netfilter queue."""

    using: Using
    queue: str
    mark: str
    rules: list[list[str]] = field(default_factory=list)

    async def open(self, address: str, port: int) -> socket.socket:
        """Returns a connected socket. Raises OSError."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.bind(("0.0.0.0", 0))
            rule = ["OUTPUT", "-p", "tcp", "-d", address, "--sport", str(sock.getsockname()[1]), "--dport", str(port)]
            rule += ["-m", "mark", "!", "--mark", self.mark, "-j", "NFQUEUE", "--queue-num", self.queue]
            await self._iptables("-I", rule)
            self.rules.append(rule)
            await asyncio.get_running_loop().sock_connect(sock, (address, port))
        except BaseException:
            sock.close()
            raise
        return sock

    async def undo(self) -> None:
        """Deletes the iptables rules."""
        for rule in self.rules:
            await self._iptables("-D", rule)

    async def _iptables(self, command: str, rule: list[str]) -> None:
        with self.using.start(_IPTABLES, "-w", command, *rule) as program:
            await program.ends_within(self.using.session.patience)
        if program.status:
            raise StepFailed(f"unknown_failure: {program.err.last_line()}", "connect")
