"""A country's Internet as data: operators, regions, subscribers, the gateway, the exchange, the world abroad."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator, Mapping
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from pathlib import PurePath
from types import MappingProxyType
from typing import Annotated, Literal, NamedTuple

from pydantic import BeforeValidator, Field

from shutdownlab.config.addresses import Address, Prefix
from shutdownlab.config.document import Expected, Path, Record
from shutdownlab.config.domains import HostName
from shutdownlab.config.scalars import Asn, Number, Port, Ports, Seconds, ports
from shutdownlab.model import address_plan
from shutdownlab.model.cables import GATEWAY, CableName, ends_of
from shutdownlab.model.economy import Economy
from shutdownlab.model.labels import CountryCode, Name
from shutdownlab.model.links import Cable, LinkClass
from shutdownlab.model.subscribers import Access as Access
from shutdownlab.model.subscribers import SubscriberClass as SubscriberClass

_OF_EVERY_COUNTRY = {each.value: each for each in SubscriberClass}

MOST_OPERATORS, MOST_TRANSITS, MOST_GROUPS = 1_000, 64, 20_000
"""Fewer than the laboratory's own links have addresses for (`address_plan`); what a machine can run is counted by
`country.limits`."""


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

    title: str
    """What people call it; it stands in tables and drawings."""
    weight: Annotated[Number, Field(gt=0, le=1)]
    """Its share of the country's subscribers, more than 0, at most 1. The shares of all regions need not add up to 1:
    what counts is how they compare."""
    outlines: Annotated[
        tuple[str, ...] | Literal["rest"],
        BeforeValidator(_outlines, json_schema_input_type=tuple[str, ...] | Literal["rest"]),
    ] = ()
    """What of the country's map it is: keys of outlines that ship, such as KZ.AC, or `rest`, all that no other region
    has. A country where no region has any is drawn as tiles."""
    place: Annotated[tuple[_Latitude, _Longitude], BeforeValidator(_degrees)] | None = None
    """Where it lies, latitude and longitude in degrees: a town whose outline is not one of its own is marked there on
    the map. In a country that is drawn as tiles, they stand as the places lie, north up; those without one below."""
    source: str = ""
    """Where these facts come from; codes such as RIS are explained under `sources`."""


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
    """A server program of the user's own, on the node of the network that serves it, with an address of that network.

    It runs in a directory of its own and must stay in the foreground. Only `--trust` starts it.
    """

    command: Annotated[tuple[str, ...], Field(min_length=1)]
    """The program and its arguments. Those that begin with ./ or ../ are files beside this one; {address} and
    {address6} stand for its addresses, {certificate} and {key} for PEM files by the laboratory's authority, for its
    `names`."""
    ports: Annotated[tuple[_Listening, ...], Field(min_length=1)]
    """What it listens on, each with its transport; it is up once it listens on all of them."""
    names: tuple[HostName, ...] = ()
    """Host names that lead to it."""
    title: str = ""
    """What messages and drawings call it; left out: the program's name."""

    @property
    def name(self) -> str:
        """What to call it: its title, or the program's name."""
        return self.title or PurePath(self.command[0]).name


Served = Annotated[str | ServerProgram, BeforeValidator(_app_or_program)]


class OwnClass(Record):
    """Subscribers whom this country's shutdowns treat alike: by contract, by calling, by favour."""

    title: str
    """What people call them; it stands in drawings and in the report."""
    is_: SubscriberClass = Field(alias="is", default=SubscriberClass.ORDINARY)
    """Which of the classes of every country they are of, too: what is said of that one is said of them. Those who are
    `ordinary` count in tables."""
    share: Annotated[Number, Field(gt=0, le=1)] | None = None
    """How many of an operator's ordinary subscribers in a region they are, where it has a group of them there that
    gives no `share` of its own. Where they are alone, they are all."""
    source: str = ""
    """Where these facts come from."""


