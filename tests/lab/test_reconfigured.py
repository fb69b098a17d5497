"""What somebody changes of a node is told at the end of the phase that it would spoil, whenever it was changed."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tiny
from cables import Cables

from shutdownlab import library
from shutdownlab.country.reconfigured import Reconfigured
from shutdownlab.model.network import Network, Role
from shutdownlab.system.netns import inside

SUBSCRIBER, BORDER, BOX = "one-capital", "one-border", "one-box"
RULE = "ip rule add from 192.0.2.9 unreachable"


@dataclass
class Country:
    """A country's nodes, all of which are one but those that a test is about."""

    network: Network
    net: Any
    nodes: dict[str, Path]
    noticing: Reconfigured

    def begin(self) -> None:
        self.noticing.begin(self.net, self.network, hosts=True)

    def change(self, name: str, command: str = RULE) -> None:
        with inside(self.nodes[name]):
            subprocess.run(command.split(), check=True)

    def found(self) -> list[str]:
        return list(self.noticing.found())


@pytest.fixture
def country(tmp_path: Path) -> Iterator[Country]:
    network = library.network(str(tiny.written(tmp_path, "one")))
    with Cables() as cables:
        nodes = {
            node.name: cables.netns()
            for role in (Role.SUBSCRIBER, Role.BORDER, Role.DPI_BOX)
            for node in network.by_role(role)
        }
        other = cables.netns()

        def entered(name: str) -> AbstractContextManager[None]:
            return inside(nodes.get(name, other))

        def node(name: str) -> SimpleNamespace:
            return SimpleNamespace(namespace=SimpleNamespace(entered=lambda: entered(name)))

        net = SimpleNamespace(get=node, instances={}, cabling=SimpleNamespace(relay=None))
        country = Country(network, net, nodes, Reconfigured())
        country.begin()
        yield country


def test_what_is_changed_while_a_phase_is_measured_is_told_once(country: Country) -> None:
    country.change(SUBSCRIBER)
    assert country.found() == [f"somebody has changed a routing rule of {SUBSCRIBER}"]
    assert country.found() == []


def test_what_is_changed_between_phases_is_told_of_the_next_one(country: Country) -> None:
    """It would last, and block what no order blocks, in all phases that follow."""
    assert country.found() == []
    country.change(SUBSCRIBER)
    country.change(SUBSCRIBER, "sysctl -qw net.ipv4.icmp_echo_ignore_all=1")
    country.begin()
    why = "a routing rule and the sysctl net.ipv4.icmp_echo_ignore_all"
    assert country.found() == [f"somebody has changed {why} of {SUBSCRIBER}"]


def test_what_an_order_changes_of_a_router_is_not_told_and_what_was_changed_before_it_is(country: Country) -> None:
    country.change(BORDER, "ip address add 192.0.2.9/32 dev lo")
    country.noticing.allow(BORDER)
    country.change(BORDER)
    country.noticing.allow(BORDER)
    country.begin()
    assert country.found() == [f"somebody has changed an address of {BORDER}"]
    country.change(BORDER, "ip address del 192.0.2.9/32 dev lo")
    country.begin()
    assert country.found() == [f"somebody has changed an address of {BORDER}"], "it is allowed for one phase only"


def test_a_box_may_plug_its_proxy_in_when_it_is_given_orders_and_change_nothing_else(country: Country) -> None:
    country.change(BOX, "ip link add proxy type veth")
    country.begin()
    assert country.found() == []
    country.change(BOX)
    country.begin()
    country.change(BOX, "ip link del proxy")
    assert country.found() == [f"somebody has changed a routing rule and an interface of {BOX}"]
