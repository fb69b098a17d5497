"""What a vantage point's probe agent is asked. Pure."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from shutdownlab.library import Shutdown
from shutdownlab.measure.controls import Control, controls_of
from shutdownlab.model.network import Network, Role
from shutdownlab.model.probe import Family, Probe, Surroundings
from shutdownlab.model.topology import Vantage
from shutdownlab.protocol.probing import ProbeRequest
from shutdownlab.results.cells import Cell


def request(shutdown: Shutdown, cell: Cell, ca: str) -> ProbeRequest:
    """What to ask for a vantage point's cell; `ca`: path of the lab authority's certificate (PEM)."""
    return replace(
        _request(shutdown.scenario.probes[cell.target], cell.target, _around(shutdown, cell), ca), id=cell.id
    )


def controls(shutdown: Shutdown, cell: Cell, asked: ProbeRequest) -> tuple[Control, ...]:
    """The controls that vouch for a vantage point's cell, which `asked` asks for."""
    return controls_of(shutdown.scenario.probes[cell.target], _around(shutdown, cell), asked)


def _around(shutdown: Shutdown, cell: Cell) -> Surroundings:
    assert cell.vantage is not None, "what is seen from outside is no agent's to measure"
    limit = shutdown.scenario.throttled_below
    return Surroundings(shutdown.network, cell.vantage, cell.family, cell.phase, limit, shutdown.folder)


def request_of(
    network: Network, probe: Probe, name: str, vantage: Vantage, family: Family, ca: str, throttled_below: int,
    *, phase: str = "", folder: Path = Path(),
) -> ProbeRequest:  # fmt: skip
    """The same of any probe, a scenario's or not, under the name `name`; `folder`: where its programs run."""
    return _request(probe, name, Surroundings(network, vantage, family, phase, throttled_below, folder), ca)


def _request(probe: Probe, name: str, at: Surroundings, ca: str) -> ProbeRequest:
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
