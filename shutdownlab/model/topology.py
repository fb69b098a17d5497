"""A country's Internet as data: operators, regions, subscribers, the gateway, the exchange, the world abroad."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import PurePath
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from shutdownlab.config.addresses import Prefix
from shutdownlab.config.document import Expected, Path, Record
from shutdownlab.config.domains import HostName
from shutdownlab.config.scalars import Asn, Number, Port, Ports, Seconds, Title, ports
from shutdownlab.model import address_plan
from shutdownlab.model.cables import GATEWAY, CableName, ends_of
from shutdownlab.model.economy import Economy
from shutdownlab.model.labels import CountryCode, Name
from shutdownlab.model.links import Cable, LinkClass
from shutdownlab.model.subscribers import Access as Access
from shutdownlab.model.subscribers import SubscriberClass as SubscriberClass
from shutdownlab.model.vantage import Bearer, bearers_of
from shutdownlab.model.vantage import Vantage as Vantage
from shutdownlab.model.vantage import VantageId as VantageId

_OF_EVERY_COUNTRY = {each.value: each for each in SubscriberClass}

MOST_OPERATORS, MOST_TRANSITS, MOST_GROUPS = 1_000, 64, 20_000
"""Limits below what the laboratory's own links have addresses for (`address_plan`); `country.limits` estimates what a
machine can run."""


AT_TWO_GATEWAYS = "a company at both is written as two, with an AS number each"


def _gateway(value: object) -> object:
    if isinstance(value, list | tuple):
        raise Expected("the name of one gateway", AT_TWO_GATEWAYS)
    return value


_AtGateway = Annotated[Name, BeforeValidator(_gateway)]


def _outlines(value: object) -> object:
    if value != "rest" and not isinstance(value, list | tuple):
        raise Expected("a list of outlines such as [KZ.AC], or `rest` for all that no other region has")
    return value


def _degrees(value: object) -> object:
    if not isinstance(value, list | tuple) or len(value) != 2 or any(isinstance(each, bool) for each in value):
        raise Expected("two numbers, latitude and longitude in degrees, such as [42.32, 69.59]")
    return tuple(value)


_Latitude = Annotated[Number, Field(ge=-90, le=90)]
_Longitude = Annotated[Number, Field(ge=-180, le=180)]


class Region(Record):
    """A part of the country, in which operators have subscribers."""

    title: Title
    """Its name, shown in tables and drawings."""
    weight: Annotated[Number, Field(gt=0, le=1)]
    """Its share of the country's subscribers, more than 0, at most 1. The shares of all regions need not add up to 1:
    only their ratios count."""
    outlines: Annotated[
        tuple[str, ...] | Literal["rest"],
        BeforeValidator(_outlines, json_schema_input_type=tuple[str, ...] | Literal["rest"]),
    ] = ()
    """Its part of the country's map: keys of outlines that ship, such as KZ.AC, or `rest`, all that no other region
    has. A country where no region has any is drawn as tiles."""
    place: Annotated[tuple[_Latitude, _Longitude], BeforeValidator(_degrees)] | None = None
    """Its position, latitude and longitude in degrees: a town without an outline of its own is marked there on the map.
    In a country that is drawn as tiles, the tiles are arranged by position, north up; those without one are below."""
    source: str = ""
    """The source of these facts; codes such as RIS are explained under `sources`."""


def _listens(value: object) -> Ports:
    found = ports(value)
    if found.protocol is None or found.first != found.last:
        raise Expected("one port with its protocol, such as tcp/8080 or udp/53")
    return found


_Listening = Annotated[Port, BeforeValidator(_listens)]


def _app_or_program(value: object) -> object:
    if not isinstance(value, str | dict | ServerProgram):
        raise Expected("the name of an app, or a server program such as {command: [./bank], ports: [tcp/8080]}")
    return value


class ServerProgram(Record):
    """A server program of the user's own. It runs on the node of the network that serves it, with an address of that
    network.

    It runs in a directory of its own and must stay in the foreground. It starts only with `--trust`.
    """

    command: Annotated[tuple[str, ...], Field(min_length=1)]
    """The program and its arguments. Arguments that begin with ./ or ../ are files beside this one; {address} and
    {address6} are replaced by its addresses, {certificate} and {key} by PEM files for its `names`, signed by the
    laboratory's authority."""
    ports: Annotated[tuple[_Listening, ...], Field(min_length=1)]
    """The ports that it listens on, each with its transport; it is up once it listens on all of them."""
    names: tuple[HostName, ...] = ()
    """Host names that resolve to it."""
    title: Title = ""
    """Its name in messages and drawings; left out: the program's name."""

    @property
    def name(self) -> str:
        """Its title, or else the program's name."""
        return self.title or PurePath(self.command[0]).name


