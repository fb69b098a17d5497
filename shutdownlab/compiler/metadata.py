"""The bits of a packet's OpenFlow metadata, which CLASSIFY writes and later tables match. Pure.

bit 0       the packet is inbound
bits 1, 2   DPI switches: drop this connection's outbound, or inbound, packets (see `ends`)
bits 8 on   access switches and the gateway: the subscriber group's number, from 1
"""

from __future__ import annotations

INBOUND = 0x1
STOP_OUTBOUND = 0x2
STOP_INBOUND = 0x4
STOPS = STOP_OUTBOUND | STOP_INBOUND
ALL_BITS = 0xFFFFFFFF
_GROUP_BIT = 8


def of_group(index: int, *, inbound: bool) -> int:
    """Returns the metadata of packets from, or (`inbound`) to, the subscriber group with this `index`, from 0."""
    return (index + 1) << _GROUP_BIT | (INBOUND if inbound else 0)
