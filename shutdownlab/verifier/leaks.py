"""Warnings where a scenario has other effects than it states: exceptions that let more or less through than they name,
address families left open, expectations that apply to no cell. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from shutdownlab.config.document import Path
from shutdownlab.config.domains import is_within
from shutdownlab.inspection.verdict import Action
from shutdownlab.model.policy import Exceptions, Means, Policy, Targets
from shutdownlab.model.probe import Probe
from shutdownlab.model.scenario import Outcome, Phase
from shutdownlab.model.topology import Vantage
from shutdownlab.results.cells import Cell, cells_of, expected_of
from shutdownlab.verifier.chance import Chances
from shutdownlab.verifier.deciding import deciding_wire, policies_of
from shutdownlab.verifier.explain import explain_cell
from shutdownlab.verifier.verdicts import Verifier

Told = tuple[Path, str]
"""A warning: where in the scenario, and its text."""
_SILENT: Final = frozenset({Action.PASS, Action.DROP, Action.FREEZE, Action.THROTTLE})
"""Actions of a DPI box that send nothing to the client or the server."""
MOST_NAMED = 5


def is_named(verifier: Verifier, targets: Targets | Exceptions, target: str) -> bool:
    """Whether a probe measures one of the apps or sites in `targets`."""
    probe: Probe | None = verifier.shutdown.scenario.probes.get(target)
    host, app = (probe.host_name, getattr(probe, "app", None)) if probe is not None else (None, None)
    asked = {host, probe.resolver_address} if probe is not None else set()
    hosted = [verifier.network.hosted_as(each) for each in asked if each]
    apps = {app, *(each.app for each in hosted if each)}
    names = {*asked, *(name for each in verifier.network.hosted if each.app == app for name in each.names)}
    if not apps.isdisjoint(targets.apps):
        return True
    sites = frozenset(targets.sites)
    return any(is_within(name, sites) for name in names if name)


def some(names: list[str]) -> str:
    """Lists the first `MOST_NAMED` names, and counts the rest."""
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


def leaking_exceptions(
    verifier: Verifier, name: str, policy: Policy, phases: list[Phase], imagined: Callable[[Phase, str, Policy], Phase]
) -> Iterator[Told]:
    """Yields a warning if an exception for apps or sites also lets through others that share an address or a name.

    imagined: returns a phase in which a policy is replaced by another of the given name.
    """
    for key in ("apps", "sites"):
        given = getattr(policy.except_, key)
        if not given:
            continue
        without = policy.model_copy(update={"except_": policy.except_.model_copy(update={key: ()})})
        through: dict[str, None] = {}
        for phase in phases:
            other = imagined(phase, f"{name} but no {key}", without)
            for cell in cells_of(verifier.shutdown, phase):
                if cell.target in through or is_named(verifier, policy.except_, cell.target):
                    continue
                now, then = verifier.verdict(phase, cell).outcome, verifier.verdict(other, cell).outcome
                if now.got_through and then is Outcome.BLOCKED and not _is_lookup(verifier, cell):
                    through[cell.target] = None
        if through:
            beside = f"and with them others that it does not name: {some(list(through))}"
            text = f"`{name}` spares {key} {some(list(given))}, {beside}"
            yield ("policies", name, "except", key), text


def _is_lookup(verifier: Verifier, cell: Cell) -> bool:
    """Whether a cell is a DNS lookup: an exception for a name is meant to let its resolution through, too."""
    return verifier.shutdown.scenario.probes[cell.target].test == "dns" if cell.vantage else False


def unresolved_exceptions(verifier: Verifier, name: str, policy: Policy, phases: list[Phase]) -> Iterator[Told]:
    """Yields a warning if something that a policy exempts is blocked because its name cannot be resolved."""
    spared = policy.except_
    if not (spared.apps or spared.sites):
        return
    found: dict[str, None] = {}
    for phase in phases:
        for cell in cells_of(verifier.shutdown, phase):
            if cell.vantage is None or cell.target in found or not policy.concerns(cell.vantage):
                continue
            if not is_named(verifier, spared, cell.target):
                continue
            alone = _without_who_cuts_all(verifier, name, phase, cell, cell.vantage)
            blocked = all(verifier.verdict(each, cell).outcome is Outcome.BLOCKED for each in (phase, alone))
            if blocked and _is_unresolved(verifier, phase, cell):
                found[cell.target] = None
    if found:
        text = f"`{name}` spares {some(list(found))}, but their name resolution is blocked"
        yield ("policies", name, "except"), text


def _without_who_cuts_all(verifier: Verifier, name: str, phase: Phase, cell: Cell, vantage: Vantage) -> Phase:
    """Returns the phase without other policies that cut the vantage point off and do not exempt the cell's target."""
    active = verifier.classes.active(phase)
    left = {
        key: policy
        for key, policy in active.items()
        if key == name
        or not (policy.cuts_off and policy.concerns(vantage))
        or is_named(verifier, policy.except_, cell.target)
    }
    return phase if len(left) == len(active) else verifier.classes.imagine(phase, left)


