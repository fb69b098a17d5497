"""Which requests to sites abroad got through in a phase: what a CDN would have served, from what was measured. Pure.

A CDN's customers are the sites abroad that no policy names, as in the model (`verifier.volume`); each page that a probe
got of one is a request that got through, and how fast a download ran is what is left of a line.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from shutdownlab.model.network import Network
from shutdownlab.model.probe import Probe
from shutdownlab.model.scenario import Outcome
from shutdownlab.model.topology import VantageId
from shutdownlab.probes.kinds import Throughput, Web
from shutdownlab.results.result import Result

_GOT: Final = {Outcome.OK: 1.0, Outcome.THROTTLED: 1.0, Outcome.BLOCKED: 0.0, Outcome.DOWN: 0.0}


@dataclass(frozen=True, slots=True)
class Served:
    """What a line got. share: of the pages that were asked for, 0 to 1; rate: of its downloads, kbit/s; None: none."""

    share: float
    rate: float | None


def served(
    results: Iterable[Result], probes: Mapping[str, Probe], network: Network, hosts: Iterable[str]
) -> dict[VantageId, Served]:
    """Of each line of which a page was measured in this phase, and has a verdict. hosts: a name of each site."""
    apps = {hosted.app for name in hosts if (hosted := network.hosted_as(name))}
    pages, downloads = set[str](), set[str]()
    for name, probe in probes.items():
        if type(probe) is Web:
            hosted = network.hosted_as(probe.host_name) if probe.host_name else None
            pages |= {name} if hosted is not None and hosted.app in apps else set()
        elif type(probe) is Throughput:
            downloads.add(name)
    got: dict[VantageId, list[float]] = {}
    rates: dict[VantageId, list[float]] = {}
    for result in results:
        vantage = VantageId(result.operator, result.region, result.subscriber)
        if result.held or result.outcome not in _GOT:
            continue
        if result.target in pages:
            got.setdefault(vantage, []).append(_GOT[result.outcome])
        elif result.target in downloads and result.value is not None and result.unit == "kbit/s":
            rates.setdefault(vantage, []).append(result.value)
    return {
        vantage: Served(sum(each) / len(each), min(rates[vantage]) if vantage in rates else None)
        for vantage, each in got.items()
    }
