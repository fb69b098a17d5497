"""Work that senders do themselves because Open vSwitch's userspace datapath omits it or does it wrong.

In the lab, TCP leaves its sender as on a machine whose network card segments it and fills in checksums.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from shutdownlab.model.network import Network
from shutdownlab.network.net import EmulatedNetwork
from shutdownlab.system.ethtool import CHECKSUMS, SEGMENTATION, Feature

_LAST_WHOLE = 3, 1
"""The newest Open vSwitch version known to forward every checksum correctly; 3.5 did not."""


def finished_by_senders(openvswitch: str, *, shorter: bool) -> Iterator[str]:
    """Yields the features to switch off on hosts and routers beside the userspace datapath of this version ("3.1.0").

    From some version after 3.1 on (seen with 3.5.0) it does not parse packets whose port and protocol alone decide, so
    it misses that the checksum is incomplete, and the receiver drops the packet. `shorter`: some line or cable carries
    only packets shorter than Ethernet's; it segments oversized TCP into 1,498 bytes (seen with 3.1), whatever the other
    end has asked for.
    """
    if shorter:
        yield from SEGMENTATION
    if tuple(map(int, re.findall(r"\d+", openvswitch)[:2])) > _LAST_WHOLE:
        yield CHECKSUMS


def finish_by_senders(net: EmulatedNetwork, network: Network, openvswitch: str) -> None:
    """Switches off, on every host and router, the offloads that this version of Open vSwitch gets wrong."""
    if net.datapath != "netdev":
        return
    shorter = network.is_narrow or network.translates
    features = [Feature(name) for name in finished_by_senders(openvswitch, shorter=shorter)]
    for node in network.nodes.values() if features else ():
        own = [name for name, port in node.ports.items() if port.addresses]
        if own:
            with net.get(node.name).namespace.entered():
                for name in own:
                    for feature in features:
                        feature.switch_off(name)
