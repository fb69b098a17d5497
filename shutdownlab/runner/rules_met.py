"""Counts of packets that policies' rules matched in each phase, read from the switches after its probes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from shutdownlab.country.country import Country
from shutdownlab.model.network import Network
from shutdownlab.model.policy import Policy
from shutdownlab.network.flow_statistics import Counts, StatisticsMissing, rule_counts, settle, since
from shutdownlab.network.ovs import LabSwitch
from shutdownlab.results.events import Notice, RuleCount, RulesCounted


@dataclass(slots=True)
class RulesMet:
    """The rule counters of a run's switches. A phase without policies costs nothing.

    Counters are also read at the beginning of a phase for policies that were in force in the previous one; others start
    at zero.
    """

    network: Network
    _policies: frozenset[str] = frozenset()
    _before: dict[str, Counts] = field(default_factory=dict)

    def begin(self, country: Country, held: Callable[[str], Mapping[str, Policy]]) -> None:
        """Begins counting, once a phase's orders are carried out.

        held: returns the policies of which an owner's switches have rules.
        """
        owners = (*self.network.topology.all_gateways, *self.network.topology.operators)
        policies = frozenset(name for owner in owners for name in held(owner))
        lasting, self._policies = self._policies & policies, policies
        self._before = {}
        for switch in self._switches(country) if lasting else ():
            try:
                self._before[switch.name] = rule_counts(switch.management, lasting)
            except StatisticsMissing:
                continue  # reported at the phase's end

    def end(self, country: Country, phase: str) -> Iterator[RulesCounted | Notice]:
        """Yields the counts since `begin`, by switch."""
        if not self._policies:
            return
        switches = list(self._switches(country))
        try:
            settle({switch.instance.control for switch in switches})
        except StatisticsMissing as missing:
            yield Notice(where=phase, text=f"rules' counters may be behind: {missing}")
        for switch in switches:
            try:
                met = since(self._before.get(switch.name, {}), rule_counts(switch.management, self._policies))
            except StatisticsMissing as missing:
                yield Notice(where=switch.name, text=f"its rules' counters are not known: {missing}")
                continue
            if met:
                yield RulesCounted(phase=phase, switch=switch.name, rules=tuple(_rule_counts(met)))

    def _switches(self, country: Country) -> Iterator[LabSwitch]:
        """Yields the OpenFlow switches that are running."""
        for node in self.network.nodes.values():
            if node.role.is_openflow and node.owner not in country.damage.switchless:
                yield country.net.get(node.name)


def _rule_counts(met: Counts) -> Iterator[RuleCount]:
    for (policy, table), (packets, octets) in sorted(met.items()):
        yield RuleCount(policy=policy, table=table, packets=packets, bytes=octets)
