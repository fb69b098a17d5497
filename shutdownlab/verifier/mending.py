"""The smallest changes to a scenario that would let a cell through, found by trying them on the model. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_network

from shutdownlab.config.numbers import TCP, UDP
from shutdownlab.config.scalars import Ports
from shutdownlab.library import Shutdown
from shutdownlab.model.policy import Means, Policy
from shutdownlab.model.scenario import Outcome, Phase
from shutdownlab.model.scope import Scope
from shutdownlab.model.topology import Vantage
from shutdownlab.results.cells import Cell, cells_of
from shutdownlab.verifier.chance import Chances
from shutdownlab.verifier.classes import NO_NAMES
from shutdownlab.verifier.deciding import deciding_wire, policies_of
from shutdownlab.verifier.verdicts import Verifier
from shutdownlab.verifier.wire import ModelledConnection

_MOST_TOLD = 3
_MOST_POLICIES = 4
_TRAFFIC = frozenset(("apps", "sites", "addresses", "ports", "protocols"))
_PEOPLE = frozenset(("operators", "regions", "access", "subscribers"))
NOBODY = Scope(operators=("",))
"""A scope that covers no vantage point: of a probe that is only explained, and of a policy that is undone."""


@dataclass(frozen=True, slots=True)
class Mend:
    """A change that lets the cell through.

    policies: those that it is made in.
    cells: how many of the phase's cells get another outcome.
    """

    change: str
    policies: tuple[str, ...]
    cells: int


@dataclass(frozen=True, slots=True)
class _Change:
    """A change of a policy.

    of_people: whether it changes only whom the policy concerns.
    in_force: whether it can be made only in policies that are in force, or only in those that no longer are; None: in
    either.
    """

    changed: Callable[[Policy], Policy]
    of_people: bool = False
    in_force: bool | None = None


def mends(
    verifier: Verifier, phase: Phase, cell: Cell, wire: ModelledConnection | None, elsewhere: tuple[str, ...] = ()
) -> Iterator[Mend]:
    """Yields at most `_MOST_TOLD` changes that let the cell through, those that change the fewest cells first.

    wire: the deciding connection, if there is one.
    elsewhere: policies that block the cell without meeting its packets: they change routes, or resolvers' answers.
    """
    found: list[Mend] = []
    for text, change in _candidates(verifier.shutdown, cell, wire):
        mended = _mended(verifier, phase, cell, text, change, elsewhere)
        if mended is not None:
            imagined, where = mended
            enough = found[-1].cells if len(found) == _MOST_TOLD else None
            cells = _otherwise(verifier, phase, imagined, enough)
            if cells is not None:
                found = sorted([*found, Mend(text, where, cells)], key=lambda mend: mend.cells)[:_MOST_TOLD]
    yield from found


def _mended(
    verifier: Verifier, phase: Phase, cell: Cell, text: str, change: _Change, elsewhere: tuple[str, ...]
) -> tuple[Phase, tuple[str, ...]] | None:
    """Returns the phase with a change in each policy that blocks the cell, and their names.

    None if the cell still does not get through. `text`: the change's, used in the changed policies' names.
    """
    active, changed = verifier.classes.active(phase), dict[str, tuple[str, Policy]]()
    known = {**verifier.shutdown.scenario.policies, **active}  # operators may carry some out after their end
    imagined = phase
    for _ in range(_MOST_POLICIES):
        done = {name for name, _ in changed.values()}
        blocking = [name for name in (*elsewhere, *_blocking(verifier, imagined, cell)) if name not in done]
        if not blocking:
            break
        if change.in_force is not None and any((name in active) is not change.in_force for name in blocking):
            return None
        # Each is changed once: another object of the same name would be taken for another policy.
        changed |= {name: (f"{name}~{text}", change.changed(known[name])) for name in blocking}
        other = dict(changed.get(name, (name, policy)) for name, policy in active.items())
        versions = {own: name for name, (own, _) in changed.items()} if change.of_people else NO_NAMES
        renamed = {name: own for name, (own, _) in changed.items()}
        kept = dict(changed[name] for name in changed if name not in active)
        imagined = verifier.classes.imagine(phase, other, versions, renamed, kept)
    passes = bool(changed) and verifier.verdict(imagined, cell).outcome is Outcome.OK
    return (imagined, tuple(changed)) if passes else None


def _blocking(verifier: Verifier, phase: Phase, cell: Cell) -> tuple[str, ...]:
    """Returns the policies that keep a cell from being ok; () if it is ok, or if no policy does."""
    assert cell.vantage is not None
    line, (outcome, _) = verifier.line(phase, cell, cell.vantage, Chances())
    wire = deciding_wire(line, outcome)
    return policies_of(wire) if wire is not None and outcome is not Outcome.OK else ()


def _otherwise(verifier: Verifier, phase: Phase, imagined: Phase, enough: int | None) -> int | None:
    """Returns how many cells' outcomes differ between the two phases; None if at least `enough` do."""
    classes, count = verifier.classes, 0
    for cell in cells_of(verifier.shutdown, phase):
        if cell.vantage is not None and classes.of(phase, cell, cell.vantage) == classes.of(
            imagined, cell, cell.vantage
        ):
            continue
        count += verifier.verdict(phase, cell).outcome != verifier.verdict(imagined, cell).outcome
        if enough is not None and count >= enough:
            return None
    return count


