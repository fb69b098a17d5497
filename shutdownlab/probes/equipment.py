"""What an agent keeps from one probe to the next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from shutdownlab.probes.telephones import Telephones
from shutdownlab.probes.trust import TrustStore


@dataclass(slots=True)
class Equipment:
    """Parsed certificates, and telephones that stay on. `hosts`: addresses by name, for names that need no lookup."""

    hosts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    trust: TrustStore = field(default_factory=TrustStore)
    telephones: Telephones = field(default_factory=Telephones)
