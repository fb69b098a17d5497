"""Remote measurement: which servers in the country are asked for which names of other sites. Pure.

Hyperquack (Sundara Raman et al., "Measuring the Deployment of Network Censorship Filters at Global Scale", NDSS 2020)
sends requests from abroad to web servers, Quack (VanderSloot et al., USENIX Security 2018) to echo servers (RFC 862). A
run sends packets and `verify` uses the model, with the same servers and names.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from shutdownlab.model.network import Network
from shutdownlab.model.probe import Probe
from shutdownlab.model.topology import VantageId

ServiceName = Literal["http", "https", "echo"]
PORTS: Final[Mapping[ServiceName, int]] = {"http": 80, "https": 443, "echo": 7}
_WEB: Final[tuple[ServiceName, ...]] = ("http", "https")
TRIES: Final = 2
"""How often a name is requested before it counts as unanswered."""
_MOST_SERVERS: Final = 6
_MOST_NAMES: Final = 3


@dataclass(frozen=True, slots=True)
class Server:
    """A server in the country that receives requests: a vantage point, as Censored Planet calls it."""

    vantage: VantageId
    node: str
    address: str
    service: ServiceName

    @property
    def port(self) -> int:
        return PORTS[self.service]


def servers_asked(network: Network) -> tuple[Server, ...]:
    """Returns at most six servers in the country, round-robin over the operators, so that each has one before any has
    two.

    Each machine with a web server also has an echo server.
    """
    by_operator: dict[str, list[Server]] = {}
    for hosted in network.hosted:
        vantage = network.nodes[hosted.node].vantage
        address = next((str(each) for each in hosted.addresses if each.version == 4), None)
        if not hosted.domestic or hosted.program is not None or vantage is None or address is None:
            continue
        there = by_operator.setdefault(vantage.id.operator, [])
        if any(server.vantage == vantage.id for server in there):
            continue
        services = {(service.kind, service.port) for service in hosted.services}
        if kinds := [kind for kind in _WEB if (kind, PORTS[kind]) in services]:
            there += [Server(vantage.id, hosted.node, address, kind) for kind in (*kinds, "echo")]
    in_turn = itertools.zip_longest(*by_operator.values())
    return tuple(itertools.islice((each for row in in_turn for each in row if each), _MOST_SERVERS))


def names_asked(
    network: Network, blocked: Iterable[str], probes: Iterable[Probe], others: Iterable[str]
) -> tuple[str, ...]:
    """Returns at most three names of sites abroad: those that policies block, else those that probes request, else
    `others`.

    A box's profile may block names that no policy names: the names that the scenario's own probes request then matter.
    """
    return _first(blocked) or _first(_abroad(network, probes)) or _first(others)


def _first(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(itertools.islice(dict.fromkeys(names), _MOST_NAMES))


def _abroad(network: Network, probes: Iterable[Probe]) -> Iterator[str]:
    """Yields the names of web sites abroad that probes go to."""
    for probe in probes:
        hosted = network.hosted_as(probe.host_name) if probe.host_name else None
        if hosted is None or hosted.domestic or probe.host_name not in hosted.names:
            continue
        if any(service.kind == "https" for service in hosted.services):
            yield probe.host_name


def request_for(name: str) -> bytes:
    """Returns the request for a name: sent over HTTP, over TLS for HTTPS, and to echo servers."""
    return f"GET / HTTP/1.1\r\nHost: {name}\r\nUser-Agent: Mozilla/5.0\r\nConnection: close\r\n\r\n".encode()
