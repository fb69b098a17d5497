"""Predicts what outside observers' signals show of a country in a phase: `Reading`s from the model. Pure.

How each signal is modelled:

- `bgp`: the operators' /24s and /48s to which more than half of the transits abroad have a route (IODA's rule, with the
  transits in place of its full-feed peers).
- `active-probing`: the subscribers' blocks that answer an ICMP echo request from behind any of the transits (Quan et
  al., "Trinocular", SIGCOMM 2013: a block is up if any site finds it so). Each subscriber group stands for its part of
  its operator's addresses.
- `telescope`: subscribers whose background radiation (a TCP SYN to port 23) reaches a dark address abroad. IPv4 only.
- `cdn`, `http3`, `mobile`: traffic from sites abroad that gets through over TCP; the share of QUIC in the traffic of
  sites that have both; and the share of mobile lines in `cdn` (`volume.py`).
- `atlas-datacentre`, `atlas-home`: lines that can open a TCP connection to port 443 abroad, as RIPE Atlas probes need
  to their controllers.
- `dns-queries`: queries of operators' resolvers that arrive abroad; they retry if no answer returns.
- `tor-relays`, `tor-bridges`, `vpn-demand`: people who turn to tools as sites are blocked (`signals.demand`).
- `hyperquack`: names of sites abroad that servers in the country, asked for them from abroad, answer as usual
  (`remote.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Final, Literal, TypeAlias

from shutdownlab.config.addresses import IpPrefix, is_part
from shutdownlab.library import Shutdown
from shutdownlab.model.network import Network
from shutdownlab.model.policy import Policy
from shutdownlab.model.probe import Family
from shutdownlab.model.remote_measurement import names_asked
from shutdownlab.model.scenario import Phase
from shutdownlab.model.topology import Access, SubscriberClass, Vantage, VantageId
from shutdownlab.results.cells import Cell
from shutdownlab.results.reading import Basis, Reading, places_of
from shutdownlab.results.reading import Scope as ReadingScope
from shutdownlab.signals.catalogue import SIGNALS
from shutdownlab.signals.demand import GAINS, DemandName, demand
from shutdownlab.verifier.chance import Chances
from shutdownlab.verifier.equipment import DataPlane, ModelledCountry
from shutdownlab.verifier.outside_packets import answers_ping, dark_address, queries_abroad, reaches
from shutdownlab.verifier.remote import RemoteQuestions
from shutdownlab.verifier.verdicts import Verifier
from shutdownlab.verifier.volume import Sites, named_sites

_BLOCK: Final = {4: 24, 6: 48}
FamilyName: TypeAlias = Literal["ipv4", "ipv6", "both"]
ByVantage: TypeAlias = Mapping[VantageId, float]
_FAMILIES: Final[tuple[tuple[FamilyName, int], ...]] = (("ipv4", 4), ("ipv6", 6))


@dataclass(frozen=True, slots=True)
class _Seen:
    """A signal in one phase. parts: its value for each subscriber group. weights: of the groups."""

    signal: str
    family: FamilyName
    parts: ByVantage
    weights: ByVantage
    of: ByVantage | None = None
    """For a ratio, what `parts` are a share of, by group; None: of everything."""


class Outside:
    """Computes the readings of a scenario's phases, under a choice of accounts.

    What operators' own controllers do with their orders is not known: they are assumed to carry them out.
    """

    def __init__(
        self,
        shutdown: Shutdown,
        choices: Mapping[str, str],
        equipment: DataPlane | None = None,
        families: Collection[FamilyName] = ("ipv4", "ipv6"),
    ) -> None:
        """`equipment`: a verifier's of the same scenario, to share its caches. `families`: those to read."""
        self.sites = Sites(shutdown.network, shutdown.scenario.policies.values())
        measured = shutdown.scenario.model_copy(update={"probes": self.sites.probes})
        self.shutdown = replace(shutdown, scenario=measured)
        self.verifier = Verifier(self.shutdown, choices, equipment)
        self._remote = RemoteQuestions(shutdown.network, self.names_asked(shutdown, self.sites))
        self._network, self._topology = shutdown.network, shutdown.topology
        self._ordinary = [v for v in self._network.vantages if v.is_ordinary]
        self._watched = [v for v in self._network.vantages if not v.home]
        """Vantage points whose addresses are their operator's, which leaves out roaming ones."""
        self._weights = {vantage.id: vantage.weight for vantage in self._network.vantages}
        self._found: dict[tuple[str, object], list[Reading]] = {}
        self._seen: dict[tuple[str, object], list[_Seen]] = {}
        self._volumes: dict[object, dict[VantageId, float]] = {}
        self._families = [(family, version) for family, version in _FAMILIES if family in families]
        self._likes: dict[object, float] = {}
        self._ways_to_look: dict[str, Callable[[Phase], Iterator[_Seen]]] = {
            "active-probing": self._probing,
            "telescope": self._telescope,
            "cdn": self._cdn,
            "http3": self._http3,
            "mobile": self._mobile,
            "dns-queries": self._name_questions,
            "atlas-datacentre": self._atlas_datacentre,
            "atlas-home": self._atlas_home,
            "hyperquack": self._hyperquack,
            **{name: partial(self._demand, name) for name in GAINS},
        }

    @staticmethod
    def names_asked(shutdown: Shutdown, sites: Sites) -> tuple[str, ...]:
        """Returns the names of sites abroad that servers in the country are asked for from abroad.

        Names that DPI boxes block come first: a request to another server does not meet blocks of the site's own
        addresses, nor resolvers' lies.
        """
        scenario, network = shutdown.scenario, shutdown.network
        policies = sorted(scenario.policies.values(), key=lambda policy: not policy.needs_boxes)
        return names_asked(network, named_sites(network, policies), scenario.probes.values(), sites.hosts)

    @cached_property
    def quiet_phase(self) -> Phase:
        """The country with no policy in force and nothing broken."""
        first = self.shutdown.scenario.timeline[0].model_copy(update={"faults": (), "obey": {}})
        return self.verifier.classes.imagine(first, {})

    def alone(self, active: Mapping[str, Policy], signals: Iterable[str] = SIGNALS) -> list[Reading]:
        """Returns the readings with only these policies in force and nothing broken, in a phase named after them."""
        return self.of(self.verifier.classes.imagine(self.quiet_phase, active), signals)

    def of(self, phase: Phase, signals: Iterable[str] = SIGNALS) -> list[Reading]:
        """Returns the readings of a phase, the scenario's or an imagined one, of those signals that can be observed.

        A signal that is a share of the traffic that gets through has no reading where none does.
        """
        return [replace(reading, phase=phase.phase) for signal in signals for reading in self._of_signal(phase, signal)]

    def volumes(self, phase: Phase, measured: Mapping[VantageId, float]) -> list[Reading]:
        """Returns the readings of `cdn` and `mobile` in a phase, from measurements of lines and else from the model.

        measured: by line, the share of requests that got through, 0 to 1. How much of that fits on a slow line is
        modelled.
        """
        if not self.sites.pages:
            return []
        volume, quiet, sure = dict(self._volume(phase)), self._volume(self.quiet_phase), set[VantageId]()
        for vantage in (v for v in self._ordinary if v.id in measured):
            fits = self.sites.fits(self.verifier, phase, vantage)
            volume[vantage.id] = measured[vantage.id] * fits
            if fits == 1 or not measured[vantage.id]:
                sure.add(vantage.id)
        found = list(self._readings(phase.phase, self._of_volume(volume), self._of_volume(quiet), sure))
        if len({vantage.access for vantage in self._ordinary}) > 1:
            found += self._readings(phase.phase, self._mobile_of(volume), self._mobile_of(quiet), sure)
        return found

    def _of_signal(self, phase: Phase, signal: str) -> list[Reading]:
        key = signal, self._state(phase)
        if key not in self._found:
            if signal == "bgp":
                self._found[key] = list(self._bgp(phase))
            else:
                quiet = {seen.family: seen for seen in self._look(self.quiet_phase, signal)}
                self._found[key] = [
                    reading
                    for seen in self._look(phase, signal)
                    for reading in self._readings(phase.phase, seen, quiet[seen.family])
                ]
        return self._found[key]

    def _state(self, phase: Phase) -> object:
        """Returns a key that is equal for phases with the same readings."""
        classes = self.verifier.classes
        if phase.faults or phase.obey or classes.is_timed(phase):
            return phase.phase
        return tuple(classes.active(phase))

    # -- routes -------------------------------------------------------------------------------------------------------

    def _bgp(self, phase: Phase) -> Iterator[Reading]:
        routes = self.verifier.country(phase).ways.routes
        transits = tuple(self._topology.transits)
        for family, version in self._families:
            seen, there = dict[str, float](), dict[str, float]()
            visible: dict[IpPrefix, bool] = {}
            for name, operator in self._topology.operators.items():
                for prefix in operator.prefixes:
                    if prefix.version == version:
                        peers = sum(routes.leads(transit, name, prefix) for transit in transits)
                        visible[prefix] = 2 * peers > len(transits)
                        size = float(2 ** max(0, _BLOCK[version] - prefix.prefixlen))
                        there[name] = there.get(name, 0.0) + size
                        seen[name] = seen.get(name, 0.0) + size * visible[prefix]
            if not there:
                continue
            yield _share("bgp", phase.phase, "country", "", family, sum(seen.values()), sum(there.values()))
            for name in there:
                yield _share("bgp", phase.phase, "operator", name, family, seen[name], there[name])
            for region in self._topology.regions:
                vantages = [v for v in self._watched if v.id.region == region]
                parts = [
                    (self._blocks[v.id], s)
                    for v in vantages
                    for s in self._network.subnets[v.id]
                    if s.version == version
                ]
                if parts:
                    up = sum(weight for weight, subnet in parts if self._is_within(subnet, visible))
                    yield _share("bgp", phase.phase, "region", region, family, up, sum(weight for weight, _ in parts))

    @staticmethod
    def _is_within(subnet: IpPrefix, visible: Mapping[IpPrefix, bool]) -> bool:
        return any(seen and is_part(subnet, prefix) for prefix, seen in visible.items())

    # -- packets ------------------------------------------------------------------------------------------------------

    @cached_property
    def _blocks(self) -> dict[VantageId, float]:
        return blocks_of(self._network)

    def _look(self, phase: Phase, signal: str) -> list[_Seen]:
        key = signal, self._state(phase)
        if key not in self._seen:
            self._seen[key] = list(self._ways_to_look[signal](phase))
        return self._seen[key]

    def _probing(self, phase: Phase) -> Iterator[_Seen]:
        for family, version in self._families:
            subnets = self._network.subnets
            there = [v for v in self._watched if any(s.version == version for s in subnets[v.id])]
            if there:
                answers = partial(answers_ping, version)
                up = {vantage.id: self._likely(phase, vantage, answers, version) for vantage in there}
                yield _Seen("active-probing", family, up, self._blocks)

    def _telescope(self, phase: Phase) -> Iterator[_Seen]:
        if self._dark_address is not None:
            radiates = partial(reaches, *self._dark_address)
            out = {v.id: self._likely(phase, v, radiates, "radiates") for v in self._ordinary}
            yield _Seen("telescope", "ipv4", out, self._weights)

    def _volume(self, phase: Phase) -> dict[VantageId, float]:
        key = self._state(phase)
        if key not in self._volumes:
            self._volumes[key] = self._of_each(phase, self._ordinary, self.sites.volume)
        return self._volumes[key]

    def _cdn(self, phase: Phase) -> Iterator[_Seen]:
        if self.sites.pages:
            yield self._of_volume(self._volume(phase))

    def _of_volume(self, volume: ByVantage) -> _Seen:
        return _Seen("cdn", "both", volume, self._weights)

    def _http3(self, phase: Phase) -> Iterator[_Seen]:
        if self.sites.quic:
            quic = self._of_each(phase, self._ordinary, self.sites.volume_over_quic)
            tcp = self._of_each(phase, self._ordinary, self.sites.volume_of_the_same)
            yield _Seen("http3", "both", quic, self._weights, of={v: quic[v] + tcp[v] for v in quic})

    def _mobile(self, phase: Phase) -> Iterator[_Seen]:
        if self.sites.pages and len({vantage.access for vantage in self._ordinary}) > 1:
            yield self._mobile_of(self._volume(phase))

    def _mobile_of(self, volume: ByVantage) -> _Seen:
        mobile = {v.id: volume[v.id] * (v.access is Access.MOBILE) for v in self._ordinary}
        return _Seen("mobile", "both", mobile, self._weights, of=volume)

    def _name_questions(self, phase: Phase) -> Iterator[_Seen]:
        asked = {v.id: self._likely(phase, v, queries_abroad, ("asks", v.id.operator)) for v in self._ordinary}
        yield _Seen("dns-queries", "both", asked, self._weights)

    def _atlas_datacentre(self, phase: Phase) -> Iterator[_Seen]:
        lines = [v for v in self._network.vantages if v.kind is SubscriberClass.DATACENTRE]
        yield from self._connected("atlas-datacentre", phase, lines, dict.fromkeys((v.id for v in lines), 1.0))

    def _atlas_home(self, phase: Phase) -> Iterator[_Seen]:
        fixed = [vantage for vantage in self._ordinary if vantage.access is Access.FIXED]
        yield from self._connected("atlas-home", phase, fixed or self._ordinary, self._weights)

    def _demand(self, name: DemandName, phase: Phase) -> Iterator[_Seen]:
        if self.sites.pages:
            reached = self._of_each(phase, self._ordinary, self.sites.reached)
            lost = self._of_each(phase, self._ordinary, self.sites.lost)
            yield _Seen(name, "both", {v: demand(name, reached[v], lost[v]) for v in reached}, self._weights)

    def _hyperquack(self, phase: Phase) -> Iterator[_Seen]:
        if self._remote.asked:
            answered = self._remote.answered(self.verifier.country(phase))
            yield _Seen("hyperquack", "ipv4", answered, self._remote.asked)

    def _connected(self, signal: str, phase: Phase, lines: list[Vantage], weights: ByVantage) -> Iterator[_Seen]:
        if lines and self.sites.connections:
            yield _Seen(signal, "both", self._of_each(phase, lines, self.sites.connected), weights)

    def _of_each(
        self, phase: Phase, lines: Iterable[Vantage], what: Callable[[Verifier, Phase, Vantage], float]
    ) -> dict[VantageId, float]:
        """Returns `what` of each line; computed once for lines that policies and DPI boxes do not distinguish."""
        classes, known, found = self.verifier.classes, dict[object, float](), dict[VantageId, float]()
        for vantage in lines:
            alike = classes.surroundings(vantage), classes.situation(phase, vantage)
            if alike not in known:
                known[alike] = what(self.verifier, phase, vantage)
            found[vantage.id] = known[alike]
        return found

    def _likely(
        self, phase: Phase, vantage: Vantage, found: Callable[[ModelledCountry, Vantage], float], what: object
    ) -> float:
        """Returns the mean of `found` over the possible draws of DPI boxes; computed once for groups of the same class.

        what: a key of `found` for the cache.
        """
        key = what, self._class_of(phase, vantage)
        if key not in self._likes:
            self._likes[key] = self._mean(phase, vantage, found)
        return self._likes[key]

    def _class_of(self, phase: Phase, vantage: Vantage) -> object:
        """Returns a key that is equal for groups whose packets to and from abroad have the same fate: their class."""
        if not self.sites.connections:
            return self._state(phase), vantage.id
        cell = Cell(phase.phase, vantage.id.operator, vantage, self.sites.connections[0], Family.IPV4)
        return self.verifier.classes.of(phase, cell, vantage)

    def _mean(self, phase: Phase, vantage: Vantage, found: Callable[[ModelledCountry, Vantage], float]) -> float:
        country, chances = self.verifier.country(phase), Chances()

        def once() -> float:
            country.box(vantage.id.operator).begin(chances)
            return found(country, vantage)

        played = [value for _, value in chances.every(once)]
        return sum(played) / len(played)

    @cached_property
    def _dark_address(self) -> tuple[str, str] | None:
        return dark_address(self._network, self.verifier.country(self.quiet_phase).ways)

    # -- readings -----------------------------------------------------------------------------------------------------

    def _readings(
        self, phase: str, seen: _Seen, quiet: _Seen, measured: Collection[VantageId] = ()
    ) -> Iterator[Reading]:
        """Yields the readings of the country, each operator and each region, as a share of a quiet day's.

        measured: the groups whose values were measured.
        """
        for place in places_of(self._topology):
            vantages = [v for v in seen.parts if place.covers(v)]
            value, usual = _amount(seen, vantages), _amount(quiet, vantages)
            if value is not None and usual:
                basis: Basis = "measured" if all(v in measured for v in vantages) else "modelled"
                yield Reading(
                    seen.signal, phase, place.scope, place.of, seen.family, round(value / usual, 9), "share", basis
                )


