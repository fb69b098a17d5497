"""The share of requests to sites abroad that got through in a phase: a CDN's traffic, from measurements. Pure.

A CDN's customers are the sites abroad that no policy names, as in the model (`verifier.volume`); each page of one that
a probe fetched is a request that got through. The speed of slow lines is taken from the model, because downloads vary.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from shutdownlab.model.network import Network
from shutdownlab.model.probe import Probe
from shutdownlab.model.scenario import Outcome
from shutdownlab.model.topology import VantageId
from shutdownlab.probes.kinds import Web
from shutdownlab.results.result import Result

_GOT: Final = {Outcome.OK: 1.0, Outcome.THROTTLED: 1.0, Outcome.BLOCKED: 0.0, Outcome.DOWN: 0.0}


def served(
    results: Iterable[Result], probes: Mapping[str, Probe], network: Network, hosts: Iterable[str]
) -> dict[VantageId, float]:
    """Returns the share of pages that each line got, 0 to 1, for lines with at least one verdict.

    results: those of one phase. hosts: a name of each site.
    """
    apps = {hosted.app for name in hosts if (hosted := network.hosted_as(name))}
    pages = set[str]()
    for name, probe in probes.items():
        hosted = network.hosted_as(probe.host_name) if type(probe) is Web and probe.host_name else None
        if hosted is not None and hosted.app in apps:
            pages.add(name)
    got: dict[VantageId, list[float]] = {}
    for result in results:
        if result.target in pages and not result.held and result.outcome in _GOT:
            vantage = VantageId(result.operator, result.region, result.subscriber)
            got.setdefault(vantage, []).append(_GOT[result.outcome])
    return {vantage: sum(each) / len(each) for vantage, each in got.items()}
