"""What operators do with prefixes: withdraw them, announce parts of them, discard packets to them, announce or leak
those of others. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from shutdownlab.config.addresses import IpPrefix, Prefix, is_part
from shutdownlab.config.document import Expected, Record
from shutdownlab.config.scalars import part


class WithdrawalReach(StrEnum):
    """From which neighbours prefixes are withdrawn: all, or (`abroad`) all but customers and the exchange's members."""

    EVERYWHERE = "everywhere"
    ABROAD = "abroad"


class AnnouncementReach(StrEnum):
    """To which neighbours prefixes are announced: all, or (`home`) only customers and the exchange's members."""

    EVERYWHERE = "everywhere"
    HOME = "home"


def _prefixes(value: object) -> object:
    if isinstance(value, str) and value != "all":
        raise Expected("`all`, or a list of prefixes")
    if isinstance(value, list | tuple) and not value:
        raise Expected("`all`, or at least one prefix", "or leave the key out: all", found="an empty list")
    return () if value == "all" else value


_Prefixes = Annotated[
    tuple[Prefix, ...], BeforeValidator(_prefixes, json_schema_input_type=tuple[Prefix, ...] | Literal["all"])
]
_Share = Annotated[float, BeforeValidator(part)]


def _meant(
    announced: Iterable[IpPrefix], prefixes: tuple[IpPrefix, ...], family: str | None, share: float
) -> tuple[IpPrefix, ...]:
    version = {None: None, "ipv4": 4, "ipv6": 6}[family]
    meant = [p for p in announced if version in {None, p.version} and (not prefixes or p in prefixes)]
    return tuple(meant[: math.ceil(share * len(meant))])


class Withdrawal(Record):
    """Prefixes that operators no longer announce by BGP."""

    prefixes: _Prefixes = ()
    """`all`, or some of those that the operators announce."""
    family: Literal["ipv4", "ipv6"] | None = None
    """Only those of one family; left out: both."""
    share: _Share = 1.0
    """The share of these: the first ones, rounded up."""
    from_: WithdrawalReach = Field(WithdrawalReach.EVERYWHERE, alias="from")
    """From which neighbours: `everywhere` is all of them; `abroad` leaves customers and the exchange's members their
    routes."""

    def of(self, announced: Iterable[IpPrefix]) -> tuple[IpPrefix, ...]:
        """Returns those of a router's prefixes that it affects."""
        return _meant(announced, self.prefixes, self.family, self.share)


class NullRoute(Record):
    """Prefixes that operators go on announcing while their border routers discard the packets to them that come from
    the gateway.

    Packets that come over the exchange still arrive. A separate table of null routes for traffic from the gateway is
    how remote-triggered black holes are built (RFC 5635, section 3).
    """

    prefixes: _Prefixes = ()
    """`all`, or some of those that the operators announce."""
    family: Literal["ipv4", "ipv6"] | None = None
    """Only those of one family; left out: both."""
    share: _Share = 1.0
    """The share of these: the first ones, rounded up."""
    spare: tuple[Prefix, ...] = ()
    """Addresses and prefixes within them that stay reachable."""

    def of(self, announced: Iterable[IpPrefix]) -> tuple[IpPrefix, ...]:
        """Returns those of a router's prefixes that it affects."""
        return _meant(announced, self.prefixes, self.family, self.share)


class Announcement(Record):
    """Parts of their own prefixes that operators announce in addition, by BGP.

    The longest prefix wins: an operator that announces the halves of its prefix draws its packets back from anybody who
    announces the whole of it. Packets to a part announced this way go where they went before.
    """

    prefixes: Annotated[tuple[Prefix, ...], Field(min_length=1)]
    """Prefixes that are more specific than those that the operators announce anyway."""
    to: AnnouncementReach = AnnouncementReach.EVERYWHERE
    """To which neighbours: `everywhere` is all of them; `home` is only customers and the exchange's members."""

    def of(self, announced: Iterable[IpPrefix]) -> tuple[IpPrefix, ...]:
        """Returns those that lie within a router's prefixes."""
        own = tuple(announced)
        return tuple(p for p in self.prefixes if any(is_part(p, each) for each in own))


class Hijack(Record):
    """Another network's prefix that an operator announces as its own by BGP; packets to it are discarded.

    If it equals the holder's prefix, networks choose between the two by business relation and AS path length; a more
    specific one attracts them all. This is how blocks by null route have leaked out of a country: YouTube in 2008,
    Twitter in 2021 and 2022.
    """

    prefix: Prefix
    """A prefix that another network announces, or a part of one."""
    by: str
    """The operator that announces it. It cannot be one by satellite, since orders do not reach its gateway abroad."""
    to: AnnouncementReach = AnnouncementReach.EVERYWHERE
    """To which neighbours: `everywhere` is all of them; `home` is only customers and the exchange's members."""


class Leak(Record):
    """A route leak (RFC 7908): an operator learns a prefix's route from a provider or at the exchange and passes it on
    where it should not; packets to the prefix then go through that operator."""

    prefix: Prefix
    """A prefix that another network announces."""
    by: str
    """The operator that leaks the route. It cannot be one by satellite, since orders do not reach its gateway abroad.
    """
    to: str
    """The neighbour that receives the route: one of its providers, or `exchange`. With several leaks, BGP has more than
    one stable state (Griffin and Wilfong, 1999)."""
