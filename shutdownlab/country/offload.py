"""What senders finish themselves, where Open vSwitch's userspace datapath would pass it on as it is, or cut it wrong.

In the laboratory TCP leaves its sender as on a machine whose card cuts it into packets and fills in the checksums.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from shutdownlab.model.network import Network
from shutdownlab.network.net import EmulatedNetwork
from shutdownlab.system.ethtool import CHECKSUMS, SEGMENTATION, Feature

_LAST_WHOLE = 3, 1
"""Open vSwitch with the newest of these versions passed on every checksum right; 3.5 did not."""


def finished_by_senders(openvswitch: str, *, shorter: bool) -> Iterator[str]:
    """The features to switch off on every host and router beside the userspace datapath of this version ("3.1.0").

    From some version after 3.1 on (seen with 3.5.0) it looks into no packet whose port and protocol alone decide, does
    not learn that the checksum is unfinished, and the receiver drops what was open. `shorter`: some line or cable
    carries only packets that are shorter than Ethernet's; it cuts oversized TCP into 1,498 octets (seen with 3.1),
    whatever the other end has asked for.
    """
    if shorter:
        yield from SEGMENTATION
    if tuple(map(int, re.findall(r"\d+", openvswitch)[:2])) > _LAST_WHOLE:
        yield CHECKSUMS


def finish_by_senders(net: EmulatedNetwork, network: Network, openvswitch: str) -> None:
    """Switch off on every host and router what this version of Open vSwitch must not be left to do."""
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
