"""Log lines of what happens in a country besides orders: DPI boxes' decisions, and routes that come and go.

Each poll reports what is new since the last one, in a limited number of lines: a busy box must not fill the page.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from ipaddress import ip_address, ip_network
from typing import Any, Final, TypeAlias

from shutdownlab.config.numbers import TCP, UDP
from shutdownlab.library import Shutdown
from shutdownlab.model.probe import Surroundings, of_versions
from shutdownlab.model.scenario import Family
from shutdownlab.model.topology import Vantage
from shutdownlab.results.decision import BoxDecision, newer, varied

RECENT: Final = 60
"""How many of each box's latest decisions to request at a time."""
_MOST_DECISIONS = 12
_MOST_PREFIXES = 4
_TRANSPORTS: Final = {TCP: "TCP", UDP: "UDP"}
Line: TypeAlias = dict[str, Any]


class Happenings:
    """The log lines of one country. Not thread-safe."""

    def __init__(self, shutdown: Shutdown) -> None:
        self._shutdown = shutdown
        self._numbers: dict[str, int] = {}
        """Number of the last decision reported, by box."""
        self._tables: dict[str, frozenset[str]] = {}
        network = shutdown.network
        self._places = [(subnet, vantage) for vantage in network.vantages for subnet in network.subnets[vantage.id]]

    def decisions(self, boxes: Mapping[str, Mapping[str, Any]], moment: str) -> Iterator[Line]:
        """Yields lines for what boxes have decided by a rule since the last call. boxes: as from `Lab.boxes`."""
        for box, counters in boxes.items():
            new = newer(counters.get("recent", ()), self._numbers.get(box, 0))
            if not new:
                continue
            self._numbers[box] = new[-1].number
            shown = varied(new, _MOST_DECISIONS)
            yield from self.decided(box, shown, len(new) - len(shown), moment, more=len(new) == RECENT)

    def decided(
        self, box: str, decisions: Sequence[BoxDecision], others: int, moment: str, *, more: bool
    ) -> Iterator[Line]:
        """Yields a line for each decision of a box, and one with the number of others; more: it is a lower bound."""
        for each in decisions:
            yield self._decision(box, each, moment)
        if others:
            text = f"{box}: {others} {'or more ' if more else ''}other decisions"
            yield {"kind": "decision", "text": text, "phase": moment}

    def _decision(self, box: str, decision: BoxDecision, moment: str) -> Line:
        src, dst = decision.src, decision.dst
        line: Line = {"kind": "decision", "text": f"{box}: {in_words(decision)}", "phase": moment}
        vantage, other = self._vantage(src), dst
        if vantage is None:
            vantage, other = self._vantage(dst), src
        if vantage is None:
            return line
        family = Family.IPV6 if ":" in src else Family.IPV4
        port = f":{decision.dport}" if decision.dport and other == dst else ""
        address = f"[{other}]{port}" if ":" in other and port else f"{other}{port}"
        target = self._probe(vantage, family, decision) or decision.host or address
        return line | {"cell": [moment, str(vantage.id), target, family.value]}

    def _vantage(self, address: str) -> Vantage | None:
        """Returns the vantage point that an address belongs to; None if it is not in the country."""
        wanted = ip_address(address)
        return next((vantage for subnet, vantage in self._places if wanted in subnet), None)

    def _probe(self, vantage: Vantage, family: Family, decision: BoxDecision) -> str:
        """Returns the probe that makes such a connection, by its host or app; "" if there is none."""
        host, app = decision.host, decision.app
        at = Surroundings(self._shutdown.network, vantage, family)
        for name, probe in self._shutdown.scenario.probes.items():
            if family in probe.families and (
                (host and host in probe.looked_up(at)) or (app and getattr(probe, "app", None) == app)
            ):
                return name
        return ""

    def routes(self, tables: Mapping[str, frozenset[str]], moment: str) -> Iterator[Line]:
        """Yields lines for routes that have come or gone since the last call. tables: as from `Lab.routes`."""
        for router, now in tables.items():
            before, self._tables[router] = self._tables.get(router, now), now
            yield from self.rerouted(router, before - now, now - before, moment)

    def rerouted(self, router: str, lost: Collection[str], heard: Collection[str], moment: str) -> Iterator[Line]:
        """Yields lines, by operator, for prefixes to which a router has lost its route, and those it has heard of."""
        for prefixes, what in ((lost, "lost"), (heard, "heard of")):
            for name, operator in self._shutdown.topology.operators.items():
                own = sorted(p for p in prefixes if any(_is_in(p, str(prefix)) for prefix in operator.prefixes))
                if not own:
                    continue
                line: Line = {"kind": "bgp", "text": f"{router} has {what} {_listed(own)} of {name}", "phase": moment}
                vantage = next((v for v in self._shutdown.network.vantages if v.id.operator == name), None)
                target = next(iter(self._shutdown.scenario.probes), "")
                if vantage is not None and target:
                    usable = of_versions(self._shutdown.scenario.probes[target].families, vantage.versions)
                    if usable:
                        line["cell"] = [moment, str(vantage.id), target, usable[0].value]
                yield line


def in_words(decision: BoxDecision) -> str:
    """Describes a decision in words: action, rule, protocol and name, addresses."""
    proto = _TRANSPORTS.get(decision.proto, f"IP protocol {decision.proto}")
    seen = " ".join(filter(None, (decision.protocol, decision.host or decision.app)))
    port = f":{decision.dport}" if decision.dport else ""
    way = f"{proto}, {decision.src} → {decision.dst}{port}"
    return f"{decision.action} by {decision.rule}: {seen or 'no protocol known'}, {way}"


def _listed(prefixes: Sequence[str]) -> str:
    more = len(prefixes) - _MOST_PREFIXES
    return ", ".join(prefixes[:_MOST_PREFIXES]) + (f" and {more} more" if more > 0 else "")


def _is_in(prefix: str, other: str) -> bool:
    inner, outer = ip_network(prefix), ip_network(other)
    return inner.version == outer.version and inner.network_address in outer and inner.prefixlen >= outer.prefixlen
