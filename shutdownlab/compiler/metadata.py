"""The bits of a packet's OpenFlow metadata, which CLASSIFY writes and later tables match. Pure.

bit 0       it comes from outside
bits 1, 2   DPI switches: what goes out, or comes in, on this connection is to be dropped (`ends`)
bits 8 on   access switches and the gateway: its subscriber group, counted from 1
"""

from __future__ import annotations

INBOUND = 0x1
STOP_OUTBOUND = 0x2
STOP_INBOUND = 0x4
STOPS = STOP_OUTBOUND | STOP_INBOUND
ALL_BITS = 0xFFFFFFFF
_GROUP_BIT = 8


def of_group(index: int, *, inbound: bool) -> int:
    """The metadata of what a subscriber group (the `index`-th, from 0) sends or is sent."""
    return (index + 1) << _GROUP_BIT | (INBOUND if inbound else 0)
