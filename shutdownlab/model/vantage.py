"""The vantage points: subscriber groups from which the country is measured, and the tunnels of those roaming. Pure."""

from __future__ import annotations

from collections.abc import Container
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from typing import NamedTuple

from shutdownlab.config.addresses import Address, IpPrefix, Prefix
from shutdownlab.config.document import Record
from shutdownlab.model import address_plan
from shutdownlab.model.address_plan import Pair
from shutdownlab.model.cables import GATEWAY
from shutdownlab.model.subscribers import Access, SubscriberClass


class VantageId(NamedTuple):
    """The identity of a vantage point: `kcell/almaty/ordinary`."""

    operator: str
    region: str
    group: str

    def __str__(self) -> str:
        return "/".join(self)


class Bearer(NamedTuple):
    """A tunnel between an operator and a roaming subscriber's home (3GPP TS 29.281), with the same number in both
    directions."""

    teid: int
    """The tunnel endpoint identifier, as sent in GTP-U headers."""
    outer: IPv4Address
    """The operator's end of the tunnel."""
    end: IPv4Address
    """The home's end of the tunnel."""
    inner: tuple[Address, ...]
    """The subscriber's addresses in the home network, one of each IP version."""


class Vantage(Record):
    """A subscriber group, with the properties by which scopes select it."""

    id: VantageId
    access: Access
    class_: str
    """Their class: one of every country's, or one of the topology's own."""
    kind: SubscriberClass
    """The class of every country that `class_` is, or belongs to."""
    weight: float
    subnets: tuple[Prefix, ...] = ()
    """Its /24 and its /64; at an IPv4-only operator the /24 alone."""
    shared: IPv4Address | None = None
    """The address into which a carrier-grade NAT, or a NAT64, translates the source of all its IPv4 packets; None:
    neither is there."""
    nat64: IPv6Network | None = None
    """The /96 that represents IPv4 addresses on its line, which carries only IPv6; None: the line carries IPv4."""
    place: int = 0
    """Its index among the groups of its operator, from 0."""
    of: int = 1
    """The number of groups of its operator."""
    gateway: str = GATEWAY
    """Its operator's gateway."""
    home: str = ""
    """The foreign transit that is its home; "": it is not roaming."""
    bearers: tuple[Bearer, ...] = ()
    """If it is roaming: its tunnel home, and its controls'. `subnets` are then the addresses by which the country sees
    it."""

    @property
    def is_of_one_address(self) -> bool:
        """Whether a single IPv4 address is all that its line has: that of a tunnel's end, or of a NAT64's."""
        return bool(self.home) or self.nat64 is not None

    @cached_property
    def versions(self) -> tuple[int, ...]:
        """The IP versions that its subscribers can use: those of its operator; if it is roaming, those of its home."""
        return address_plan.versions_of(self.bearers[0].inner if self.bearers else self.subnets)

    @property
    def is_ordinary(self) -> bool:
        """Whether it counts in tables."""
        return self.kind is SubscriberClass.ORDINARY and not self.home

    def is_of(self, classes: Container[str]) -> bool:
        """Returns whether it is of one of these classes."""
        return self.class_ in classes or self.kind in classes


def bearers_of(home: tuple[IpPrefix, ...], subnets: Pair, guest: int) -> tuple[Bearer, ...]:
    """Returns the tunnels of a roaming group and of its controls.

    `home`: the prefixes of its home. `subnets`: its own, at the operator. `guest`: its index among the guests of its
    home, from 0.
    """
    servers = next(address_plan.subnets(home), ())
    pool = address_plan.guests(servers)
    ends = [b.network_address + address_plan.ROUTER for b in servers if isinstance(b, IPv4Network)]
    own = [b.network_address for b in subnets if isinstance(b, IPv4Network)]
    if not ends or not own or not pool:
        return ()
    places = enumerate((address_plan.SUBSCRIBER, address_plan.SUBSCRIBER_CONTROL), address_plan.FIRST_GUEST + 2 * guest)
    return tuple(
        Bearer(number, own[0] + place, ends[0], tuple(block.network_address + number for block in pool))
        for number, place in places
    )
