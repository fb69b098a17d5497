"""What a CDN would serve to a line: which web sites abroad a subscriber gets, over TCP and QUIC, and how fast. Pure.

A stated model of traffic, of which the packets are worked out and the rest is ASSUMED: a CDN's customers are the sites
abroad that no policy names, each as popular as any other; who gets one asks as usual; of a line that is slowed, what
goes through is the rate that is left against `BUSY_KBIT`, what a subscriber who is busy takes.
"""

from __future__ import annotations

from collections.abc import Iterable

from shutdownlab.config.domains import is_within
from shutdownlab.model.network import Hosted, Network
from shutdownlab.model.policy import Exceptions, Policy, Targets
from shutdownlab.model.probe import Family, Probe
from shutdownlab.model.scenario import Outcome, Phase
from shutdownlab.model.targets import Allowance
from shutdownlab.model.topology import Vantage
from shutdownlab.probes.kinds import Http3, Tcp, Web
from shutdownlab.results.cells import Cell
from shutdownlab.verifier.chance import Chances
from shutdownlab.verifier.classes import CellClass
from shutdownlab.verifier.line import Undecided
from shutdownlab.verifier.verdicts import Verifier

BUSY_KBIT = 2_500
"""kbit/s of a subscriber who is busy (ASSUMED): a video of 720 lines. YouTube's stream one at 2,700, measured
(blog.wirelessmoves.com, December 2011), and 2,000 when it had just begun to (streamingmedia.com, J. Ozer)."""


