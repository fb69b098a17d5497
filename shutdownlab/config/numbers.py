"""Registered numbers used by several layers: EtherTypes (IEEE 802) and IP protocol numbers (IANA)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

ETHER_IPV4: Final = 0x0800
ETHER_ARP: Final = 0x0806
ETHER_VLAN: Final = 0x8100
ETHER_IPV6: Final = 0x86DD
ETHER_MPLS: Final = 0x8847
ETHER_MPLS_MULTICAST: Final = 0x8848
ETHER_PPPOE: Final = 0x8864
ETHER_QINQ: Final = 0x88A8
ETHER_BACKBONE: Final = 0x88E7
"""A customer's frame within a provider's (IEEE 802.1ah)."""
ETHER_QINQ_OLD: Final = (0x9100, 0x9200, 0x9300)
"""The EtherTypes that switches used before IEEE 802.1ad assigned one."""
ETHER_MACSEC: Final = 0x88E5
ETHER_NSH: Final = 0x894F
"""A network service header (RFC 8300)."""
ETHER_TRILL: Final = 0x22F3
ETHER_FABRICPATH: Final = 0x8903
ETHER_BATMAN: Final = 0x4305
"""A frame within a mesh network of batman-adv."""

ETHER_TYPES: Final[Mapping[int, int]] = MappingProxyType({4: ETHER_IPV4, 6: ETHER_IPV6})
"""EtherTypes by IP version."""

ICMP: Final = 1
IGMP: Final = 2
IP_IN_IP: Final = 4
TCP: Final = 6
UDP: Final = 17
IPV6_IN_IP: Final = 41
GRE: Final = 47
ESP: Final = 50
AH: Final = 51
MINIMAL_IP_IN_IP: Final = 55
ICMPV6: Final = 58
OSPF: Final = 89
ETHER_IN_IP: Final = 97
IPCOMP: Final = 108
L2TP_IN_IP: Final = 115
SCTP: Final = 132
UDP_LITE: Final = 136
MPLS_IN_IP: Final = 137
ETHER_IN_IPV6: Final = 143
"""A frame behind a segment routing header (RFC 8986 §9)."""

PROTOCOL_NUMBERS: Final[Mapping[str, int]] = MappingProxyType(
    {"icmp": ICMP, "tcp": TCP, "udp": UDP, "gre": GRE, "esp": ESP, "icmp6": ICMPV6}
)
"""Protocol numbers by the names in policies, for the protocols that a switch distinguishes."""

PROTOCOL_NAMES: Final[Mapping[int, str]] = MappingProxyType(
    {
        ICMP: "icmp", IGMP: "igmp", TCP: "tcp", UDP: "udp", GRE: "gre", ESP: "esp", AH: "ah", ICMPV6: "icmpv6",
        OSPF: "ospf", ETHER_IN_IP: "etherip", L2TP_IN_IP: "l2tp", SCTP: "sctp", MPLS_IN_IP: "mpls",
        ETHER_IN_IPV6: "ethernet", MINIMAL_IP_IN_IP: "mobile", IPCOMP: "ipcomp", UDP_LITE: "udplite",
    }
)  # fmt: skip
"""Protocol names in the inspection engine, by number."""
