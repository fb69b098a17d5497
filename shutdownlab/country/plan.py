"""What a country is to be built from."""

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
"""File name, beside the captures, of the TLS secrets of one owner's nodes."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to build. `profiles`: the DPI boxes' profiles; `controllers`: the user's own apps; both by operator.

    `files`: where configurations and logs go (and stay). `datapath`: which of Open vSwitch's is requested. `ryu`: the
    Python in which controllers run under Ryu (None: this one, under os-ken). `degrades`: whether a policy may degrade
    lines, which needs the userspace delay line even if the kernel has netem. `late`: the operators whose resolvers a
    policy may make late.
    """

    network: Network
    apps: Mapping[str, App]
    profiles: Mapping[str, Profile]
    files: Path
    controllers: Mapping[str, Path] = field(default_factory=dict)
    seed: int = 0
    pcap: Path | None = None
    keys: bool = False
    """Whether the lab's clients write their TLS secrets beside the captures, to be embedded in them."""
    datapath: Wish = "auto"
    ryu: RyuPython | None = None
    degrades: bool = False
    late: frozenset[str] = frozenset()

    def key_log(self, owner: str) -> dict[str, str]:
        """Returns the environment variable (of NSS's key log format) that names the file for clients' TLS secrets.

        There is one file per owner of nodes, so that an operator's captures contain only its own subscribers' secrets.
        """
        return {"SSLKEYLOGFILE": str(self.pcap / KEY_LOG.format(owner))} if self.pcap and self.keys else {}
