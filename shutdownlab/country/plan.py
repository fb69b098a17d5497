"""What a country is to be built as."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from shutdownlab.control.ryu import RyuPython
from shutdownlab.inspection.apps import App
from shutdownlab.inspection.profile import Profile
from shutdownlab.model.network import Network
from shutdownlab.network.datapath import Wish

KEY_LOG: Final = "keys-{}.log"
"""Beside the captures: TLS secrets of an owner's nodes."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to build. `profiles`: the DPI boxes', `controllers`: apps of the user's own, both by operator.

    `files`: where configurations and logs go (and stay); `datapath`: which of Open vSwitch's is wished for; `ryu`: the
    Python to run controllers in, under Ryu (none: under os-ken, in this one); `degrades`: whether a policy may make
    lines worse, which the userspace delay line does, whatever the kernel has; `late`: the operators whose resolvers may
    be late by a policy.
    """

    network: Network
    apps: Mapping[str, App]
    profiles: Mapping[str, Profile]
    files: Path
    controllers: Mapping[str, Path] = field(default_factory=dict)
    seed: int = 0
    pcap: Path | None = None
    keys: bool = False
    """Whether the lab's clients write their TLS secrets beside the captures, to be put into them."""
    datapath: Wish = "auto"
    ryu: RyuPython | None = None
    degrades: bool = False
    late: frozenset[str] = frozenset()

    def key_log(self, owner: str) -> dict[str, str]:
        """Where clients write their TLS secrets, in the form and by the variable that NSS gave its name to: a file an
        owner of nodes, so that an operator's captures have those of its own subscribers alone."""
        return {"SSLKEYLOGFILE": str(self.pcap / KEY_LOG.format(owner))} if self.pcap and self.keys else {}
