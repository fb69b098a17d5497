"""What a CDN would serve to a line: which web sites abroad a subscriber gets, over TCP and QUIC, and how fast. Pure.

Whether packets get through is predicted; the rest is an ASSUMED model of traffic. A CDN's customers are the sites
abroad that no policy names, all equally popular; subscribers who can reach a site use it as much as usual; a slowed
line carries its remaining rate as a share of `BUSY_KBIT`, the rate that a busy subscriber uses.
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
"""kbit/s that a busy subscriber uses (ASSUMED): a 720p video. YouTube streamed one at 2,700, measured
(blog.wirelessmoves.com, December 2011), and at 2,000 when it had just introduced them (streamingmedia.com, J. Ozer)."""


class Sites:
    """The web sites abroad that a country's subscribers use, and the probes that request them.

    Names of probes:
    pages: over TCP.
    quic: over QUIC; same: of the same sites over TCP.
    connections: TCP connections that Atlas probes would hold.
    missed: of the sites that policies block, over TCP.
    """

    def __init__(self, network: Network, policies: Iterable[Policy]) -> None:
        """`policies`: a CDN's customers are the sites that they do not name, or all sites if they name every one."""
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
        """By a probe's name, the site that it requests; not of `missed` probes."""
        self.pages, self.quic, self.same, self.connections = list[str](), list[str](), list[str](), list[str]()
        for app, hosted in sites.items():
            services = {(service.kind, service.port) for service in hosted.services}
            url = f"https://{hosted.names[0]}/"
            if ("https", 443) in services:
                self._add(self.pages, f"page of {app}", Web(test="web", url=url), hosted)
                self._add(self.connections, f"connection to {app}", _controller(hosted.names[0]), hosted)
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
        """By a probe's name, that of the first probe of the same kind whose site cannot differ."""
        self._phases: dict[str, bool] = {}

    @property
    def hosts(self) -> tuple[str, ...]:
        """One name of each site."""
        return tuple(probe.host for name in self.connections if (probe := self.probes[name]) and isinstance(probe, Tcp))

    def _add(self, names: list[str], name: str, probe: Probe, at: Hosted | None = None) -> None:
        """Adds a probe to `names`. `at`: the site that it requests, by its first name."""
        names.append(name)
        self.probes[name] = probe
        if at is not None:
            self._at[name] = at

    def volume(self, verifier: Verifier, phase: Phase, vantage: Vantage) -> float:
        """Returns the traffic that a line gets from sites abroad, as a share of the usual, 0 to 1."""
        return self._mean(verifier, phase, vantage, self.pages)

    def fits(self, verifier: Verifier, phase: Phase, vantage: Vantage) -> float:
        """Returns how much of the traffic that gets through fits the line's rate, 0 to 1."""
        got = self._mean(verifier, phase, vantage, self.pages, rated=False)
        return self.volume(verifier, phase, vantage) / got if got else 1.0

    def volume_over_quic(self, verifier: Verifier, phase: Phase, vantage: Vantage) -> float:
        """Returns the same share for traffic over QUIC."""
        return self._mean(verifier, phase, vantage, self.quic)

    def volume_of_the_same(self, verifier: Verifier, phase: Phase, vantage: Vantage) -> float:
        """Returns the same share for traffic of the same sites over TCP."""
        return self._mean(verifier, phase, vantage, self.same)

    def connected(self, verifier: Verifier, phase: Phase, vantage: Vantage) -> float:
        """Returns 1 if a line can open any connection of `connections`, else 0; between, if chance decides."""
        return max((self._got(verifier, phase, vantage, name, rated=False) for name in self.connections), default=0.0)

    def reached(self, verifier: Verifier, phase: Phase, vantage: Vantage) -> float:
        """Returns 1 if a line gets any page of `pages`, however slowly, else 0; between, if chance decides."""
        return max((self._got(verifier, phase, vantage, name, rated=False) for name in self.pages), default=0.0)

    def lost(self, verifier: Verifier, phase: Phase, vantage: Vantage) -> float:
        """Returns the share of the usual traffic from `missed` sites that a line does not get, 0 to 1."""
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
        """Returns the probe to follow in place of another in a phase: nothing distinguishes their sites."""
        if phase.phase not in self._phases:
            self._phases[phase.phase] = verifier.classes.treats_sites_alike(phase)
        if not self._phases[phase.phase]:
            return name
        if self._standing_for is None:
            first: dict[object, str] = {}
            unlike = {each: (type(self.probes[each]), verifier.classes.site(at)) for each, at in self._at.items()}
            self._standing_for = {each: first.setdefault(kind, each) for each, kind in unlike.items()}
        return self._standing_for.get(name, name)

    def _follow(self, verifier: Verifier, phase: Phase, cell: Cell, vantage: Vantage) -> tuple[float, float]:
        """Returns what a line gets of a site, 0 to 1: limited by its rate, and at any rate."""
        chances = Chances()

        def once() -> tuple[float, float]:
            try:
                line, (outcome, _) = verifier.line(phase, cell, vantage, chances)
            except Undecided:
                return 1.0, 1.0  # not modelled, so counted as getting through
            if outcome is not Outcome.OK:
                return 0.0, 0.0
            rate = line.wires[-1].kbit if line.wires else None
            return 1.0 if rate is None else min(1.0, rate / BUSY_KBIT), 1.0

        of_rates, at_all = zip(*(got for _, got in chances.every(once)), strict=True)
        return sum(of_rates) / len(of_rates), sum(at_all) / len(at_all)


def named_sites(network: Network, policies: Iterable[Policy]) -> tuple[str, ...]:
    """Returns the site names that policies block, in their order: the listed sites, and one name of each app."""
    found = []
    for policy in policies:
        for app in policy.targets.apps:
            found += [hosted.names[0] for hosted in network.hosted if hosted.app == app and hosted.names][:1]
        found += policy.targets.sites
    return tuple(dict.fromkeys(found))


class _Controller(Tcp):
    """A TCP connection of an Atlas probe."""

    follows = "shutdownlab.verifier.follow:atlas_probe"


def _controller(host: str) -> Tcp:
    return _Controller.model_validate({"test": "tcp", "host": host, "port": "tcp/443"})


def _names(target: Targets | Exceptions | Allowance, hosted: Hosted) -> bool:
    """Whether a policy names a site, by its app or by one of its names."""
    sites = frozenset(target.sites)
    return hosted.app in target.apps or any(is_within(name, sites) for name in hosted.names)
