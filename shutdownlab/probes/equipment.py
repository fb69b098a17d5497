"""What an agent keeps from one probe to the next."""

from __future__ import annotations

from dataclasses import dataclass, field

from shutdownlab.probes.telephones import Telephones
from shutdownlab.probes.trust import TrustStore


@dataclass(slots=True)
class Equipment:
    """Parsed certificates, and the telephones that stay on."""

    trust: TrustStore = field(default_factory=TrustStore)
    telephones: Telephones = field(default_factory=Telephones)