class Sites:
    """The web sites that a country's subscribers reach abroad, and the probes that ask for them.

    pages: names of probes over TCP; quic: over QUIC, same: of the same sites over TCP; connections: those that Atlas
    probes would hold. missed: of the sites that policies block, over TCP.
    """

    def __init__(self, network: Network, policies: Iterable[Policy]) -> None:
        """`policies`: what they name stands for itself; a CDN's customers are the other sites, where there are any."""
        sites: dict[str, Hosted] = {}
        policies = tuple(policies)
        for hosted in network.hosted:
            kinds = {service.kind for service in hosted.services}
            of_its_own = hosted.program is None and not hosted.domestic and hosted.names
            if of_its_own and "https" in kinds and "dns" not in kinds:
                sites.setdefault(hosted.app, hosted)
        named: list[Targets | Exceptions | Allowance] = []
        for policy in policies:
            named += (policy.targets, policy.except_, *policy.allow)
        sites = {app: h for app, h in sites.items() if not any(_names(t, h) for t in named)} or sites
        self.probes: dict[str, Probe] = {}
        self._at: dict[str, Hosted] = {}
        """By a probe's name, the site that it asks for, but for those that are missed."""
        self.pages, self.quic, self.same, self.connections = list[str](), list[str](), list[str](), list[str]()
        for app, hosted in sites.items():
            services = {(service.kind, service.port) for service in hosted.services}
            url = f"https://{hosted.names[0]}/"
            if ("https", 443) in services:
                self._add(self.pages, f"page of {app}", Web(test="web", url=url), hosted)
                self._add(self.connections, f"connection to {app}", _connection(hosted.names[0]), hosted)
            if ("h3", 443) in services:
                self._add(self.quic, f"page of {app} over QUIC", Http3(test="http3", url=url), hosted)
                self.same.append(f"page of {app}")
        self.missed = list[str]()
        for name in named_sites(network, policies):
            known = network.hosted_as(name)
            if (
                known is not None
                and not known.domestic
                and ("https", 443) in {(s.kind, s.port) for s in known.services}
            ):
                self._add(self.missed, f"missed page of {name}", Web(test="web", url=f"https://{name}/"))
        self._found: dict[tuple[CellClass, str], tuple[float, float]] = {}
        self._standing_for: dict[str, str] | None = None
        """By a probe's name, that of the first one of its kind whose site fares alike."""
        self._phases: dict[str, bool] = {}

    @property
    def hosts(self) -> tuple[str, ...]:
        """The names of the sites, one each."""
        return tuple(probe.host for name in self.connections if (probe := self.probes[name]) and isinstance(probe, Tcp))

    def _add(self, names: list[str], name: str, probe: Probe, at: Hosted | None = None) -> None:
        """`at`: the site that it asks for, by its first name."""
        names.append(name)
        self.probes[name] = probe
        if at is not None:
            self._at[name] = at

    def volume(self, verifier: Verifier, phase: Phase, vantage: Vantage) -> float:
        """Of what a line usually gets from sites abroad, what it gets: 0 to 1."""
        return self._mean(verifier, phase, vantage, self.pages)

    def fits(self, verifier: Verifier, phase: Phase, vantage: Vantage) -> float:
        """Of what a line gets at all, how much its rate has room for: 0 to 1."""
        got = self._mean(verifier, phase, vantage, self.pages, rated=False)
        return self.volume(verifier, phase, vantage) / got if got else 1.0

    def volume_over_quic(self, verifier: Verifier, phase: Phase, vantage: Vantage) -> float:
        """The same of what goes over QUIC."""
        return self._mean(verifier, phase, vantage, self.quic)

    def volume_of_the_same(self, verifier: Verifier, phase: Phase, vantage: Vantage) -> float:
        """Of the same sites, over TCP."""
        return self._mean(verifier, phase, vantage, self.same)

    def connected(self, verifier: Verifier, phase: Phase, vantage: Vantage) -> float:
        """Whether a line holds a connection to somewhere abroad that no policy names: 1 where to any site."""
        return max((self._got(verifier, phase, vantage, name, rated=False) for name in self.connections), default=0.0)

    def reached(self, verifier: Verifier, phase: Phase, vantage: Vantage) -> float:
        """Whether a line gets any page from abroad, however slowly: 1 where it gets one of those that nobody blocks."""
        return max((self._got(verifier, phase, vantage, name, rated=False) for name in self.pages), default=0.0)

    def lost(self, verifier: Verifier, phase: Phase, vantage: Vantage) -> float:
        """Of what a line usually gets from sites that policies name, what it does not get: 0 to 1."""
        return 1 - self._mean(verifier, phase, vantage, self.missed) if self.missed else 0.0

    def _mean(
        self, verifier: Verifier, phase: Phase, vantage: Vantage, names: list[str], *, rated: bool = True
    ) -> float:
        got = [self._got(verifier, phase, vantage, name, rated=rated) for name in names]
        return sum(got) / len(got) if got else 0.0

    def _got(self, verifier: Verifier, phase: Phase, vantage: Vantage, name: str, *, rated: bool) -> float:
        name = self._stands_for(verifier, phase, name)
        cell = Cell(phase.phase, vantage.id.operator, vantage, name, Family.IPV4)
        key = verifier.classes.of(phase, cell, vantage), name
        if key not in self._found:
            self._found[key] = self._follow(verifier, phase, cell, vantage)
        of_rate, at_all = self._found[key]
        return of_rate if rated else at_all

    def _stands_for(self, verifier: Verifier, phase: Phase, name: str) -> str:
        """The probe that is followed in place of another in a phase: the same comes of it, as nothing tells their sites
        apart."""
        if phase.phase not in self._phases:
            self._phases[phase.phase] = verifier.classes.tells_sites_alike(phase)
        if not self._phases[phase.phase]:
            return name
        if self._standing_for is None:
            first: dict[object, str] = {}
            unlike = {each: (type(self.probes[each]), verifier.classes.site(at)) for each, at in self._at.items()}
            self._standing_for = {each: first.setdefault(kind, each) for each, kind in unlike.items()}
        return self._standing_for.get(name, name)

    def _follow(self, verifier: Verifier, phase: Phase, cell: Cell, vantage: Vantage) -> tuple[float, float]:
        """What a line gets of a site, 0 to 1: of what its rate has room for, and at whatever rate."""
        chances = Chances()

        def once() -> tuple[float, float]:
            try:
                line, (outcome, _) = verifier.line(phase, cell, vantage, chances)
            except Undecided:
                return 1.0, 1.0  # it hangs on what packets look like, which outsiders don't see
            if outcome is not Outcome.OK:
                return 0.0, 0.0
            rate = line.wires[-1].kbit if line.wires else None
            return 1.0 if rate is None else min(1.0, rate / BUSY_KBIT), 1.0

        of_rates, at_all = zip(*(got for _, got in chances.every(once)), strict=True)
        return sum(of_rates) / len(of_rates), sum(at_all) / len(at_all)


def named_sites(network: Network, policies: Iterable[Policy]) -> tuple[str, ...]:
    """Names that policies block, in their order: one of each app, by which it is reached, and sites."""
    found = []
    for policy in policies:
        for app in policy.targets.apps:
            found += [hosted.names[0] for hosted in network.hosted if hosted.app == app and hosted.names][:1]
        found += policy.targets.sites
    return tuple(dict.fromkeys(found))


def _connection(host: str) -> Tcp:
    return Tcp.model_validate({"test": "tcp", "host": host, "port": "tcp/443"})


def _names(target: Targets | Exceptions | Allowance, hosted: Hosted) -> bool:
    """Whether a policy means a site, by its app or by one of its names."""
    sites = frozenset(target.sites)
    return hosted.app in target.apps or any(is_within(name, sites) for name in hosted.names)
