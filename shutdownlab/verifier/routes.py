"""Which router each router hands a packet to once the country's BGP has converged. Pure.

Of the routes that `model.routing` lets each network hear, the preferred one counts: one's own, over the exchange, from
a customer, from a peer, from a provider; among these the shortest AS path.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address
from typing import Literal

from shutdownlab.config.scalars import Address, IpPrefix
from shutdownlab.model.faults import NO_DAMAGE, Damage
from shutdownlab.model.network import Network, Node, Role
from shutdownlab.model.topology import Operator, Transit

Lan = Literal["gateway", "exchange", "backbone", "space"]
Standing = Literal["announced", "at home", "nowhere"]
"""To whom a prefix is announced: as usual, to customers and the exchange's members alone, or to nobody."""
_COVER = {4: 24, 6: 48}


@dataclass(frozen=True, slots=True)
class NextHop:
    """The owner of the next router, and over which LAN it is reached."""

    owner: str
    lan: Lan


class Routes:
    """Next hops, worked out for a destination when it is first asked for: of a network with some `damage`.

    Who has lost a LAN has lost its BGP sessions there. A router that speaks no BGP is heard by nobody, and goes on by
    the routes that it had.
    """

    def __init__(self, network: Network, damage: Damage = NO_DAMAGE) -> None:
        self._network, self._damage = network, damage
        topology = network.topology
        off = {
            lan: {name for name in (*topology.operators, *topology.transits) if self._is_off(name, lan)}
            for lan in (("gateway", "exchange") if damage else ())
        }
        away = off.get("gateway", set())
        self._above = topology.by_satellite
        self._providers = {
            name: tuple(p for p in operator.transit if p not in away or name in self._above) if name not in away else ()
            for name, operator in topology.operators.items()
        }
        self._members = [
            name
            for name, operator in topology.operators.items()
            if operator.exchange and name not in off.get("exchange", ())
        ]
        self._transits = tuple(topology.transits)
        self._before = Routes(network) if damage.routers else None
        self._next: dict[tuple[str, Standing], dict[str, NextHop]] = {}
        self._owner: dict[Address, str | None] = {}

    def next_hop(self, owner: str, to: str, standing: Standing = "announced") -> NextHop:
        """From an owner's router towards another owner's; raises `KeyError` where there is no route.

        standing: of the prefix there.
        """
        if self._before is not None and router_of(self._network, owner).name in self._damage.routers:
            return self._before.next_hop(owner, to)
        key = to, standing
        if key not in self._next:
            self._next[key] = self._towards(to, standing)
        return self._next[key][owner]

    def standing(self, owner: str, address: Address | IpPrefix) -> Standing:
        """To whom an owner announces the prefix that holds an address, or a prefix."""
        for each in self._damage.withdrawn:
            if each.operator == owner and each.prefix.version == address.version and _holds(each.prefix, address):
                return "at home" if each.abroad else "nowhere"
        return "announced"

    def _is_off(self, owner: str, lan: str) -> bool:
        """Whether an owner's router has no sessions over a LAN."""
        network, damage = self._network, self._damage
        if lan == "exchange":
            server = network.one(Role.ROUTE_SERVER, "exchange").name
            operator = network.topology.operators.get(owner)
            if operator is None or not operator.exchange or server in damage.routers:
                return True
        return router_of(network, owner).name in damage.routers or damage.is_off(network, owner, lan)

    def _joined(self, one: str, other: str) -> bool:
        """Whether two transits reach each other abroad."""
        a, b = router_of(self._network, one), router_of(self._network, other)
        return self._damage.routers.isdisjoint((a.name, b.name)) and not self._damage.breaks(a, b)

    def leads(self, owner: str, to: str, prefix: IpPrefix | None = None) -> bool:
        """Whether an owner's router has a route towards another's: to a prefix of it."""
        standing = self.standing(to, prefix) if prefix is not None else "announced"
        try:
            self.next_hop(owner, to, standing)
        except KeyError:
            return False
        return True

    def owner_of(self, address: Address) -> str | None:
        """To whose network packets for an address go; None: nobody announces it, and routers say so."""
        if address not in self._owner:
            self._owner[address] = self._find_owner(address)
        return self._owner[address]

    def _find_owner(self, address: Address) -> str | None:
        hosted = self._network.hosted_as(str(address))
        if hosted is not None:
            return self._network.nodes[hosted.node].owner
        return next((owner for prefix, owner in self._announced if address in prefix), None)

    @cached_property
    def _announced(self) -> list[tuple[IpPrefix, str]]:
        """Prefixes and whose they are; those around served addresses are announced by whoever serves there."""
        topology = self._network.topology
        holders: list[tuple[str, Operator | Transit]] = [*topology.operators.items(), *topology.transits.items()]
        own = [(prefix, name) for name, holder in holders for prefix in holder.prefixes]
        around = [
            (ipaddress.ip_network((address, _COVER[address.version]), strict=False), self._network.nodes[h.node].owner)
            for h in self._network.hosted
            for address in h.addresses
        ]
        return [*own, *around]

    def _towards(self, to: str, standing: Standing) -> dict[str, NextHop]:
        """Every router's next hop towards the network of `to`."""
        if standing == "nowhere" or router_of(self._network, to).name in self._damage.routers:
            return {}
        climbed = self._customers(to) if standing == "announced" else {to: 0}  # and the length of the AS path
        best: dict[str, tuple[int, NextHop]] = {to: (0, NextHop(to, "gateway"))}
        members = [name for name in self._members if name in climbed]
        for name in self._members:
            others = [other for other in members if other != name]
            if name != to and others:
                nearest = min(others, key=lambda other: climbed[other])
                best[name] = climbed[nearest] + 1, NextHop(nearest, "exchange")
        for name, length in climbed.items():
            best.setdefault(name, (length, NextHop(to, _lan_of(to in self._above))))
        for name in self._transits:
            others = [o for o in self._transits if o in climbed and o != name and self._joined(name, o)]
            if name not in best and others:
                nearest = min(others, key=lambda other: climbed[other])
                best[name] = climbed[nearest] + 1, NextHop(nearest, "backbone")
        self._descend(best)
        return {name: hop for name, (_, hop) in best.items() if name != to}

    def _customers(self, to: str) -> dict[str, int]:
        """Who has a route from a customer (or its own), with the AS path's length: the providers of providers."""
        found = {to: 0}
        waiting = [to]
        for name in waiting:
            for provider in self._providers.get(name, ()):
                if provider not in found:
                    found[provider] = found[name] + 1
                    waiting.append(provider)
        return found

    def _descend(self, best: dict[str, tuple[int, NextHop]]) -> None:
        """What providers tell their customers. A next hop on the gateway's LAN stays the router that owns the route."""
        left = [name for name in self._providers if name not in best]
        while True:
            offers: list[tuple[int, str, str]] = [
                (best[provider][0] + 1, name, provider)
                for name in left
                for provider in self._providers[name]
                if provider in best
            ]
            if not offers:
                return
            length, name, provider = min(offers, key=lambda offer: offer[0])
            hop = best[provider][1]
            own, lan = best[provider][0] == 0, _lan_of(name in self._above)
            third = hop.lan == lan == "gateway" and not own
            best[name] = length, hop if third else NextHop(provider, lan)
            left.remove(name)


def _lan_of(above: bool) -> Lan:
    """Where a network that has its gateway abroad, or one of the country's, meets its providers."""
    return "space" if above else "gateway"


def router_of(network: Network, owner: str) -> Node:
    """The border router of an operator, or a transit's router."""
    role = Role.TRANSIT if owner in network.topology.transits else Role.BORDER
    return network.one(role, owner)


def _holds(prefix: IpPrefix, inner: Address | IpPrefix) -> bool:
    if isinstance(inner, IPv4Address | IPv6Address):
        return inner in prefix
    return inner.subnet_of(prefix)  # type: ignore[arg-type]