def _is_unresolved(verifier: Verifier, phase: Phase, cell: Cell) -> bool:
    """Whether a cell fails because its name is not resolved: the query or answer is blocked, or the resolver lies."""
    explanation, policies = explain_cell(verifier, phase, cell), verifier.shutdown.scenario.policies
    lies = any(policies[order.policy].by is Means.DNS for order in explanation.elsewhere)
    return lies or (explanation.connection.startswith("DNS ") and not _is_lookup(verifier, cell))


def forgotten_families(verifier: Verifier, name: str, affected: list[tuple[Phase, Cell]]) -> Iterator[Told]:
    """Yields a warning for targets that a policy blocks over one address family and that the other one reaches."""
    blocked = {(p.phase, c.vantage.id, c.target, c.family.value) for p, c in affected if c.vantage is not None}
    found: dict[tuple[str, str, str], None] = {}
    for phase in dict.fromkeys(phase.phase for phase, _ in affected):
        for cell in cells_of(verifier.shutdown, verifier.shutdown.scenario.phase(phase)):
            if cell.vantage is None or (phase, cell.vantage.id, cell.target, cell.family.value) in blocked:
                continue
            other = "ipv6" if cell.family.value == "ipv4" else "ipv4"
            if (phase, cell.vantage.id, cell.target, other) not in blocked:
                continue
            if verifier.verdict(verifier.shutdown.scenario.phase(phase), cell).outcome.got_through:
                found[cell.target, other, cell.family.value] = None
    for shut, left in dict.fromkeys((shut, left) for _, shut, left in found):
        targets = [target for target, *families in found if families == [shut, left]]
        yield ("policies", name), f"`{name}` blocks {some(targets)} only over {shut}: over {left} it gets through"


def one_way_results(
    verifier: Verifier, name: str, policy: Policy, affected: list[tuple[Phase, Cell]]
) -> Iterator[Told]:
    """Yields a warning for blocked targets whose server receives the request, while only its answers are lost.

    Not for policies that change routes, which by nature affect only the path back, and not for DPI boxes that answer
    in the server's name before the server does.
    """
    if policy.routes:
        return
    found: dict[str, None] = {}
    looked_at: set[object] = set()
    for phase, cell in affected:
        if cell.vantage is None or cell.target in found:
            continue
        kind = verifier.classes.of(phase, cell, cell.vantage)
        if kind in looked_at or verifier.verdict(phase, cell).outcome is not Outcome.BLOCKED:
            continue
        looked_at.add(kind)
        line, _ = verifier.line(phase, cell, cell.vantage, Chances())
        wire = deciding_wire(line, Outcome.BLOCKED)
        if wire is None or any(seen.decision.action not in _SILENT for seen in wire.seen):
            continue
        if wire.reached and not wire.answered and name in policies_of(wire):
            found[cell.target] = None
    if found:
        text = f"`{name}` blocks only one direction: packets to {some(list(found))} arrive, but no answer comes back"
        yield ("policies", name, "direction"), text


def idle_expectations(verifier: Verifier, timeline: tuple[Phase, ...]) -> Iterator[Told]:
    """Yields a warning for each expectation that applies to no cell: nothing it covers is measured, or later ones win.

    An expectation that is written once and repeated in several phases is used if it applies in any of them.
    """
    scenario, choices = verifier.shutdown.scenario, verifier.choices
    counted: set[Path] = set()
    written: dict[int, Path] = {}
    for number, phase in enumerate(scenario.timeline):
        if phase not in timeline:
            continue
        for index, item in enumerate(phase.expect):
            for inner, each in enumerate(scenario.expectations[item] if isinstance(item, str) else (item,)):
                if each.tools is None and all(choices.get(key) == option for key, option in each.given.items()):
                    own: Path = (
                        ("expectations", item, inner) if isinstance(item, str) else _written(verifier, number, index)
                    )
                    written.setdefault(id(each), own)
        for cell in cells_of(verifier.shutdown, phase):
            fact = expected_of(verifier.shutdown, choices, phase, cell)
            if fact is not None and id(fact) in written:
                counted.add(written[id(fact)])
    for path in dict.fromkeys(written.values()):
        whole = path[:2] if path[0] == "expectations" else path
        if path not in counted and whole not in counted and len(path) > 2:
            yield (
                path,
                "this expectation applies to no measurement: later expectations replace it, or nothing matches it",
            )


def _written(verifier: Verifier, phase: int, index: int) -> Path:
    """Returns where an expectation is written; for a generated phase, where its expectations were taken from.

    That may be an entry under `expectations`, of which the expectation is a part.
    """
    path: Path = ("timeline", phase, "expect", index)
    if verifier.shutdown.document is None:
        return path
    document, where = verifier.shutdown.document.locate(path)
    value = document.data
    for step in where:
        value = value[step]
    return ("expectations", value) if isinstance(value, str) else where
