"""Which route each router selects to a prefix that several networks announce, or that is leaked. Pure.

Simulates BGP router by router, from the state without leaks until no table changes. Routes are ranked by local
preference, then the length of the AS path, then the neighbour's router identifier (RFC 4271, 9.1.2); each router
announces to its neighbours the best route that its relation with them allows (`model.routing`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from shutdownlab.model.routing import Relation

Lan = Literal["gateway", "exchange", "backbone", "space"]
"""A network on which routers meet. `space`: abroad, between a satellite operator's gateway and its provider."""
EXCHANGE: Final = "exchange"
_ROUNDS_EACH: Final = 4


@dataclass(frozen=True, slots=True)
class NextHop:
    """The owner of the next router, and the LAN over which it is reached."""

    owner: str
    lan: Lan


@dataclass(frozen=True, slots=True)
class ReceivedRoute:
    """A route in a router's table.

    path: the owners of the networks that it came through, nearest first, origin last; empty for the router's own route.
    relation: what the neighbour that announced it is to the router; None for the router's own route.
    """

    path: tuple[str, ...]
    relation: Relation | None
    hop: NextHop

    @property
    def sender(self) -> str:
        """The peer whose session it came over: a neighbour's name, or `exchange`; "" for the router's own route."""
        return EXCHANGE if self.relation is Relation.EXCHANGE else self.path[0] if self.path else ""


@dataclass(frozen=True)
class Neighbours:
    """All BGP sessions.

    providers: by operator.
    members: operators at the exchange.
    transits: all transits, in the order of their router identifiers, which are higher than the operators'.
    joined: pairs of transits that have a session with each other.
    above: operators whose gateway is abroad (satellite).
    """

    providers: Mapping[str, Sequence[str]]
    members: Sequence[str]
    transits: Sequence[str]
    joined: Collection[tuple[str, str]]
    above: Collection[str] = ()


def meeting_lan(above: bool) -> Lan:
    """Returns the LAN on which an operator meets its providers; `above`: whether its gateway is abroad."""
    return "space" if above else "gateway"


class Contest:
    """The routes of all routers to one prefix.

    origins: the networks that announce it, and whether only to customers and members of the exchange.
    leaks: pairs of a network that passes it on and the neighbour that should not receive it.
    """

    def __init__(
        self, neighbours: Neighbours, origins: Mapping[str, bool], leaks: Collection[tuple[str, str]] = ()
    ) -> None:
        self._near, self._origins, self._leaks = neighbours, origins, frozenset[tuple[str, str]]()
        self._place = {name: place for place, name in enumerate((*neighbours.providers, *neighbours.transits))}
        self._customers = {
            name: [each for each, providers in neighbours.providers.items() if name in providers]
            for name in self._place
        }
        self._tables: dict[str, list[ReceivedRoute]] = {name: [] for name in self._place}
        self._play()
        if leaks:
            self._leaks = frozenset(leaks)
            self._play()

    def selected(self, owner: str) -> ReceivedRoute | None:
        """Returns the route that an owner's router selects, or None if it has none."""
        return next(iter(self._tables.get(owner, ())), None)

    def _play(self) -> None:
        for _ in range(_ROUNDS_EACH * len(self._place)):
            changed = False
            for name in self._place:
                found = sorted(self._candidates(name), key=self._rank)
                changed |= found != self._tables[name]
                self._tables[name] = found
            if not changed:
                return

    def _rank(self, route: ReceivedRoute) -> tuple[int, int, int]:
        if route.relation is None:
            return -1000, 0, 0
        return -route.relation.value[1], len(route.path), self._place[route.path[0]]

    def _candidates(self, name: str) -> list[ReceivedRoute]:
        found = [ReceivedRoute((), None, NextHop(name, "gateway"))] if name in self._origins else []
        near = self._near
        for provider in near.providers.get(name, ()):
            found += self._received_from(
                provider, name, Relation.CUSTOMER, Relation.PROVIDER, meeting_lan(name in near.above)
            )
        for customer in self._customers[name]:
            found += self._received_from(
                customer, name, Relation.PROVIDER, Relation.CUSTOMER, meeting_lan(customer in near.above)
            )
        for peer in near.transits:
            if (name, peer) in near.joined:
                found += self._received_from(peer, name, Relation.PEER, Relation.PEER, "backbone")
        if name in near.members:
            offers = [
                route
                for member in near.members
                for route in self._received_from(member, EXCHANGE, Relation.EXCHANGE, Relation.EXCHANGE, "exchange")
            ]
            best = min(offers, key=self._rank, default=None)  # the route server passes on only the best
            if best is not None and name not in best.path:
                found.append(best)
        return found

    def _received_from(self, sender: str, to: str, as_a: Relation, by_a: Relation, lan: Lan) -> list[ReceivedRoute]:
        """Returns the route that a router announces to a neighbour, as the neighbour receives it; [] if none.

        as_a: what the neighbour is to the router. by_a: what the router is to the neighbour.
        """
        if self._origins.get(sender) and as_a in {Relation.PROVIDER, Relation.PEER}:
            return []
        leaks = (sender, to) in self._leaks
        for route in self._tables[sender]:
            if route.sender == to:
                continue
            allowed = as_a.gets_all_routes or route.relation in {None, Relation.CUSTOMER}
            if not allowed and not leaks:
                continue
            if to in route.path:
                return []  # the neighbour finds its own number in the path (RFC 4271, 9.1.2)
            # On a LAN that all three share the next hop stays (RFC 4271, 5.1.3); a leaker announces itself instead.
            shared = lan == "gateway" and route.hop.lan == "gateway" and route.relation is not None and not leaks
            return [ReceivedRoute((sender, *route.path), by_a, route.hop if shared else NextHop(sender, lan))]
        return []
