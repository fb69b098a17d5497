"""RIPE Atlas: probes on lines of the country, in data centres and at homes, and their results.

A probe counts as connected while it has a TCP connection to a controller abroad, on port 443: to a site that no policy
names. Results of unconnected probes are not published. A probe is taken to be disconnected after two failed tries, each
followed by a control: an echo from abroad to the line's control address.

A probe has an address of its own in the group's subnet: what an operator counts or remembers of each client, the pings
of a probe for instance, must not fall on the subscriber who is measured there.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import islice, zip_longest
from typing import ClassVar, Final

from shutdownlab.config.addresses import network as prefix
from shutdownlab.model.network import Role
from shutdownlab.model.topology import Access, SubscriberClass, Vantage
from shutdownlab.observers import atlas_format as form
from shutdownlab.observers.addresses import add_addresses
from shutdownlab.observers.atlas_probe import Round, play
from shutdownlab.observers.echo import Ask, EchoResult, Site
from shutdownlab.observers.instrument import Abroad, CannotSee, Instrument, Moment, Sighting
from shutdownlab.observers.naming import stamp
from shutdownlab.results.reading import Reading, places_of

_PATIENCE_S: Final = 1.5
"""Seconds for a connection: more than one retransmission of a SYN."""
_TRIES: Final = 2
_MOST_CONTROLLERS: Final = 4


@dataclass(frozen=True, slots=True)
class Host:
    """A line that has a probe; `signal`: the signal that it counts in, with `weight`."""

    number: int
    vantage: Vantage
    signal: str
    weight: float


class Atlas(Instrument):
    """A probe on each data centre's line, and on each ordinary fixed line (on each ordinary line if none is fixed)."""

    name: ClassVar[str] = "atlas"
    signals: ClassVar[tuple[str, ...]] = ("atlas-datacentre", "atlas-home")

    def __init__(self, abroad: Abroad) -> None:
        super().__init__(abroad)
        network = abroad.network
        found = [(name, network.hosted_as(name)) for name in abroad.sites]
        by_node: dict[str, list[tuple[str, str]]] = {}
        for name, hosted in found:
            if hosted is None:
                continue
            for address in (each for each in hosted.addresses if each.version == 4):
                by_node.setdefault(hosted.node, []).append((name, str(address)))
        # One behind each transit before any has two.
        in_turn = (each for row in zip_longest(*by_node.values()) for each in row if each)
        self._controllers = list(islice(in_turn, _MOST_CONTROLLERS))
        if not self._controllers:
            raise CannotSee("no site abroad answers on port 443 for Atlas probes to connect to")
        self._hosts = list(hosts(network.vantages))
        for host in self._hosts:
            if not host.vantage.is_of_one_address:
                own = network.atlas_address(host.vantage)
                add_addresses(abroad, host.vantage.id, prefix(own), (own,))
        node = next(network.by_role(Role.SERVERS))
        self._site = Site(node.name, abroad.net.get(node.name).namespace)

    def look(self, moment: Moment) -> Sighting:
        if not self._hosts:
            return Sighting()
        with ThreadPoolExecutor(len(self._hosts), "atlas") as pool:
            play_one = partial(self._play, moment)
            rounds = dict(zip(self._hosts, pool.map(play_one, self._hosts), strict=True))
            unknown = set[Host]()
            for number in range(_TRIES):
                away = [host for host, found in rounds.items() if found.controller is None and host not in unknown]
                unknown |= self._refuted(away, moment)
                again = [host for host in away if host not in unknown] if number + 1 < _TRIES else []
                rounds |= dict(zip(again, pool.map(play_one, again), strict=True))
        files = self._files(moment, rounds)
        left_out = [f"{len(unknown)} probes: the controls of their lines failed"] if unknown else []
        connected = {host: found.controller is not None for host, found in rounds.items()}
        readings = self._readings(moment.phase.phase, connected, unknown)
        return Sighting(tuple(readings), files, tuple(left_out))

    def _play(self, moment: Moment, host: Host) -> Round:
        network = self.abroad.network
        node = self.abroad.net.get(network.subscriber(host.vantage.id).name)
        resolver = str(network.one(Role.RESOLVER, host.vantage.id.operator).address(4))
        ident = random.Random(f"{self.abroad.seed} {moment.phase.phase} {host.number}").randrange(1 << 16)
        own = str(network.atlas_address(host.vantage))
        return play(node.namespace, own, self._controllers, resolver, _PATIENCE_S, ident)

    def _refuted(self, away: list[Host], moment: Moment) -> set[Host]:
        """Returns the probes whose controls failed, because the testbed itself did."""
        network = self.abroad.network
        asks = {}
        for host in away:
            control = next(address for address in network.control_addresses(host.vantage.id) if address.version == 4)
            way = moment.is_there_a_way(self._site.name, network.subscriber(host.vantage.id).name, 4)
            asks[host] = Ask((), control, way)
        self._site.ask(asks.values())
        return {host for host, ask in asks.items() if ask.result is EchoResult.NOTHING}

    def _readings(self, phase: str, connected: dict[Host, bool], unknown: set[Host]) -> Iterator[Reading]:
        places = places_of(self.abroad.network.topology)
        for signal in dict.fromkeys(host.signal for host in self._hosts):
            for place in places:
                hosts = [host for host in self._hosts if host.signal == signal and place.covers(host.vantage.id)]
                if hosts and unknown.isdisjoint(hosts):
                    share = sum(host.weight * connected[host] for host in hosts) / sum(host.weight for host in hosts)
                    yield Reading(signal, phase, place.scope, place.of, "both", round(share, 9), "share", "measured")

    def _files(self, moment: Moment, rounds: dict[Host, Round]) -> dict[str, bytes]:
        network, results, listed = self.abroad.network, [], []
        now = time.time()
        at, wall = int(self.abroad.time.of(now)), datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds")
        for host, found in rounds.items():
            own = str(network.atlas_address(host.vantage))
            operator = network.topology.operators[host.vantage.id.operator]
            tags = ["datacentre" if host.signal == "atlas-datacentre" else "home", *host.vantage.id]
            connected = found.controller is not None
            country = network.topology.country
            public = str(host.vantage.shared or own)
            listed.append(form.probe(host.number, operator.asn, country, public, tags=tags, connected=connected))
            if found.controller is None:
                continue
            sender = form.Sender(host.number, own, public, at, wall)
            resolver = str(network.one(Role.RESOLVER, host.vantage.id.operator).address(4))
            results += [
                form.ping(sender, *found.target, found.pings),
                form.traceroute(sender, *found.target, found.route),
                form.dns(sender, resolver, found.query, found.response, found.responding or 1000 * _PATIENCE_S),
                form.sslcert(
                    sender, *found.controller, found.certificate, found.failure, found.connecting, found.shaking_hands
                ),
            ]
        when = stamp(moment.phase.at)
        lines = "".join(json.dumps(result, separators=(",", ":")) + "\n" for result in results)
        return {f"results.{when}.jsonl": lines.encode(), f"probes.{when}.json": json.dumps(listed, indent=1).encode()}


def hosts(vantages: tuple[Vantage, ...]) -> Iterator[Host]:
    """Yields the lines that have a probe."""
    ordinary = [vantage for vantage in vantages if vantage.is_ordinary]
    fixed = [vantage for vantage in ordinary if vantage.access is Access.FIXED] or ordinary
    datacentres = [vantage for vantage in vantages if vantage.kind is SubscriberClass.DATACENTRE]
    lines = [(v, "atlas-datacentre", 1.0) for v in datacentres] + [(v, "atlas-home", v.weight) for v in fixed]
    for number, (vantage, signal, weight) in enumerate(lines, 1):
        yield Host(number, vantage, signal, weight)
