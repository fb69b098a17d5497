"""Breaks a running country as its scenario demands, and repairs it: real processes, interfaces and routes.

The kernel detects a cut cable by a port that is down, BGP by a lost session. A session's hold timer (30 s) is not
waited for, because scenario time jumps from phase to phase: a router that still holds a lost session restarts it.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pyroute2 import NetlinkError

from shutdownlab.box.dpi_box import BOX
from shutdownlab.compiler.counting import counts
from shutdownlab.compiler.lines import line_of
from shutdownlab.compiler.rejections import rejections
from shutdownlab.compiler.resolvers import Lies, lies_to
from shutdownlab.config.addresses import IpPrefix, is_address
from shutdownlab.config.numbers import TCP
from shutdownlab.country.borders import Borders
from shutdownlab.country.country import Country
from shutdownlab.country.late_resolvers import LateResolvers
from shutdownlab.country.lines import Lines
from shutdownlab.country.reconfigured import switches_of
from shutdownlab.inspection.apps import App
from shutdownlab.model import routing
from shutdownlab.model.faults import AUTHORITY, NO_DAMAGE, Damage, DeclaredFault, Parts, damage_of, hosts_of, routers_of
from shutdownlab.model.network import Link, Network, Node, Role
from shutdownlab.model.policy import Policy
from shutdownlab.model.routing import router_of
from shutdownlab.model.topology import VantageId
from shutdownlab.network.delay_line import RELAY
from shutdownlab.network.ovs import LabSwitch
from shutdownlab.servers import birdc
from shutdownlab.servers.daemon import Daemon
from shutdownlab.servers.dns import view_of
from shutdownlab.servers.routing import CONFIG_FILE, bird_config
from shutdownlab.servers.start import ServicesNotReady
from shutdownlab.servers.unbound_control import set_lies
from shutdownlab.system.kernel import MachineCannot
from shutdownlab.system.namespace import Namespace
from shutdownlab.verifier.routes import Routes

_NO_PROGRESS_S: Final = 15.0
_LOOK_S: Final = 0.02
_RULE_PRIORITY: Final = 100
_BLACKHOLE: Final = "blackhole"


class BeyondMending(Exception):
    """Raised for damage that only another country can undo; the text names it."""


@dataclass(slots=True)
class Breaker:
    """Keeps a country as broken as a phase requires."""

    country: Country
    network: Network
    _faults: dict[str, DeclaredFault] = field(default_factory=dict)
    _ports: set[tuple[str, str]] = field(default_factory=set)
    """The ports that are down, as (switch, port)."""
    _rerouted: Damage = NO_DAMAGE
    """The routing changes now in force in BGP."""
    _once_contested: frozenset[IpPrefix] = frozenset()
    """Prefixes that have ever been hijacked, leaked or announced in parts."""
    _muted: set[str] = field(default_factory=set)
    """The controllers whose messages are dropped."""
    borders: Borders = field(init=False)

    lines: Lines = field(init=False)
    late: LateResolvers = field(init=False)

    def __post_init__(self) -> None:
        net, changing = self.country.net, self.country.reconfigured.allow
        self.borders = Borders(net, self.network, changing)
        relay = next((process for process in self.country.others if process.name == RELAY), None)
        self.lines = Lines(self.network, relay, net.delay_lines)
        self.late = LateResolvers(net, self.network, {each.name: each for each in self.country.others}, changing)

    def become(self, faults: Mapping[str, DeclaredFault], *, anew: bool = True) -> None:
        """Repairs faults that have ended, causes new ones, and waits until all routers and servers have adapted.

        `anew`: whether to carry out the faults' `restart`. Raises `BeyondMending`, and what starting and waiting raise.
        """
        gone = [fault for name, fault in self._faults.items() if name not in faults]
        if any(fault.dead.switches for fault in gone):
            raise BeyondMending("switches that were dead")
        if not faults and not self._faults:
            return
        staying = [fault for name, fault in self._faults.items() if name in faults]
        coming = [fault for name, fault in faults.items() if name not in self._faults]
        if gone:
            self._mend(gone, staying, coming)
        self._faults = dict(faults)
        damage = damage_of(self.network, faults.values()) | self._rerouted
        self.country.expect(damage)
        for fault in faults.values():
            self._break(fault)
        self._set_ports(damage)
        for fault in faults.values():
            if fault.restart is not None and anew:
                self._start_again(fault.restart)
        self._let_routers_know(damage)
        self.country.services.wait_ready()
        self.country.begin_watch()

    def carry_out(self, held: Callable[[str], Mapping[str, Policy]], apps: Mapping[str, App]) -> None:
        """Makes routers and resolvers carry out each operator's policies, and waits until all have.

        `held`: the policies that an operator carries out, by its name. Raises what waiting does, `OSError` and
        `MachineCannot`.
        """
        wanted = routing.route_changes(self.network, held)
        lies_by_vantage = {v.id: lies_to(v, apps, held(v.id.operator)) for v in self.network.vantages}
        changed = wanted.withdrawn or wanted.announced or wanted.leaked
        if changed or any(is_address(str(lie)) for lies in lies_by_vantage.values() for lie, _ in lies.values()):
            self.borders.tell()
        self.reroute(wanted)
        self.borders.discard(wanted)
        for operator in self.network.topology.operators:
            self.borders.reject(operator, rejections(self.network, apps, held(operator), operator))
            self.borders.count(operator, counts(self.network, apps, held(operator), operator))
        vantages, links = self.network.vantages, self.network.topology.links
        self.lines.become({v.id: line_of(links.get(v.access.value), v, held(v.id.operator)) for v in vantages})
        self.lie(lies_by_vantage)
        self.late.become(lies_by_vantage, self.country.damage)

    def reroute(self, wanted: Damage) -> None:
        """Makes operators announce and pass on exactly what is wanted, and waits until all routers have converged.

        Raises what waiting does.
        """
        wanted = wanted.seen_by_bgp
        if wanted == self._rerouted:
            return
        changes = [
            getattr(wanted, name) ^ getattr(self._rerouted, name) for name in ("withdrawn", "announced", "leaked")
        ]
        changed = {each.operator for change in changes for each in change}
        self._rerouted = wanted
        self._once_contested |= wanted.contested
        self._once_contested |= {prefix for own in routing.anycast(self.network).values() for prefix in own}
        damage = damage_of(self.network, self._faults.values()) | wanted
        self.country.expect(damage)
        for node in (self.network.one(Role.BORDER, name) for name in changed):
            daemon = self.country.services.find("bird", node.name)
            file = daemon.directory / CONFIG_FILE
            file.write_text(bird_config(self.network, node, wanted))
            self.country.server_files.wrote(file)
            if node.name not in damage.routers:  # a stopped router reads it when it starts
                assert daemon.control is not None, "every bird has one"
                birdc.ask(daemon.control, "configure")
        self._let_routers_know(damage)
        self.country.services.wait_ready()

    def lie(self, wanted: Mapping[VantageId, Lies]) -> None:
        """Configures resolvers' false answers to each subscriber group; skips a resolver that hangs.

        Raises `OSError`.
        """
        for place, vantage in enumerate(self.network.vantages):
            node = self.network.one(Role.RESOLVER, vantage.id.operator)
            before, now = self.country.lies.get(vantage.id, {}), wanted.get(vantage.id, {})
            if before == now or node.name in self.country.damage.silent:
                continue
            control = self.country.services.find("unbound", node.name).control
            assert control is not None, "every resolver has one"
            set_lies(control, view_of(place), before, now)
            self.country.lies[vantage.id] = now

    # -- processes ----------------------------------------------------------------------------------------------------

    def _break(self, fault: DeclaredFault) -> None:
        if fault.partition is not None:
            self._mute({*self._muted, *fault.partition.controllers})
        blow = signal.SIGKILL if fault.kill is not None else signal.SIGSTOP
        for pid in self._processes(fault.dead):
            strike(pid, blow)
        for name in fault.dead.switches:
            for daemon in self.country.net.instances[name].daemons.values():
                strike(daemon.pid, blow)

    def _mend(
        self, gone: Collection[DeclaredFault], staying: Collection[DeclaredFault], coming: Collection[DeclaredFault]
    ) -> None:
        """Restores what the ended faults broke, except what other faults still break or are about to.

        A controller that returns receives the latest order and obeys it before the authority can fail. A controller
        that another fault removes at once is not restored in between.
        """
        others = [*staying, *coming]
        away = {name for fault in others for name in fault.lone_controllers}
        back = {name for fault in gone for name in fault.lone_controllers} - away
        self._mute(self._muted - back)
        dead = [fault.kill for fault in others if fault.kill is not None]
        hanging = [fault.stop for fault in others if fault.stop is not None]
        for name in sorted(back, key=AUTHORITY.__ne__):
            process = self.country.controllers.processes[name]
            if process.alive():
                strike(process.pid, signal.SIGCONT)
            else:
                self.country.start_controller(name)
        for fault in gone:
            if fault.kill is not None:
                self._start_again(fault.kill.without(dead).model_copy(update={"controllers": ()}))
            elif fault.stop is not None:
                parts = fault.stop.without([*dead, *hanging]).model_copy(update={"controllers": ()})
                for pid in self._processes(parts):
                    strike(pid, signal.SIGCONT)
                for daemon in self._daemons(Parts(routers=parts.routers)):
                    assert daemon.control is not None, "every bird has one"
                    birdc.ask(daemon.control, "configure")
        still = damage_of(self.network, gone) & damage_of(self.network, coming)
        damage = damage_of(self.network, staying) | still | self._rerouted
        self.country.expect(damage)
        self._set_ports(damage)
        if back:
            self.country.authority.order_again(damage)

    def _start_again(self, parts: Parts) -> None:
        """Restarts these parts, after killing any that still run."""
        for pid in self._processes(parts):
            strike(pid, signal.SIGKILL)
        for name in sorted(parts.controllers, key=AUTHORITY.__ne__):
            self.country.start_controller(name)
        for process in [each for each in self.country.others if each.name in self._box_names(parts)]:
            self.country.start_box(process)
        for daemon in list(self._daemons(parts)):
            self.country.services.processes[daemon].wait()
            self.country.services.start_again(daemon)
            if daemon.name == "unbound":  # a new resolver has no lies configured
                owner = self.network.nodes[daemon.node].owner
                for there in [there for there in self.country.lies if there.operator == owner]:
                    del self.country.lies[there]

    def _processes(self, parts: Parts) -> Iterator[int]:
        """Returns the ids of the running processes of these parts, of those that can be restarted."""
        running = self.country.services.processes
        pids = [running[daemon].pid for daemon in self._daemons(parts) if running[daemon].poll() is None]
        controllers = self.country.controllers.processes
        pids += [controllers[name].pid for name in parts.controllers if controllers[name].alive()]
        pids += [each.pid for each in self.country.others if each.name in self._box_names(parts) and each.alive()]
        return iter(pids)

    def _box_names(self, parts: Parts) -> set[str]:
        return {f"{BOX}{self.network.one(Role.DPI_BOX, name).name}" for name in parts.boxes}

    def _daemons(self, parts: Parts) -> Iterator[Daemon]:
        network = self.network
        hosts = [network.one(Role.RESOLVER, name) for name in parts.resolvers]
        hosts += [network.one(Role.TELEPHONE, name) for name in parts.telephones]
        hosts += hosts_of(network, parts.servers)
        named = {node.name for node in hosts}
        speaking = {node.name for node in routers_of(network, parts.routers)}
        for daemon in self.country.services.daemons:
            if daemon.name != "nsd" and daemon.node in (speaking if daemon.name == "bird" else named):
                self.country.reconfigured.allow(daemon.node)  # a tunnel's interface comes and goes with its daemon
                yield daemon

    def _mute(self, names: Iterable[str]) -> None:
        """Drops what exactly these controllers send to switches and boxes.

        Other controllers and the run still reach them, over another path within the sandbox.
        """
        wanted = set(names)
        for name in self._muted ^ wanted:
            addresses = self.country.controllers.addresses
            for _, port in (addresses.openflow[name], addresses.boxes[name]):
                self._rule("add" if name in wanted else "del", port)
        self._muted = wanted

    def _rule(self, verb: str, port: int) -> None:
        with Namespace.current("sandbox").netlink() as netlink:
            try:
                ports = f"{port}:{port}"
                netlink.rule(verb, priority=_RULE_PRIORITY, action=_BLACKHOLE, ip_proto=TCP, sport_range=ports)
            except NetlinkError as error:
                why = f"the kernel refuses a routing rule by port ({error})"
                raise MachineCannot(
                    "partition a controller", why, "use a kernel with CONFIG_IP_MULTIPLE_TABLES"
                ) from error

    # -- cables -------------------------------------------------------------------------------------------------------

    def _set_ports(self, damage: Damage) -> None:
        """Takes down the ports of links that are cut, and brings up those of the rest."""
        wanted = {end for link in self._dead_links(damage) for end in self._ends(link)}
        for node, port in self._ports ^ wanted:
            self._set_port(node, port, "down" if (node, port) in wanted else "up")
        self._ports = wanted

    def _dead_links(self, damage: Damage) -> Iterator[Link]:
        for link in self.network.links:
            if link in damage.links or not damage.dark.isdisjoint((link.a.node, link.b.node)):
                yield link

    def _ends(self, link: Link) -> Iterator[tuple[str, str]]:
        """Yields a link's ends at switches: the other end loses the carrier and keeps its addresses and routes.

        Between two routers it is the first one's end.
        """
        switches = [end for end in (link.a, link.b) if self.network.nodes[end.node].role in _SWITCHES]
        yield from ((end.node, end.port) for end in switches or (link.a,))

    def _set_port(self, node: str, port: str, state: str) -> None:
        there = self.country.net.get(node)
        self.country.reconfigured.allow(switches_of(there.instance.name) if isinstance(there, LabSwitch) else node)
        interface = there.nameToIntf.get(port)
        if interface is not None and hasattr(interface, "index"):  # a patch port has none: both its switches are dark
            interface.ifconfig(state)

    # -- routing ------------------------------------------------------------------------------------------------------

    def _let_routers_know(self, damage: Damage) -> None:
        """Restarts sessions that cannot be up but still are, until they and their routes are gone."""
        if not damage and not self._once_contested:
            return
        alive = {n.name: n for n in routing.routers(self.network) if n.name not in damage.routers}
        lost = {name: routing.lost_sessions(self.network, node, damage) for name, node in alive.items()}
        deadline, before = time.monotonic() + _NO_PROGRESS_S, None
        while problems := list(self._not_converged(alive, lost, damage)):
            now = time.monotonic()
            if problems != before:
                before, deadline = problems, now + _NO_PROGRESS_S
            elif now > deadline:
                raise ServicesNotReady(problems)
            time.sleep(_LOOK_S)

    def _not_converged(
        self, alive: Mapping[str, Node], lost: Mapping[str, frozenset[str]], damage: Damage
    ) -> Iterator[str]:
        routes = Routes(self.network, damage)
        originated = self.country.services.converged.originated
        for name, node in alive.items():
            control = self.country.services.find("bird", name).control
            assert control is not None, "every bird has one"
            try:
                up = birdc.sessions_up(control)
                for session in lost[name] & up:
                    birdc.ask(control, f"restart {session}")
                there = birdc.best_routes(control, 4) | birdc.best_routes(control, 6)
            except OSError as error:  # bird has just been started
                yield f"bird on {name}: {error}"
                continue
            if lost[name] & up:
                yield f"bird on {name}: still in session {', '.join(sorted(lost[name] & up))}"
                continue
            if node.role is Role.ROUTE_SERVER:
                continue
            for other in (each for each in alive.values() if each.role is not Role.ROUTE_SERVER):
                if other.owner == node.owner:
                    continue
                for prefix in originated[other.name]:
                    leads = routes.leads(node.owner, other.owner, prefix)
                    if (str(prefix) in there) is not leads:
                        yield f"bird on {name}: {'no' if leads else 'still a'} route to {prefix}"
            for prefix in self._once_contested:
                wanted, found = self._route_wanted(routes, node, prefix), there.get(str(prefix))
                if wanted is None and found is not None:
                    yield f"bird on {name}: still a route to {prefix}"
                elif wanted is not None and (found is None or found._replace(teller="") != wanted):
                    yield f"bird on {name}: {found or 'no route'} to {prefix}, not {wanted}"

    def _route_wanted(self, routes: Routes, node: Node, prefix: IpPrefix) -> birdc.BestRoute | None:
        """Returns the route that a router should have to a prefix that is or was contested, after convergence."""
        heard = routes.selected(node.owner, prefix)
        if heard is None:
            return None
        if not heard.path:
            return birdc.BestRoute("", None, "")
        network, version = self.network, prefix.version
        origin = routing.asn(network, router_of(network, heard.path[-1]))
        following = router_of(network, heard.hop.owner)
        if heard.hop.lan == "backbone":
            port = next(p for p in following.ports.values() if p.peer.node == node.name)
        else:
            exchange = heard.hop.lan == "exchange"
            port = following.ports["ix"] if exchange else routing.ground_port(network, following, node)
        via = next(str(a.ip) for a in port.addresses if a.version == version)
        return birdc.BestRoute("", origin, via)


_SWITCHES: Final = {Role.ACCESS_SWITCH, Role.DPI_SWITCH, Role.GATEWAY_SWITCH, Role.EXCHANGE_SWITCH}


def strike(pid: int, blow: int) -> None:
    """Sends a signal to a process and all its descendants; ignores those that have ended."""
    for each in _tree(pid):
        with suppress(ProcessLookupError):
            os.kill(each, blow)


def _tree(pid: int) -> list[int]:
    """Returns the ids of a process and its descendants, parents first."""
    found = [pid]
    for each in found:
        with suppress(OSError):
            for task in (Path("/proc") / str(each) / "task").iterdir():
                found += map(int, (task / "children").read_text().split())
    return found
