"""The controls that vouch for a cell: measurements beside it, free of any policy, of everything it needs. Pure.

- Path: the vantage point's own agent pings the server's node from an address that every switch and DPI box
  lets through (`compiler.controls`). The echo takes the same way as the cell's packets and is as large as they may be.
- Lookup: the same to the resolver; and the operator's control subscriber asks the resolver for the cell's names.
- Server: the same probe is run on the server's own node, where packets meet no delay; for a telephone service, or
  a service spread over several nodes, a control subscriber runs it.

A failed try needs the controls of the step it failed at: lookups that were answered truly need no control, and if no
name was answered, neither the server nor the path to it was involved. The control subscriber is given the truth by a
resolver that lies to subscribers as ordered, so an answer that is false for both is no policy's.

Cells share controls: the cells of a vantage point share paths, those of an operator the resolver, and all of the
country the server.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from shutdownlab.model.answers import WITNESS
from shutdownlab.model.network import Network, Node, Role
from shutdownlab.model.probe import Need, Probe, Surroundings
from shutdownlab.protocol.probing import Check, Measurement, ProbeRequest

CHECKS = "shutdownlab.probes.checks:checks_test"
_BEYOND_LOOKUPS = ("tcp_connect", "quic_handshakes", "network_events")
"""Keys of a record (OONI's test keys) that are filled by steps after the lookups."""


Reason = TypeVar("Reason")


@dataclass(frozen=True, slots=True)
class Control:
    """One control, measured by `agent`: a check, sent together with the agent's other checks, or a request of its own.

    `of`: which of the cell's needs it tests.
    """

    name: str
    agent: str
    of: Need
    check: Check | None = None
    request: ProbeRequest | None = None


def controls_of(probe: Probe, at: Surroundings, asked: ProbeRequest) -> tuple[Control, ...]:
    """Returns the controls of a cell: `probe` from the vantage point `at`, requested by `asked`."""
    return (*_paths(probe, at), *_lookups(probe, at, asked), *_server(probe, at, asked))


def vouching_for(controls: Sequence[Control], found: Measurement) -> tuple[str, ...]:
    """Returns the names of the controls that one try's outcome needs, judging by the steps in its record.

    Returns all of them if the record has no lookups or no reason for the failure: some kinds of probe do their own
    lookups.
    """
    queries = [query for query in found.test_keys.get("queries") or () if isinstance(query, dict)]
    failed = {query.get("hostname") for query in queries if query.get("failure")}
    hosts = {control.check.host: frozenset(control.check.answers) for control in controls if control.check is not None}
    misled = {host for query in queries if (host := query.get("hostname")) in hosts and _misled(query, hosts[host])}
    beyond = any(found.test_keys.get(steps) for steps in _BEYOND_LOOKUPS)
    operation = found.test_keys.get("failed_operation", "resolve")
    unanswered = bool(failed) and failed <= hosts.keys() and not beyond and operation == "resolve"

    def needed(control: Control) -> bool:
        if control.of != "lookup":
            return not unanswered
        host = control.check.host if control.check is not None else ""
        doubted = failed | misled
        return not queries or found.failure is None or (host in doubted if host else bool(doubted))

    return tuple(control.name for control in controls if needed(control))


def _misled(query: Mapping[str, Any], truth: frozenset[str]) -> bool:
    """Whether a query was answered with addresses of which none is true."""
    answers = {answer.get("ipv4") or answer.get("ipv6") for answer in query.get("answers") or ()}
    return bool(answers and truth) and answers.isdisjoint(truth)


def excused_by(controls: Sequence[Control], taken: Mapping[Need, Reason]) -> dict[str, Reason]:
    """Returns the names of the controls whose target has been taken away, each with the reason."""
    return {control.name: taken[control.of] for control in controls if control.of in taken}


def checks_request(agent: str, checks: tuple[Check, ...], timeout: float) -> ProbeRequest:
    """Returns the request that makes an agent carry out all `checks` at once."""
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
    """Returns the bytes of an echo: as long as the cell's own packets may be, or 0 (short).

    Short for IPv4 where lines carry IPv6 only: translators fragment long packets, and policies drop fragments whatever
    their source.
    """
    return 0 if at.family.version == 4 and at.network.translates else at.network.mtu(at.vantage)


def _spared(network: Network, node: Node, version: int) -> str:
    """Returns the node's address that is exempt from all policies."""
    if node.vantage is None:
        return str(node.address(version))
    if node.vantage.bearers:  # a second tunnel, beside the subscriber's
        return next(str(a) for a in node.vantage.bearers[1].inner if a.version == version)
    return next(str(a) for a in network.control_addresses(node.vantage.id) if a.version == version)


def _lookups(probe: Probe, at: Surroundings, asked: ProbeRequest) -> Iterator[Control]:
    network, owner, hosts = at.network, at.vantage.home or at.vantage.id.operator, probe.looked_up(at)
    agent = network.one(Role.SERVERS if at.vantage.home else Role.CONTROL, owner).name
    if hosts:
        yield _path(at, network.subscriber(at.vantage.id).name, network.resolver_of(at.vantage).name, "lookup")
    for host in hosts:
        name = f"resolver of {owner} for {host}, {at.family}"
        answers = tuple(each for each in at.addresses(host) if (":" in each) == (":" in asked.resolver))
        yield Control(name, agent, "lookup", Check(name, asked.resolver, host=host, answers=answers))


def _server(probe: Probe, at: Surroundings, asked: ProbeRequest) -> Iterator[Control]:
    control = probe.control(at)
    if control is None:
        return
    operator, name = at.vantage.id.operator, f"server of {asked.name}, {at.family}"
    own = {far for _, far in probe.far_ends(at)}
    there = len(own) == 1 and not control.of_operator
    if control.of_operator:
        name = f"server of {asked.name} of {operator}, {at.family}"
    elif not there:  # any operator's control subscriber will do; spread services over all
        operators = tuple(at.network.topology.operators)
        operator = operators[zlib.crc32(asked.name.encode()) % len(operators)]
    agent = own.pop() if there else at.network.one(Role.CONTROL, operator).name
    resolver = probe.resolver_address or ""
    if there and at.network.anycast_on(agent):
        name = f"{name}, on {agent}"
        if resolver:  # policies may block its upstream queries; it answers this name itself
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