Served = Annotated[str | ServerProgram, BeforeValidator(_app_or_program)]


class OwnClass(Record):
    """A class of subscribers that this country's shutdowns treat alike: by contract, profession or favour."""

    title: Title
    """Its name, shown in drawings and in the report."""
    is_: SubscriberClass = Field(alias="is", default=SubscriberClass.ORDINARY)
    """The class of every country that it also belongs to: whatever applies to that class applies to it. `ordinary` ones
    count in tables."""
    share: Annotated[Number, Field(gt=0, le=1)] | None = None
    """Its share of an operator's ordinary subscribers in a region, if the operator has a group of it there that gives
    no `share` of its own. If there are no others, it is all of them."""
    source: str = ""
    """The source of these facts."""


class Subscribers(Record):
    """A group of subscribers of one operator in one region: one vantage point, one /24 and, unless the operator is
    IPv4-only, one /64."""

    class_: Name = Field(alias="class", default=SubscriberClass.ORDINARY.value)
    """Their class: `ordinary`, `government`, `datacentre`, or one of the topology's own `classes`; policies select by
    it. Only ordinary ones count in tables."""
    access: Access
    """Their kind of connection: the link class, and what policies select by `access`. An operator's groups are all on
    `satellite` lines, or none is: its gateway is then abroad, at its one foreign transit, and orders do not reach it,
    except `degrade` with `where: {access: [satellite]}`, which is jamming. Those on `roaming` lines are guests with SIM
    cards of a `home` abroad: home-routed roaming (3GPP TS 23.401, 4.2.2)."""
    home: Name | None = None
    """For `roaming` lines: the foreign transit whose customers they are. The operator forwards all their traffic to it
    in a GTP-U tunnel (3GPP TS 29.281, udp/2152), through the gateway; their addresses and resolver are there. They
    count in no table, since they are not the country's subscribers."""
    share: Annotated[Number, Field(gt=0, le=1)] | None = None
    """Their share of the operator's ordinary subscribers in the region; left out: their class's share, else an equal
    part of what the other groups leave."""
    serves: tuple[Served, ...] = ()
    """What they host: apps of the catalogue (`shutdownlab apps`) or of `apps` files, and server programs of your
    own."""
    anycast: tuple[str, ...] = ()
    """Apps that a foreign transit serves and that also have servers here, at the same addresses (RFC 4786): those of a
    public resolver or a CDN. Their operator announces the addresses to its customers and the exchange's members, as
    local nodes are announced, and BGP decides who reaches which server. `withdraw` takes that back."""


NO_CLASSES: Mapping[str, OwnClass] = MappingProxyType({})


def kind_of(class_: str, own: Mapping[str, OwnClass]) -> SubscriberClass:
    """Returns the class of every country that a class is, or belongs to; raises `KeyError` for an unknown class."""
    return own[class_].is_ if class_ in own else _OF_EVERY_COUNTRY[class_]


def given_shares(
    groups: Mapping[str, Subscribers], own: Mapping[str, OwnClass] = NO_CLASSES
) -> dict[str, float | None]:
    """Returns the ordinary groups of an operator's region, with the share that each, or its class, declares (None:
    neither)."""
    ordinary = {n: g for n, g in groups.items() if kind_of(g.class_, own) is SubscriberClass.ORDINARY}
    shares = {n: g.share for n, g in ordinary.items() if g.home is None}
    silent = [n for n, share in shares.items() if share is None and groups[n].class_ in own]
    alike = Counter(groups[n].class_ for n in silent) if silent else {}
    for name in silent:
        if of_class := own[groups[name].class_].share:
            shares[name] = of_class / alike[groups[name].class_]
    return shares


