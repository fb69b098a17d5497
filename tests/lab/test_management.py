"""The management network: who joins it late does not disturb who speaks already."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute

from shutdownlab.network.management import ManagementNetwork
from shutdownlab.system.namespace import Namespace
from shutdownlab.system.sandbox import run_in_sandbox


def test_the_bridge_keeps_its_mac_address_whoever_joins(tmp_path: Path) -> None:
    result = tmp_path / "result"
    assert run_in_sandbox("test_management:join_one_after_the_other", {"result": result}, run_dir=tmp_path) == 0
    seen = result.read_text().split()
    assert len(seen) == 8
    assert len(set(seen)) == 1, "a neighbour that has just learned it would speak to nobody"


def join_one_after_the_other(payload: Mapping[str, Any]) -> int:
    """In the sandbox: write down the bridge's MAC address after each of eight joins, and reach it from the first."""
    network = ManagementNetwork()
    members = [Namespace(f"member{number}") for number in range(8)]
    seen = []
    for member in members:
        network.join(member)
        ping = members[0].spawn(["ping", "-c", "1", "-W", "2", network.address], stdout=subprocess.DEVNULL)
        assert ping.wait() == 0
        with IPRoute() as netlink:
            [bridge] = netlink.link("get", ifname="mgmt")
        seen.append(bridge.get_attr("IFLA_ADDRESS"))
    payload["result"].write_text("\n".join(seen))
    return 0
