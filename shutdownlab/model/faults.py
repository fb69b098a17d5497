"""Declared faults: what a scenario breaks on purpose, and what that takes away. They are facts of the scenario, not
failures of the run. Pure.

While a phase has a fault, the parts that it names are dead, hung, cut off or without power; they are repaired when the
phase ends. What cannot be reached because of it is `down` rather than blocked, since nobody ordered it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, NamedTuple

from pydantic import Field, model_validator

from shutdownlab.config.addresses import Address, IpPrefix
from shutdownlab.config.document import Document, Expected, Path, Record, quoted
from shutdownlab.config.narrowing import Narrowing
from shutdownlab.config.scalars import Title
from shutdownlab.model.cables import EXCHANGE, GATEWAY, CableName, ends_of
from shutdownlab.model.labels import Source
from shutdownlab.model.network import Link, Network, Node, Role
from shutdownlab.model.topology import Access, Topology, Vantage

AUTHORITY = "authority"


def fault_text(name: str, *, ordered: bool = False) -> str:
    """Returns the failure text of a cell that is down because of the fault, or the order to break something, of this
    name."""
    return f"order: {name}" if ordered else f"fault: {name}"


class Parts(Record):
    """Parts of the country, by their owners' names."""

    controllers: tuple[str, ...] = ()
    """The controllers of these operators; `authority` is the one that gives the orders."""
    boxes: tuple[str, ...] = ()
    """The DPI boxes of these operators."""
    switches: tuple[str, ...] = ()
    """All switches of these operators, or of `gateway` or another gateway: Open vSwitch, and every port with it."""
    routers: tuple[str, ...] = ()
    """The BGP routers of these operators and transits, or of `exchange`: its route server."""
    resolvers: tuple[str, ...] = ()
    """The DNS resolvers of these operators."""
    servers: tuple[str, ...] = ()
    """All servers behind these transits, or of these operators' subscribers: web, HTTP/3, VPN and the user's own."""
    telephones: tuple[str, ...] = ()
    """The telephone services of these operators."""

    def without(self, others: Iterable[Parts]) -> Parts:
        """Returns the parts that are not among `others`."""
        there = list(others)
        left = {
            key: tuple(n for n in getattr(self, key) if not any(n in getattr(o, key) for o in there))
            for key in Parts.model_fields
        }
        return Parts(**left)


class Partitioned(Record):
    """Controllers that are cut off from what they command."""

    controllers: Annotated[tuple[str, ...], Field(min_length=1)]
    """The controllers of these operators."""


class Powerless(Narrowing):
    """Where the power, or mobile sites, are switched off."""

    regions: tuple[str, ...]
    """The regions."""
    operators: tuple[str, ...] = ()
    """Only the equipment of these operators; left out: everybody's."""


class Cut(Record):
    """Cables that are cut by order."""

    links: Annotated[tuple[CableName, ...], Field(min_length=1)]
    """`A to B`: operators, transits, gateways, `exchange`, or one end a region of an operator
    (`northnet to northnet/coast`)."""


_VERBS = ("kill", "stop", "restart", "partition", "cut", "power_off", "switch_off")


