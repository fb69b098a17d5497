"""Censored Planet: which names are blocked, and where, by requests from abroad to servers in the country
(`hyperquack`, `centrace`, `cenfuzz`).

Requests go to web servers hosted in the country, and to an echo service beside each, for names that the scenario's
policies concern. Each connection has its own source address, in an otherwise unused prefix abroad, so that a box's
state for one does not affect another. A name that fails twice is taken to be blocked if a control sent at the same
time was answered; if controls fail too, an echo to the server's line that no policy affects, and the same request on
the server's own node, show whether it was cut off or the testbed failed.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from ipaddress import IPv4Address
from typing import Any, ClassVar, Final

from shutdownlab.model.network import Role
from shutdownlab.model.remote_measurement import Server, request_for, servers_asked
from shutdownlab.model.topology import VantageId
from shutdownlab.observers import cenfuzz, centrace, hyperquack
from shutdownlab.observers.cenfuzz import Result
from shutdownlab.observers.centrace import Trace, hop_of
from shutdownlab.observers.dark import dark_prefix, unused
from shutdownlab.observers.echo import Ask, EchoResult, Site
from shutdownlab.observers.echo_service import serve_echo
from shutdownlab.observers.exchanges import Exchange, client_hello, play
from shutdownlab.observers.hyperquack import Trial
from shutdownlab.observers.instrument import Abroad, CannotSee, Instrument, Moment, Sighting
from shutdownlab.observers.naming import stamp
from shutdownlab.results.reading import Reading, places_of
from shutdownlab.system.namespace import LOOPBACK

_CONTROL: Final = "control.example.com"
_PATIENCES_S: Final = (1.5, 6.0)
"""Timeouts in seconds: longer than one retransmission of a SYN; if the machine proves too slow, than two."""
_LENGTH: Final = 26
_MOST_TRACED: Final = 2
"""Blocked names that are traced and fuzzed per phase; others follow in later phases in which they are blocked."""
_TTLS_AT_ONCE: Final = 8
_MOST_TTL: Final = 32
_LOCAL_TABLE, _TYPE_LOCAL, _SCOPE_HOST, _AF_INET = 255, 2, 254, 2


class CensoredPlanet(Instrument):
    """Hyperquack in each phase; CenTrace and CenFuzz for blocked names that have not been examined yet."""

    name: ClassVar[str] = "censored-planet"
    signals: ClassVar[tuple[str, ...]] = ("hyperquack",)

    def __init__(self, abroad: Abroad) -> None:
        super().__init__(abroad)
        self._servers = servers_asked(abroad.network)
        if not self._servers:
            raise CannotSee("no web site is hosted in the country, for requests from abroad to go to")
        for server in self._servers:
            if server.service == "echo":
                with suppress(OSError):  # another program has the port: if it is no echo, it has no template
                    serve_echo(abroad.net.get(server.node).namespace, server.address, server.port)
        self._names = abroad.asked
        if not self._names:
            raise CannotSee("no site abroad has a name to ask for")
        dark = dark_prefix(abroad.network)
        free = (each for each in unused(abroad.network, _LENGTH) if not dark or not each[1].overlaps(dark[1]))
        found = next(free, None)
        if found is None:
            raise CannotSee(f"no transit abroad has a /{_LENGTH} in which nothing is")
        router, prefix = found
        node = next(abroad.network.by_role(Role.SERVERS, router.owner))
        self._site = Site(node.name, abroad.net.get(node.name).namespace)
        self._namespace = abroad.net.get(node.name).namespace
        with self._namespace.netlink() as netlink:
            netlink.route(
                "add", dst=str(prefix), oif=LOOPBACK, table=_LOCAL_TABLE, type=_TYPE_LOCAL, scope=_SCOPE_HOST,
                family=_AF_INET,
            )  # fmt: skip
        self._sources = itertools.cycle(map(str, prefix.hosts()))
        self._patience = _PATIENCES_S[0]
        self._evaluated = dict[Server, list[Exchange]]()
        self._first_phase = ""
        """The phase whose files include the evaluations, again if it is looked at again."""
        self._templates = self._evaluate()
        self._looked_into = dict[tuple[Server, str], str]()
        """The phase in which each server and name was examined; a repeated look at it examines them again."""

    def look(self, moment: Moment) -> Sighting:
        for self._patience in _PATIENCES_S:
            trials, refuted = self._try(moment)
            if not refuted:
                break
        counted = [trial for trial in trials if trial.server.vantage not in refuted]
        when, at = self.abroad.time.of, stamp(moment.phase.at)
        topology = self.abroad.network.topology
        country = topology.country, topology.country
        files = {f"hyperquack.{at}.json": "".join(trial.line(country, when) for trial in trials).encode()}
        self._first_phase = self._first_phase or moment.phase.phase
        if moment.phase.phase == self._first_phase:
            lines = (hyperquack.evaluation(server, asked, when) for server, asked in self._evaluated.items())
            files[f"evaluations.{at}.json"] = "".join(lines).encode()
        left_out = [f"{len(refuted)} servers could not be asked, for their controls failed"] if refuted else []
        phase = moment.phase.phase
        todo = [trial for trial in counted if self._is_news(trial, phase)][:_MOST_TRACED]
        if todo:
            traces = [self._trace(trial) for trial in todo]
            files[f"centrace.{at}.csv"] = centrace.analysed(traces, self._numbers(traces))
            files[f"centrace-raw.{at}.txt"] = centrace.raw(traces)
            try:
                fuzzed = [line for trial in todo for line in self._fuzz(trial)]
                files[f"cenfuzz.{at}.json"] = "".join(fuzzed).encode()
            except ImportError:
                left_out.append("CenFuzz has no ClientHellos without scapy: pip install scapy")
            self._looked_into |= {(trial.server, trial.name): phase for trial in todo}
        readings = self._readings(phase, counted, refuted)
        return Sighting(tuple(readings), files, tuple(left_out))

    def _is_news(self, trial: Trial, phase: str) -> bool:
        """Returns whether a name is blocked and not examined yet. CenTrace and CenFuzz need web servers."""
        known = self._looked_into.get((trial.server, trial.name), phase)
        return trial.blocked and trial.server.service != "echo" and known == phase

    # -- Hyperquack ---------------------------------------------------------------------------------------------------

    def _evaluate(self) -> Mapping[Server, Mapping[str, Any]]:
        """Returns the template of each server; servers without one are not used."""
        asked = {server: [self._exchange(server, _CONTROL) for _ in range(2)] for server in self._servers}
        self._play(itertools.chain.from_iterable(asked.values()))
        self._evaluated = asked
        found = {}
        for server, exchanges in asked.items():
            first, second = (hyperquack.answer_of(each) for each in exchanges)
            if first is not None and first == second:
                found[server] = first
        if not found:
            raise CannotSee("no web site in the country answers from abroad")
        return found

    def _try(self, moment: Moment) -> tuple[list[Trial], set[VantageId]]:
        """Tries all servers and names in parallel; retries those that did not match the template; then sends controls.

        If not even the first control was answered, controls and an echo that no policy affects run in parallel with the
        retry. Returns the trials, and the lines on which the testbed itself failed.
        """
        pairs = [(server, name) for server in self._templates for name in self._names]
        firsts = {pair: self._exchange(pair[0], _CONTROL) for pair in pairs}
        tries = {pair: self._exchange(*pair) for pair in pairs}
        self._play([*firsts.values(), *tries.values()], firsts.values())
        failed = [pair for pair in pairs if not self._is_as_ever(pair, tries[pair])]
        again = {pair: self._exchange(*pair, source=tries[pair].source) for pair in failed}
        controls = {pair: self._controls(pair[0], tries[pair].source) for pair in failed}
        dark = [pair for pair in failed if not self._is_as_ever(pair, firsts[pair])]
        with ThreadPoolExecutor(1, "echo") as beside:
            refuted = beside.submit(self._refuted, dict.fromkeys(pair[0] for pair in dark), moment)
            self._play([*again.values(), *itertools.chain.from_iterable(controls[pair] for pair in dark)])
        left = [pair for pair in failed if pair not in dark and not self._is_as_ever(pair, again[pair])]
        self._play(itertools.chain.from_iterable(controls[pair] for pair in left))
        found = []
        for pair in pairs:
            both = (tries[pair], *([again[pair]] if pair in again else []))
            same, clean = controls[pair] if pair in dark or pair in left else (None, None)
            found.append(Trial(*pair, firsts[pair], both, same, clean, self._templates[pair[0]]))
        still = {trial.server.vantage for trial in found if trial.anomaly and trial.controls_failed}
        return found, refuted.result() & still

    def _is_as_ever(self, pair: tuple[Server, str], asked: Exchange) -> bool:
        return hyperquack.answer_of(asked) == self._templates[pair[0]]

    def _controls(self, server: Server, source: str) -> tuple[Exchange, Exchange]:
        """Returns controls from the address of the tries, and from another."""
        return self._exchange(server, _CONTROL, source=source), self._exchange(server, _CONTROL)

    def _refuted(self, servers: Iterable[Server], moment: Moment) -> set[VantageId]:
        """Returns lines on which the testbed does not answer, or so slowly that a server's silence shows nothing.

        It tests the line with an echo, and the server with the same request as from abroad, on its own node.
        """
        network, asks, slow = self.abroad.network, {}, set[VantageId]()
        for server in servers:
            own = self._exchange(server, _CONTROL, source=server.address)
            play(self.abroad.net.get(server.node).namespace, [own], self._patience / 2)
            control = next(each for each in network.control_addresses(server.vantage) if each.version == 4)
            asks[server.vantage] = Ask((), control, moment.is_there_a_way(self._site.name, server.node, 4))
            if hyperquack.answer_of(own) is None and asks[server.vantage].way:
                slow.add(server.vantage)
        begun = time.monotonic()
        self._site.ask(asks.values())
        late = time.monotonic() - begun > self._patience / 2
        return slow | {
            vantage for vantage, ask in asks.items() if ask.result is EchoResult.NOTHING or (late and ask.way)
        }

    def _exchange(self, server: Server, name: str, source: str = "") -> Exchange:
        tls = name if server.service == "https" else None
        source = source or next(self._sources)
        whole = server.service != "echo"  # an echo has no end of its own
        return Exchange(source, server.address, server.port, request_for(name), tls, whole=whole)

    def _play(self, exchanges: Iterable[Exchange], controls: Iterable[Exchange] = ()) -> None:
        play(self._namespace, list(exchanges), self._patience, list(controls))

    def _readings(self, phase: str, counted: Sequence[Trial], refuted: set[VantageId]) -> Iterator[Reading]:
        """Yields the share of trials that matched the template; none for a scope with a line that was not tested."""
        for place in places_of(self.abroad.network.topology):
            tallies = [trial for trial in counted if place.covers(trial.server.vantage)]
            if tallies and not any(map(place.covers, refuted)):
                share = sum(not trial.anomaly for trial in tallies) / len(tallies)
                yield Reading("hyperquack", phase, place.scope, place.of, "ipv4", round(share, 9), "share", "measured")

    # -- CenTrace and CenFuzz -----------------------------------------------------------------------------------------

    def _trace(self, trial: Trial) -> Trace:
        """Traces the control to its end, then the name up to the same TTL, each from its own address."""
        control = dict[int, centrace.Hop]()
        source = next(self._sources)
        for first in range(1, _MOST_TTL, _TTLS_AT_ONCE):
            control |= self._hops(trial.server, cenfuzz.CONTROL, range(first, first + _TTLS_AT_ONCE), source)
            if any(hop.payload for hop in control.values()):
                break
        last = min((ttl for ttl, hop in control.items() if hop.payload), default=max(control))
        control = {ttl: hop for ttl, hop in control.items() if ttl <= last}
        censored = self._hops(trial.server, trial.name, range(1, last + 1), next(self._sources))
        return Trace(trial.server.address, trial.name, censored, control)

    def _hops(self, server: Server, name: str, ttls: range, source: str) -> dict[int, centrace.Hop]:
        """Makes a connection for each TTL, and sends a request for the site with that TTL."""
        sent = request_for(name) if server.service == "http" else client_hello(name)
        exchanges = {ttl: Exchange(source, server.address, server.port, sent, ttl=ttl, whole=False) for ttl in ttls}
        self._play(exchanges.values())
        return {ttl: hop_of(each) for ttl, each in exchanges.items()}

    def _fuzz(self, trial: Trial) -> Iterator[str]:
        server, results = trial.server, []
        for permutation in cenfuzz.permutations(server.service):
            both = [
                Exchange(
                    next(self._sources), server.address, server.port, permutation.made(name),
                    whole=server.service == "http",
                )
                for name in (trial.name, cenfuzz.CONTROL)
            ]  # fmt: skip
            results.append(Result(permutation, *both))
        self._play(itertools.chain.from_iterable((result.censored, result.control) for result in results))
        return cenfuzz.lines(trial.name, server.service, results, self.abroad.time.of)

    def _numbers(self, traces: Iterable[Trace]) -> dict[str, str]:
        """Returns the AS number and country of each router that answered, by its address."""
        topology = self.abroad.network.topology
        found = {}
        for address in {hop.router for trace in traces for hop in trace.control.values() if hop.router}:
            for operator in topology.operators.values():
                if any(IPv4Address(address) in prefix for prefix in operator.prefixes if prefix.version == 4):
                    found[address] = f"{operator.asn}/{topology.country}"
        return found