def shares_of(groups: Mapping[str, Subscribers], own: Mapping[str, OwnClass] = NO_CLASSES) -> dict[str, float]:
    """Returns the ordinary groups of an operator's region, with each one's share of its subscribers there. If every
    group has a share, the shares are scaled to add up to 1.

    `own`: the country's own classes.
    """
    given = given_shares(groups, own)
    total = sum(share for share in given.values() if share is not None)
    alike = sum(share is None for share in given.values())
    if not alike:
        return {name: (share or 0.0) / total for name, share in given.items()}
    return {name: (1 - total) / alike if share is None else share for name, share in given.items()}


class Operator(Record):
    """A network operator: an autonomous system with a border router, a DPI box and a controller of its own."""

    title: Title
    """The company's name; the part in brackets is left out where there is little room."""
    asn: Asn
    """The number of its autonomous system."""
    prefixes: tuple[Prefix, ...]
    """The addresses that it announces: IPv4 prefixes with room for a /24 for each group of subscribers and one more,
    IPv6 prefixes with room for as many /64. No two networks' prefixes may overlap. An operator without IPv6 prefixes is
    IPv4-only: no router, resolver or subscriber of it has an IPv6 address, it has no BGP session over IPv6, and nothing
    is measured over IPv6 from there."""
    subscribers: Annotated[Number, Field(gt=0, le=10_000)]
    """Its number of subscribers, in millions: their weight in tables."""
    transit: tuple[str, ...]
    """The networks that it buys transit from: foreign transits, or other operators of the country, which then carry its
    traffic abroad."""
    gateway: _AtGateway = GATEWAY
    """The gateway of its cable abroad: the national one, or one of `gateways`. The networks that it buys transit from
    are at the same one; a company at two is two operators. An operator by satellite has none."""
    exchange: bool = True
    """Whether it peers at the domestic exchange; if not, its traffic to other operators goes through its transit."""
    cgnat: tuple[Access, ...] = ()
    """The kinds of lines whose subscribers have no IPv4 address of their own: the border router translates (a
    carrier-grade NAT, RFC 6888). Beyond it each group shares one address, `.3` of its /24, and cannot be reached
    unsolicited. IPv6 is unchanged; controls and outsiders' active probing bypass it."""
    nat64: tuple[Access, ...] = ()
    """The kinds of lines that carry only IPv6. The subscribers' own translator turns packets to IPv4 addresses into
    IPv6 ones (464XLAT, RFC 6877), to addresses that represent those (RFC 6052); the border router turns them back into
    IPv4 packets (NAT64), which beyond it come from one address a group, as with `cgnat`. The operator's resolver gives
    such addresses to names without IPv6 ones (DNS64, RFC 6147). Needs the program tayga."""
    obeys_after: Seconds = 0.0
    """How long it takes to carry out an order, in the scenario's time. A scenario's `delays` override it."""
    regions: dict[Name, dict[Name, Subscribers]]
    """Its groups of subscribers, by region and then by name. `ordinary`, `government` and `datacentre` are the
    customary names of groups."""
    source: str = ""
    """The source of these facts."""

    @cached_property
    def versions(self) -> tuple[int, ...]:
        """The IP versions that it has: 4, and 6 unless it is IPv4-only."""
        return address_plan.versions_of(self.prefixes)


def is_by_satellite(operator: Operator) -> bool:
    """Returns whether an operator has a gateway of its own, abroad."""
    groups = (group for groups in operator.regions.values() for group in groups.values())
    return any(group.access is Access.SATELLITE for group in groups)