class DeclaredFault(Record):
    """Something that breaks. Exactly one of `kill`, `stop`, `restart`, `partition`, `cut`, `power_off` and `switch_off`
    says what."""

    title: Title
    """What happens, in a few words."""
    kill: Parts | None = None
    """These are killed, and stay dead."""
    stop: Parts | None = None
    """These hang: they stay alive but do nothing and answer nobody."""
    restart: Parts | None = None
    """These are killed, and restarted before anything is measured."""
    partition: Partitioned | None = None
    """These stay alive, but their switches, boxes and clients cannot reach them."""
    cut: tuple[CableName, ...] = ()
    """These cables are cut. `A to B`: operators, transits, gateways, `exchange`, or one end a region of an operator
    (`northnet to northnet/coast`)."""
    power_off: Powerless | None = None
    """Access switches there lose power, and subscribers' lines with them."""
    switch_off: Powerless | None = None
    """Mobile sites there are off: mobile subscribers' lines carry nothing, fixed ones still do."""
    source: Source
    """Who reported it: codes that `sources` explains, or free text."""

    @model_validator(mode="after")
    def _one_verb(self) -> DeclaredFault:
        given = [verb for verb in _VERBS if getattr(self, verb)]
        if len(given) != 1:
            found = " and ".join(f"`{verb}`" for verb in given) or "none of them"
            hint = "such as `kill: {routers: [northnet]}` or `cut: [northnet to gateway]`"
            raise Expected("one of " + ", ".join(f"`{verb}`" for verb in _VERBS), hint, found=found)
        for verb in ("kill", "stop", "restart"):
            if getattr(self, verb) == Parts() and getattr(self, verb) is not None:
                raise Expected("some parts", "keys: " + ", ".join(Parts.model_fields), found="none", key=verb)
        if self.restart is not None and self.restart.switches:
            hint = "`kill` them in one phase: they are back in the next one"
            raise Expected("parts that can be restarted", hint, found="`switches`", key="restart")
        return self

    @property
    def dead(self) -> Parts:
        """The parts that are dead or hang while the fault lasts."""
        return self.kill or self.stop or Parts()

    @property
    def lone_controllers(self) -> tuple[str, ...]:
        """The controllers that are cut off from their switches."""
        return (*self.dead.controllers, *(self.partition.controllers if self.partition else ()))


class OrderedBreakage(DeclaredFault):
    """The parts that a policy breaks by order while it is in force."""


_SINGULAR = {"boxes": "DPI box", "switches": "owner of switches", "servers": "owner of servers"}


def check_fault(path: Path, fault: DeclaredFault, topology: Topology, document: Document) -> None:
    """Reports names that the topology does not have, and `switch_off` where there are no mobile subscribers."""
    operators, transits = tuple(topology.operators), tuple(topology.transits)
    known = {
        "controllers": (*operators, AUTHORITY),
        "boxes": operators,
        "switches": (*operators, *topology.all_gateways),
        "routers": (*operators, *transits, EXCHANGE),
        "resolvers": operators,
        "servers": (*operators, *transits),
        "telephones": operators,
        "regions": tuple(topology.regions),
        "operators": operators,
    }
    for index, name in enumerate(fault.partition.controllers if fault.partition else ()):
        if name == AUTHORITY:
            hint = "the authority has no network to lose: `stop` it instead"
            document.report((*path, "partition", "controllers", index), quoted(name), "an operator", hint)
    for verb in _VERBS:
        asked = getattr(fault, verb)
        for key in known:
            for index, name in enumerate(getattr(asked, key, ())):
                if name not in known[key]:
                    kind = _SINGULAR.get(key, key.removesuffix("s"))
                    document.report_unknown((*path, verb, key, index), kind, name, known[key])
    for index, text in enumerate(fault.cut):
        try:
            ends_of(text, topology)
        except Expected as mistake:
            place: Path = ("cut", "links", index) if isinstance(fault, OrderedBreakage) else ("cut", index)
            document.report((*path, *place), quoted(text), mistake.expected, str(mistake.hint or ""))
    there = fault.switch_off
    known_there = there is not None and set(there.regions) <= topology.regions.keys()
    if (
        there is not None
        and known_there
        and not any(_is_mobile_there(vantage, there) for vantage in topology.vantages())
    ):
        hint = "fixed lines have no mobile sites: use `power_off` or `cut`"
        document.report((*path, "switch_off"), "no mobile subscribers there", "regions with mobile subscribers", hint)


class Withdrawn(NamedTuple):
    """A prefix that an operator no longer announces: to nobody, or (`abroad`) only to customers and the exchange."""

    operator: str
    prefix: IpPrefix
    abroad: bool


class Announced(NamedTuple):
    """A prefix that an operator announces beside its usual ones: a part of one of them, or (`foreign`) of another
    network's; to everybody, or (`home`) only to customers and the exchange."""

    operator: str
    prefix: IpPrefix
    home: bool
    foreign: bool


