"""Stock Mininet loads the topologies too: `mn --custom topologies/country.py --topo two-operators`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import outside
import pytest

from shutdownlab import library
from shutdownlab.system.sandbox import run_in_sandbox

MN = Path(sys.executable).with_name("mn")
pytestmark = pytest.mark.skipif(not MN.exists(), reason=f"{MN} is not there")


def mn(place: Path, topo: str, *arguments: str, typed: str = "") -> str:
    """What `mn` printed; it must have ended well."""
    country = outside.ROOT / "topologies" / "country.py"
    argv = [sys.executable, str(MN), "--custom", str(country), "--topo", topo]
    argv += ["--switch", "ovs,datapath=user", "--controller", "none", *arguments]
    with (place / "output").open("w+b") as output:
        status = run_in_sandbox("stock:mn", {"argv": argv, "typed": typed}, stdout=output, stderr=output)
        output.seek(0)
        text = output.read().decode()
    assert status == 0, text
    assert "Caught exception" not in text, text
    return text


def test_stock_mininet_builds_the_country_with_its_ports_addresses_and_macs(tmp_path: Path) -> None:
    asked = {
        "ip": "py net.get('southcell-coast').IP()",
        "mac": "py net.get('southcell-coast').MAC()",
        "dpid": "py net.get('northnet-dpi').dpid",
        "port": "py net.get('northnet-dpi').ports[net.get('northnet-dpi').nameToIntf['s8p5']]",
        "links": "py len(net.links)",
        "alive": "py net.get('gateway').cmd('ovs-vsctl list-ports gateway').split()",
    }
    typed = "\n".join([*(line for name, line in asked.items() for line in (f"sh echo '{name}:'", line)), "exit", ""])
    lines = mn(tmp_path, "two-operators", typed=typed).replace("mininet> ", "").splitlines()
    told = {name: lines[lines.index(f"{name}:") + 1] for name in asked}
    network = library.network("two-operators")
    subscriber = network.nodes["southcell-coast"].ports["eth0"]
    box = network.nodes["northnet-dpi"]
    assert told["ip"] == str(subscriber.addresses[0].ip)
    assert told["mac"] == subscriber.mac
    assert int(told["dpid"], 16) == box.dpid
    assert told["port"] == str(next(port.number for port in box.ports.values() if port.name == "s8p5"))
    assert told["links"] == str(len(network.links))
    assert told["alive"] == str(sorted(port.name for port in network.nodes["gateway"].ports.values()))


@pytest.mark.parametrize("topo", [name for name, _ in library.shipped("topologies")])
def test_stock_mininet_builds_and_stops_every_topology_that_ships(topo: str, tmp_path: Path) -> None:
    text = mn(tmp_path, topo, "--test", "none")
    assert "completed in" in text
    nodes = library.network(topo).nodes
    hosts = {name for name, node in nodes.items() if not node.role.is_openflow} - {"exchange"}
    assert hosts <= set(text.split())


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", os.environ.get("TERM") or "dumb")
