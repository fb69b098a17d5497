"""Builds the requests for vantage points' probe agents. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from shutdownlab.compiler.lines import line_of
from shutdownlab.compiler.resolvers import lateness, lies_to
from shutdownlab.inspection.apps import App
from shutdownlab.library import Shutdown
from shutdownlab.model.answers import GIVES_UP_S
from shutdownlab.model.policy import Policy
from shutdownlab.model.probe import Probe, Surroundings
from shutdownlab.protocol.probing import ProbeRequest
from shutdownlab.results.cells import Cell

_ROUNDS: Final = 2.5
"""Round trips added to a step's timeout: a first try, with two fifths of the timeout, then has time for one answer."""
_SENT_AGAIN_S: Final = 3.0
"""What a lost packet costs when TCP retransmits twice: 1 s, then 2 s (RFC 6298, 2)."""


def surroundings(shutdown: Shutdown, cell: Cell) -> Surroundings:
    """Returns where and under which conditions a vantage point's cell is measured."""
    assert cell.vantage is not None, "what is seen from outside is no agent's to measure"
    limit = shutdown.scenario.throttled_below
    return Surroundings(shutdown.network, cell.vantage, cell.family, cell.phase, limit, shutdown.folder)


def request_at(probe: Probe, name: str, at: Surroundings, ca: str) -> ProbeRequest:
    """Returns the request for a probe, under the id `name`; `ca`: path of the lab authority's certificate (PEM)."""
    vantage = at.vantage
    resolver = at.network.resolver_of(vantage).address(at.family.version)
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


def over_its_lines(
    request: ProbeRequest,
    probe: Probe,
    at: Surroundings,
    held: Callable[[str], Mapping[str, Policy]],
    apps: Mapping[str, App],
) -> ProbeRequest:
    """Adapts a request to what policies do to the lines on its way.

    Sets whether its lines are slowed; adds time for longer lines, lost packets or a late resolver; and sets how long
    what it sends keeps counting. `held`: returns the policies that an operator carries out, by the operator's name.
    """
    own, links = at.vantage, at.network.topology.links
    slowing = [policy for policy in held(own.id.operator).values() if policy.slows and policy.concerns(own)]
    rates = [policy.rate(inbound=True) or 0 for policy in slowing]
    ends = {name for path in probe.far_ends(at) for name in path} | {at.network.subscriber(own.id).name}
    there = [vantage for name in ends if (vantage := at.network.nodes[name].vantage) is not None]
    lines = [line_of(links.get(v.access.value), v, held(v.id.operator)) for v in there]
    longer = sum(2 * line.delay for line in lines if line.policies)
    lossy = any(line.policies and line.loss for line in lines)
    more = _ROUNDS * longer + (_SENT_AGAIN_S if lossy else 0.0)
    lies = lies_to(own, apps, held(own.id.operator))
    late = max((lateness(host, lies) for host in probe.looked_up(at)), default=0.0)
    # Tries have much shorter timeouts than clients, so they end before later answers arrive, unless a busy machine
    # stretches them.
    more += _ROUNDS * late if late < GIVES_UP_S else 0.0
    concerning = [policy for policy in held(own.id.operator).values() if policy.concerns(own)] if probe.echoes else []
    counted = [policy.block_after.within for policy in concerning if policy.block_after is not None]
    return replace(
        request,
        slowed=bool(slowing),
        rate=min(rates, default=0),
        rests=max(counted, default=0.0),
        timeout=request.timeout + more,
        gives_up=GIVES_UP_S if late >= GIVES_UP_S else 0.0,
    )
