"""What happens in a country beside orders, line by line: single decisions of DPI boxes, and routes that come and go.

Each look tells what is new since the last one, and no more than so many lines: a busy box must not fill the page.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import ip_address, ip_network
from typing import Any, Final, TypeAlias

from shutdownlab.config.numbers import TCP, UDP
from shutdownlab.library import Shutdown
from shutdownlab.model.probe import Surroundings
from shutdownlab.model.scenario import Family
from shutdownlab.model.topology import Vantage

RECENT: Final = 60
"""Decisions of each box that are asked for at a time."""
_MOST_DECISIONS = 12
_MOST_PREFIXES = 4
_TRANSPORTS: Final = {TCP: "TCP", UDP: "UDP"}
Line: TypeAlias = dict[str, Any]


class Happenings:
    """Of one country. Not for several threads."""

    def __init__(self, shutdown: Shutdown) -> None:
        self._shutdown = shutdown
        self._numbers: dict[str, int] = {}
        """Of the last decision that was told, by box."""
        self._tables: dict[str, frozenset[str]] = {}
        network = shutdown.network
        self._places = [(subnet, vantage) for vantage in network.vantages for subnet in network.subnets[vantage.id]]

    def decisions(self, boxes: Mapping[str, Mapping[str, Any]], moment: str) -> Iterator[Line]:
        """What boxes have decided by a rule since the last time. boxes: of `Lab.boxes`."""
        for box, counters in boxes.items():
            last, recent = self._numbers.get(box, 0), list(counters.get("recent", ()))
            if recent and recent[-1]["number"] < last:
                last = 0  # it was started anew
            new = [each for each in recent if each["number"] > last]
            if not new:
                continue
            self._numbers[box] = new[-1]["number"]
            for each in new[-_MOST_DECISIONS:]:
                yield self._decision(box, each, moment)
            if (left_out := len(new) - _MOST_DECISIONS) > 0:
                more = "or more " if len(new) == RECENT else ""
                yield {"kind": "decision", "text": f"{box}: {left_out} {more}other decisions", "phase": moment}

    def _decision(self, box: str, decision: Mapping[str, Any], moment: str) -> Line:
        src, dst = str(decision["src"]), str(decision["dst"])
        proto = _TRANSPORTS.get(decision["proto"], f"IP protocol {decision['proto']}")
        seen = " ".join(filter(None, (decision.get("protocol"), decision.get("host") or decision.get("app"))))
        port = f":{decision['dport']}" if decision["dport"] else ""
        way = f"{proto}, {src} → {dst}{port}"
        text = f"{box}: {decision['action']} by {decision['rule']}: {seen or 'no protocol known'}, {way}"
        line: Line = {"kind": "decision", "text": text, "phase": moment}
        vantage, other = self._vantage(src), dst
        if vantage is None:
            vantage, other = self._vantage(dst), src
        if vantage is None:
            return line
        family = Family.IPV6 if ":" in src else Family.IPV4
        port = port if other == dst else ""
        address = f"[{other}]{port}" if ":" in other and port else f"{other}{port}"
        target = self._probe(vantage, family, decision) or str(decision.get("host") or address)
        return line | {"cell": [moment, str(vantage.id), target, family.value]}

    def _vantage(self, address: str) -> Vantage | None:
        """Whose address it is; None where it is nobody's in the country."""
        wanted = ip_address(address)
        return next((vantage for subnet, vantage in self._places if wanted in subnet), None)

    def _probe(self, vantage: Vantage, family: Family, decision: Mapping[str, Any]) -> str:
        """The probe that such a connection is one of, by its host or app; empty where there is none."""
        host, app = decision.get("host"), decision.get("app")
        at = Surroundings(self._shutdown.network, vantage, family)
        for name, probe in self._shutdown.scenario.probes.items():
            if family in probe.families and (
                (host and host in probe.looked_up(at)) or (app and getattr(probe, "app", None) == app)
            ):
                return name
        return ""

    def routes(self, tables: Mapping[str, frozenset[str]], moment: str) -> Iterator[Line]:
        """Which routes have come and gone since the last time. tables: of `Lab.routes`."""
        operators = self._shutdown.topology.operators
        for router, now in tables.items():
            before, self._tables[router] = self._tables.get(router, now), now
            for prefixes, what in ((before - now, "lost"), (now - before, "heard of")):
                for name, operator in operators.items():
                    own = sorted(p for p in prefixes if any(_is_in(p, str(prefix)) for prefix in operator.prefixes))
                    if not own:
                        continue
                    more = len(own) - _MOST_PREFIXES
                    shown = ", ".join(own[:_MOST_PREFIXES]) + (f" and {more} more" if more > 0 else "")
                    line: Line = {"kind": "bgp", "text": f"{router} has {what} {shown} of {name}", "phase": moment}
                    vantage = next((v for v in self._shutdown.network.vantages if v.id.operator == name), None)
                    target = next(iter(self._shutdown.scenario.probes), "")
                    if vantage is not None and target:
                        family = self._shutdown.scenario.probes[target].families[0].value
                        line["cell"] = [moment, str(vantage.id), target, str(family)]
                    yield line


def _is_in(prefix: str, other: str) -> bool:
    inner, outer = ip_network(prefix), ip_network(other)
    return inner.version == outer.version and inner.network_address in outer and inner.prefixlen >= outer.prefixlen
