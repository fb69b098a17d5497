"""What an agent keeps between probes."""

from __future__ import annotations

from dataclasses import dataclass, field

from shutdownlab.emulation.probes.session import TrustStore


@dataclass(slots=True)
class Bench:
    """Parsed certificates, and later the telephone that is always on."""

    trust: TrustStore = field(default_factory=TrustStore)

    async def open(self) -> None:
        """Begin to listen; raises OSError."""