def _candidates(shutdown: Shutdown, cell: Cell, wire: ModelledConnection | None) -> Iterator[tuple[str, _Change]]:
    """Yields changes to try: exceptions for the cell's app, site, port, address and subscribers; ending the policy."""
    probe, vantage = shutdown.scenario.probes[cell.target], cell.vantage
    assert vantage is not None
    app = getattr(probe, "app", None)
    if app:
        yield f"except: {{apps: [{app}]}}", _sparing(apps=(app,))
    elif probe.host_name:
        hosted = shutdown.network.hosted_as(probe.host_name)
        if hosted is not None and probe.host_name in hosted.names:
            yield f"except: {{sites: [{probe.host_name}]}}", _sparing(sites=(probe.host_name,))
    if wire is not None:
        yield from _of_the_connection(shutdown, vantage, wire)
    operator = vantage.id.operator
    yield f"its end obeyed by {operator}", replace(_sparing(operators=(operator,)), in_force=False)
    yield f"except: {{operators: [{operator}]}}", _sparing(operators=(operator,))
    yield f"except: {{regions: [{vantage.id.region}]}}", _sparing(regions=(vantage.id.region,))
    yield f"except: {{access: [{vantage.access}]}}", _sparing(access=(vantage.access,))
    yield f"except: {{subscribers: [{vantage.class_}]}}", _sparing(subscribers=(vantage.class_,))
    yield "nothing in this phase: stop it", _Change(_ended, of_people=True, in_force=True)


def _of_the_connection(shutdown: Shutdown, vantage: Vantage, wire: ModelledConnection) -> Iterator[tuple[str, _Change]]:
    stream = wire.stream
    if stream.proto in (TCP, UDP):
        protocol = "tcp" if stream.proto == TCP else "udp"
        port = Ports(protocol=protocol, first=stream.server_port, last=stream.server_port)
        yield f"except: {{ports: [{protocol}/{stream.server_port}]}}", _sparing(ports=(port,))
    else:
        yield "except: {protocols: [icmp]}", _sparing(protocols=("icmp",))
    yield f"except: {{addresses: [{stream.server}]}}", _sparing(addresses=(ip_network(stream.server),))
    host = shutdown.network.nodes.get(wire.server or "")
    if host is not None and host.vantage is not None and host.vantage.class_ != vantage.class_:
        kind = host.vantage.class_
        yield f"except: {{subscribers: [{kind}]}}", _sparing(subscribers=(kind,))


def _ended(policy: Policy) -> Policy:
    return policy.model_copy(update={"where": NOBODY})


def _sparing(**more: tuple[object, ...]) -> _Change:
    def change(policy: Policy) -> Policy:
        if policy.degrade is not None and not policy.degrades_traffic and more.keys() & _TRAFFIC:
            return policy  # a degraded line affects all traffic on it
        if policy.routes and (policy.hijack or policy.leak or more.keys() != {"operators"}):
            return policy  # routes can only be spared by operator
        if policy.by is Means.DNS and more.keys() & _TRAFFIC:
            return policy  # a resolver answers every query for a name alike
        spared = policy.except_
        wider = {key: (*getattr(spared, key), *values) for key, values in more.items()}
        return policy.model_copy(update={"except_": spared.model_copy(update=wider)})

    return _Change(change, of_people=more.keys() <= _PEOPLE)