class Subscribers(Record):
    """A group of subscribers of one operator in one region: one vantage point, one /24 and one /64."""

    class_: Name = Field(alias="class", default=SubscriberClass.ORDINARY.value)
    """What kind of subscribers they are: `ordinary`, `government`, `datacentre`, or one of the topology's own
    `classes`; policies tell them apart by it. Only ordinary ones count in tables."""
    access: Access
    """How they are connected: the link class, and what policies tell apart by `access`. Those of an operator are all on
    `satellite` lines, or none is: its gateway is abroad then, at its one foreign transit, and orders pass it by, but
    for `degrade` with `where: {access: [satellite]}`, which is jamming. Those on `roaming` lines are guests with SIM
    cards of a `home` abroad: home-routed roaming (3GPP TS 23.401, 4.2.2)."""
    home: Name | None = None
    """Of `roaming` lines: the foreign transit whose customers they are. The operator hands all that they send to it in
    a GTP-U tunnel (3GPP TS 29.281, udp/2152), through the gateway; there they have their addresses, and the resolver
    that they ask. They count in no table: they are not of the country's subscribers."""
    share: Annotated[Number, Field(gt=0, le=1)] | None = None
    """How many of its operator's ordinary subscribers in the region they are; left out: what their class says, else
    groups without one share what is left alike."""
    serves: tuple[Served, ...] = ()
    """What is hosted there: apps of the catalogue (`shutdownlab apps`) or of `apps` files, and server programs of your
    own."""
    anycast: tuple[str, ...] = ()
    """Apps that a foreign transit serves, and of whose servers there are some here, too, at the same addresses (RFC
    4786): a public resolver's, a CDN's. Their operator announces these to its customers and the exchange's members, as
    local nodes are announced, and BGP says who reaches which. `withdraw` takes that back."""


NO_CLASSES: Mapping[str, OwnClass] = MappingProxyType({})


def kind_of(class_: str, own: Mapping[str, OwnClass]) -> SubscriberClass:
    """Which of the classes of every country a class is, or is of; raises `KeyError` where there is none so called."""
    return own[class_].is_ if class_ in own else _OF_EVERY_COUNTRY[class_]


def given_shares(
    groups: Mapping[str, Subscribers], own: Mapping[str, OwnClass] = NO_CLASSES
) -> dict[str, float | None]:
    """The ordinary groups of an operator's region, with the share that each, or its class, says it has."""
    ordinary = {n: g for n, g in groups.items() if kind_of(g.class_, own) is SubscriberClass.ORDINARY}
    shares = {n: g.share for n, g in ordinary.items() if g.home is None}
    silent = [n for n, share in shares.items() if share is None and groups[n].class_ in own]
    alike = Counter(groups[n].class_ for n in silent) if silent else {}
    for name in silent:
        if of_class := own[groups[name].class_].share:
            shares[name] = of_class / alike[groups[name].class_]
    return shares


def shares_of(groups: Mapping[str, Subscribers], own: Mapping[str, OwnClass] = NO_CLASSES) -> dict[str, float]:
    """The ordinary groups of an operator's region, with the share of its subscribers that each is. Where every one of
    them says how many it is, they are all that there are.

    own: the country's own classes.
    """
    given = given_shares(groups, own)
    total = sum(share for share in given.values() if share is not None)
    alike = sum(share is None for share in given.values())
    if not alike:
        return {name: (share or 0.0) / total for name, share in given.items()}
    return {name: (1 - total) / alike if share is None else share for name, share in given.items()}


