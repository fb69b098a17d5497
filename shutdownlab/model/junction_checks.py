"""Checks the junctions between networks: gateways, and single cables."""

from __future__ import annotations

from collections.abc import Mapping

from shutdownlab.config.document import Document, Expected, Path, quoted
from shutdownlab.model.cables import ends_of
from shutdownlab.model.topology import AT_TWO_GATEWAYS, Operator, Topology, Transit


def check_gateways(topology: Topology, document: Document) -> None:
    """Checks that each gateway has a unique name and a foreign transit, and that each network is at an existing
    gateway, the one where its providers are."""
    networks: dict[str, Mapping[str, Operator | Transit]] = {
        "operators": topology.operators, "transits": topology.transits
    }  # fmt: skip
    for name in topology.gateways:
        for kind in (kind for kind, known in networks.items() if name in known):
            found = f"{quoted(name)}, which is also under `{kind}`"
            document.report(("gateways", name), found, "a unique name", "rename one")
    ways_abroad = {transit.gateway for transit in topology.transits.values()}
    for name in (each for each in topology.all_gateways if each not in ways_abroad):
        at: Path = ("gateways", name) if name in topology.gateways else ("gateway",)
        found, hint = f"{quoted(name)}, which has no foreign transit", f"add `gateway: {name}` to a foreign transit"
        document.report(at, found, "a gateway with a way abroad", hint)
    for kind, known in networks.items():
        for name, network in known.items():
            if network.gateway not in topology.all_gateways:
                place = (kind, name, "gateway")
                document.report_unknown(place, "gateway", network.gateway, topology.all_gateways)
    for name in topology.operators:
        _check_providers(topology, document, name)


def _check_providers(topology: Topology, document: Document, name: str) -> None:
    """Checks that an operator's providers are at its own gateway; one by satellite must have no gateway in the
    country."""
    operator, path = topology.operators[name], ("operators", name)
    if name in topology.by_satellite:
        if operator.gateway in topology.gateways:
            hint = "leave it out: its gateway is abroad"
            document.report((*path, "gateway"), f"{operator.gateway}, by satellite", "no gateway in the country", hint)
        return
    for index, carrier in enumerate(operator.transit):
        there = topology.operators.get(carrier) or topology.transits.get(carrier)
        if there is None or there.gateway == operator.gateway or carrier in topology.by_satellite:
            continue
        if not {operator.gateway, there.gateway} <= topology.all_gateways.keys():
            continue  # reported already
        found = f"{quoted(carrier)}, which is at {there.gateway}"
        expected = f"a network at {operator.gateway}, as {name} is"
        document.report(
            (*path, "transit", index),
            found,
            expected,
            f"networks of different gateways meet only at the exchange and abroad: {AT_TWO_GATEWAYS}",
        )


def check_cables(topology: Topology, document: Document) -> None:
    """Checks that each cable exists in the topology, joins two networks and is named once."""
    named: dict[frozenset[str], str] = {}
    for name in topology.cables:
        path: Path = ("cables", name)
        try:
            ends = frozenset(ends_of(name, topology))
        except Expected as mistake:
            at = "its gateway" if topology.gateways else "`gateway`"
            hint = f"an operator or transit to {at}, a member to `exchange`, a transit to another transit"
            document.report(path, quoted(name), mistake.expected, hint)
            continue
        if any("/" in end for end in ends):
            hint = "for lines inside a network, set `mtu` in `links`, by their kind"
            document.report(path, f"{quoted(name)}, within one network", "a cable between two networks", hint)
        elif ends in named:
            found = f"{quoted(name)}, which is {quoted(named[ends])} (line {document.line(('cables', named[ends]))})"
            document.report(path, found, "each cable once", "remove one of them")
        named.setdefault(ends, name)
