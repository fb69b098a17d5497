"""Stock Mininet loads the topologies too: `mn --custom topologies/country.py --topo two-operators`."""

from __future__ import annotations

import os
import subprocess
import sys

import outside
import pytest
import stock

from shutdownlab import library

DEADLINE_S = 120.0


@pytest.fixture(scope="module", autouse=True)
def stock_mininet_can_run_here() -> None:
    if not stock.MN.exists():
        pytest.skip(f"{stock.MN} is not there")
    tried = subprocess.run([*stock.NAMESPACES, "mnexec", "-n", "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"stock Mininet's own hosts can't be started by this user: {tried.stderr.strip()}")


def mn(topo: str, *arguments: str, typed: str = "") -> str:
    """What `mn` printed; it must have ended well."""
    country = outside.ROOT / "topologies" / "country.py"
    command = [*stock.NAMESPACES, sys.executable, stock.__file__, "--custom", str(country), "--topo", topo]
    command += ["--switch", "ovs,datapath=user", "--controller", "none", *arguments]
    environment = {**os.environ, "TERM": os.environ.get("TERM") or "dumb"}
    ended = subprocess.run(
        command,
        input=typed,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=DEADLINE_S,
        env=environment,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout
    assert "Caught exception" not in ended.stdout, ended.stdout
    return ended.stdout


def test_stock_mininet_builds_the_country_with_its_ports_addresses_and_macs() -> None:
    asked = {
        "ip": "py net.get('southcell-coast').IP()",
        "mac": "py net.get('southcell-coast').MAC()",
        "dpid": "py net.get('northnet-dpi').dpid",
        "port": "py net.get('northnet-dpi').ports[net.get('northnet-dpi').nameToIntf['s8p5']]",
        "links": "py len(net.links)",
        "alive": "py net.get('gateway').cmd('ovs-vsctl list-ports gateway').split()",
    }
    typed = "\n".join([*(line for name, line in asked.items() for line in (f"sh echo '{name}:'", line)), "exit", ""])
    lines = mn("two-operators", typed=typed).replace("mininet> ", "").splitlines()
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


@pytest.mark.thorough
@pytest.mark.parametrize("topo", [name for name, _ in library.shipped("topologies")])
def test_stock_mininet_builds_and_stops_every_topology_that_ships(topo: str) -> None:
    text = mn(topo, "--test", "none")
    assert "completed in" in text
    nodes = library.network(topo).nodes
    hosts = {name for name, node in nodes.items() if not node.role.is_openflow} - {"exchange"}
    assert hosts <= set(text.split())
