"""What an agent keeps between probes."""

from __future__ import annotations

from dataclasses import dataclass, field

from shutdownlab.probes.exchange import Exchange
from shutdownlab.probes.session import TrustStore


@dataclass(slots=True)
class Bench:
    """Parsed certificates, and the telephones that stay on."""

    trust: TrustStore = field(default_factory=TrustStore)
    exchange: Exchange = field(default_factory=Exchange)
