"""What links do to packets: each kind of them, and single cables between networks."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from shutdownlab.config.document import Expected, Record
from shutdownlab.config.scalars import Kbit, Number, Seconds, Whole

_LONGEST_DELAY = 10.0
MOST_HOPS = 24
"""The maximum on one link: on two, with the operators' routers between, there are fewer than the 64 of a packet's
initial TTL."""


def _delay(value: float) -> float:
    if value > _LONGEST_DELAY:
        raise Expected("at most 10s", "it is one packet's way over one link")
    return value


Mtu = Annotated[Whole, Field(ge=1280, le=1500)]
"""Octets of an IP packet, up to Ethernet's; 1280 is the least that IPv6 allows (RFC 8200)."""


class LinkClass(Record):
    """What a kind of link does to packets: delays in seconds, rates in kbit/s, shares of 1."""

    delay: Annotated[Seconds, AfterValidator(_delay)] = 0.0
    """The one-way delay of such a link; at most 10s."""
    bandwidth: Kbit | None = None
    """The rate of each direction; left out: unlimited."""
    loss: Annotated[Number, Field(ge=0, le=0.5)] = 0.0
    """The share of packets that are lost, 0 to 0.5."""
    hops: Annotated[Whole, Field(ge=0, le=MOST_HOPS)] = 0
    """How many routers such a link has on its way, beside those that the topology names; at most 24. Each decrements a
    packet's TTL and answers when it expires, so that traceroute and TTL-limited probes find what they find on real
    paths. An operator's DPI box is behind the routers of the subscriber's line and the border router."""
    mtu: Mtu = 1500
    """The octets of the longest packet that such a link carries. On a subscriber's line, the ends ask their peers for
    shorter TCP segments, and the border router reports the MTU to senders of longer packets (ICMP "fragmentation
    needed"; IPv6 "packet too big"). PPPoE leaves 1492, tunnels of mobile cores less. `transit`: as with `cables`."""


class Cable(Record):
    """One cable between two networks, where it differs from others of its kind."""

    mtu: Mtu
    """The octets of the longest packet that it carries: a tunnel has less than the 1500 of Ethernet (1476 by GRE, RFC
    2784). The routers at both ends, and the hosts that send through the one behind it, report the MTU to senders of
    longer packets (ICMP "fragmentation needed", RFC 1191; IPv6 "packet too big", RFC 8201). TCP handshakes do not
    convey it: a sender that does not get these messages waits for ever."""
    source: str = ""
    """The source of these facts."""
