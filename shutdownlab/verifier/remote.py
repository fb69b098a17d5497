"""Whether servers in the country answer requests from abroad as usual: Hyperquack on the model. Pure.

Follows the same requests that `observers.censored_planet` sends. They come from the address of the servers behind the
first transit abroad; no policy depends on which of a transit's addresses it is.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from typing import Final

from shutdownlab.config.numbers import TCP
from shutdownlab.model.network import Network, Role
from shutdownlab.model.remote_measurement import TRIES, Server, request_for, servers_asked
from shutdownlab.model.topology import VantageId
from shutdownlab.probes.failure import StepFailed
from shutdownlab.verifier import speech
from shutdownlab.verifier.box import Box
from shutdownlab.verifier.chance import Chances
from shutdownlab.verifier.equipment import ModelledCountry
from shutdownlab.verifier.packets import FiveTuple
from shutdownlab.verifier.tcp import Connection
from shutdownlab.verifier.wire import EPHEMERAL, ModelledConnection

_PORTS: Final = 20_000
_BETWEEN_S: Final = 1.5
"""Seconds from one try to the next."""
_PAGE: Final = speech.http_response(b"<html><title>the server's own</title></html>")
_FINISHED: Final = b"\x14\x03\x03\0\1\1" + speech.sealed(52)
"""The client's last flight of a TLS handshake."""


class RemoteQuestions:
    """Requests for names of sites abroad to servers in the country. `asked`: their number, by subscriber group."""

    def __init__(self, network: Network, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self.servers = servers_asked(network) if self.names else ()
        servers = Counter(server.vantage for server in self.servers)
        self.asked = {vantage: float(count * len(self.names)) for vantage, count in servers.items()}
        self._client = next(network.by_role(Role.SERVERS))
        self._ports = itertools.count()

    def answered(self, country: ModelledCountry) -> dict[VantageId, float]:
        """Returns the share of requests that each group's servers answer as usual, 0 to 1."""
        found = dict.fromkeys(self.asked, 0.0)
        for server in self.servers:
            found[server.vantage] += self._answers(country, server)
        return {vantage: answers / self.asked[vantage] for vantage, answers in found.items()}

    def _answers(self, country: ModelledCountry, server: Server) -> float:
        """Returns how many requests a server answers as usual: a mean over what DPI boxes may draw."""
        boxes = self._boxes(country, server)
        if not boxes:  # nothing on the path depends on the requested name
            return float(len(self.names) * self._is_as_ever(country, server, self.names[0], Chances()))
        return sum(self._likely(country, server, name, boxes) for name in self.names)

    def _boxes(self, country: ModelledCountry, server: Server) -> list[Box]:
        """Returns the DPI boxes on the path between the client and a server, in either direction."""
        wire = self._wire(country, server, Chances())
        owners = dict.fromkeys(step.box for way in (True, False) for step in wire.steps(way) if step.box)
        return [country.box(owner) for owner in owners]

    def _likely(self, country: ModelledCountry, server: Server, name: str, boxes: Sequence[Box]) -> float:
        """Returns the probability of a usual answer in any try: the mean over the possible draws of DPI boxes."""
        chances = Chances()

        def once() -> float:
            for box in boxes:
                box.begin(chances)
            tries = (number * _BETWEEN_S for number in range(TRIES))
            as_ever = any(self._is_as_ever(country, server, name, chances, now) for now in tries)
            # Blocking by the shape of packets is not modelled: it counts as not seen from abroad.
            return float(as_ever or any(box.has_looked for box in boxes))

        played = [got for _, got in chances.every(once)]
        return sum(played) / len(played)

    def _wire(self, country: ModelledCountry, server: Server, chances: Chances, now: float = 0.0) -> ModelledConnection:
        own, port = str(self._client.address(4)), EPHEMERAL + next(self._ports) % _PORTS
        stream = FiveTuple(TCP, own, server.address, port, server.port)
        return ModelledConnection(country, stream, self._client.name, server.node, chances, now)

    def _is_as_ever(
        self, country: ModelledCountry, server: Server, name: str, chances: Chances, now: float = 0.0
    ) -> bool:
        """Whether one try, from a port of its own, gets the answer that the server gives to everybody."""
        damage, request, wire = country.damage, request_for(name), self._wire(country, server, chances, now)
        echoes = server.service == "echo"  # not a server of the scenario: its faults do not stop it
        listens, hangs = echoes or server.node not in damage.closed, not echoes and server.node in damage.silent
        connection = Connection(wire, listens=listens, hangs=hangs)
        try:
            connection.open()
            if echoes:
                return connection.exchange(request, request, "echo") == request
            if server.service == "http":
                return connection.exchange(request, _PAGE, "http_round_trip") == _PAGE
            hello, answer = speech.client_hello(name, ()), speech.server_hello()
            if connection.exchange(hello, answer, "tls_handshake") != answer or wire.intercepted:
                return False
            page = speech.sealed(len(_PAGE))
            return connection.exchange(_FINISHED + speech.sealed(len(request)), page, "http_round_trip") == page
        except StepFailed:
            return False