class Leaked(NamedTuple):
    """A prefix whose route an operator leaks to a provider, or to the `exchange`."""

    operator: str
    prefix: IpPrefix
    to: str


class Nulled(NamedTuple):
    """A prefix whose packets from the gateway an operator's border router discards, except those to `spared`."""

    operator: str
    prefix: IpPrefix
    spared: tuple[IpPrefix, ...] = ()


@dataclass(frozen=True, slots=True)
class Damage:
    """What is broken in a network, and how its routes have changed.

    links: cables and lines that carry nothing. dark: switches that forward nothing. routers: nodes that do not speak
    BGP. silent: hosts on which no server answers; `closed`: those of them whose servers are dead (on the others servers
    hang, and the kernel still accepts connections). boxes: dead DPI boxes; `mute_boxes`: those that take packets in and
    send none out. leaderless: owners of switches that their controller cannot reach, `authority` included. switchless:
    owners whose switches are all dead. withdrawn: prefixes that are no longer announced. nulled: prefixes whose packets
    are discarded on arrival. announced: additional announcements. leaked: routes passed on where they should not be.
    """

    links: frozenset[Link] = frozenset()
    dark: frozenset[str] = frozenset()
    routers: frozenset[str] = frozenset()
    silent: frozenset[str] = frozenset()
    boxes: frozenset[str] = frozenset()
    mute_boxes: frozenset[str] = frozenset()
    leaderless: frozenset[str] = frozenset()
    switchless: frozenset[str] = frozenset()
    withdrawn: frozenset[Withdrawn] = frozenset()
    nulled: frozenset[Nulled] = frozenset()
    announced: frozenset[Announced] = frozenset()
    leaked: frozenset[Leaked] = frozenset()
    closed: frozenset[str] = frozenset()

    def __or__(self, other: Damage) -> Damage:
        return Damage(*(getattr(self, name) | getattr(other, name) for name in Damage.__slots__))

    def __and__(self, other: Damage) -> Damage:
        return Damage(*(getattr(self, name) & getattr(other, name) for name in Damage.__slots__))

    def __bool__(self) -> bool:
        return self != NO_DAMAGE

    @property
    def seen_by_bgp(self) -> Damage:
        """The part of it that other routers learn by BGP."""
        return Damage(withdrawn=self.withdrawn, announced=self.announced, leaked=self.leaked)

    @property
    def contested(self) -> frozenset[IpPrefix]:
        """The prefixes that are hijacked, leaked or announced in addition."""
        return frozenset(each.prefix for each in self.announced) | frozenset(each.prefix for each in self.leaked)

    def breaks(self, a: Node, b: Node) -> bool:
        """Returns whether nothing passes between two nodes that a link joins."""
        if not self.dark.isdisjoint((a.name, b.name)):
            return True
        return any({link.a.node, link.b.node} == {a.name, b.name} for link in self.links)

    def discards(self, operator: str, address: Address) -> bool:
        """Returns whether an operator's border router discards packets from the gateway to an address."""
        return any(
            address in each.prefix and not any(address in spared for spared in each.spared)
            for each in self.nulled
            if each.operator == operator
        )

    def is_off(self, network: Network, owner: str, lan: str) -> bool:
        """Returns whether an operator or transit is cut off from its gateway's or the exchange's LAN (`gateway`,
        `exchange`)."""
        nodes, operators = network.nodes, network.topology.operators
        if owner in network.topology.by_satellite and lan == GATEWAY:
            ground = network.one(Role.TRANSIT, operators[owner].transit[0])
            return self.breaks(network.one(Role.DPI_SWITCH, owner), ground)
        switch = network.gateway_of(owner) if lan == GATEWAY else nodes[lan]
        if switch.name in self.dark:
            return True
        if owner in network.topology.transits:
            return self.breaks(network.one(Role.TRANSIT, owner), switch)
        return self.breaks(network.one(Role.DPI_SWITCH, owner), switch)


NO_DAMAGE = Damage()


def damage_of(network: Network, faults: Iterable[DeclaredFault]) -> Damage:
    """Returns the damage that these faults do together."""
    found = NO_DAMAGE
    for fault in faults:
        found |= _damage(network, fault)
    return found


