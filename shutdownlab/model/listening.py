"""Which servers listen at each address and port, in the running country as in its model. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from shutdownlab.inspection.apps import transports_of
from shutdownlab.model.network import Hosted, Network, Role
from shutdownlab.model.telephony import SMS, VOICE

_TLS = frozenset({"https", "tls"})
Transport = Literal["tcp", "udp"]


@dataclass(frozen=True, slots=True)
class Listener:
    """A server that listens on a port.

    kind: a kind of service in the catalogue, or `own` for a user's own program.
    hosted: the sites that it serves.
    """

    kind: str
    hosted: tuple[Hosted, ...] = ()

    @property
    def speaks_tls(self) -> bool:
        return self.kind in _TLS

    def site(self, name: str) -> Hosted | None:
        """Returns the site that it serves under a host name or address, or None."""
        return next((each for each in self.hosted if name in each.names or name in each.texts), None)


class Servers:
    """Looks up the servers of a network."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._listening: dict[tuple[str, int, Transport], Listener | None] = {}
        """Cache of `at`."""
        self._by_address: dict[str, list[Hosted]] = {}
        for hosted in network.hosted:
            for address in hosted.addresses:
                self._by_address.setdefault(str(address), []).append(hosted)
        self._infrastructure: dict[str, Role] = {}
        for role in (Role.RESOLVER, Role.TELEPHONE):
            for node in network.by_role(role):
                own = (str(a.ip) for port in node.ports.values() for a in port.addresses)
                self._infrastructure |= dict.fromkeys(own, role)
        self._addresses: dict[str, list[str]] = {}
        for hosted in network.hosted:
            for name in hosted.names:
                self._addresses.setdefault(name, []).extend(hosted.texts)

    def addresses(self, name: str, version: int) -> tuple[str, ...] | None:
        """Returns the addresses that DNS has for a host name in an IP version; None if the name does not exist."""
        found = self._addresses.get(name)
        if found is None:
            return None
        return tuple(dict.fromkeys(a for a in found if (":" in a) == (version == 6)))

    def at(self, address: str, port: int, transport: Transport) -> Listener | None:
        """Returns the server that listens at an address and port; None if the port is closed."""
        place = address, port, transport
        if place not in self._listening:
            self._listening[place] = self._found_at(address, port, transport)
        return self._listening[place]

    def _found_at(self, address: str, port: int, transport: Transport) -> Listener | None:
        role = self._infrastructure.get(address)
        if role is Role.RESOLVER:
            return Listener("dns") if port == 53 else None
        if role is Role.TELEPHONE:
            return Listener("sip") if transport == "udp" and port in (VOICE.first, SMS.first) else None
        there = self._by_address.get(address, [])
        kinds = {kind: [h for h in there if _listens(h, kind, port, transport)] for kind in _kinds(there)}
        answering = next((kind for kind in kinds if kinds[kind]), None)
        return None if answering is None else Listener(answering, tuple(kinds[answering]))


def _kinds(there: list[Hosted]) -> list[str]:
    found = [service.kind for hosted in there for service in hosted.services]
    return list(dict.fromkeys(["own", *found]))


def _listens(hosted: Hosted, kind: str, port: int, transport: Transport) -> bool:
    if kind == "own":
        return hosted.program is not None and any(
            ports.first == port and (ports.protocol or "tcp") == transport for ports in hosted.program.ports
        )
    if kind == "dns":
        return port == 53 and any(service.kind == "dns" for service in hosted.services)
    offered = any(service.kind == kind and service.port == port for service in hosted.services)
    return offered and transport in transports_of(kind)
