"""Explains a cell's outcome: its packets' path, what decided there and which policy ordered it. `sl.explain`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shutdownlab.compiler.resolvers import lie_about
from shutdownlab.compiler.rules import PipelineTable
from shutdownlab.library import Shutdown, load
from shutdownlab.model.answers import Later
from shutdownlab.model.faults import DeclaredFault
from shutdownlab.model.lookup import choices_of, family_of, phase_named, refuse, target_named, vantage_point
from shutdownlab.model.network import Node, Role
from shutdownlab.model.policy import Policy
from shutdownlab.model.probe import Surroundings
from shutdownlab.model.routing import router_of
from shutdownlab.model.scenario import Mode, Outcome, Phase
from shutdownlab.model.topology import Vantage
from shutdownlab.results.cells import Cell, expected_of
from shutdownlab.verifier.chance import Chances
from shutdownlab.verifier.deciding import deciding_wire, policies_of_rule, slows, stops
from shutdownlab.verifier.described import (
    ACTS,
    border_text,
    described,
    line_text,
    recognised,
    rule_text,
    server_text,
)
from shutdownlab.verifier.equipment import SwitchStep
from shutdownlab.verifier.explanation import DecidingFault, DecidingPolicy, Explanation, Hop, Longest
from shutdownlab.verifier.line import ModelledLine, Undecided
from shutdownlab.verifier.mending import NOBODY, Mend, mends
from shutdownlab.verifier.narrowest import narrowest
from shutdownlab.verifier.verdicts import Verifier
from shutdownlab.verifier.ways import Crossing, LineRouters, Translator
from shutdownlab.verifier.wire import ModelledConnection

if TYPE_CHECKING:
    from shutdownlab.results.run import Run


def explain(
    scenario: str | Path | Mapping[str, Any] | Shutdown,
    *,
    at: str,
    vantage: str,
    target: str,
    family: str | None = None,
    choose: Mapping[str, str] | None = None,
) -> Explanation:
    """Explains the outcome of a probe from a vantage point in a phase.

    scenario: what `sl.load` takes, or a run's directory; the explanation then includes what the run measured.
    at: the phase.
    target: a probe of the scenario, an app, a site or ADDRESS:PORT (see `model.lookup.target_named`), whether or not
    the scenario measures it there and then.
    family: `ipv4` or `ipv6`; None: the probe's first.
    choose: where sources disagree, the version to follow, by the question's name; ignored for a run, which has its own.

    Raises `BadInput`.
    """
    run, settings = _run_at(scenario), dict[str, str]()
    if run is not None:
        settings = run.manifest.get("settings", {})
        scenario, choose = run.manifest.get("source") or refuse("scenario", *_NO_SOURCE), run.manifest.get("choices")
    shutdown = scenario if isinstance(scenario, Shutdown) else load(scenario, set=settings)
    loaded = shutdown.scenario
    choices, phase = choices_of(loaded, choose or {}, "choose"), phase_named(loaded, at, "at")
    found = vantage_point(shutdown.topology, vantage, "vantage")
    name, probe = target_named(shutdown.network, loaded.probes, target, "target")
    measured = name in loaded.probes_of(phase.phase, found)
    if name not in loaded.probes:
        asked = probe.model_copy(update={"from_": NOBODY})
        shutdown = replace(shutdown, scenario=loaded.model_copy(update={"probes": {**loaded.probes, name: asked}}))
    chosen = family_of(shutdown.network, found, probe, family, probe.families, "family")
    cell = Cell(phase.phase, found.id.operator, found, name, chosen)
    explanation = _Explainer(Verifier(shutdown, choices), phase, cell).explain()
    if not measured:
        explanation = replace(explanation, expected=None)  # expectations are about measured cells only
    if run is None:
        return explanation
    from shutdownlab.verifier.evidence import with_measured  # loads what reads runs, as in `_run_at`

    return with_measured(explanation, run)


def explain_cell(verifier: Verifier, phase: Phase, cell: Cell) -> Explanation:
    """Explains a cell's outcome in a phase, but not which changes would let it through: those are costly to find.

    The cell must have a vantage point: an observation from outside has no path of its own.
    """
    return _Explainer(verifier, phase, cell).explain(mend=False)


_NO_SOURCE = "a run of a scenario that a program made", "a run of a scenario in a file", "explain the scenario itself"


def _run_at(scenario: object) -> Run | None:
    if isinstance(scenario, str | Path) and (Path(scenario) / "manifest.json").is_file():
        from shutdownlab.results.run import Run  # slow to import: it loads every event of runs

        return Run.open(scenario)
    return None


class _Explainer:
    def __init__(self, verifier: Verifier, phase: Phase, cell: Cell) -> None:
        assert cell.vantage is not None, "what is seen from outside takes no way of its own"
        self.verifier, self.phase, self.cell, self.vantage = verifier, phase, cell, cell.vantage
        self.shutdown, self.choices = verifier.shutdown, verifier.choices
        self.network = verifier.network

    def explain(self, *, mend: bool = True) -> Explanation:
        verdict, line = self.verifier.verdict_and_way(self.phase, self.cell, self.vantage)
        if line is None and self.shutdown.scenario.probes[self.cell.target].follows:
            try:
                line, _ = self.verifier.line(self.phase, self.cell, self.vantage, Chances())
            except Undecided:
                line = None
        wire = deciding_wire(line, verdict.outcome) if line else None
        expected = expected_of(self.shutdown, self.choices, self.phase, self.cell)
        elsewhere, mending = tuple(self._elsewhere(verdict.outcome)), tuple[Mend, ...]()
        if mend and verdict.outcome in {Outcome.BLOCKED, Outcome.THROTTLED}:
            blamed = tuple(order.policy for order in elsewhere)
            mending = tuple(mends(self.verifier, self.phase, self.cell, wire, blamed))
        return Explanation(
            phase=self.phase.phase, vantage=str(self.vantage.id), target=self.cell.target,
            family=self.cell.family.value, verdict=verdict, expected=expected,
            connection=_named(wire, line) if wire and line else "", others=_others(wire, line) if line else 0,
            back=wire is not None and self._is_back(wire), hops=tuple(self._hops(wire)) if wire else (),
            ttls=tuple(self._ttls(wire)) if wire else (),
            saw=tuple(self._saw(wire)) if wire else (), server=self._server(wire) if wire else "", mends=mending,
            stream=(wire.outer or wire.stream) if wire else None, beyond=(wire.outer or wire.beyond) if wire else None,
            departs=self._departs(), waits=bool(self._turn),
            faults=tuple(self._faults(verdict.outcome)),
            bypassed=tuple(self._bypassed(wire)) if wire and verdict.outcome is Outcome.OK else (),
            elsewhere=elsewhere, longest=self._longest(wire) if wire else None,
        )  # fmt: skip

    @property
    def _turn(self) -> str:
        """The later phase in which it is the operator's turn to obey, or ""."""
        return self.shutdown.scenario.turn_after(self.phase.phase, self.vantage.id.operator)

    def _departs(self) -> str:
        """Returns how the vantage point's operator departs from its orders, and the line that says so; "" if not."""
        operator = self.vantage.id.operator
        if operator not in self.phase.obey or self.shutdown.scenario.mode(self.choices) is Mode.DIRECT:
            return ""
        from shutdownlab.protocol.messages import Order  # slow to import: it loads the whole control protocol

        classes = self.verifier.classes
        active, done = classes.active(self.phase), classes.carried_out(self.phase, operator)
        names = [phase.phase for phase in self.shutdown.scenario.timeline]
        turn = self._turn
        how = ("stagger", "order") if turn else ("obey", operator)
        place = self.shutdown.place(("timeline", names.index(self.phase.phase), *how))
        departures = Order(0, self.phase.phase, active, carried_out=done).departures
        if not departures:
            return ""
        late = f"whose turn comes in {turn}, until then " if turn else ""
        return ", ".join(filter(None, (f"{operator}{', ' if late else ' '}{late}{departures}", place)))

    def _faults(self, outcome: Outcome) -> Iterator[DecidingFault]:
        """Yields the faults that have taken away what a cell that is down needs."""
        if outcome is not Outcome.DOWN:
            return
        scenario = self.shutdown.scenario
        at = Surroundings(self.network, self.vantage, self.cell.family, self.phase.phase)
        blamed = self.verifier.outages(self.phase).blamed(scenario.probes[self.cell.target], at)
        for name in dict.fromkeys(by.fault for by in blamed.values() if by.fault):
            needs = tuple(need for need, by in blamed.items() if by.fault == name)
            fault: DeclaredFault | Policy = scenario.faults.get(name) or scenario.policies[name]
            place = self.shutdown.place(("faults" if name in scenario.faults else "policies", name))
            yield DecidingFault(name, fault.title, place, fault.source, needs, is_order=isinstance(fault, Policy))

    def _elsewhere(self, outcome: Outcome) -> Iterator[DecidingPolicy]:
        """Yields the policies that change routes or resolvers' answers that a blocked cell needs."""
        if outcome is not Outcome.BLOCKED:
            return
        at = Surroundings(self.network, self.vantage, self.cell.family, self.phase.phase)
        probe = self.shutdown.scenario.probes[self.cell.target]
        lies = self.verifier.country(self.phase).lies_to(self.vantage)
        heard = [lie for host in probe.looked_up(at) if (lie := lie_about(host, lies)) is not None]
        affecting = {name for lie, name in heard if not isinstance(lie, Later) or lie.is_too_late}
        changed = self.verifier.without_routes(self.phase, probe, at)
        affecting.update(changed)
        for name in dict.fromkeys((*self.verifier.classes.anywhere(self.phase), *changed)):
            if name in affecting and (order := self._order(name)) is not None:
                yield order

    def _bypassed(self, wire: ModelledConnection) -> Iterator[str]:
        """Yields the policies for DPI boxes that apply to the subscriber, if the path has no box."""
        if any(self.network.nodes[name].role is Role.DPI_SWITCH for name in wire.way(True).nodes):
            return
        for name, policy in self.verifier.classes.carried_out(self.phase, self.vantage.id.operator).items():
            if policy.needs_boxes and policy.concerns(self.vantage):
                yield name

    def _server(self, wire: ModelledConnection) -> str:
        """Describes what the server did."""
        host = wire.country.ways.reached(wire.client, wire.stream.server)
        if host is not None and not wire.reached:
            return "received nothing"
        if host is not None and host.name in wire.country.damage.silent and wire.reached:
            return "received it, but answers nobody"
        return server_text(wire)

    def _is_back(self, wire: ModelledConnection) -> bool:
        """Whether to show the path of the answers: the requests' path is free, and theirs is not."""
        if wire.dropped_at_border(True):
            return False
        if wire.way(True).arrives and not wire.way(False).arrives:
            return True
        decides = stops if wire.stops else slows
        return not any(map(decides, wire.steps(True))) and any(map(decides, wire.steps(False)))

    # -- the path -----------------------------------------------------------------------------------------------------

    def _hops(self, wire: ModelledConnection) -> Iterator[Hop]:
        by_client = not self._is_back(wire)
        steps = iter(wire.steps(by_client))
        stopped = False
        for hop in wire.way(by_client).hops:
            if isinstance(hop, Crossing):
                found = self._at_switch(next(steps), wire, stopped)
            elif isinstance(hop, Translator):
                found = [self._at_translator(hop, wire, by_client)]
            elif isinstance(hop, LineRouters):
                found = [Hop(f"{hop.count} router{'s' if hop.count > 1 else ''}", f"on the {hop.link} link")]
            else:
                found = [self._at_node(self.network.nodes[hop], wire, by_client)]
            for each in found:
                yield each if not stopped else Hop(each.node, each.role)
                stopped = stopped or each.stops

    def _at_node(self, node: Node, wire: ModelledConnection, by_client: bool) -> Hop:
        role, dropped = node.role.value.replace("-", " "), wire.dropped_at_border(by_client)
        if node.vantage is not None and (line := wire.country.line_of(node.vantage)).policies:
            return Hop(node.name, role, line_text(line), "", self._order(line.policies[0]))
        if (changed := self._at_router(node, wire, by_client)) is not None:
            return changed
        if action := _at_tunnel(node, wire, by_client):
            return Hop(node.name, role, action)
        if dropped is None or node.name != wire.way(by_client).nodes[1]:
            translates = node.role is Role.BORDER and node.name in wire.way(by_client).nodes[1:2] and wire.beyond
            action = (
                f"sends it with the source address {translates.client}"
                if translates and translates != wire.stream
                else ""
            )
            return Hop(node.name, role, action)
        action, detail = border_text(dropped)
        return Hop(node.name, role, action, detail, self._order(dropped.policy), True)

    def _at_translator(self, hop: Translator, wire: ModelledConnection, by_client: bool) -> Hop:
        """A subscriber's translator makes outgoing packets IPv6, incoming ones IPv4; the border's does the reverse."""
        at, sender = self.network.nodes[hop.link], self.network.nodes[wire.way(by_client).nodes[0]]
        own = [v for v in (at.vantage, *self._ends(wire)) if v is not None and v.id.operator == at.owner and v.nat64]
        if (at == sender) if at.vantage is not None else sender.vantage not in own:
            stream = wire.stream.as_ipv6(own[0].nat64) if own[0].nat64 is not None else wire.stream
            to = stream.server if by_client else stream.client
            return Hop(hop.link, "translator", f"translates it to IPv6, to {to}")
        return Hop(hop.link, "translator", "translates it back to IPv4")

    def _ends(self, wire: ModelledConnection) -> list[Vantage | None]:
        """Returns the subscriber groups at a connection's ends; None for an end that has none."""
        return [self.network.nodes[name].vantage for name in (wire.client, wire.server) if name is not None]

    def _at_router(self, node: Node, wire: ModelledConnection, by_client: bool) -> Hop | None:
        """Returns the hop of a router that hijacks or leaks the packet's prefix; None for any other router."""
        way = wire.way(by_client)
        to = ip_address(wire.stream.server if by_client else wire.stream.client)
        ends, is_on_the_way = not way.arrives and node.name == way.nodes[-1], node.name in way.nodes[2:]
        for name in self.verifier.classes.withdrawing(self.phase) if node.role is Role.BORDER else ():
            policy = self.shutdown.scenario.policies[name]
            changed = policy.hijack or policy.leak
            if changed is None or changed.by != node.owner or to not in changed.prefix:
                continue
            if policy.hijack is not None and ends:
                action = f"announces {changed.prefix}, and discards it"
                return Hop(node.name, node.role.value, action, "", self._order(name), True)
            if policy.leak is not None and is_on_the_way:
                action = f"has leaked {changed.prefix}, and passes it on"
                return Hop(node.name, node.role.value, action, "", self._order(name))
        return None

    def _ttls(self, wire: ModelledConnection) -> Iterator[tuple[str, int]]:
        by_client = not self._is_back(wire)
        way = wire.way(by_client)
        for step, passed in zip(wire.steps(by_client), way.passed, strict=False):
            if step.box and not step.crossing.tunnelled:
                yield f"{step.box}-box", passed + 1
        if way.arrives:
            yield way.nodes[-1], way.passed[-1] + 1

    def _longest(self, wire: ModelledConnection) -> Longest | None:
        by_client = not self._is_back(wire)
        found = narrowest(self.network, wire.way(by_client))
        if found is None:
            return None
        is_told = not found.router or wire.icmp_reaches_sender(found.router, client=by_client)
        return Longest(found.octets, found.link, found.router, is_told)

    def _at_switch(self, step: SwitchStep, wire: ModelledConnection, stopped: bool) -> list[Hop]:
        node = self.network.nodes[step.crossing.switch]
        role, rule = node.role.value.replace("-", " "), step.fate.decided_by
        if step.fate.dropped:
            order, table = self._order(rule.policy if rule else ""), int(rule.table) if rule else None
            return [Hop(node.name, role, "drops it", rule_text(rule), order, True, table)]
        action = f"holds it to {step.fate.rate:,} kbit/s" if step.fate.rate is not None else ""
        if rule is not None and rule.table is PipelineTable.EXEMPT:
            action = "spares it"
        if not step.box:
            return [
                Hop(
                    node.name,
                    role,
                    action,
                    rule_text(rule) if action else "",
                    self._order(rule.policy) if action and rule else None,
                    table=int(rule.table) if action and rule else None,
                )
            ]
        hops = [
            Hop(node.name, role, "sends a copy to the DPI box" if self._on_path(step) else "sends it to the DPI box")
        ]
        return [*hops, self._at_box(step, wire)]

    def _on_path(self, step: SwitchStep) -> bool:
        return self.shutdown.profiles[step.box].placement == "on-path"

    def _at_box(self, step: SwitchStep, wire: ModelledConnection) -> Hop:
        profile = self.shutdown.profiles[step.box]
        name, role = f"{step.box}-box", f"DPI box, {profile.name}"
        seen = next((seen for seen in wire.seen if seen.operator == step.box and seen.decision.action != "pass"), None)
        if seen is None:
            return Hop(name, role, "lets it pass")
        slows_it = seen.decision.action == "throttle"  # by dropping some of its packets
        stops = any(stop.at == name for stop in wire.stops) and not self._on_path(step) and not slows_it
        rule = seen.decision.rule or ""
        return Hop(
            name,
            role,
            ACTS.get(seen.decision.action, f"does {seen.decision.action}"),
            f"rule {rule}",
            next((self._order(name, rule) for name in policies_of_rule(wire, step.box, rule)), None),
            stops,
        )

    def _order(self, policy: str, rule: str = "") -> DecidingPolicy | None:
        scenario = self.shutdown.scenario
        if policy not in scenario.policies:
            return None
        record = scenario.policies[policy]
        names = [phase.phase for phase in scenario.timeline]
        begun = scenario.timeline[: names.index(self.phase.phase) + 1]
        since = max(index for index, phase in enumerate(begun) if policy in phase.start)
        place = ("timeline", since, "start", scenario.timeline[since].start.index(policy))
        at = self.shutdown.place(("policies", policy))
        if "/" in rule and record.inspect is not None:
            named = [each.name for each in record.inspect]
            index = named.index(rule.partition("/")[2]) if rule.partition("/")[2] in named else 0
            at = self.shutdown.place(("policies", policy, "inspect", index))
        return DecidingPolicy(
            policy, record.title, at, record.source, names[since], self.shutdown.place(place), self._account(policy)
        )

    def _account(self, policy: str) -> str:
        """Describes the chosen account if another account would leave the policy out; else ""."""
        for name, account in self.shutdown.scenario.accounts.items():
            for option, choice in account.options.items():
                if policy in choice.without:
                    chosen = self.choices[name]
                    return f"{name}={chosen}: {account.options[chosen].says}; not under {name}={option}"
        return ""

    def _saw(self, wire: ModelledConnection) -> Iterator[str]:
        for seen in wire.seen:
            yield f"{seen.operator}-box at packet {seen.packet}: {recognised(seen)}: {seen.decision.action}"


def _named(wire: ModelledConnection, line: ModelledLine) -> str:
    return described(wire) + (", the resolver's own query" if wire is line.unanswered else "")


def _others(wire: ModelledConnection | None, line: ModelledLine) -> int:
    """Counts the measurement's other connections; a resolver's own query is none of them."""
    return len(line.wires) - 1 if wire is not line.unanswered else 0


def _at_tunnel(node: Node, wire: ModelledConnection, by_client: bool) -> str:
    """Describes what a node at an end of a roaming client's tunnel does with a packet; "" for any other node."""
    client = wire.country.network.nodes[wire.client].vantage
    if wire.outer is None or client is None:
        return ""
    first, last = (wire.outer.client, wire.outer.server) if by_client else (wire.outer.server, wire.outer.client)
    into = f"sends it in a GTP-U tunnel, udp/{wire.outer.server_port} from {first} to {last}"
    if node.name == wire.client:
        return into if by_client else "takes it out of the tunnel"
    if node is router_of(wire.country.network, client.home):
        return "takes it out of the tunnel" if by_client else into
    return ""
