"""The network telescope: where it looks, and what it makes of the packets that come."""

from __future__ import annotations

import csv
import io
from ipaddress import IPv4Address, ip_address

from countries import country, small_country
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether

from shutdownlab.model.network import Hosted, Role
from shutdownlab.observers import dark


def test_it_looks_where_nothing_has_an_address_and_what_a_transit_announces_leads() -> None:
    network = small_country()
    found = dark.dark_prefix(network)
    assert found is not None
    router, prefix = found
    assert any(prefix.subnet_of(own) for own in network.topology.transits[router.owner].prefixes if own.version == 4)
    held = network.addresses_hosted() | {
        each.ip for node in network.nodes.values() for port in node.ports.values() for each in port.addresses
    }
    assert not [address for address in held if address in prefix]


def test_a_prefix_in_which_something_is_served_is_not_dark() -> None:
    network = country([(["t0"], True)], transits=1)
    _, before = dark.dark_prefix(network) or (None, None)
    assert before is not None
    taken = before[5]
    servers = network.one(Role.SERVERS, "t0")
    network.hosted.append(Hosted("made-up", servers.name, ("made-up.example",), (taken,), (), domestic=False))
    _, after = dark.dark_prefix(network) or (None, None)
    assert after is not None and after != before and taken not in after


def test_radiation_is_a_syn_to_telnet_that_any_reader_of_packets_takes_for_one() -> None:
    packet = IP(dark.syn(IPv4Address("100.64.1.200"), IPv4Address("198.51.100.230"), 40003, 77))
    assert (packet.src, packet.dst, packet[TCP].dport, packet[TCP].flags, packet[TCP].seq) == (
        "100.64.1.200",
        "198.51.100.230",
        23,
        "S",
        77,
    )
    sums = packet.chksum, packet[TCP].chksum
    del packet.chksum, packet[TCP].chksum
    again = IP(bytes(packet))
    assert (again.chksum, again[TCP].chksum) == sums


def test_only_syns_over_ipv4_are_radiation() -> None:
    ether = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
    ends = {"src": "100.64.1.200", "dst": "198.51.100.230", "ttl": 63}
    found = dark.seen(5.0, bytes(ether / IP(**ends) / TCP(sport=40000, dport=23, flags="S", seq=9, window=5840)))
    assert found is not None
    assert (str(found.source), str(found.target), found.port, found.sequence, found.ttl) == (
        "100.64.1.200",
        "198.51.100.230",
        23,
        9,
        63,
    )
    for other in (TCP(dport=23, flags="SA"), UDP(dport=23), TCP(dport=23, flags="R")):
        assert dark.seen(5.0, bytes(ether / IP(**ends) / other)) is None
    assert dark.seen(5.0, bytes(ether)) is None and dark.seen(5.0, bytes(ether / IP(**ends))) is None


def radiation(source: str, at: float) -> tuple[float, str, dark.Radiation]:
    frame = Ether() / IP(src=source, dst="198.51.100.230") / TCP(sport=40000, dport=23, flags="S")
    found = dark.seen(at, bytes(frame))
    assert found is not None
    return at, "2026-11-30T15:00:00.000+00:00", found


def test_forged_sources_are_distinguished_from_the_country_s_own() -> None:
    network = small_country()
    text = dark.flow_tuples(network, [radiation("100.65.1.200", 60.5), radiation("192.0.2.9", 61.0)]).decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(r["src_ip"], r["is_spoofed"], r["prefix2asn"], r["time"]) for r in rows] == [
        ("100.65.1.200", "0", "64502", "60"),
        ("192.0.2.9", "1", "0", "61"),
    ]


def test_flows_of_a_minute_are_in_the_order_of_their_sources_whoever_came_first() -> None:
    came = [radiation("100.65.1.200", 60.5), radiation("100.64.1.9", 61.0), radiation("100.64.1.8", 120.0)]
    rows = csv.DictReader(io.StringIO(dark.flow_tuples(small_country(), came).decode()))
    assert [row["src_ip"] for row in rows] == ["100.64.1.9", "100.65.1.200", "100.64.1.8"]


def test_sources_are_counted_once_a_minute() -> None:
    came = [radiation(source, at) for source, at in (("100.65.1.200", 60), ("100.65.1.200", 119), ("100.64.1.9", 120))]
    found = list(dark.minutes((at, each) for at, _, each in came))
    assert found == [(60, {ip_address("100.65.1.200")}), (120, {ip_address("100.64.1.9")})]
