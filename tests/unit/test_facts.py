"""What is written down once: the registries' numbers, the bits of the metadata, the address plan, WhatsApp's names."""

from __future__ import annotations

import itertools
import re
import socket
from pathlib import Path

import pytest
from os_ken.lib.packet import ether_types

import shutdownlab
from shutdownlab import library
from shutdownlab.compiler.metadata import ALL_BITS, INBOUND, STOP_INBOUND, STOP_OUTBOUND, of_group
from shutdownlab.config import numbers
from shutdownlab.inspection.apps import is_whatsapp_endpoint
from shutdownlab.model import address_plan
from shutdownlab.model.network import Role
from shutdownlab.model.topology import MOST_OPERATORS, MOST_TRANSITS

SOURCES = [path for path in Path(shutdownlab.__file__).parent.rglob("*.py") if "controllers" not in path.parts]


def lines_with(pattern: str, *besides: str) -> list[str]:
    """The lines of the package's code that match, but for those of the files named."""
    return [
        f"{path.name}: {line.strip()}"
        for path in SOURCES
        if path.name not in besides
        for line in path.read_text().splitlines()
        if re.search(pattern, line)
    ]


def test_ethertypes_are_the_registrys() -> None:
    assert numbers.ETHER_IPV4 == ether_types.ETH_TYPE_IP
    assert numbers.ETHER_IPV6 == ether_types.ETH_TYPE_IPV6
    assert numbers.ETHER_ARP == ether_types.ETH_TYPE_ARP
    assert numbers.ETHER_VLAN == ether_types.ETH_TYPE_8021Q
    assert numbers.ETHER_QINQ == ether_types.ETH_TYPE_8021AD
    assert numbers.ETHER_MPLS == ether_types.ETH_TYPE_MPLS
    assert dict(numbers.ETHER_TYPES) == {4: ether_types.ETH_TYPE_IP, 6: ether_types.ETH_TYPE_IPV6}


@pytest.mark.parametrize(
    ("ours", "systems"),
    [("ICMP", "ICMP"), ("IGMP", "IGMP"), ("IP_IN_IP", "IPIP"), ("TCP", "TCP"), ("UDP", "UDP"), ("IPV6_IN_IP", "IPV6"),
     ("GRE", "GRE"), ("ESP", "ESP"), ("AH", "AH"), ("ICMPV6", "ICMPV6"), ("SCTP", "SCTP")],
)  # fmt: skip
def test_protocol_numbers_are_the_systems(ours: str, systems: str) -> None:
    assert getattr(numbers, ours) == getattr(socket, f"IPPROTO_{systems}")


def test_no_other_module_writes_an_ethertype() -> None:
    assert lines_with(r"0x(0800|0806|86DD|8100|88A8|8847|8848|8864|9100)\b", "numbers.py") == []


def test_no_other_module_writes_the_laboratorys_blocks() -> None:
    found = lines_with(r"198\.1[89]\.\d|2001:db8:ffff", "address_plan.py")
    assert found == ['addresses.py: "198.18.0.0/15",']  # OONI's list of addresses that nobody has


def test_groups_directions_and_stops_share_no_bit_of_the_metadata() -> None:
    groups = [of_group(index, inbound=inbound) for index in range(1000) for inbound in (False, True)]
    assert len(set(groups)) == len(groups)
    assert all(group & (STOP_OUTBOUND | STOP_INBOUND) == 0 and group <= ALL_BITS for group in groups)
    assert all(bool(of_group(7, inbound=inbound) & INBOUND) is inbound for inbound in (False, True))


def test_the_laboratorys_own_subnets_are_in_its_blocks_and_apart() -> None:
    for version, block in zip((4, 6), address_plan.LABORATORY, strict=True):
        lans = (address_plan.GATEWAY_LAN, *address_plan.FURTHER_LANS, address_plan.EXCHANGE_LAN)
        pairs = (*lans, address_plan.BACKBONE, address_plan.OBSERVATORY)
        own = [subnet for pair in pairs for subnet in pair if subnet.version == version]
        own += [address_plan.MANAGEMENT] if version == 4 else []
        assert all(subnet.subnet_of(block) for subnet in own)  # type: ignore[arg-type]
        assert not any(a.overlaps(b) for a in own for b in own if a is not b)


def test_the_laboratorys_own_links_have_an_address_for_everyone_that_a_topology_may_name() -> None:
    borders = range(address_plan.FIRST_BORDER, address_plan.FIRST_BORDER + MOST_OPERATORS)
    transits = range(address_plan.FIRST_TRANSIT, address_plan.FIRST_TRANSIT + MOST_TRANSITS)
    assert borders.start > address_plan.ROUTE_SERVER and borders.stop <= transits.start
    lans = (address_plan.GATEWAY_LAN, *address_plan.FURTHER_LANS, address_plan.EXCHANGE_LAN)
    for lan in itertools.chain(*lans):
        assert transits.stop < lan.num_addresses - 1
    links = MOST_TRANSITS * (MOST_TRANSITS - 1) // 2
    assert len(list(itertools.islice(address_plan.backbone_links(), links))) == links


def test_every_address_of_a_country_is_where_the_plan_puts_it() -> None:
    network = library.load_topology("two-operators").network
    assert [str(network.one(Role.BORDER, "northnet").port_for(port).addresses[0]) for port in ("intl", "ix")] == [
        "198.18.0.11/18",
        "198.18.64.11/18",
    ]
    resolver, telephone = (network.one(role, "northnet") for role in (Role.RESOLVER, Role.TELEPHONE))
    prefixes = network.topology.operators["northnet"].prefixes
    infrastructure = next(address_plan.subnets(prefixes))
    for node, place in ((resolver, {4: 53, 6: 0x53}), (telephone, {4: 57, 6: 0x57})):
        assert {node.address(block.version) for block in infrastructure} == {
            block.network_address + place[block.version] for block in infrastructure
        }
    for vantage in network.vantages:
        node = network.subscriber(vantage.id)
        assert {node.address(subnet.version) for subnet in network.subnets[vantage.id]} == {
            subnet.network_address + 10 for subnet in network.subnets[vantage.id]
        }


def test_whatsapps_end_points_are_distinguished_from_its_other_names() -> None:
    endpoints = library.catalogue()["whatsapp"].endpoints
    names = [name for endpoint in endpoints for name in endpoint.names]
    alike = [f"e{number}.whatsapp.net" for number in range(1, 17)]
    assert [name for name in names if is_whatsapp_endpoint(name)] == alike
    assert lines_with(r"e\\d\+", "apps.py") == []


def test_the_readmes_way_from_a_policy_to_a_rule_names_files_that_are_there_each_once() -> None:
    root = Path(shutdownlab.__file__).parents[1]
    drawing = (root / "README.md").read_text().split("**From a policy to a rule.**")[1].split("```")[1]
    files = re.findall(r"^   (\S+\.py)", drawing, re.MULTILINE)
    assert len(files) > 10
    assert len(set(files)) == len(files)
    missing = [name for name in files if not (root / "shutdownlab" / name).is_file() and not (root / name).is_file()]
    assert missing == []
