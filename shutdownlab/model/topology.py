"""A country's Internet as data: operators, regions, subscribers, the gateway, the exchange, the world abroad."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from pathlib import PurePath
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, BeforeValidator, Field

from shutdownlab.config.document import Expected, Path, Record
from shutdownlab.config.scalars import HostName, Kbit, Number, Ports, Prefix, Seconds, Whole, ports, written


class Access(StrEnum):
    """How subscribers are connected; each is a link class."""

    FIXED = "fixed"
    MOBILE = "mobile"


class SubscriberClass(StrEnum):
    """Whom a shutdown treats alike."""

    ORDINARY = "ordinary"
    GOVERNMENT = "government"
    DATACENTRE = "datacentre"


def _name(value: object) -> str:
    text = written(value)
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,39}", text):
        raise Expected("a name of at most 40 lower-case letters, digits and hyphens")
    return text


def _country(value: object) -> str:
    """ISO 3166-1's two letters, or ZZ (user-assigned) for a country that isn't."""
    text = written(value)
    if not (len(text) == 2 and text.isascii() and text.isalpha() and text.isupper()):
        raise Expected("a country code of two capital letters such as KZ", "ZZ for a country that does not exist")
    return text


Name = Annotated[str, BeforeValidator(_name)]
MOST_OPERATORS, MOST_TRANSITS, MOST_GROUPS = 1_000, 64, 20_000
"""Fewer than the laboratory's own links have addresses for (`address_plan`); what a machine can run is counted by
`country.limits`."""


def _label(value: object) -> str:
    text = written(value)
    if not (0 < len(text) <= 80 and text.isprintable() and text.strip() == text):
        raise Expected("a name of at most 80 characters, on one line")
    return text


Label = Annotated[str, BeforeValidator(_label)]
"""What is free text but for its length: it stands in tables."""
_LONGEST_DELAY = 10.0


def _delay(value: float) -> float:
    if value > _LONGEST_DELAY:
        raise Expected("at most 10s", "it is one packet's way over one link")
    return value


Asn = Annotated[Whole, Field(ge=1, le=4_294_967_294)]


class LinkClass(Record):
    """One way's delay (seconds), the rate of each direction (kbit/s) and loss (share of packets) of a kind of link."""

    delay: Annotated[Seconds, AfterValidator(_delay)] = 0.0
    bandwidth: Kbit | None = None
    loss: Annotated[Number, Field(ge=0, le=0.5)] = 0.0


class Region(Record):
    """A region and its share of the country's subscribers (0 to 1)."""

    title: str
    weight: Annotated[Number, Field(gt=0, le=1)]
    source: str = ""


def _listens(value: object) -> Ports:
    found = ports(value)
    if found.protocol is None or found.first != found.last:
        raise Expected("one port with its protocol, such as tcp/8080 or udp/53")
    return found


def _app_or_program(value: object) -> object:
    if not isinstance(value, str | dict | ServerProgram):
        raise Expected("the name of an app, or a server program such as {command: [./bank], ports: [tcp/8080]}")
    return value


class ServerProgram(Record):
    """A server program of the user's own, on the node of the network that serves it, with an address of that network.

    `command`: its argv. Arguments that begin with ./ or ../ are paths relative to this file; {address} and {address6}
    stand for its addresses, {certificate} and {key} for PEM files by the laboratory's authority, for its `names`. It
    runs in a directory of its own, stays in the foreground, and is up once it listens on all of its `ports`.
    """

    command: Annotated[tuple[str, ...], Field(min_length=1)]
    ports: Annotated[tuple[Annotated[Ports, BeforeValidator(_listens)], ...], Field(min_length=1)]
    names: tuple[HostName, ...] = ()
    title: str = ""

    @property
    def name(self) -> str:
        """What to call it: its title, or the program's name."""
        return self.title or PurePath(self.command[0]).name


Served = Annotated[str | ServerProgram, BeforeValidator(_app_or_program)]


