"""Why cells came out as they did: explanations by the model, computed once per class of cells. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from shutdownlab.library import Shutdown
from shutdownlab.model.network import Network, Node, Role
from shutdownlab.model.policy import Means
from shutdownlab.model.topology import Vantage
from shutdownlab.results.cells import cells_of
from shutdownlab.results.result import Result
from shutdownlab.verifier.classes import CellClass, Classes
from shutdownlab.verifier.explain import explain_cell
from shutdownlab.verifier.explanation import Explanation
from shutdownlab.verifier.verdicts import Verifier


@dataclass(slots=True)
class Whys:
    """Explanations in the form of the page, one for each class of cells whose outcome is not `ok`.

    explanations: one a class. of: a cell's index in them, by phase, vantage point, target and family.
    """

    explanations: list[dict[str, Any]] = field(default_factory=list)
    of: dict[tuple[str, str, str, str], int] = field(default_factory=dict)


def whys_of(
    shutdown: Shutdown,
    choices: Mapping[str, str],
    results: Iterator[Result] | list[Result],
    verifier: Verifier | None = None,
) -> Whys:
    """Explains each class of cells in which a result's outcome is not `ok`.

    verifier: an existing one of the same scenario and choices, whose cache is reused; None: a new one.
    """
    wanted = {_key(result) for result in results if result.region and result.outcome.value != "ok"}
    verifier, found = verifier or Verifier(shutdown, choices), Whys()
    classes = Classes(shutdown, choices, by_name=True)  # explanations name the deciding policies
    known: dict[CellClass, int] = {}
    places: dict[str, int] = {}  # classes with equal explanations share one
    for phase in shutdown.scenario.timeline:
        if not any(key[0] == phase.phase for key in wanted):
            continue
        for cell in cells_of(shutdown, phase):
            key = phase.phase, str(cell.vantage.id) if cell.vantage else "", cell.target, cell.family.value
            if cell.vantage is None or key not in wanted:
                continue
            class_ = classes.of(phase, cell, cell.vantage)
            if class_ not in known:
                explanation = explain_cell(verifier, phase, cell)
                why = explanation_data(shutdown, explanation, cell.operator, cell.vantage)
                known[class_] = places.setdefault(repr(why), len(found.explanations))
                if known[class_] == len(found.explanations):
                    found.explanations.append(why)
            found.of[key] = known[class_]
    return found


def joined(whys: list[Whys]) -> Whys:
    """Merges the explanations of several phases."""
    found = Whys()
    for each in whys:
        first = len(found.explanations)
        found.explanations += each.explanations
        found.of |= {key: first + place for key, place in each.of.items()}
    return found


def _key(result: Result) -> tuple[str, str, str, str]:
    return result.phase, result.vantage, result.target, result.family.value


def explanation_data(shutdown: Shutdown, explanation: Explanation, operator: str, vantage: Vantage) -> dict[str, Any]:
    """Returns an explanation as a mapping without empty values. `phase` and `from`: the cell that was explained for
    its class."""
    verdict = explanation.verdict
    data: dict[str, Any] = {
        "phase": explanation.phase,
        "from": explanation.vantage,
        "outcome": verdict.outcome.value,
        "failure": verdict.text or verdict.failure or "",
        "to": explanation.connection,
        "others": max(0, explanation.others),
        "back": explanation.back,
        "hops": [[h.node, h.role, h.did, h.rule, h.order.policy if h.order else "", h.stops] for h in explanation.hops],
        "saw": list(explanation.saw),
        "server": explanation.server,
        "policies": list(dict.fromkeys(_policies(explanation))),
        "faults": [[fault.fault, fault.title, list(fault.needs)] for fault in explanation.faults],
        "at": _where(shutdown, explanation, operator, vantage),
    }
    return {key: value for key, value in data.items() if value}


def _policies(explanation: Explanation) -> Iterator[str]:
    yield from (hop.order.policy for hop in explanation.hops if hop.order is not None)
    yield from (order.policy for order in explanation.elsewhere)


def _where(shutdown: Shutdown, explanation: Explanation, operator: str, vantage: Vantage) -> str:
    """Returns where a cell was decided: a part of the vantage point's own operator (`own access-switch`), or a node by
    its name; "" if unknown.

    A class has cells of several operators with equivalent equipment, so their nodes are named by role.
    """
    for hop in explanation.hops:
        if hop.order is None:
            continue
        node = shutdown.network.nodes.get(hop.node)
        if node is None:
            return ""
        own = node.owner == operator and _is_on_its_side(shutdown.network, node, vantage)
        return f"own {node.role.value}" if own else node.name
    for order in explanation.elsewhere:
        by_names = shutdown.scenario.policies[order.policy].by is Means.DNS
        return f"own {(Role.RESOLVER if by_names else Role.BORDER).value}"
    return ""


def _is_on_its_side(network: Network, node: Node, vantage: Vantage) -> bool:
    """Whether a node is on the subscriber's side: not the access switch of a server in another region."""
    return node.role is not Role.ACCESS_SWITCH or node.name == access_switch(network, vantage).name


def access_switch(network: Network, vantage: Vantage) -> Node:
    """Returns the switch to which a vantage point's subscribers are connected."""
    port = next(iter(network.subscriber(vantage.id).ports.values()))
    return network.nodes[port.peer.node]