class Transit(Record):
    """A foreign transit network and the services reached through it."""

    title: Title
    """The company's name."""
    asn: Asn
    """The number of its autonomous system."""
    prefixes: tuple[Prefix, ...]
    """The addresses that it announces beside those of the apps it serves; services without addresses of their own get
    some of these."""
    gateway: _AtGateway = GATEWAY
    """The gateway of its cable into the country: the national one, or one of `gateways`."""
    serves: tuple[Served, ...]
    """What it serves abroad: apps of the catalogue or of `apps` files, and server programs of your own."""
    source: str = ""
    """The source of these facts."""


class Gateway(Record):
    """A switch through which international links enter the country, and its commander."""

    title: Title
    """Its name, or its commander's."""
    source: str = ""
    """The source of these facts."""


class Exchange(Record):
    """The domestic exchange: a peering LAN with a route server."""

    title: Title
    """Its name."""
    asn: Asn
    """The number of its route server's autonomous system."""
    source: str = ""
    """The source of these facts."""


class Topology(Record):
    """A country's Internet."""

    format: Literal[1]
    """The version of this file format."""
    name: Name
    """Its name in scenarios and commands, if it ships; otherwise it only appears in messages."""
    title: Title
    """The heading of drawings."""
    summary: str = ""
    """A few sentences for readers of the file."""
    country: CountryCode
    """ISO 3166-1's two capital letters; ZZ for a fictitious country. It becomes OONI's `probe_cc`."""
    sources: dict[str, str] = {}
    """What the codes in `source` stand for."""
    apps: tuple[str, ...] = ()
    """Files of your own apps, relative to this one."""
    links: dict[Literal["fixed", "mobile", "satellite", "roaming", "transit"], LinkClass]
    """The properties of each kind of link: `fixed`, `mobile`, `satellite` and `roaming` from subscribers to their
    operator, `transit` from foreign transits to the gateway."""
    cables: Annotated[dict[CableName, Cable], Field(max_length=10_000)] = {}
    """Single cables between networks, by what they join. `A to B`: operators, transits, gateways or `exchange`."""
    classes: Annotated[dict[Name, OwnClass], Field(max_length=100)] = {}
    """This country's own classes of subscribers, by name, beside `ordinary`, `government` and `datacentre`."""
    regions: Annotated[dict[Name, Region], Field(min_length=1, max_length=1_000)]
    """The country's regions, by name."""
    operators: Annotated[dict[Name, Operator], Field(min_length=1, max_length=MOST_OPERATORS)]
    """The network operators, by name."""
    gateway: Gateway
    """The national gateway: the switch through which international links enter the country, except those of
    `gateways`."""
    gateways: Annotated[dict[Name, Gateway], Field(max_length=len(address_plan.FURTHER_LANS))] = {}
    """Other gateways, by name, such as a research network's: `operators` and `transits` that name one as their
    `gateway` are connected to it. Networks of different gateways reach each other through the exchange or abroad."""
    exchange: Exchange
    """The domestic exchange: a peering LAN with a route server."""
    transits: Annotated[dict[Name, Transit], Field(min_length=1, max_length=MOST_TRANSITS)]
    """The foreign transit networks, by name."""
    cost: Economy | None = None
    """The inputs to the cost of a shutdown (`shutdownlab cost`)."""

    def vantages(self) -> Iterator[Vantage]:
        """Yields every subscriber group, in the file's order; weights (millions of subscribers) are for ordinary ones.

        An operator's subscribers are divided, by weight, among the regions where it has ordinary groups.
        """
        guests: Counter[str] = Counter()
        for operator_name, operator in self.operators.items():
            shares = {region: shares_of(groups, self.classes) for region, groups in operator.regions.items()}
            present = sum(self.regions[region].weight for region, of in shares.items() if of)
            pools = address_plan.subnets(operator.prefixes)
            standing = address_plan.standing_for_ipv4(next(pools, ()))  # the infrastructure
            of, place = sum(map(len, operator.regions.values())), 0
            for region, groups in operator.regions.items():
                in_region = operator.subscribers * self.regions[region].weight / present if shares[region] else 0.0
                for name, group in groups.items():
                    weight = in_region * shares[region].get(name, 0.0)
                    identity = VantageId(operator_name, region, name)
                    kind, subnets = kind_of(group.class_, self.classes), next(pools, ())
                    nat64 = standing if group.access in operator.nat64 else None
                    translated = group.access in operator.cgnat or nat64 is not None
                    shared = address_plan.shared(subnets) if translated else None
                    home, bearers = group.home or "", tuple[Bearer, ...]()
                    if home in self.transits:
                        bearers = bearers_of(self.transits[home].prefixes, subnets, guests[home])
                        guests[home] += 1
                    yield Vantage(
                        id=identity, access=group.access, class_=group.class_, kind=kind, weight=weight,
                        subnets=subnets, shared=shared, nat64=nat64, place=place, of=of, gateway=operator.gateway,
                        home=home, bearers=bearers,
                    )  # fmt: skip
                    place += 1

    @cached_property
    def by_satellite(self) -> frozenset[str]:
        """The operators with gateways of their own, abroad."""
        return frozenset(name for name, operator in self.operators.items() if is_by_satellite(operator))

    @cached_property
    def homes(self) -> tuple[str, ...]:
        """The foreign transits that have customers roaming in the country, in the file's order."""
        of = {group.home for each in self.operators.values() for groups in each.regions.values()
              for group in groups.values()}  # fmt: skip
        return tuple(name for name in self.transits if name in of)

    @cached_property
    def all_gateways(self) -> Mapping[str, Gateway]:
        """All gateways by name; the national one is called `gateway`."""
        return {GATEWAY: self.gateway, **self.gateways}

    def gateway_of(self, network: str) -> str:
        """Returns the gateway of an operator or transit; raises `KeyError` for an unknown network."""
        return (self.operators[network] if network in self.operators else self.transits[network]).gateway

    @cached_property
    def mtus(self) -> Mapping[frozenset[str], int]:
        """The MTU, in octets, of each cable that `cables` names, by the names that it joins; raises `Expected`."""
        return {frozenset(ends_of(name, self)): cable.mtu for name, cable in self.cables.items()}

    def mtu_between(self, one: str, other: str) -> int:
        """Returns the MTU of a cable, in octets; its ends are operators, transits, gateways or `exchange`."""
        is_abroad = other in self.all_gateways and one in self.transits and "transit" in self.links
        kind = self.links["transit"] if is_abroad else LinkClass()
        return self.mtus.get(frozenset((one, other)), kind.mtu)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of all classes that its subscribers may be of."""
        return tuple(dict.fromkeys((*_OF_EVERY_COUNTRY, *self.classes)))

    @property
    def as_numbers(self) -> tuple[int, ...]:
        """The numbers of all autonomous systems that announce addresses."""
        operators, transits = self.operators.values(), self.transits.values()
        return (*(operator.asn for operator in operators), *(transit.asn for transit in transits))

    def served(self) -> Iterator[tuple[Path, str]]:
        """Yields every hosted app with its path in the file."""
        return ((path, item) for path, item in self._serves() if isinstance(item, str))

    def programs(self) -> Iterator[tuple[Path, ServerProgram]]:
        """Yields every server program of the user's own with its path in the file."""
        return ((path, item) for path, item in self._serves() if isinstance(item, ServerProgram))

    def anycast(self) -> Iterator[tuple[Path, str]]:
        """Yields every app that is also served in the country with its path in the file: its group's, `anycast` and an
        index."""
        for operator_name, operator in self.operators.items():
            for region, groups in operator.regions.items():
                for name, group in groups.items():
                    for index, app in enumerate(group.anycast):
                        yield ("operators", operator_name, "regions", region, name, "anycast", index), app

    def _serves(self) -> Iterator[tuple[Path, str | ServerProgram]]:
        for operator_name, operator in self.operators.items():
            for region, groups in operator.regions.items():
                for name, group in groups.items():
                    for index, item in enumerate(group.serves):
                        yield ("operators", operator_name, "regions", region, name, "serves", index), item
        for name, transit in self.transits.items():
            for index, item in enumerate(transit.serves):
                yield ("transits", name, "serves", index), item
