"""A country's Internet as data: operators, regions, subscribers, the gateway, the exchange, the world abroad."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Literal, NamedTuple

from pydantic import BeforeValidator, Field

from shutdownlab.config.document import Document, Expected, Path, Record, did_you_mean, one_of, quoted
from shutdownlab.config.scalars import Kbit, Network, Prefix, Seconds, overlap
from shutdownlab.inspection.apps import App
from shutdownlab.model.address_plan import LABORATORY, SUBNET_LENGTHS


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
    text = str(value)
    if not (1 <= len(text) <= 40 and text.replace("-", "").isalnum() and text.isascii() and text == text.lower()):
        raise Expected("a name of at most 40 lower-case letters, digits and hyphens")
    return text


def _country(value: object) -> str:
    """ISO 3166-1's two letters, or ZZ (user-assigned) for a country that isn't."""
    text = str(value)
    if not (len(text) == 2 and text.isascii() and text.isalpha() and text.isupper()):
        raise Expected("a country code of two capital letters such as KZ", "ZZ for a country that does not exist")
    return text


Name = Annotated[str, BeforeValidator(_name)]
Asn = Annotated[int, Field(ge=1, le=4_294_967_294)]


class LinkClass(Record):
    """One way's delay (seconds), the rate of each direction (kbit/s) and loss (share of packets) of a kind of link."""

    delay: Seconds = 0.0
    bandwidth: Kbit | None = None
    loss: Annotated[float, Field(ge=0, le=0.5)] = 0.0


class Region(Record):
    """A region and its share of the country's subscribers (0 to 1)."""

    title: str
    weight: Annotated[float, Field(gt=0, le=1)]
    source: str = ""


class Subscribers(Record):
    """A group of subscribers of one operator in one region: one vantage point, one /24 and one /64.

    `serves` names the apps (of the catalogue) hosted there.
    """

    class_: SubscriberClass = Field(alias="class", default=SubscriberClass.ORDINARY)
    access: Access
    serves: tuple[str, ...] = ()


class Operator(Record):
    """A network operator. `subscribers` is in millions; `transit` names the operators and transits it buys from.

    `obeys_after` is how long it takes to carry out an order (seconds of scenario time).
    """

    title: str
    asn: Asn
    prefixes: tuple[Prefix, ...]
    subscribers: Annotated[float, Field(gt=0)]
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
    serves: tuple[str, ...]
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
    """A country's Internet. Build one with `check_topology`; it has been checked as a whole then."""

    format: Literal[1]
    name: Name
    title: str
    summary: str = ""
    country: Annotated[str, BeforeValidator(_country)]
    sources: dict[str, str] = {}
    apps: tuple[str, ...] = ()
    """Files of own apps, relative to this one."""
    links: dict[Literal["fixed", "mobile", "transit"], LinkClass]
    regions: dict[Name, Region]
    operators: dict[Name, Operator]
    gateway: Gateway
    exchange: Exchange
    transits: dict[Name, Transit]

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
        for operator_name, operator in self.operators.items():
            for region, groups in operator.regions.items():
                for name, group in groups.items():
                    for index, app in enumerate(group.serves):
                        yield ("operators", operator_name, "regions", region, name, "serves", index), app
        for name, transit in self.transits.items():
            for index, app in enumerate(transit.serves):
                yield ("transits", name, "serves", index), app


RESERVED_NAMES = frozenset({"all", "gateway", "exchange", "abroad", "authority", "management"})


def check_topology(document: Document, apps: Mapping[str, App]) -> Topology:
    """Check a topology file against the apps there are; raises `BadInput` with all its problems."""
    topology = document.validate_as(Topology, go_on=True)
    _check_names(topology, document)
    _check_numbers(topology, document)
    _check_served(topology, document, apps)
    document.raise_if_bad()
    return topology


def _check_names(topology: Topology, document: Document) -> None:
    carriers = topology.operators.keys() | topology.transits.keys()
    for name in sorted(topology.operators.keys() & topology.transits.keys()):
        document.report(("transits", name), f"the operator {quoted(name)} again", "a name of its own", "rename one")
    for name in sorted(carriers & RESERVED_NAMES):
        kind = "operators" if name in topology.operators else "transits"
        document.report((kind, name), f"the reserved name {quoted(name)}", "another name", "rename it")
    for name in sorted(topology.operators.keys() - _connected(topology)):
        if topology.operators[name].transit:
            found = f"{', '.join(topology.operators[name].transit)}, by which nothing abroad is reached"
            hint = f"name one of the transits: {', '.join(topology.transits)}"
            document.report(("operators", name, "transit"), found, "a way abroad", hint)
    for name, operator in topology.operators.items():
        path: Path = ("operators", name)
        for region in operator.regions.keys() - topology.regions.keys():
            document.report_unknown((*path, "regions", region), "region", region, topology.regions)
        for index, carrier in enumerate(operator.transit):
            if carrier not in carriers or carrier == name:
                document.report_unknown((*path, "transit", index), "carrier", carrier, carriers - {name})
        if not operator.transit:
            choice = one_of(sorted(carriers - {name}))
            document.report((*path, "transit"), "an empty list", "at least one carrier", choice)
        for region, groups in operator.regions.items():
            if not groups:
                document.report((*path, "regions", region), "no subscribers", "at least one group of subscribers")