class Operator(Record):
    """A network operator: an autonomous system with a border router, a DPI box and a controller of its own."""

    title: str
    """The company's name; what stands in brackets is left out where there is little room."""
    asn: Asn
    """The number of its autonomous system."""
    prefixes: tuple[Prefix, ...]
    """The addresses that it announces: IPv4 ones with room for a /24 for each group of subscribers and one more, IPv6
    ones with room for as many /64. No two networks' prefixes may overlap."""
    subscribers: Annotated[Number, Field(gt=0, le=10_000)]
    """How many subscribers it has, in millions: their weight in tables."""
    transit: tuple[str, ...]
    """The networks that it buys transit from: foreign transits, or other operators of the country, through which its
    traffic abroad then goes."""
    gateway: Name = GATEWAY
    """At which gateway its cable abroad ends: the national one, or one of `gateways`. The networks that it buys transit
    from are there too. A satellite's operator has none."""
    exchange: bool = True
    """Whether it peers at the domestic exchange; without, its traffic to other operators goes through its transit."""
    cgnat: tuple[Access, ...] = ()
    """The kinds of lines whose subscribers have no IPv4 address of their own: the border router translates (a
    carrier-grade NAT, RFC 6888). Beyond it each group of them is one address, `.3` of its /24, and nobody reaches them
    unasked. IPv6 is as it is; controls and outsiders' active probing go past it."""
    nat64: tuple[Access, ...] = ()
    """The kinds of lines that carry IPv6 alone. What subscribers send to IPv4 addresses their own translator sends as
    IPv6 packets (464XLAT, RFC 6877), to addresses that stand for those (RFC 6052); the border router has IPv4 packets
    of them again (NAT64), which beyond it come from one address a group, as with `cgnat`. The operator's resolver gives
    such addresses to names that have no IPv6 one (DNS64, RFC 6147). Needs the program tayga."""
    obeys_after: Seconds = 0.0
    """How long it takes to carry out an order, in the scenario's time. A scenario's `delays` say otherwise."""
    regions: dict[Name, dict[Name, Subscribers]]
    """Where it has subscribers: by region, its groups of them by name. `ordinary`, `government` and `datacentre` are
    the customary names of groups."""
    source: str = ""
    """Where these facts come from."""


def is_by_satellite(operator: Operator) -> bool:
    """Whether an operator's gateway is its own, abroad."""
    groups = (group for groups in operator.regions.values() for group in groups.values())
    return any(group.access is Access.SATELLITE for group in groups)


class Transit(Record):
    """A foreign transit network and the services reached through it."""

    title: str
    """The company's name."""
    asn: Asn
    """The number of its autonomous system."""
    prefixes: tuple[Prefix, ...]
    """Addresses that it announces beside those of the apps it serves; services that have no addresses of their own get
    some of these."""
    gateway: Name = GATEWAY
    """At which gateway its cable into the country ends: the national one, or one of `gateways`."""
    serves: tuple[Served, ...]
    """What is reached abroad through it: apps of the catalogue or of `apps` files, and server programs of your own."""
    source: str = ""
    """Where these facts come from."""


class Gateway(Record):
    """A switch where international links enter the country, and who commands it."""

    title: str
    """Who commands it, or what it is called."""
    source: str = ""
    """Where these facts come from."""


class Exchange(Record):
    """The domestic exchange: a peering LAN with a route server."""

    title: str
    """What it is called."""
    asn: Asn
    """The number of its route server's autonomous system."""
    source: str = ""
    """Where these facts come from."""


class VantageId(NamedTuple):
    """Where a measurement is made: `kcell/almaty/ordinary`."""

    operator: str
    region: str
    group: str

    def __str__(self) -> str:
        return "/".join(self)


class Bearer(NamedTuple):
    """A tunnel between an operator and the home of one who roams (3GPP TS 29.281): both ways the same number."""

    teid: int
    """The tunnel's number, on the wire."""
    outer: IPv4Address
    """Where the tunnel begins: the operator's."""
    end: IPv4Address
    """Where it ends: the home's."""
    inner: tuple[Address, ...]
    """The addresses that the subscriber has of his home, one of each IP version."""


