"""Which controls vouch for a cell: measurements beside it that no policy touches, of all that it needs. Pure.

- The path: the vantage point's own agent sends an echo to the node of the server, from an address that every switch
  and DPI box lets through (`compiler.controls`). It goes the way that the cell's own packets go, and is
  as large as they may be.
- The lookups: the same to the resolver, which the operator's control subscriber asks for the cell's names.
- The server: the same probe is measured on its own node, where no packet meets a delay; a telephone service,
  and what is spread over nodes, by a control subscriber.

A try that failed needs those of what it failed by: lookups that were answered need none of their own, and where no name
was answered, neither the server nor the path to it had a part in it.

Cells share controls: all of a vantage point its paths, all of an operator its resolver, all of the country the server.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from shutdownlab.model.answers import WITNESS
from shutdownlab.model.network import Network, Node, Role
from shutdownlab.model.probe import Need, Probe, Surroundings
from shutdownlab.protocol.probing import Check, Measurement, ProbeRequest

CHECKS = "shutdownlab.probes.checks:checks_test"
_BEYOND_LOOKUPS = ("tcp_connect", "quic_handshakes", "network_events")
"""What a record has (OONI's test keys) of whatever came after its lookups."""


Reason = TypeVar("Reason")


@dataclass(frozen=True, slots=True)
class Control:
    """One control, measured by `agent`: a check, which goes with the agent's others, or a request of its own.

    `of`: what of the cell's needs it is a control of.
    """

    name: str
    agent: str
    of: Need
    check: Check | None = None
    request: ProbeRequest | None = None


def controls_of(probe: Probe, at: Surroundings, asked: ProbeRequest) -> tuple[Control, ...]:
    """The controls of a cell: of `probe` from the vantage point `at`, which `asked` asks for."""
    return (*_paths(probe, at), *_lookups(probe, at, asked), *_server(probe, at, asked))


def vouching_for(controls: Sequence[Control], found: Measurement) -> tuple[str, ...]:
    """Names of those of a cell's controls that the outcome of one try needs, by what its record says of its steps.

    All of them where the record tells of no lookups, or not why it failed: the kind of probe may do them itself.
    """
    queries = [query for query in found.test_keys.get("queries") or () if isinstance(query, dict)]
    failed = {query.get("hostname") for query in queries if query.get("failure")}
    hosts = {control.check.host for control in controls if control.check is not None}
    beyond = any(found.test_keys.get(steps) for steps in _BEYOND_LOOKUPS)
    operation = found.test_keys.get("failed_operation", "resolve")
    unanswered = bool(failed) and failed <= hosts and not beyond and operation == "resolve"

    def needed(control: Control) -> bool:
        if control.of != "lookup":
            return not unanswered
        host = control.check.host if control.check is not None else ""
        return not queries or found.failure is None or (host in failed if host else bool(failed))

    return tuple(control.name for control in controls if needed(control))


def excused_by(controls: Sequence[Control], taken: Mapping[Need, Reason]) -> dict[str, Reason]:
    """Names of those of a cell's controls that fail because what they are controls of is taken away, and why it is."""
    return {control.name: taken[control.of] for control in controls if control.of in taken}


def checks_request(agent: str, checks: tuple[Check, ...], timeout: float) -> ProbeRequest:
    """What makes an agent carry out checks, all at once."""
    return ProbeRequest(f"control {agent}", "control", CHECKS, checks, timeout=timeout)


def _paths(probe: Probe, at: Surroundings) -> Iterator[Control]:
    network = at.network
    ends = probe.far_ends(at)
    for own, far in ends:
        yield _path(at, own, far, "way")
    if not ends and not probe.looked_up(at):
        own = network.subscriber(at.vantage.id).name
        yield Control(f"agent of {own}", own, "way", Check(f"agent of {own}", ""))


def _path(at: Surroundings, own: str, far: str, of: Need) -> Control:
    nodes, version = at.network.nodes, at.family.version
    name = f"path {own} to {far}, {at.family}"
    ends = (_spared(at.network, nodes[far], version), _spared(at.network, nodes[own], version))
    return Control(name, own, of, Check(name, *ends, size=_size(at)))


def _size(at: Surroundings) -> int:
    """Octets of an echo that is as long as a cell's own packets may be; 0, a short one, of IPv4 where lines carry IPv6
    alone: translators cut long ones up, and orders drop such parts whoever they are from."""
    return 0 if at.family.version == 4 and at.network.translates else at.network.mtu(at.vantage)


def _spared(network: Network, node: Node, version: int) -> str:
    """The address of a node by which it is reached whatever is in force."""
    if node.vantage is None:
        return str(node.address(version))
    if node.vantage.bearers:  # through a tunnel of its own, beside the other
        return next(str(a) for a in node.vantage.bearers[1].inner if a.version == version)
    return next(str(a) for a in network.control_addresses(node.vantage.id) if a.version == version)


def _lookups(probe: Probe, at: Surroundings, asked: ProbeRequest) -> Iterator[Control]:
    network, owner, hosts = at.network, at.vantage.home or at.vantage.id.operator, probe.looked_up(at)
    agent = network.one(Role.SERVERS if at.vantage.home else Role.CONTROL, owner).name
    if hosts:
        yield _path(at, network.subscriber(at.vantage.id).name, network.resolver_of(at.vantage).name, "lookup")
    for host in hosts:
        name = f"resolver of {owner} for {host}, {at.family}"
        yield Control(name, agent, "lookup", Check(name, asked.resolver, host=host))


def _server(probe: Probe, at: Surroundings, asked: ProbeRequest) -> Iterator[Control]:
    control = probe.control(at)
    if control is None:
        return
    operator, name = at.vantage.id.operator, f"server of {asked.name}, {at.family}"
    own = {far for _, far in probe.far_ends(at)}
    there = len(own) == 1 and not control.of_operator
    if control.of_operator:
        name = f"server of {asked.name} of {operator}, {at.family}"
    elif not there:  # any operator's subscriber may ask; which one asks for what is spread over all
        operators = tuple(at.network.topology.operators)
        operator = operators[zlib.crc32(asked.name.encode()) % len(operators)]
    agent = own.pop() if there else at.network.one(Role.CONTROL, operator).name
    resolver = probe.resolver_address or ""
    if there and at.network.anycast_on(agent):
        name = f"{name}, on {agent}"
        if resolver:  # what it asks others, policies may keep from them: it answers this by itself
            yield Control(name, agent, "server", Check(name, resolver, host=WITNESS))
            return
    if not there and not resolver:
        resolver = str(at.network.one(Role.RESOLVER, operator).address(at.family.version))
    yield Control(
        name,
        agent,
        "server",
        request=replace(
            asked,
            id=name,
            runs=control.runs,
            ask=control.ask,
            place=agent,
            resolver=resolver,
            looks_up=bool(resolver),
            errand=None,
            slowed=False,
        ),
    )
