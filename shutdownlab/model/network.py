"""The laid-out network of a topology: every node, link, address and port number, as data.

Emulation builds it; the compiler writes rules for its switches; routing and name services are configured from it.
`layout` makes it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from shutdownlab.config.addresses import Address, Interface, IpPrefix
from shutdownlab.inspection.apps import Service
from shutdownlab.model import address_plan as plan
from shutdownlab.model.address_plan import Pair
from shutdownlab.model.links import LinkClass
from shutdownlab.model.roles import Role
from shutdownlab.model.topology import ServerProgram, Topology, Vantage, VantageId

PLAIN = LinkClass()


class End(NamedTuple):
    """One end of a link."""

    node: str
    port: str


@dataclass(frozen=True, slots=True)
class Port:
    """An interface. `number`: its OpenFlow port on a switch; `purpose`: the compiler's name for it; `mtu`: a host's or
    router's, in octets."""

    name: str
    mac: str
    addresses: tuple[Interface, ...]
    number: int
    purpose: str
    peer: End
    mtu: int = PLAIN.mtu


@dataclass(frozen=True, slots=True)
class Route:
    """A route to `prefix` through the next hop `via`, or directly on the link (None). `mtu`: of the route, in octets;
    None: the link's."""

    prefix: IpPrefix
    via: Address | None
    port: str
    mtu: int | None = None


@dataclass(slots=True)
class Node:
    """A host, router, switch or box. `owner`: an operator, a transit, a gateway, `exchange` or the observatory."""

    name: str
    role: Role
    owner: str
    title: str
    vantage: Vantage | None = None
    dpid: int = 0
    ports: dict[str, Port] = field(default_factory=dict)
    routes: list[Route] = field(default_factory=list)

    def port_for(self, purpose: str) -> Port:
        """Returns the port with a purpose; raises `KeyError` if there is none."""
        for port in self.ports.values():
            if port.purpose == purpose:
                return port
        raise KeyError(f"{self.name} has no port for {purpose}")

    @property
    def addresses(self) -> tuple[Address, ...]:
        """The addresses of all its interfaces."""
        return tuple(own.ip for port in self.ports.values() for own in port.addresses)

    @property
    def versions(self) -> tuple[int, ...]:
        """The IP versions that it has public addresses of: see `address`."""
        return plan.versions_of(self.addresses) if self.vantage is None else self.vantage.versions

    def address(self, version: int) -> Address:
        """Returns its public address of an IP version: the first one; for a roaming subscriber, the first one from its
        home network. Raises `StopIteration` if there is none."""
        own = self.addresses
        if self.vantage is not None and self.vantage.bearers:
            own = self.vantage.bearers[0].inner
        return next(address for address in own if address.version == version)


@dataclass(frozen=True, slots=True)
class Link:
    """A link. `routers`: the addresses of each router emulated on the link, from a to b; `local`: the link's own
    subnets."""

    a: End
    b: End
    kind: LinkClass
    routers: tuple[tuple[Address, ...], ...] = ()
    local: Pair = ()


@dataclass(frozen=True)
class Hosted:
    """An endpoint of an app as this network hosts it: on `node`, under these names and addresses.

    `blocks`: the app's own prefixes that contain the addresses, if the catalogue has both. `program`: the user's own
    server program that answers there instead of an app's services; `app` is then its name.
    """

    app: str
    node: str
    names: tuple[str, ...]
    addresses: tuple[Address, ...]
    services: tuple[Service, ...]
    domestic: bool
    blocks: tuple[IpPrefix, ...] = ()
    program: ServerProgram | None = None

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """Its addresses as text."""
        return tuple(map(str, self.addresses))

    @property
    def site_name(self) -> str:
        """The name of its web site: the first host name, or else the first address."""
        return self.names[0] if self.names else str(self.addresses[0])


