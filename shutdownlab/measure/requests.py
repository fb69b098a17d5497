"""What a vantage point's probe agent is asked. Pure."""

from __future__ import annotations

from shutdownlab.library import Shutdown
from shutdownlab.model.network import Role
from shutdownlab.model.probe import Probe, Surroundings
from shutdownlab.protocol.probing import ProbeRequest
from shutdownlab.results.cells import Cell


def surroundings(shutdown: Shutdown, cell: Cell) -> Surroundings:
    """Where a vantage point's cell is measured."""
    assert cell.vantage is not None, "what is seen from outside is no agent's to measure"
    limit = shutdown.scenario.throttled_below
    return Surroundings(shutdown.network, cell.vantage, cell.family, cell.phase, limit, shutdown.folder)


def request_at(probe: Probe, name: str, at: Surroundings, ca: str) -> ProbeRequest:
    """What to ask for a probe under the name `name`; `ca`: path of the lab authority's certificate (PEM)."""
    vantage = at.vantage
    resolver = at.network.one(Role.RESOLVER, vantage.id.operator).address(at.family.version)
    return ProbeRequest(
        id=name,
        name=name,
        runs=probe.runs,
        ask=probe.ask(at),
        place=f"{vantage.id.operator}/{vantage.id.region}/{vantage.access}",
        family=at.family,
        lasts=probe.lasts,
        resolver=probe.resolver_address or str(resolver),
        ca=ca,
        addresses=at.addresses(probe.host_name),
        errand=probe.errand(at),
        shares=probe.shares,
        alone=probe.alone,
        ooni_test=probe.ooni_name(),
        ooni_input=probe.ooni_input(at),
    )
