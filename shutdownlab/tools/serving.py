"""The servers of tools: one at each address and port where an app's `ports` have the tool's kind of service."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from shutdownlab.config.addresses import Address
from shutdownlab.model.network import Hosted
from shutdownlab.model.tool import users
from shutdownlab.servers.daemon import Daemon, Listening, Protocol
from shutdownlab.servers.server import Premises, Server
from shutdownlab.tools.using import home


@dataclass(frozen=True, slots=True)
class Outpost:
    """The place of a tool's server. `number` is unique among those of its kind.

    `home`: its directory, where its clients find their keys and settings (`tools.using.Using.handed_out`).
    """

    premises: Premises
    hosted: Hosted
    address: Address
    port: int
    number: int
    home: Path

    @property
    def node(self) -> str:
        return self.hosted.node

    @property
    def users(self) -> tuple[str, ...]:
        """The names of its users, for tools where each user has keys of its own."""
        return tuple(users(tuple(vantage.id for vantage in self.premises.network.vantages)))

    def listening(self, protocol: Protocol) -> frozenset[Listening]:
        """Returns the sockets that it listens on once it is up."""
        return frozenset({Listening(protocol, self.address, self.port)})


class ToolServer(Server):
    """The servers of one tool. A subclass sets `kind`, the tool's name, and implements `serve`."""

    kind: ClassVar[str] = ""
    order = 65

    def daemons(self, premises: Premises) -> Iterator[Daemon]:
        for outpost in outposts(premises, self.kind):
            yield from self.serve(outpost)

    def serve(self, outpost: Outpost) -> Iterator[Daemon]:
        """Yields the daemons of one server."""
        raise NotImplementedError


def outposts(premises: Premises, kind: str) -> list[Outpost]:
    """Returns every place where a kind of service is hosted."""
    found: list[Outpost] = []
    for hosted in premises.network.hosted:
        for service in hosted.services:
            if service.kind == kind:
                for address in hosted.addresses:
                    place = home(premises.directory, kind, str(address), service.port)
                    found.append(Outpost(premises, hosted, address, service.port, len(found) + 1, place))
    return found