@dataclass(slots=True)
class Network:
    """A laid-out network, from `layout.lay_out`. `subnets`: of each subscriber group, as in `Vantage`. `instances`:
    further hosts of services abroad, at the same addresses (anycast); `hosted` has the one abroad."""

    topology: Topology
    nodes: dict[str, Node] = field(default_factory=dict)
    links: list[Link] = field(default_factory=list)
    subnets: dict[VantageId, tuple[IpPrefix, ...]] = field(default_factory=dict)
    hosted: list[Hosted] = field(default_factory=list)
    instances: list[Hosted] = field(default_factory=list)
    vantages: tuple[Vantage, ...] = ()
    _by_name: dict[str, Hosted] = field(default_factory=dict)
    _by_node: dict[str, dict[Address, None]] = field(default_factory=dict)
    _subscribers: dict[VantageId, str] = field(default_factory=dict)
    _of_operator: dict[str, list[tuple[int, Vantage]]] = field(default_factory=dict)
    _vantage_places: dict[VantageId, int] = field(default_factory=dict)
    _places: dict[str, int] = field(default_factory=dict)
    _by_role: dict[tuple[Role, str | None], list[Node]] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Network({self.topology.name}: {len(self.nodes)} nodes, {len(self.links)} links)"

    def __post_init__(self) -> None:
        self.vantages = tuple(self.topology.vantages())
        for place, vantage in enumerate(self.vantages):
            self._of_operator.setdefault(vantage.id.operator, []).append((place, vantage))
            self._vantage_places[vantage.id] = place

    def add(self, node: Node) -> None:
        """Adds a new node."""
        self._places[node.name] = len(self.nodes)
        self.nodes[node.name] = node
        for owner in (None, node.owner):
            self._by_role.setdefault((node.role, owner), []).append(node)
        if node.vantage is not None:
            self._subscribers[node.vantage.id] = node.name

    def by_role(self, role: Role, owner: str | None = None) -> Iterator[Node]:
        """Returns the nodes of a role, all or one owner's, in the order in which they were added."""
        return iter(self._by_role.get((role, owner), ()))

    def place(self, node: str) -> int:
        """Returns the index of a node, in the order in which nodes were added, from 0."""
        return self._places[node]

    def one(self, role: Role, owner: str) -> Node:
        return next(self.by_role(role, owner))

    def gateway_of(self, network: str) -> Node:
        """Returns the switch of the gateway to which an operator or transit is connected."""
        return self.one(Role.GATEWAY_SWITCH, self.topology.gateway_of(network))

    def subscriber(self, vantage: VantageId) -> Node:
        return self.nodes[self._subscribers[vantage]]

    def mtu(self, vantage: Vantage) -> int:
        """Returns the MTU of a vantage point's line, in octets."""
        if vantage.home:
            return self.tunnel_mtu
        return self.topology.links.get(vantage.access.value, PLAIN).mtu

    @property
    def tunnel_mtu(self) -> int:
        """The MTU inside roaming subscribers' tunnels, in octets: small enough to need no fragmentation on any way
        home."""
        kinds = (kind.mtu for kind in self.topology.links.values())
        return min(PLAIN.mtu, *self.topology.mtus.values(), *kinds) - plan.TUNNEL_HEADERS

    def resolver_of(self, vantage: Vantage) -> Node:
        """Returns the resolver of a subscriber group: its operator's, or that of its home network."""
        return self.one(Role.RESOLVER, vantage.home or vantage.id.operator)

    @property
    def translates(self) -> bool:
        """Whether some line carries IPv6 only, so that packets which are IPv4 at either end are longer on the way."""
        return any(vantage.nat64 is not None for vantage in self.vantages)

    @property
    def is_narrow(self) -> bool:
        """Whether some line, cable or tunnel has an MTU below Ethernet's."""
        if self.topology.homes:
            return True
        kinds = (kind.mtu for kind in self.topology.links.values())
        return any(mtu < PLAIN.mtu for mtu in (*self.topology.mtus.values(), *kinds))

    def place_of(self, vantage: VantageId) -> int:
        """Returns the index of a subscriber group among all, from 0."""
        return self._vantage_places[vantage]

    def vantages_of(self, operator: str) -> Sequence[tuple[int, Vantage]]:
        """Returns the subscriber groups of an operator, each with its index among all."""
        return self._of_operator.get(operator, ())

    def control_addresses(self, vantage: VantageId) -> tuple[Address, ...]:
        """Returns the addresses of a subscriber group's controls: in its subnets, but exempt from every policy."""
        return tuple(subnet.network_address + plan.SUBSCRIBER_CONTROL for subnet in self.subnets[vantage])

    def probed_address(self, vantage: VantageId, version: int) -> Address:
        """Returns the first of the addresses that outsiders probe in a subscriber group's subnet, and from which its
        background radiation comes. Raises `StopIteration` if the group has no subnet of the IP version."""
        return next(plan.probed(own).network_address for own in self.subnets[vantage] if own.version == version)

    def atlas_address(self, vantage: Vantage) -> Address:
        """Returns the IPv4 address of an Atlas probe on a line: its own, but for lines that have only one, because of
        a tunnel or a NAT64."""
        if vantage.is_of_one_address:
            return self.subscriber(vantage.id).address(4)
        return next(own.network_address + plan.ATLAS_PROBE for own in vantage.subnets if own.version == 4)

    def hosted_as(self, name: str) -> Hosted | None:
        """Returns what is hosted at a host name or an address, or None."""
        if not self._by_name:
            for hosted in reversed(self.hosted):  # the first one with a name wins
                self._by_name |= dict.fromkeys((*hosted.names, *hosted.texts), hosted)
        return self._by_name.get(name)

    @property
    def served(self) -> Iterator[Hosted]:
        """Everything that is hosted anywhere, further anycast instances included."""
        return itertools.chain(self.hosted, self.instances)

    def elsewhere(self, hosted: Hosted) -> tuple[str, ...]:
        """Returns the nodes with further anycast instances of what is hosted."""
        there = (each.node for each in self.instances if not set(hosted.addresses).isdisjoint(each.addresses))
        return tuple(dict.fromkeys(node for node in there if node != hosted.node))

    def anycast_on(self, node: str) -> tuple[Address, ...]:
        """Returns the addresses of a node that other nodes have too."""
        shared = {address for each in self.instances for address in each.addresses}
        return tuple(address for address in self.hosted_on(node) if address in shared) if shared else ()

    def names_hosted(self) -> frozenset[str]:
        """Returns every host name that is served."""
        return frozenset(name for hosted in self.hosted for name in hosted.names)

    def addresses_hosted(self) -> frozenset[Address]:
        """Returns every address at which something is served."""
        return frozenset(address for hosted in self.hosted for address in hosted.addresses)

    def hosted_on(self, node: str) -> tuple[Address, ...]:
        """Returns the addresses that a node has for what it hosts, beside its own."""
        if not self._by_node:
            for hosted in self.served:
                self._by_node.setdefault(hosted.node, {}).update(dict.fromkeys(hosted.addresses))
        return tuple(self._by_node.get(node, ()))

    def addresses_of(self, app: str) -> tuple[Address, ...]:
        return tuple(dict.fromkeys(a for h in self.hosted if h.app == app for a in h.addresses))


__all__ = ["PLAIN", "End", "Hosted", "Link", "Network", "Node", "Port", "Role", "Route"]