class Vantage(Record):
    """A subscriber group with what selects it."""

    id: VantageId
    access: Access
    class_: str
    """What kind of subscribers they are: one of every country's classes, or one of its own."""
    kind: SubscriberClass
    """Which of every country's classes that is, or is of."""
    weight: float
    subnets: tuple[Prefix, ...] = ()
    """Its /24 and its /64."""
    shared: IPv4Address | None = None
    """What a carrier-grade NAT, or a NAT64, has all of its IPv4 packets come from, beyond the border router; None:
    there is none."""
    nat64: IPv6Network | None = None
    """The /96 of the addresses by which its line, which carries IPv6 alone, has IPv4 ones; None: it has IPv4 itself."""
    place: int = 0
    """Among the groups of its operator, from 0."""
    of: int = 1
    """How many groups its operator has."""
    gateway: str = GATEWAY
    """At which gateway its operator is."""
    home: str = ""
    """The foreign transit whose guests they are in the country; empty: they are not roaming."""
    bearers: tuple[Bearer, ...] = ()
    """Of those who roam: their tunnel home, and their controls'. `subnets` are then what the country sees of it."""

    @property
    def is_ordinary(self) -> bool:
        """Whether they count in tables."""
        return self.kind is SubscriberClass.ORDINARY and not self.home

    def is_of(self, classes: Container[str]) -> bool:
        """Whether they are of one of these classes."""
        return self.class_ in classes or self.kind in classes


def _bearers(home: Transit, subnets: address_plan.Pair, guest: int) -> tuple[Bearer, ...]:
    """The tunnels of a roaming group and of its controls. subnets: its own, at the operator. guest: which of its home's
    it is, from 0."""
    servers = next(address_plan.subnets(home.prefixes), ())
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