def blocks_of(network: Network) -> dict[VantageId, float]:
    """Returns how many of its operator's /24s each subscriber group stands for.

    A group that is not ordinary stands for one; the others share the rest by their numbers of subscribers.
    """
    found: dict[VantageId, float] = {}
    for name, operator in network.topology.operators.items():
        vantages = [v for v in network.vantages if v.id.operator == name and not v.home]
        all_blocks = sum(2.0 ** max(0, 24 - p.prefixlen) for p in operator.prefixes if p.version == 4)
        special = [v for v in vantages if not v.weight]
        left, weights = max(1.0, all_blocks - len(special)), sum(v.weight for v in vantages)
        found |= {v.id: 1.0 if not v.weight else left * v.weight / weights for v in vantages}
    return found


def _amount(seen: _Seen, vantages: Iterable[VantageId]) -> float | None:
    """Returns a signal's value for some groups; None if it would be a share of nothing, or there are no groups."""
    groups = list(vantages)
    whole = sum(seen.weights[v] * (1.0 if seen.of is None else seen.of[v]) for v in groups)
    return sum(seen.weights[v] * seen.parts[v] for v in groups) / whole if whole else None


def _share(
    signal: str, phase: str, scope: ReadingScope, of: str, family: FamilyName, part: float, whole: float
) -> Reading:
    return Reading(signal, phase, scope, of, family, round(part / whole, 9), "share", "modelled")
