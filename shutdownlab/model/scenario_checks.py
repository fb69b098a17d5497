"""Checks a scenario against its topology, and reports problems with their lines."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Mapping
from functools import cached_property

from shutdownlab.config.addresses import IpPrefix, is_address, is_part
from shutdownlab.config.document import Document, Path, quoted
from shutdownlab.inspection.apps import App
from shutdownlab.model.announcements import NullRoute, Withdrawal
from shutdownlab.model.faults import check_fault
from shutdownlab.model.layout import lay_out
from shutdownlab.model.observation import Observation
from shutdownlab.model.policy import Means, Policy, Targets
from shutdownlab.model.probe import Family, Probe, of_versions
from shutdownlab.model.reference_checks import ReferenceChecker
from shutdownlab.model.routing import anycast
from shutdownlab.model.scenario import Expectation, Scenario
from shutdownlab.model.scope import Scope
from shutdownlab.model.signal import SignalExpectation
from shutdownlab.model.timeline_checks import TimelineChecker
from shutdownlab.model.tool import Tool
from shutdownlab.model.topology import Access, Topology

_MOBILE = frozenset({Access.MOBILE, Access.ROAMING})


class ScenarioChecker(ReferenceChecker):
    """Checks what single fields cannot show: that names exist, times ascend, and cells with expectations are probed."""

    def __init__(self, scenario: Scenario, topology: Topology, apps: Mapping[str, App], document: Document) -> None:
        super().__init__(scenario, topology, document)
        self.apps = apps
        made = (name for phase in scenario.timeline if phase.stagger for name in phase.stagger.names(phase.phase))
        self.phases = [*dict.fromkeys((*(phase.phase for phase in scenario.timeline), *made)), *scenario.recurring]
        self.misdirected: set[str] = set()
        self.used: dict[str, list[str]] = defaultdict(list)
        """The phases that use a list of expectations, by the list's name."""
        for phase in scenario.timeline:
            for expected in dict.fromkeys(item for item in phase.expect if isinstance(item, str)):
                self.used[expected].append(phase.phase)

    def check(self) -> None:
        self._accounts()
        for name, policy in self.scenario.policies.items():
            self._policy(name, policy)
        for name, fault in self.scenario.faults.items():
            check_fault(("faults", name), fault, self.topology, self.document)
            if name in self.scenario.policies and self.scenario.policies[name].breakage is not None:
                first = f"first: line {self.document.line(('policies', name))}"
                found = f"{quoted(name)}, the name of a policy that breaks something"
                self.document.report(("faults", name), found, "a unique name", first)
            self._sources(("faults", name, "source"), fault.source)
        for index, fact in enumerate(self.scenario.left_out):
            self._sources(("left_out", index, "source"), fact.source)
        self._cost()
        self._names(("delays",), "operator", self.scenario.delays, self.topology.operators)
        for name, probe in self.scenario.probes.items():
            self._probe(name, probe)
        for name, tool in self.scenario.tools.items():
            self._tool(name, tool)
        for name, observation in self.scenario.observations.items():
            self._observation(name, observation)
        self._short_columns()
        TimelineChecker(self.scenario, self.topology, self.document, self._expectation).check()
        for name, expectations in self.scenario.expectations.items():
            for index, expectation in enumerate(expectations):
                self._expectation(("expectations", name, index), expectation, self.used.get(name, []))
        for index, signal in enumerate(self.scenario.signals):
            self._signal(("signals", index), signal)

    def _targets(self, path: Path, targets: Targets) -> None:
        self._names((*path, "apps"), "app", targets.apps, self.apps)

    def _policy(self, name: str, policy: Policy) -> None:
        path: Path = ("policies", name)
        self._scope((*path, "where"), policy.where)
        self._targets((*path, "block" if policy.block else "only"), policy.targets)
        self._reaches_satellites(path, policy)
        self._reaches_guests(path, policy)
        self._announced(path, policy)
        self._degraded(path, policy)
        if (breakage := policy.breakage) is not None:
            check_fault(path, breakage, self.topology, self.document)
        self._classes((*path, "except", "subscribers"), policy.except_.subscribers)
        self._names((*path, "except", "apps"), "app", policy.except_.apps, self.apps)
        for index, allowance in enumerate(policy.allow):
            self._scope((*path, "allow", index, "who"), allowance.who)
            self._names((*path, "allow", index, "apps"), "app", allowance.apps, self.apps)
        self._names((*path, "except", "operators"), "operator", policy.except_.operators, self.topology.operators)
        self._names((*path, "except", "regions"), "region", policy.except_.regions, self.topology.regions)
        self._sources((*path, "source"), policy.source)

    def _reaches_satellites(self, path: Path, policy: Policy) -> None:
        """Reports an order to satellite lines only: their operators are out of the country's reach."""
        meant = self._select(policy.where) if policy.where != Scope() and policy.breakage is None else ()
        above = [vantage for vantage in meant if vantage.access is Access.SATELLITE]
        if above and len(above) == len(meant) and not policy.jams:
            hint = "their gateway is abroad; `degrade` with `where: {access: [satellite]}` is jamming"
            document, found = self.document, f"only satellite lines, such as {above[0].id}"
            document.report((*path, "where"), found, "subscribers that the country's orders reach", hint)

    def _reaches_guests(self, path: Path, policy: Policy) -> None:
        """Reports lying resolvers for roaming subscribers only: they use the resolvers of their homes."""
        meant = self._select(policy.where) if policy.by is Means.DNS and policy.where != Scope() else ()
        if meant and all(vantage.home for vantage in meant):
            found = f"only roaming subscribers, such as {meant[0].id}"
            hint = "they use a resolver of their home network"
            self.document.report((*path, "where"), found, "subscribers that use the operator's resolver", hint)

    def _announced(self, path: Path, policy: Policy) -> None:
        """Reports prefixes to withdraw or null-route that none of the policy's operators announces."""
        reached = {n: each for n, each in self.topology.operators.items() if n not in self.topology.by_satellite}
        meant = [operator for name, operator in reached.items() if policy.is_addressed_to(name)]
        if not meant:
            return  # reported already
        announced = {str(prefix): prefix for operator in meant for prefix in operator.prefixes}
        announcers = (
            (name for name in reached if policy.is_addressed_to(name)) if policy.withdraw or policy.null_route else ()
        )
        announced |= {str(prefix): prefix for name in announcers for prefix in self._anycast.get(name, ())}
        for verb in ("withdraw", "null_route"):
            given: Withdrawal | NullRoute | None = getattr(policy, verb)
            for index, prefix in enumerate(given.prefixes if given else ()):
                if str(prefix) not in announced:
                    hint = f"they announce {', '.join(sorted(announced))}"
                    expected = "a prefix that these operators list under `prefixes`"
                    self.document.report((*path, verb, "prefixes", index), str(prefix), expected, hint)
            if given and announced and given.family and not given.of(announced.values()) and not given.prefixes:
                found = f"{given.family}, of which these operators announce no prefix"
                hint = f"they announce {', '.join(sorted(announced))}"
                self.document.report((*path, verb, "family"), found, "a family that one of them announces", hint)
        if policy.null_route is None:
            return
        nulled = policy.null_route.of(announced.values())
        for index, spared in enumerate(policy.null_route.spare):
            if not any(is_part(spared, prefix) for prefix in nulled):
                expected = "an address or prefix inside a null-routed prefix"
                hint = f"such as one of {', '.join(map(str, nulled))}"
                self.document.report((*path, "null_route", "spare", index), str(spared), expected, hint)

    @cached_property
    def _anycast(self) -> dict[str, tuple[IpPrefix, ...]]:
        """The prefixes that each operator announces because servers of foreign services are in its network."""
        if not any(self.topology.anycast()):
            return {}
        network = lay_out(self.topology, self.apps)
        return {network.nodes[name].owner: prefixes for name, prefixes in anycast(network).items()}

    def _cost(self) -> None:
        cost = self.scenario.cost
        if cost is None:
            return
        for key in ("gdp", "internet_share", "users"):
            estimate = getattr(cost, key)
            if estimate is not None:
                self._sources(("cost", key, "source"), estimate.source)
        for index, published in enumerate(cost.published):
            self._sources(("cost", "published", index, "source"), published.source)

    def _degraded(self, path: Path, policy: Policy) -> None:
        """Checks that degraded lines have a delay or loss to change, and that only mobile ones get a generation."""
        if policy.degrade is None or policy.degrades_traffic:
            return
        concerned = [vantage for vantage in self.vantages if policy.concerns(vantage)]
        fixed = next((v for v in concerned if v.access not in _MOBILE), None)
        if policy.degrade.generation is not None and fixed is not None:
            found, hint = (
                f"{policy.degrade.generation} for {fixed.id}, which is {fixed.access}",
                "`where: {access: [mobile]}`",
            )
            self.document.report((*path, "degrade", "generation"), found, "only mobile subscribers", hint)
        accesses = dict.fromkeys(v.access for v in concerned) if policy.degrade.stretches else {}
        for access in accesses:
            kind = self.topology.links.get(access.value)
            if kind is None or not (kind.delay or kind.loss):
                found = f"lines that are {access}, which have no delay in {quoted(self.topology.name)}"
                hint = f"such as `links: {{{access}: {{delay: 2ms}}}}` in the topology"
                self.document.report((*path, "degrade"), found, "lines that have a delay or lose packets", hint)

    def _accounts(self) -> None:
        for name, account in self.scenario.accounts.items():
            path: Path = ("accounts", name)
            if account.default not in account.options:
                self.document.report_unknown((*path, "default"), "option", account.default, account.options)
            for key, option in account.options.items():
                known = (*self.scenario.policies, *self.scenario.faults)
                self._names((*path, "options", key, "without"), "policy or fault", option.without, known)
                self._sources((*path, "options", key, "source"), option.source)

    def _probe(self, name: str, probe: Probe) -> None:
        path: Path = ("probes", name)
        for mistake in probe.mistakes(self.topology, self.apps):
            self.document.report((*path, *mistake.path), mistake.found, mistake.expected, mistake.hint)
        before = self.document.problems.in_all
        self._scope((*path, "from"), probe.from_)
        self._names((*path, "during"), "phase", probe.during, self.phases)
        if self.document.problems.in_all == before:
            self._usable(path, probe)
        if self.document.problems.in_all > before:
            self.misdirected.add(name)

    def _usable(self, path: Path, probe: Probe) -> None:
        """Reports address families that nobody has from whose line a probe runs, and IPv6 addresses that it sends to
        whatever the family and somebody cannot reach."""
        if all(operator.versions == (4, 6) for operator in self.topology.operators.values()):
            return
        who = self._select(probe.from_)
        had = {version for vantage in who for version in vantage.versions}
        self._families(path, probe.families, had, "from" if probe.from_ != Scope() else "")
        without = next((vantage for vantage in who if 6 not in vantage.versions), None)
        named = {key: host for key, host in probe.hosts.items() if host != probe.host_name}
        if probe.resolver_address is not None:
            named["resolver"] = probe.resolver_address
        for key, host in named.items():
            if without is not None and Family.IPV4 in probe.families and is_address(host) and ":" in host:
                found = f"{host}, from {without.id}, which is IPv4-only"
                hint = "or limit `from` to operators with IPv6 prefixes"
                self.document.report((*path, key), found, "an IPv4 address", hint)

    def _families(self, path: Path, families: tuple[Family, ...], had: Container[int], key: str) -> None:
        """Reports address families that none of the operators has whom a probe or observation selects by `key` ("": it
        is of all)."""
        for index, family in enumerate(families):
            if family.version not in had:
                found = f"{family}, which no operator {f'that `{key}` selects ' if key else ''}has"
                hint = "without IPv6 prefixes an operator is IPv4-only"
                self.document.report((*path, "families", index), found, "families that some operator has", hint)

    def _tool(self, name: str, tool: Probe) -> None:
        path: Path = ("tools", name)
        for kind, given in (("`probes`", self.scenario.probes), ("`observations`", self.scenario.observations)):
            if name in given:
                self.document.report(path, f"{quoted(name)}, which is also under {kind}", "a unique name")
        mistakes = () if isinstance(tool, Tool) else tool.mistakes(self.topology, self.apps)
        for mistake in mistakes:
            self.document.report((*path, *mistake.path), mistake.found, mistake.expected, mistake.hint)
        before = self.document.problems.in_all
        self._scope((*path, "from"), tool.from_)
        self._names((*path, "during"), "phase", tool.during, self.phases)
        if self.document.problems.in_all == before:
            self._usable(path, tool)

    def _observation(self, name: str, observation: Observation) -> None:
        path: Path = ("observations", name)
        if name in self.scenario.probes:
            first = f"first: line {self.document.line(('probes', name))}"
            self.document.report(path, f"{quoted(name)}, which is also under `probes`", "a unique name", first)
        before = self.document.problems.in_all
        self._names((*path, "operators"), "operator", observation.operators, self.topology.operators)
        if self.document.problems.in_all == before:
            key = "operators" if observation.operators else ""
            self._families(path, observation.families, self._versions(observation.operators), key)
        self._names((*path, "during"), "phase", observation.during, self.phases)

    def _short_columns(self) -> None:
        """Checks that each column has one short name, and that no two columns share one."""
        scenario, of_column = self.scenario, self.scenario.short_columns
        shown: dict[str, str] = {}
        for column in sorted(scenario.headings, key=lambda column: column in of_column):
            shown.setdefault(of_column.get(column, column), column)
        every: list[tuple[str, str, Probe | Observation]] = [("probes", *item) for item in scenario.probes.items()]
        every += [("observations", *item) for item in scenario.observations.items()]
        for group, name, each in every:
            column = each.column or name
            if each.short and each.short != of_column[column]:
                found, expected = f"{quoted(each.short)} for the column {quoted(column)}", quoted(of_column[column])
                self.document.report(
                    (group, name, "short"), found, f"{expected}, the short name that this column has already"
                )
            elif each.short and shown[each.short] != column:
                found = f"{quoted(each.short)}, the name of the column {quoted(shown[each.short])}"
                self.document.report((group, name, "short"), found, "a unique name")

    def _expectation(self, path: Path, expectation: Expectation, phases: list[str]) -> None:
        before = self.document.problems.in_all
        self._scope((*path, "who"), expectation.who)
        self._sources((*path, "source"), expectation.source)
        for key, kind in (("probes", "probe"), ("observations", "observation"), ("tools", "tool")):
            self._names((*path, key), kind, _named(getattr(expectation, key)), getattr(self.scenario, key))
        self._given(path, expectation.given)
        if self.document.problems.in_all == before:
            self._reaches_something(path, expectation, phases)

    def _given(self, path: Path, given: Mapping[str, str]) -> None:
        for name, option in given.items():
            if name not in self.scenario.accounts:
                self.document.report_unknown((*path, "given", name), "account", name, self.scenario.accounts)
            elif option not in self.scenario.accounts[name].options:
                options = self.scenario.accounts[name].options
                self.document.report_unknown((*path, "given", name), "option", option, options)

    def _signal(self, path: Path, signal: SignalExpectation) -> None:
        self._sources((*path, "source"), signal.source)
        self._given(path, signal.given)
        for place, phase in signal.phases:
            if phase not in self.phases:
                self.document.report_unknown((*path, *place), "phase", phase, self.phases)
        for key, known in (("operator", self.topology.operators), ("region", self.topology.regions)):
            name = getattr(signal, key)
            if key in signal.model_fields_set and name not in known:
                self.document.report_unknown((*path, key), key, name, known)
                return
        there = [v.id.operator for v in self.vantages if not signal.region or v.id.region == signal.region]
        if signal.family == "ipv6" and 6 not in self._versions((signal.operator,) if signal.operator else there):
            where = signal.operator or signal.region or "the country"
            found, hint = f"ipv6 in {where}, which is IPv4-only", "an operator without IPv6 prefixes is IPv4-only"
            self.document.report((*path, "family"), found, "ipv4", hint)

    def _reaches_something(self, path: Path, expectation: Expectation, phases: list[str]) -> None:
        """Reports an expectation of a probe or observation that nobody in its scope makes in any of the phases."""
        who, scenario = self._select(expectation.who), self.scenario
        if expectation.observations is not None and not expectation.who.is_of_operators:
            found = "a scope of some of an operator's subscribers"
            hint = "an observation from outside is of an operator as a whole"
            self.document.report((*path, "who"), found, "only `operators`, together with `observations`", hint)
            return
        for index, name in enumerate(_named(expectation.observations)):
            observation = scenario.observations[name]
            of = observation.operators or self.topology.operators
            usable = (each for each in of if of_versions(observation.families, self._versions((each,))))
            seen = self._some(observation.during, phases) and any(map(expectation.who.covers_operator, usable))
            if phases and not seen:
                found = f"the observation {quoted(name)}, which is not made of this scope in {', '.join(phases)}"
                hint = "widen its `operators` or `during`, or drop the expectation"
                self.document.report((*path, "observations", index), found, "an observation that is made then", hint)
        for index, name in enumerate(_named(expectation.probes)):
            if name in self.misdirected:
                continue  # reported already, and its vantage points are unknown
            probe = scenario.probes[name]
            asking = (v for v in who if probe.from_.covers(v) and of_versions(probe.families, v.versions))
            probed = self._some(probe.during, phases) and next(asking, None) is not None
            if phases and not probed:
                found = f"the probe {quoted(name)}, which no vantage point of this scope runs in {', '.join(phases)}"
                hint = "widen the probe's `from` or `during`, or drop the expectation"
                self.document.report((*path, "probes", index), found, "a probe that is run then", hint)

    def _some(self, during: tuple[str, ...], phases: list[str]) -> bool:
        """Returns whether something limited to the phases in `during` (empty: not limited) is made in one of
        `phases`."""
        return any(self.scenario.is_during(during, phase) for phase in phases)


def _named(reach: tuple[str, ...] | str | None) -> tuple[str, ...]:
    return reach if isinstance(reach, tuple) else ()