class Subscribers(Record):
    """A group of subscribers of one operator in one region: one vantage point, one /24 and one /64.

    `serves` names the apps (of the catalogue) hosted there, or is a server program of one's own.
    """

    class_: SubscriberClass = Field(alias="class", default=SubscriberClass.ORDINARY)
    access: Access
    serves: tuple[Served, ...] = ()


class Operator(Record):
    """A network operator. `subscribers` is in millions; `transit` names the operators and transits it buys from.

    `obeys_after` is how long it takes to carry out an order (seconds of scenario time).
    """

    title: str
    asn: Asn
    prefixes: tuple[Prefix, ...]
    subscribers: Annotated[Number, Field(gt=0, le=10_000)]
    transit: tuple[str, ...]
    exchange: bool = True
    obeys_after: Seconds = 0.0
    regions: dict[Name, dict[Name, Subscribers]]
    source: str = ""


class Transit(Record):
    """A foreign transit network and the services reached through it."""

    title: str
    asn: Asn
    prefixes: tuple[Prefix, ...]
    serves: tuple[Served, ...]
    source: str = ""


class Gateway(Record):
    """The switch where every international link enters the country, and who commands it."""

    title: str
    source: str = ""


class Exchange(Record):
    """The domestic exchange: a peering LAN with a route server."""

    title: str
    asn: Asn
    source: str = ""


class VantageId(NamedTuple):
    """Where a measurement is made: `kcell/almaty/ordinary`."""

    operator: str
    region: str
    group: str

    def __str__(self) -> str:
        return "/".join(self)


class Vantage(Record):
    """A subscriber group with what selects it."""

    id: VantageId
    access: Access
    class_: SubscriberClass
    weight: float


class Topology(Record):
    """A country's Internet. Build one with `topology_checks.check_topology`; it has been checked as a whole then."""

    format: Literal[1]
    name: Name
    title: str
    summary: str = ""
    country: Annotated[str, BeforeValidator(_country)]
    sources: dict[str, str] = {}
    apps: tuple[str, ...] = ()
    """Files of own apps, relative to this one."""
    links: dict[Literal["fixed", "mobile", "transit"], LinkClass]
    regions: Annotated[dict[Name, Region], Field(min_length=1, max_length=1_000)]
    operators: Annotated[dict[Name, Operator], Field(min_length=1, max_length=MOST_OPERATORS)]
    gateway: Gateway
    exchange: Exchange
    transits: Annotated[dict[Name, Transit], Field(min_length=1, max_length=MOST_TRANSITS)]

    def vantages(self) -> Iterator[Vantage]:
        """Every subscriber group, in the file's order; weights (millions of subscribers) are for ordinary ones."""
        for operator_name, operator in self.operators.items():
            present = sum(self.regions[region].weight for region in operator.regions)
            for region, groups in operator.regions.items():
                ordinary = sum(group.class_ is SubscriberClass.ORDINARY for group in groups.values())
                share = operator.subscribers * self.regions[region].weight / present
                for name, group in groups.items():
                    weight = share / ordinary if group.class_ is SubscriberClass.ORDINARY else 0.0
                    identity = VantageId(operator_name, region, name)
                    yield Vantage(id=identity, access=group.access, class_=group.class_, weight=weight)

    def served(self) -> Iterator[tuple[Path, str]]:
        """Every hosted app with the place in the file that says so."""
        return ((path, item) for path, item in self._serves() if isinstance(item, str))

    def programs(self) -> Iterator[tuple[Path, ServerProgram]]:
        """Every server program of the user's own, likewise."""
        return ((path, item) for path, item in self._serves() if isinstance(item, ServerProgram))

    def _serves(self) -> Iterator[tuple[Path, str | ServerProgram]]:
        for operator_name, operator in self.operators.items():
            for region, groups in operator.regions.items():
                for name, group in groups.items():
                    for index, item in enumerate(group.serves):
                        yield ("operators", operator_name, "regions", region, name, "serves", index), item
        for name, transit in self.transits.items():
            for index, item in enumerate(transit.serves):
                yield ("transits", name, "serves", index), item
