"""Mininet's API over netlink: addresses, links, switches and programs do what the Topo says. Real packets."""

from __future__ import annotations

from pathlib import Path

import pytest

from shutdownlab.system.sandbox import run_in_sandbox


@pytest.mark.parametrize(
    ("lab", "shows"),
    [
        ("stock_topo", "a stock Topo is built, its switches obey flows, Mininet's CLI works"),
        ("addresses_and_routes", "hosts have the addresses, routes, whole prefixes and settings they were given"),
        ("programs_in_nodes", "programs run in their node, with its resolver, without a shell a node"),
        ("instances", "each operator has its own Open vSwitch, with the ports asked for"),
        ("bulk", "oversized packets pass: TCP is fast and UDP arrives"),
        ("controllers", "switches reach controllers over the management network"),
        ("shaped", "a link's bandwidth holds both ways"),
        ("delayed", "a link's delay holds, by netem or by the delay line"),
        ("exchange", "a Linux bridge joins its members, late ones too"),
        ("stopping", "stop leaves nothing, and the same can be built again"),
        ("mistakes", "a wrong link or address is refused with its name"),
        ("no_open_vswitch", "a missing Open vSwitch is told with how to fix it"),
        ("many", "a country of 64 nodes and eight operators is up in seconds"),
    ],
    ids=lambda value: value if " " not in value else "",
)
def test_network(lab: str, shows: str, tmp_path: Path) -> None:
    complaints = tmp_path / "complaints"
    with complaints.open("wb") as stderr:
        status = run_in_sandbox("netlabs:run", {"lab": lab, "run_dir": str(tmp_path)}, run_dir=tmp_path, stderr=stderr)
    assert status == 0, f"not so: {shows}\n{complaints.read_text()}"
