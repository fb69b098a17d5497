"""What is left to the card, or to who stands for it, and what senders finish themselves."""

from __future__ import annotations

import socket
import threading

import pytest
from cables import Cables
from switches import until

from shutdownlab.country.offload import finished_by_senders
from shutdownlab.system.ethtool import CHECKSUMS, SEGMENTATION, Feature
from shutdownlab.system.netns import inside
from shutdownlab.system.packet_socket import Batch, open_wire
from shutdownlab.system.vnet_header import NEEDS_CSUM


@pytest.mark.parametrize(
    ("openvswitch", "shorter", "features"),
    [
        ("3.1.0", False, []), ("2.17.9", False, []), ("3.1.0", True, [*SEGMENTATION]),
        ("3.2.0", False, [CHECKSUMS]), ("3.5.0", True, [*SEGMENTATION, CHECKSUMS]), ("4.0.1", False, [CHECKSUMS]),
    ],
)  # fmt: skip
def test_senders_finish_what_that_open_vswitch_would_not(openvswitch: str, shorter: bool, features: list[str]) -> None:
    assert list(finished_by_senders(openvswitch, shorter=shorter)) == features


@pytest.mark.parametrize("finished", [False, True])
def test_a_sender_without_that_feature_fills_in_its_checksums(finished: bool) -> None:
    with Cables() as cables:
        here, there = cables.netns(), cables.netns()
        cables.veth(here, "near", there, "far")
        cables.run(here, "ip", "address", "add", "10.9.0.1/24", "dev", "near")
        cables.run(here, "ip", "neigh", "replace", "10.9.0.2", "lladdr", "02:00:00:00:00:02", "dev", "near")
        wire, batch, seen = open_wire(there, "far"), Batch(), list[bytes]()
        with inside(here):
            if finished:
                Feature(CHECKSUMS).switch_off("near")
            asked = socket.socket()
        asked.settimeout(5)
        threading.Thread(target=asked.connect_ex, args=(("10.9.0.2", 80),), daemon=True).start()

        def syn() -> bool:
            seen.extend(raw for raw in map(batch.raw, range(batch.read(wire))) if raw[10 + 12 : 10 + 14] == b"\x08\0")
            return bool(seen)

        until("a SYN has come", syn)
        asked.close()
        wire.close()
    assert bool(seen[0][0] & NEEDS_CSUM) is not finished
