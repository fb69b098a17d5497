"""What operators do with prefixes: withdraw theirs, announce parts of them, discard what comes for them, announce or
pass on those of others. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from shutdownlab.config.addresses import IpPrefix, Prefix, is_part
from shutdownlab.config.document import Expected, Record
from shutdownlab.config.scalars import part


class Whence(StrEnum):
    """From whom prefixes are withdrawn: everybody, or (`abroad`) all but customers and the exchange's members."""

    EVERYWHERE = "everywhere"
    ABROAD = "abroad"


class Whither(StrEnum):
    """To whom prefixes are announced: everybody, or (`home`) customers and the exchange's members alone."""

    EVERYWHERE = "everywhere"
    HOME = "home"


def _prefixes(value: object) -> object:
    if isinstance(value, str) and value != "all":
        raise Expected("`all`, or a list of prefixes")
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
    """Prefixes that operators announce no more, by BGP."""

    prefixes: _Prefixes = ()
    """`all`, or some of those that the operators announce."""
    family: Literal["ipv4", "ipv6"] | None = None
    """Only those of one family; left out: both."""
    share: _Share = 1.0
    """Of these, how many: the first ones, rounded up."""
    from_: Whence = Field(Whence.EVERYWHERE, alias="from")
    """From whom: `everywhere`; or `abroad`, which leaves customers and the exchange's members their routes."""

    def of(self, announced: Iterable[IpPrefix]) -> tuple[IpPrefix, ...]:
        """Which of a router's prefixes it is about."""
        return _meant(announced, self.prefixes, self.family, self.share)


class NullRoute(Record):
    """Prefixes that operators go on announcing, and whose packets from the gateway their border routers discard.

    The exchange is another way: what comes over it arrives. A table of null routes of its own, for what comes in from
    the gateway, is how remote-triggered black holes are built (RFC 5635, section 3).
    """

    prefixes: _Prefixes = ()
    """`all`, or some of those that the operators announce."""
    family: Literal["ipv4", "ipv6"] | None = None
    """Only those of one family; left out: both."""
    share: _Share = 1.0
    """Of these, how many: the first ones, rounded up."""
    spare: tuple[Prefix, ...] = ()
    """Addresses and prefixes within them that packets still reach."""

    def of(self, announced: Iterable[IpPrefix]) -> tuple[IpPrefix, ...]:
        """Which of a router's prefixes it is about."""
        return _meant(announced, self.prefixes, self.family, self.share)


class Announcement(Record):
    """Parts of their own prefixes that operators announce besides, by BGP.

    The longest prefix counts, so that who announces the halves of a prefix gets its packets back from whoever else
    announces the whole of it. Whatever is announced so goes where it went before.
    """

    prefixes: Annotated[tuple[Prefix, ...], Field(min_length=1)]
    """More specific ones than the operators announce anyhow."""
    to: Whither = Whither.EVERYWHERE
    """To whom: `everywhere`; or `home`, customers and the exchange's members alone."""

    def of(self, announced: Iterable[IpPrefix]) -> tuple[IpPrefix, ...]:
        """Which of them lie within a router's prefixes."""
        own = tuple(announced)
        return tuple(p for p in self.prefixes if any(is_part(p, each) for each in own))


class Hijack(Record):
    """A prefix of somebody else's that an operator announces as its own, by BGP; what comes for it is discarded.

    The same prefix as its holder's divides networks between the two, by relation and by the length of the AS path; a
    more specific one has them all. So blocks by null route have left the country: of YouTube in 2008, of Twitter in
    2021 and 2022.
    """

    prefix: Prefix
    """One that another network announces, or a part of it."""
    by: str
    """The operator that announces it; none by satellite, which no order reaches."""
    to: Whither = Whither.EVERYWHERE
    """To whom: `everywhere`; or `home`, customers and the exchange's members alone."""


class Leak(Record):
    """A prefix whose route an operator learns from a provider or at the exchange, and passes on where it should not
    (RFC 7908): its packets then go by way of that operator."""

    prefix: Prefix
    """One that another network announces."""
    by: str
    """The operator that passes the route on; none by satellite, which no order reaches."""
    to: str
    """To whom: one of its providers, or `exchange`. With several, BGP has more than one stable state (Griffin and
    Wilfong, 1999)."""
