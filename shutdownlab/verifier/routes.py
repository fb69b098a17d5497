"""The next hop of each router once the country's BGP has converged. Pure.

Of the routes that each network receives (`model.routing`), it selects its own, else one from the exchange, a customer,
a peer or a provider, in this order; among several of a kind, the one with the shortest AS path.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address
from itertools import permutations
from typing import Literal

from shutdownlab.config.addresses import Address, IpPrefix
from shutdownlab.model.faults import NO_DAMAGE, Damage
from shutdownlab.model.network import Network, Role
from shutdownlab.model.routing import COVER, anycast, holders, router_of
from shutdownlab.model.topology import Operator, Transit
from shutdownlab.verifier.contest import Contest, Neighbours, NextHop, ReceivedRoute, meeting_lan

Standing = Literal["announced", "at home", "nowhere"]
"""To whom a prefix is announced: to all as usual, only to customers and members of the exchange, or to nobody."""


@dataclass(frozen=True, slots=True)
class _Sessions:
    """The BGP sessions of one IP version: the providers of each operator, and the members of the exchange."""

    providers: Mapping[str, Sequence[str]]
    members: Sequence[str]

    def climbed(self, to: str) -> dict[str, int]:
        """Returns the owners with a customer's (or their own) route to `to`, with the length of the AS path.

        They are the destination, its providers, their providers, and so on.
        """
        found = {to: 0}
        waiting = [to]
        for name in waiting:
            for provider in self.providers.get(name, ()):
                if provider not in found:
                    found[provider] = found[name] + 1
                    waiting.append(provider)
        return found


class Routes:
    """Next hops in a network with some `damage`, computed when a destination is first needed.

    A network that has lost a LAN has lost its BGP sessions there. A router whose BGP daemon is down announces nothing,
    and keeps forwarding by the routes that it had.
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
        place = {name: number for number, name in enumerate((*topology.operators, *topology.transits))}
        providers = {  # in the order of their router identifiers, the lowest of which wins a tie
            name: tuple(
                p for p in sorted(operator.transit, key=place.__getitem__) if p not in away or name in self._above
            )
            if name not in away
            else ()
            for name, operator in topology.operators.items()
        }
        members = [
            name
            for name, operator in topology.operators.items()
            if operator.exchange and name not in off.get("exchange", ())
        ]
        without = {name for name, operator in topology.operators.items() if 6 not in operator.versions}
        self._sessions = {4: _Sessions(providers, members)}
        """By IP version; without IPv4-only operators, those of IPv6 are the same."""
        if without:
            self._sessions[6] = _Sessions(
                {n: tuple(p for p in of if p not in without) for n, of in providers.items() if n not in without},
                [name for name in members if name not in without],
            )
        self._transits = tuple(topology.transits)
        self._before = Routes(network) if damage.routers else None
        self._next: dict[tuple[str, Standing, int], dict[str, NextHop]] = {}
        self._owner: dict[Address, str | None] = {}
        self._contests: dict[IpPrefix, Contest] = {}
        self._anycast = {network.nodes[name].owner: own for name, own in anycast(network).items()}
        shared = {prefix for own in self._anycast.values() for prefix in own}
        self._contested = sorted(damage.contested | shared, key=lambda prefix: -prefix.prefixlen)

    def next_hop(self, owner: str, to: str, standing: Standing = "announced", version: int = 4) -> NextHop:
        """Returns the next hop from an owner's router towards another's; raises `KeyError` if there is no route.

        standing: of the destination's prefix. version: its IP version.
        """
        if self._before is not None and router_of(self._network, owner).name in self._damage.routers:
            return self._before.next_hop(owner, to, version=version)
        key = to, standing, version if version in self._sessions else 4
        if key not in self._next:
            self._next[key] = self._towards(*key)
        return self._next[key][owner]

    def standing(self, owner: str, address: Address | IpPrefix) -> Standing:
        """Returns to whom an owner announces a prefix, or the prefix that contains an address."""
        for each in self._damage.withdrawn:
            if each.operator == owner and each.prefix.version == address.version and _holds(each.prefix, address):
                return "at home" if each.abroad else "nowhere"
        return "announced"

    # -- prefixes announced by several networks -----------------------------------------------------------------------

    def selected(self, owner: str, prefix: IpPrefix) -> ReceivedRoute | None:
        """Returns the route to exactly this prefix that an owner's router selects, or None."""
        if prefix not in self._contests:
            self._contests[prefix] = self._contest(prefix)
        return self._contests[prefix].selected(owner)

    def origin(self, owner: str, prefix: IpPrefix) -> str | None:
        """Returns the origin of the route that an owner's router selects, or None."""
        heard = self.selected(owner, prefix)
        return None if heard is None else (owner, *heard.path)[-1]

    def diverted(self, owner: str, address: Address, known: int) -> NextHop | None:
        """Returns the next hop for an address if a contested or leaked prefix that contains it changes it, else None.

        A next hop that is the router itself means that it discards the packet.
        known: length of the longest prefix with the address that the router has a route to other than by BGP; 0: none.
        """
        if router_of(self._network, owner).name in self._damage.routers:
            return None
        for prefix in self._contested:
            if not _holds_any(prefix, address) or prefix.prefixlen <= known:
                continue
            heard = self.selected(owner, prefix)
            if heard is None:
                continue
            usual = max((p for p in self._holders if _holds_any(p, address)), key=lambda p: p.prefixlen)
            if usual.prefixlen > prefix.prefixlen and self.leads(owner, self._holders[usual], usual):
                return None
            if heard.relation is not None:
                return heard.hop
            announced = (each for each in self._damage.announced if each.operator == owner and each.prefix == prefix)
            return NextHop(owner, "gateway") if any(each.foreign for each in announced) else None
        return None

    @property
    def is_contested(self) -> bool:
        """Whether there are prefixes that more than one network announces, or that are leaked."""
        return bool(self._contested)

    def _contest(self, prefix: IpPrefix) -> Contest:
        origins: dict[str, bool] = {}
        if (holder := self._holders.get(prefix)) is not None and self.standing(holder, prefix) != "nowhere":
            origins[holder] = self.standing(holder, prefix) == "at home"
        for operator, own in self._anycast.items():
            if prefix in own and self.standing(operator, prefix) != "nowhere":
                origins[operator] = True
        for each in self._damage.announced:
            if each.prefix == prefix:
                origins[each.operator] = each.home and origins.get(each.operator, True)
        dead = {name for name in origins if router_of(self._network, name).name in self._damage.routers}
        origins = {name: home for name, home in origins.items() if name not in dead}
        leaks = {(each.operator, each.to) for each in self._damage.leaked if each.prefix == prefix}
        joined = {pair for pair in permutations(self._transits, 2) if self._joined(*pair)}
        over = self._sessions.get(prefix.version, self._sessions[4])
        return Contest(Neighbours(over.providers, over.members, self._transits, joined, self._above), origins, leaks)

    @cached_property
    def _holders(self) -> dict[IpPrefix, str]:
        return holders(self._network)

    # -- lost sessions and links --------------------------------------------------------------------------------------

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
        """Whether an owner's router has a route towards another's, or to this prefix, no matter who announces it."""
        if prefix in self._contested:
            return self.selected(owner, prefix) is not None
        standing = self.standing(to, prefix) if prefix is not None else "announced"
        try:
            self.next_hop(owner, to, standing, prefix.version if prefix is not None else 4)
        except KeyError:
            return False
        return True

    def owner_of(self, address: Address) -> str | None:
        """Returns the owner of the network that packets for an address go to; None if nobody announces it."""
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
        """Prefixes with their owners; the prefix around a served address is announced by the server's owner."""
        topology = self._network.topology
        holders: list[tuple[str, Operator | Transit]] = [*topology.operators.items(), *topology.transits.items()]
        own = [(prefix, name) for name, holder in holders for prefix in holder.prefixes]
        around = [
            (ipaddress.ip_network((address, COVER[address.version]), strict=False), self._network.nodes[h.node].owner)
            for h in self._network.hosted
            for address in h.addresses
        ]
        return [*own, *around]

    def _towards(self, to: str, standing: Standing, version: int) -> dict[str, NextHop]:
        """Returns every router's next hop towards the network of `to` in an IP version."""
        over = self._sessions[version]
        if standing == "nowhere" or router_of(self._network, to).name in self._damage.routers:
            return {}
        climbed = over.climbed(to) if standing == "announced" else {to: 0}  # owner to length of the AS path
        best: dict[str, tuple[int, NextHop]] = {to: (0, NextHop(to, "gateway"))}
        nearest = min((name for name in over.members if name in climbed), key=lambda name: climbed[name], default=None)
        if nearest is not None:  # the route server passes on only the best route, and to its sender none
            hearing = [name for name in over.members if name not in {to, nearest}]
            best |= dict.fromkeys(hearing, (climbed[nearest] + 1, NextHop(nearest, "exchange")))
        for name, length in climbed.items():
            best.setdefault(name, (length, NextHop(to, meeting_lan(to in self._above))))
        for name in self._transits:
            others = [o for o in self._transits if o in climbed and o != name and self._joined(name, o)]
            if name not in best and others:
                next_to = min(others, key=lambda other: climbed[other])
                best[name] = climbed[next_to] + 1, NextHop(next_to, "backbone")
        self._descend(best, over.providers)
        return {name: hop for name, (_, hop) in best.items() if name != to}

    def _descend(self, best: dict[str, tuple[int, NextHop]], providers: Mapping[str, Sequence[str]]) -> None:
        """Adds routes that providers announce to customers; a next hop on the gateway's LAN is kept (third-party)."""
        left = [name for name in providers if name not in best]
        while True:
            offers: list[tuple[int, str, str]] = [
                (best[provider][0] + 1, name, provider)
                for name in left
                for provider in providers[name]
                if provider in best
            ]
            if not offers:
                return
            length, name, provider = min(offers, key=lambda offer: offer[0])
            hop = best[provider][1]
            own, lan = best[provider][0] == 0, meeting_lan(name in self._above)
            third = hop.lan == lan == "gateway" and not own
            best[name] = length, hop if third else NextHop(provider, lan)
            left.remove(name)


def _holds_any(prefix: IpPrefix, address: Address) -> bool:
    return prefix.version == address.version and address in prefix


def _holds(prefix: IpPrefix, inner: Address | IpPrefix) -> bool:
    if isinstance(inner, IPv4Address | IPv6Address):
        return inner in prefix
    return inner.subnet_of(prefix)  # type: ignore[arg-type]