class Topology(Record):
    """A country's Internet."""

    format: Literal[1]
    """The version of this file format."""
    name: Name
    """What scenarios and commands call it, where it ships; else it stands in messages."""
    title: str
    """The heading of drawings."""
    summary: str = ""
    """A few sentences for those who read the file."""
    country: CountryCode
    """ISO 3166-1's two capital letters; ZZ for a country that does not exist. It is OONI's `probe_cc`."""
    sources: dict[str, str] = {}
    """What the codes in `source` stand for."""
    apps: tuple[str, ...] = ()
    """Files of apps of your own, relative to this one."""
    links: dict[Literal["fixed", "mobile", "satellite", "roaming", "transit"], LinkClass]
    """What each kind of link is like: `fixed`, `mobile`, `satellite` and `roaming` from subscribers to their operator,
    `transit` from foreign transits to the gateway."""
    cables: Annotated[dict[CableName, Cable], Field(max_length=10_000)] = {}
    """Single cables between networks, by what they join. `A to B`: operators, transits, gateways or `exchange`."""
    classes: Annotated[dict[Name, OwnClass], Field(max_length=100)] = {}
    """Classes of subscribers of this country's own, by name, beside `ordinary`, `government` and `datacentre`."""
    regions: Annotated[dict[Name, Region], Field(min_length=1, max_length=1_000)]
    """The country's regions, by name."""
    operators: Annotated[dict[Name, Operator], Field(min_length=1, max_length=MOST_OPERATORS)]
    """The network operators, by name."""
    gateway: Gateway
    """The national gateway: the switch where every international link enters the country that enters nowhere else."""
    gateways: Annotated[dict[Name, Gateway], Field(max_length=len(address_plan.FURTHER_LANS))] = {}
    """Gateways beside it, by name, such as a research network's: those of `operators` and `transits` that name one as
    their `gateway` are there. Between networks of different gateways there are the exchange, and the ways abroad."""
    exchange: Exchange
    """The domestic exchange: a peering LAN with a route server."""
    transits: Annotated[dict[Name, Transit], Field(min_length=1, max_length=MOST_TRANSITS)]
    """The foreign transit networks, by name."""
    cost: Economy | None = None
    """What the cost of a shutdown is worked out from (`shutdownlab cost`)."""

    def vantages(self) -> Iterator[Vantage]:
        """Every subscriber group, in the file's order; weights (millions of subscribers) are for ordinary ones.

        A region where an operator has none has no part in its subscribers.
        """
        guests: Counter[str] = Counter()
        for operator_name, operator in self.operators.items():
            shares = {region: shares_of(groups, self.classes) for region, groups in operator.regions.items()}
            present = sum(self.regions[region].weight for region, of in shares.items() if of)
            pools = address_plan.subnets(operator.prefixes)
            standing = address_plan.standing_for_ipv4(next(pools, ()))  # the infrastructure
            of, place = sum(map(len, operator.regions.values())), 0
            for region, groups in operator.regions.items():
                mine = operator.subscribers * self.regions[region].weight / present if shares[region] else 0.0
                for name, group in groups.items():
                    weight = mine * shares[region].get(name, 0.0)
                    identity = VantageId(operator_name, region, name)
                    kind, subnets = kind_of(group.class_, self.classes), next(pools, ())
                    nat64 = standing if group.access in operator.nat64 else None
                    translated = group.access in operator.cgnat or nat64 is not None
                    shared = address_plan.shared(subnets) if translated else None
                    home, bearers = group.home or "", tuple[Bearer, ...]()
                    if home in self.transits:
                        bearers = _bearers(self.transits[home], subnets, guests[home])
                        guests[home] += 1
                    yield Vantage(
                        id=identity, access=group.access, class_=group.class_, kind=kind, weight=weight,
                        subnets=subnets, shared=shared, nat64=nat64, place=place, of=of, gateway=operator.gateway,
                        home=home, bearers=bearers,
                    )  # fmt: skip
                    place += 1

    @cached_property
    def by_satellite(self) -> frozenset[str]:
        """The operators whose gateways are their own."""
        return frozenset(name for name, operator in self.operators.items() if is_by_satellite(operator))

    @cached_property
    def homes(self) -> tuple[str, ...]:
        """The foreign transits that have customers roaming in the country, in their order."""
        of = {group.home for each in self.operators.values() for groups in each.regions.values()
              for group in groups.values()}  # fmt: skip
        return tuple(name for name in self.transits if name in of)

    @cached_property
    def all_gateways(self) -> Mapping[str, Gateway]:
        """The national one, called `gateway`, and those beside it, by name."""
        return {GATEWAY: self.gateway, **self.gateways}

    def gateway_of(self, network: str) -> str:
        """At which gateway an operator or transit is; raises `KeyError` where there is no network so called."""
        return (self.operators[network] if network in self.operators else self.transits[network]).gateway

    @cached_property
    def mtus(self) -> Mapping[frozenset[str], int]:
        """The octets of the longest packet, of each cable that `cables` names, by what it joins; raises `Expected`."""
        return {frozenset(ends_of(name, self)): cable.mtu for name, cable in self.cables.items()}

    def mtu_between(self, one: str, other: str) -> int:
        """Octets of the longest packet that a cable carries; its ends: operators, transits, gateways, `exchange`."""
        is_abroad = other in self.all_gateways and one in self.transits and "transit" in self.links
        kind = self.links["transit"] if is_abroad else LinkClass()
        return self.mtus.get(frozenset((one, other)), kind.mtu)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes that its subscribers may be of."""
        return tuple(dict.fromkeys((*_OF_EVERY_COUNTRY, *self.classes)))

    @property
    def as_numbers(self) -> tuple[int, ...]:
        """Of all autonomous systems that announce addresses."""
        operators, transits = self.operators.values(), self.transits.values()
        return (*(operator.asn for operator in operators), *(transit.asn for transit in transits))

    def served(self) -> Iterator[tuple[Path, str]]:
        """Every hosted app with the place in the file that says so."""
        return ((path, item) for path, item in self._serves() if isinstance(item, str))

    def programs(self) -> Iterator[tuple[Path, ServerProgram]]:
        """Every server program of the user's own, likewise."""
        return ((path, item) for path, item in self._serves() if isinstance(item, ServerProgram))

    def anycast(self) -> Iterator[tuple[Path, str]]:
        """Every app that is also served in the country, with the place in the file that says so: that of its group,
        `anycast` and a number at the end."""
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