def _damage(network: Network, fault: DeclaredFault) -> Damage:
    parts = fault.dead
    boxes = frozenset(network.one(Role.DPI_BOX, name).name for name in parts.boxes)
    links = {link for text in fault.cut for link in _links_between(network, *ends_of(text, network.topology))}
    dark = {n.name for n in network.nodes.values() if n.owner in parts.switches and n.role.is_openflow}
    if fault.power_off is not None:
        dark |= {node.name for node in _access_switches(network, fault.power_off)}
    if fault.switch_off is not None:
        links |= set(_mobile_lines(network, fault.switch_off))
    silent = {network.one(Role.RESOLVER, name).name for name in parts.resolvers}
    silent |= {network.one(Role.TELEPHONE, name).name for name in parts.telephones}
    silent |= {node.name for node in hosts_of(network, parts.servers)}
    return Damage(
        frozenset(links),
        frozenset(dark),
        frozenset(node.name for node in routers_of(network, parts.routers)),
        frozenset(silent),
        boxes if fault.stop is None else frozenset(),
        boxes if fault.stop is not None else frozenset(),
        frozenset(fault.lone_controllers),
        frozenset(parts.switches),
        closed=frozenset(silent) if fault.stop is None else frozenset(),
    )


def routers_of(network: Network, owners: Iterable[str]) -> Iterator[Node]:
    """Yields the BGP routers of operators, transits and the `exchange`."""
    for owner in owners:
        for role in (Role.BORDER, Role.TRANSIT, Role.ROUTE_SERVER):
            yield from network.by_role(role, owner)


def hosts_of(network: Network, owners: Iterable[str]) -> Iterator[Node]:
    """Yields the hosts of transits, and of operators' subscribers, on which servers run."""
    hosting = {hosted.node for hosted in network.served}
    for owner in owners:
        for role in (Role.SERVERS, Role.SUBSCRIBER):
            yield from (node for node in network.by_role(role, owner) if node.name in hosting)


def _access_switches(network: Network, where: Powerless) -> Iterator[Node]:
    for node in network.by_role(Role.ACCESS_SWITCH):
        _, region, _ = next(port.purpose for port in node.ports.values() if port.purpose != "uplink").split("/")
        if region in where.regions and (not where.operators or node.owner in where.operators):
            yield node


def _mobile_lines(network: Network, where: Powerless) -> Iterator[Link]:
    """Yields the lines of mobile (and roaming) subscribers of some regions to their access switches."""
    for link in network.links:
        for end in (link.a, link.b):
            vantage = network.nodes[end.node].vantage
            if vantage is not None and _is_mobile_there(vantage, where):
                yield link


def _is_mobile_there(vantage: Vantage, where: Powerless) -> bool:
    operator, region, _ = vantage.id
    there = region in where.regions and (not where.operators or operator in where.operators)
    return there and vantage.access in {Access.MOBILE, Access.ROAMING}


def _links_between(network: Network, one: str, other: str) -> Iterator[Link]:
    """Yields the links between an operator or transit and what it is joined to."""
    nodes = network.nodes
    if one in network.topology.transits:
        far = network.one(Role.TRANSIT, other) if other in network.topology.transits else network.gateway_of(one)
        pairs = [{network.one(Role.TRANSIT, one).name, far.name}]
    elif other in network.topology.transits:
        pairs = [{network.one(Role.DPI_SWITCH, one).name, network.one(Role.TRANSIT, other).name}]
    elif other == EXCHANGE or other in network.topology.all_gateways:
        far = nodes[EXCHANGE] if other == EXCHANGE else network.gateway_of(one)
        pairs = [{network.one(Role.DPI_SWITCH, one).name, far.name}]
    else:
        border, region = network.one(Role.BORDER, one), other.partition("/")[2]
        switches = _access_switches(network, Powerless(regions=(region,), operators=(one,)))
        pairs = [{border.name, switch.name} for switch in switches]
    yield from (link for link in network.links if {link.a.node, link.b.node} in pairs)