def _connected(topology: Topology) -> set[str]:
    """The operators that buy transit abroad, themselves or through one that does. Unknown carriers count as transits:
    they are told of already."""
    connected: set[str] = set()
    while True:
        more = {
            name
            for name, operator in topology.operators.items()
            if name not in connected
            and any(carrier in connected or carrier not in topology.operators for carrier in operator.transit)
        }
        if not more:
            return connected
        connected |= more


def _check_numbers(topology: Topology, document: Document) -> None:
    owners = [("operators", name, item.asn) for name, item in topology.operators.items()]
    owners += [("transits", name, item.asn) for name, item in topology.transits.items()]
    seen: dict[int, str] = {topology.exchange.asn: "the exchange"}
    for kind, name, asn in owners:
        if asn in seen:
            found = f"AS{asn}, which {seen[asn]} has (line {document.line((kind, seen[asn], 'asn'))})"
            document.report((kind, name, "asn"), found, "an AS number of its own", "each network has its own")
        seen.setdefault(asn, name)
    prefixes: list[tuple[Path, Network]] = [(("the laboratory's own links",), prefix) for prefix in LABORATORY]
    prefixes += [
        (("operators", name, "prefixes", index), prefix)
        for name, operator in topology.operators.items()
        for index, prefix in enumerate(operator.prefixes)
    ]
    prefixes += [
        (("transits", name, "prefixes", index), prefix)
        for name, transit in topology.transits.items()
        for index, prefix in enumerate(transit.prefixes)
    ]
    for (path_a, a), (path_b, b) in itertools.combinations(prefixes, 2):
        if overlap(a, b):
            owner = f"{path_a[1]} (line {document.line(path_a)})" if len(path_a) > 1 else path_a[0]
            found = f"{b}, which overlaps {a} of {owner}"
            document.report(path_b, found, "prefixes that do not overlap", "change one of them")
    for kind, holders in (("operators", topology.operators), ("transits", topology.transits)):
        for name, holder in holders.items():
            _check_room(document, (kind, name, "prefixes"), holder)


def _check_room(document: Document, path: Path, holder: Operator | Transit) -> None:
    groups = sum(map(len, holder.regions.values())) if isinstance(holder, Operator) else 0
    for version, length in SUBNET_LENGTHS.items():
        own = [prefix for prefix in holder.prefixes if prefix.version == version]
        room = sum(2 ** (length - prefix.prefixlen) for prefix in own if prefix.prefixlen <= length)
        if room < groups + 1:
            found = f"IPv{version} prefixes with room for {room} /{length}"
            hint = f"one /{length} a subscriber group and one for infrastructure"
            document.report(path, found, f"room for at least {groups + 1}", hint)


def _check_served(topology: Topology, document: Document, apps: Mapping[str, App]) -> None:
    hosted: dict[str, Path] = {}
    at: dict[Network, Path] = {}
    for path, app in topology.served():
        if app not in apps:
            document.report_unknown(path, "app", app, apps, did_you_mean(app, apps) or "`shutdownlab apps` lists them")
        elif app in hosted:
            found = f"{quoted(app)}, which is hosted already (line {document.line(hosted[app])})"
            document.report(path, found, "each app hosted once", "remove one of them")
        else:
            _check_addresses(topology, document, path, apps[app], at)
        hosted.setdefault(app, path)


def _check_addresses(topology: Topology, document: Document, path: Path, app: App, at: dict[Network, Path]) -> None:
    """Addresses that an app brings along are nobody's in this country, and lead to one place. `at`: those so far."""
    holders: list[tuple[str, Operator | Transit]] = [*topology.operators.items(), *topology.transits.items()]
    prefixes = [(prefix, name) for name, holder in holders for prefix in holder.prefixes]
    prefixes += [(prefix, "the laboratory's own links") for prefix in LABORATORY]
    for address in (address for endpoint in app.endpoints for address in endpoint.addresses):
        first = at.setdefault(address, path)
        owner = next((name for prefix, name in prefixes if overlap(prefix, address)), None)
        if first[:-1] != path[:-1]:
            found = f"{app.title} at {address.network_address}, which is hosted elsewhere (line {document.line(first)})"
            document.report(path, found, "an address in one place", "host both in the same network")
        elif owner is not None:
            found = f"{app.title} at {address.network_address}, in the prefixes of {owner}"
            hint = "without `addresses` an app gets one of the network that hosts it"
            document.report(path, found, "an address outside the country's prefixes", hint)
