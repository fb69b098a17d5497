"""The packets by which outside signals observe subscribers, exchanged on the model. Pure."""

from __future__ import annotations

from typing import Final

from shutdownlab.config.numbers import TCP, UDP
from shutdownlab.model.network import Network, Role
from shutdownlab.model.routing import router_of
from shutdownlab.model.topology import Vantage
from shutdownlab.verifier import speech
from shutdownlab.verifier.chance import Chances
from shutdownlab.verifier.equipment import ModelledCountry
from shutdownlab.verifier.packets import ECHO, ECHO_REPLY, SYN, FiveTuple, Segment, icmp_of
from shutdownlab.verifier.ways import Ways
from shutdownlab.verifier.wire import EPHEMERAL, ModelledConnection

TRIES: Final = 3
"""Tries of a resolver before it gives up (ASSUMED: BIND and unbound make a handful of tries within 10 s)."""
_RADIATION_PORT: Final = 23


def answers_ping(version: int, country: ModelledCountry, vantage: Vantage) -> float:
    """Returns 1 if a group answers an ICMP echo request from behind any transit, else 0."""
    target = country.network.subscriber(vantage.id)
    address = str(country.network.probed_address(vantage.id, version))
    for prober in country.network.by_role(Role.SERVERS):
        own = str(prober.address(version))
        stream = FiveTuple(icmp_of(version), own, address, kinds=(ECHO[version], ECHO_REPLY[version]))
        wire = ModelledConnection(country, stream, prober.name, target.name, Chances())
        if _there_and_back(wire, Segment(bytes(48)), Segment(bytes(48))):
            return 1.0
    return 0.0


def dark_address(network: Network, ways: Ways) -> tuple[str, str] | None:
    """Returns an unused IPv4 address abroad, after the router that packets to it arrive at; None if there is none."""
    for name, transit in network.topology.transits.items():
        for prefix in transit.prefixes:
            if prefix.version == 4:
                for place in range(2, min(64, prefix.num_addresses)):
                    address = str(prefix[-place])
                    if ways.host_of(address) is None:
                        return router_of(network, name).name, address
    return None


def reaches(router: str, address: str, country: ModelledCountry, vantage: Vantage) -> float:
    """Returns 1 if a TCP SYN of a group's background radiation reaches an address behind a router abroad, else 0."""
    source, own = country.network.subscriber(vantage.id), country.network.probed_address(vantage.id, 4)
    stream = FiveTuple(TCP, str(own), address, EPHEMERAL, _RADIATION_PORT)
    wire = ModelledConnection(country, stream, source.name, None, Chances())
    wire.send(Segment(flags=SYN), by_client=True)
    return float([stop.at for stop in wire.stops] == [router])  # nothing on the path has stopped it


def queries_abroad(country: ModelledCountry, vantage: Vantage) -> float:
    """Returns how many queries arrive abroad for each that arrives on a quiet day, up to `TRIES`."""
    source, resolver = country.network.subscriber(vantage.id), country.network.one(Role.RESOLVER, vantage.id.operator)
    name = "www.example.com"
    query, answer = speech.dns_query(name, 4), speech.dns_answer(name, 4, ("192.0.2.1",))
    to_resolver = FiveTuple(UDP, str(source.address(4)), str(resolver.address(4)), EPHEMERAL, 53)
    own = ModelledConnection(country, to_resolver, source.name, resolver.name, Chances())
    came_in = any(not arrival.at_client for arrival in own.send(Segment(query), by_client=True))
    if not came_in or resolver.name in country.damage.silent:
        return 0.0
    answered = arrived = 0
    servers = list(country.network.by_role(Role.SERVERS))
    for server in servers:
        stream = FiveTuple(UDP, str(resolver.address(4)), str(server.address(4)), EPHEMERAL, 53)
        wire = ModelledConnection(country, stream, resolver.name, server.name, Chances())
        if any(not arrival.at_client for arrival in wire.send(Segment(query), by_client=True)):
            arrived += 1
            back = wire.send(Segment(answer), by_client=False)
            answered += any(arrival.at_client and arrival.segment.data == answer for arrival in back)
    return (answered + TRIES * (arrived - answered)) / len(servers)


def _there_and_back(wire: ModelledConnection, there: Segment, back: Segment) -> bool:
    if not any(not arrival.at_client for arrival in wire.send(there, by_client=True)):
        return False
    return any(arrival.at_client for arrival in wire.send(back, by_client=False))
