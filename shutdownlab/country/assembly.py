"""A whole running country: network, controllers, DPI boxes, delay lines, servers and probe agents. In a sandbox."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from shutdownlab.box.dpi_box import BOX, start_box
from shutdownlab.box.inspector import engine_maker
from shutdownlab.box.tls_proxy import PROXY
from shutdownlab.control.addresses import AUTHORITY, controller_addresses
from shutdownlab.control.processes import AuthorityClient, ControlError, Controllers, start_controllers
from shutdownlab.country import path_mtu
from shutdownlab.country.borders import join_translators, translate
from shutdownlab.country.boxes import begin_recorder, begin_relay, box_spec
from shutdownlab.country.health import Examination, Watch
from shutdownlab.country.liveness import AT_LAST_S, SOON_S, Liveness, interrupted, missed_by
from shutdownlab.country.offload import finish_by_senders
from shutdownlab.country.plan import Plan
from shutdownlab.country.racing import Racer
from shutdownlab.country.roaming import begin_tunnels, lost_by
from shutdownlab.measure.confirmation import Prober
from shutdownlab.model.faults import NO_DAMAGE, Damage
from shutdownlab.model.network import Node, Role
from shutdownlab.network.datapath import Choice, choose
from shutdownlab.network.delay_line import RELAY
from shutdownlab.network.home_tunnels import TUNNELS
from shutdownlab.network.net import EmulatedNetwork
from shutdownlab.network.ovs import LabSwitch, OvsInstance
from shutdownlab.network.recorder import RECORDER, mark, patience_s
from shutdownlab.network.rule_counts import CountsMissing, standing_rules
from shutdownlab.network.topo import CountryTopo
from shutdownlab.protocol.messages import BoxJoined, Counters, Failure, Message, Parted, decode
from shutdownlab.servers.late_answers import process_name, start_doorkeeper
from shutdownlab.servers.start import Services, start_services
from shutdownlab.servers.tls import CertificateAuthority
from shutdownlab.system.child_process import Forked, ForkedError, ending
from shutdownlab.system.inside import require_sandbox

_WITH_AGENTS = (Role.SUBSCRIBER, Role.CONTROL, Role.SERVERS)
_BACK_S = 10.0
_AGAIN_S = 0.25
_RECENT = 60
"""How many of its latest decisions a DPI box reports when it is asked whether it answers."""
_TRUSTED = Path("/etc/ssl/certs/ca-certificates.crt")
_STATE_ROOT = "state-root.pem"
_TRUST_VARIABLES = ("SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "GIT_SSL_CAINFO")


@dataclass(slots=True)
class Country:
    """A running country; `build` makes one.

    `others`: the DPI boxes, delay line, tunnels, processes in front of late resolvers, and recorder. `start_again`:
    restarts those that can be replaced, by process name; `new_controller`: starts a controller, by its operator's name.
    `trusted`: certificate of the lab's authority, which stands for those that browsers trust. `state_root`: certificate
    of the authority that signs intercepted TLS; exists once a box intercepts. `took`: seconds that each step of
    building took.
    """

    plan: Plan
    datapath: Choice
    net: EmulatedNetwork
    controllers: Controllers
    authority: AuthorityClient
    services: Services
    agents: Prober
    others: list[Forked]
    trusted: Path
    state_root: Path
    start_again: Mapping[str, Callable[[], Forked]]
    new_controller: Callable[[str], Forked]
    took: dict[str, float] = field(default_factory=dict)
    watch: Watch = field(default_factory=lambda: Watch({}))
    heard: list[Message] = field(default_factory=list)
    """Messages from controllers that arrived during a health check or the restart of a box."""
    aside: list[Message] = field(default_factory=list)
    """Messages from DPI boxes that arrived while these were asked something; the next examination reads them."""
    missed: dict[str, int] = field(default_factory=dict)
    """How many frames each on-path DPI box, and how many packets the tunnels, had missed at the last check."""
    sessions: dict[str, dict[str, float]] = field(default_factory=dict)
    """Since when each router's BGP sessions were up when the phase's measurements began."""
    damage: Damage = NO_DAMAGE
    """What is broken on purpose, and so no fault of the run."""

    def begin_watch(self) -> None:
        """Starts watching every process of the country; `examine` reports what happened to them."""
        titles = {process.pid: daemon.title for daemon, process in self.services.watched.items()}
        titles |= {
            process.pid: f"the controller of {name}"
            for name, process in self.controllers.processes.items()
            if name not in self.damage.leaderless
        }
        titles |= {process.pid: process.name for process in self.others if not self._is_broken(process)}
        titles |= {pid: f"the probe agent of {name}" for name, pid in self.agents.pids.items()}
        for name, instance in self._instances.items():
            titles |= {process.pid: f"{program} of {name}" for program, process in instance.daemons.items()}
        forking = frozenset(process.pid for daemon, process in self.services.processes.items() if daemon.forks)
        self.watch = Watch(titles, forking)
        self.watch.begin()

    def begin_measuring(self) -> None:
        """Notes what has started since the watch began, and how long BGP sessions have been up: orders change both."""
        self.watch.learn()
        self.sessions = self._liveness.sessions()

    @property
    def _liveness(self) -> Liveness:
        return Liveness(self.plan.network, self._instances, self.services, self.agents, self.plan.files)

    @property
    def carriers(self) -> dict[int, str]:
        """Names of the processes that carry or answer packets, by process id.

        Agents are left out: they measure their own starvation.
        """
        agents = set(self.agents.pids.values())
        return {pid: title for pid, title in self.watch.processes.items() if pid not in agents}

    @property
    def keepers(self) -> frozenset[int]:
        """The carriers that terminate connections and open others in their place, and buffer bytes while they wait."""
        return frozenset(pid for pid, title in self.watch.processes.items() if f"({PROXY}" in title)

    @property
    def racers(self) -> dict[str, Racer]:
        """The running on-path DPI boxes, which must answer before the server does, by operator."""
        carriers = self.carriers
        running = {each.name: each for each in self.others if each.pid in carriers}
        named = {operator: f"{BOX}{box}" for operator, box in self._on_path.items()}
        return {
            operator: Racer(running[name], self._switching(operator))
            for operator, name in named.items()
            if name in running
        }

    def _switching(self, operator: str) -> int | None:
        """Returns the id of the process that switches an operator's DPI box's frames; None if it should not run."""
        switch: LabSwitch = self.net.get(self.plan.network.one(Role.DPI_SWITCH, operator).name)
        pid = switch.instance.daemons["ovs-vswitchd"].pid
        return pid if pid in self.carriers else None

    def expect(self, damage: Damage) -> None:
        """Sets what is broken on purpose from now on."""
        self.damage = damage
        self.services.expect(damage)

    @property
    def _instances(self) -> dict[str, OvsInstance]:
        """The Open vSwitch instances that should be running."""
        return {n: instance for n, instance in self.net.instances.items() if n not in self.damage.switchless}

    def _is_broken(self, process: Forked) -> bool:
        """Whether one of `others` is a DPI box that is broken on purpose."""
        return process.name.removeprefix(BOX) in self.damage.boxes | self.damage.mute_boxes

    def start_controller(self, name: str) -> None:
        """Restarts a controller that has ended: an operator's, or the authority's, to which the run then reconnects."""
        self.controllers.processes[name].wait(None)
        self.controllers.processes[name] = self.new_controller(name)
        if name == AUTHORITY:
            self.authority.connect_again()

    def start_box(self, process: Forked) -> bool:
        """Restarts a DPI box that has ended; returns whether it joined the commanding controller again in time."""
        process.wait(None)
        process.close()
        place = self.others.index(process)
        self.others[place] = self.start_again[process.name]()
        self.others[place].wait_ready()
        return self._is_back(process.name.removeprefix(BOX))

    def faults(self) -> Iterator[str]:
        """Yields a sentence for each fault since the last call."""
        yield from self.examine().found
        self.begin_watch()

    def examine(self) -> Examination:
        """Returns what has gone wrong since the watch began; restarts dead DPI boxes and resumes stopped processes."""
        seen = self.watch.examine()
        doubts, lost = list(seen.doubts), [*self.services.died(), *seen.lost]
        lost += self.controllers.died(self.damage.leaderless)
        lost += [f"the probe agent of {name} has ended ({why})" for name, why in self.agents.ended().items()]
        for name, instance in self._instances.items():
            for program, daemon in instance.daemons.items():
                if daemon.poll() is not None:
                    lost.append(f"{program} of {name} {ending(daemon.returncode)}")
        doubts += self._complaints()
        for process in list(self.others):
            if process.alive() or self._is_broken(process):
                continue
            how = f"{process.name} {ending(process.status)}" + (f": {process.failure}" if process.failure else "")
            if (
                process.name not in self.start_again or lost
            ):  # a lost country has no controller to report a box's return
                lost.append(how)
                continue
            (doubts if self.start_box(process) else lost).append(f"{how}, and was started again")
        return Examination(tuple(doubts), tuple(lost))

    def _complaints(self) -> list[str]:
        """Returns the failures that DPI boxes and their like have told since the last call, each once."""
        said, self.aside[:] = [*self.aside], []
        for process in self.others:
            said += map(decode, process.receive())
        return list(dict.fromkeys(f"{m.where}: {m.text}" for m in said if isinstance(m, Failure)))

    def examine_answering(self) -> Examination:
        """Like `examine`, and also asks every process for an answer, because a running one may hang.

        Waits 12 s or more before it reports a process that does not answer as lost. Too little memory, disk space or
        file descriptors also counts as a doubt.
        """
        seen = self.examine()
        if seen.lost:
            return seen
        liveness = self._liveness
        asked = {RELAY, TUNNELS, *map(process_name, self.plan.network.nodes)}
        late, mute = liveness.ask([process for process in self.others if process.name in asked])
        if not mute:
            asked_late, mute = self._ask_controllers()
            late += [*asked_late, *self._complaints(), *self._lost_in_tunnels()]
            late += interrupted(self.sessions, liveness.sessions())
        if not mute:
            mute = self._rules_lost()
        return Examination((*seen.doubts, *late, *liveness.shortages()), tuple(mute))

    def _lost_in_tunnels(self) -> Iterator[str]:
        """Yields a sentence if roaming subscribers' tunnels have dropped packets because their queue was full."""
        for process in self.others:
            if process.name == TUNNELS and (lost := lost_by(process, SOON_S, self.missed.get(TUNNELS, 0))):
                self.missed[TUNNELS] = self.missed.get(TUNNELS, 0) + lost
                yield f"{TUNNELS} has lost {lost} packets: this machine is busy"

    @property
    def _switches(self) -> list[Node]:
        """The switches that should be running."""
        nodes = self.plan.network.nodes.values()
        return [node for node in nodes if node.role.is_openflow and node.owner not in self.damage.switchless]

    @property
    def _on_path(self) -> dict[str, str]:
        """The on-path DPI boxes, by operator."""
        racing = (o for o, profile in self.plan.profiles.items() if profile.placement == "on-path")
        return {operator: self.plan.network.one(Role.DPI_BOX, operator).name for operator in racing}

    def _ask_controllers(self) -> tuple[list[str], list[str]]:
        """Returns which DPI boxes, or their controllers, were late to report their counters, and which never did."""
        damage, network = self.damage, self.plan.network
        if AUTHORITY in damage.leaderless:
            return [], []
        asked = {node.name for node in network.by_role(Role.DPI_BOX) if node.owner not in damage.leaderless}
        boxes = asked - damage.boxes - damage.mute_boxes
        watched = boxes | {node.name for node in self._switches}
        late: list[str] = []
        for seconds in (SOON_S, AT_LAST_S):
            try:
                told = self.authority.counters(seconds, boxes, _RECENT)
            except ControlError as error:
                return late, [str(error)]
            self.heard += told
            counted = [message for message in told if isinstance(message, Counters)]
            late += missed_by(counted, self._on_path.values(), self.missed)
            # While disconnected, packets bypassed it or were lost.
            parted = dict.fromkeys(message.node for message in told if isinstance(message, Parted))
            parted |= dict.fromkeys(message.box for message in told if isinstance(message, BoxJoined))
            late += [f"{name} and its controller had no connection for a while" for name in parted if name in watched]
            mute = boxes - {message.where for message in counted}
            problems = [f"{box}, or its controller, does not answer" for box in sorted(mute)]
            if not problems:
                return late, []
            late = late or problems
        return late, problems

    def _rules_lost(self) -> list[str]:
        """Returns a sentence for each switch whose number of rules is not what it last confirmed.

        Measurements through such a switch are void. A controller that believes its rules are installed does not install
        them again. Switches of a user's own controller are skipped, because only that controller knows what it has
        installed; without the authority, also those that may bypass a lost box by now, which nobody hears confirmed.
        """
        heard = AUTHORITY not in self.damage.leaderless
        known = [n for n in self._switches if n.owner not in self.plan.controllers]
        asked = {n.name: self.net.get(n.name) for n in known if heard or n.role is not Role.DPI_SWITCH}
        end = time.monotonic() + AT_LAST_S
        while True:
            found = {name: _held_by(switch) for name, switch in asked.items()}
            asked = {name: asked[name] for name, rules in found.items() if rules != self.authority.held[name]}
            if not asked or time.monotonic() > end or not heard:
                return [f"the switch {n} holds {found[n]} rules, not {self.authority.held[n]}" for n in asked]
            try:
                # rules that bypass a lost box are confirmed a moment later
                self.heard += self.authority.events(_AGAIN_S)
            except ControlError as error:
                return [str(error)]

    def box_counters(self, seconds: float, recent: int = 0) -> dict[str, dict[str, Any]]:
        """Returns the counters of the DPI boxes that answer within `seconds`. Raises `ControlError`.

        recent: how many of its latest decisions each box adds.
        """
        damage, network = self.damage, self.plan.network
        if AUTHORITY in damage.leaderless:
            return {}
        asked = {node.name for node in network.by_role(Role.DPI_BOX) if node.owner not in damage.leaderless}
        told = self.authority.counters(seconds, asked - damage.boxes - damage.mute_boxes, recent)
        self.heard += [message for message in told if not isinstance(message, Counters)]
        return {m.where: dict(m.counters) for m in told if isinstance(m, Counters) and m.counters}

    def _is_back(self, box: str) -> bool:
        """Waits until the controller in command reports that this box has joined again."""
        end = time.monotonic() + _BACK_S
        while (left := end - time.monotonic()) > 0:
            told = self.authority.events(left)
            self.heard += told
            if any(isinstance(message, BoxJoined) and message.box == box for message in told):
                return True
        return False

    def jump(self) -> None:
        """Follows a jump in scenario time: flushes resolvers' caches and hosts' path MTUs.

        Raises `OSError`, pyroute2.NetlinkError.
        """
        self.services.flush_dns()
        path_mtu.forget(self.net, self.plan.network)

    def mark(self, text: str, switch: str = "") -> None:
        """Writes a comment into the captures, if there are any, of all switches or of one."""
        for process in self.others:
            if process.name == RECORDER:
                mark(process, text, switch)

    def finish(self) -> list[Message]:
        """Stops DPI boxes, delay lines and the recorder cleanly; returns their last messages: their counters."""
        said: list[Message] = []
        for process in self.others:
            if process.name != RECORDER:  # it records what the others still send
                process.finish()
        for process in self.others:
            try:
                recorded = self.plan.pcap if process.name == RECORDER else None
                said += map(decode, process.stop(patience_s(recorded)) if recorded else process.stop())
            except ForkedError as error:
                said.append(Failure(process.name, str(error)))
        return said

    def described(self) -> dict[str, object]:
        """Describes the emulation for a run's manifest."""
        netem = self.net.cabling.features.netem
        return {
            "datapath": self.datapath.name,
            "datapath_asked_for": self.datapath.wish,
            "datapath_because": self.datapath.why,
            "openvswitch": ovs_version(),
            "openflow": str(self.plan.ryu or f"os-ken {version('os-ken')}"),
            "delays": "netem" if netem else "userspace delay line",
            "delay_lines": len(self.net.delay_lines),
            "nodes": len(self.plan.network.nodes),
            "build_seconds": self.took,
        }

    def environment(self) -> dict[str, str]:
        """Returns the environment for programs run on a node, which makes them trust the lab's certificates."""
        return os.environ | _trusting(self.trusted, self.state_root)


def _held_by(switch: LabSwitch) -> int | str:
    """Returns the number of standing rules of a switch, or why it is not known."""
    try:
        return standing_rules(switch.management)
    except CountsMissing as missing:
        return f"no known number of ({missing})"


def _trusting(trusted: Path, state_root: Path) -> dict[str, str]:
    return dict.fromkeys(_TRUST_VARIABLES, str(trusted)) | {"SHUTDOWNLAB_STATE_ROOT": str(state_root)}


def _as_subscriber(enter: Callable[[], None], variables: Mapping[str, str]) -> None:
    """Moves a probe agent into its node; makes its subprocesses trust the lab's certificates."""
    enter()
    os.environ.update(variables)


@contextmanager
def _timed(took: dict[str, float], step: str) -> Iterator[None]:
    start = time.monotonic()
    yield
    took[step] = round(time.monotonic() - start, 3)


def build(plan: Plan, tell: Callable[[str], None] = lambda _: None) -> Country:
    """Builds and starts a country; returns once every route, server and agent is ready.

    `tell` is called with the name of each step as it begins. Raises `MachineCannot`, `ServicesNotReady`, `ForkedError`.
    Must be called in a sandbox, from the main thread, before any other thread is started.
    """
    require_sandbox()
    network, took = plan.network, dict[str, float]()
    datapath = choose(plan.datapath)
    plan.files.mkdir(parents=True, exist_ok=True)
    where = controller_addresses(network.topology.operators)
    with _timed(took, "network"):
        tell("building the network")
        topo = CountryTopo(network, targets=lambda node: tuple(f"tcp:{h}:{p}" for h, p in where.of_switch(node.owner)))
        ca = CertificateAuthority(network.names_hosted(), network.addresses_hosted())
        trusted = _trust(ca, plan.files)  # before nodes get their own mount namespaces
        state_root = plan.files / _STATE_ROOT
        net = EmulatedNetwork(
            topo, datapath=datapath.datapath, log_dir=plan.files / "openvswitch", userspace_delays=plan.degrades
        )
    with _timed(took, "processes"):
        tell("starting controllers, DPI boxes, delay lines and probe agents")
        logs = plan.files / "controllers"
        given = (network, plan.apps, where, plan.profiles, logs)
        controllers = start_controllers(*given, own=plan.controllers, ryu=plan.ryu)

        def new_controller(name: str) -> Forked:
            return start_controllers(*given, names=[name], own=plan.controllers, ryu=plan.ryu).processes[name]

        relay = begin_relay(net, plan.seed)
        resolvers = [network.one(Role.RESOLVER, name) for name in sorted(plan.late)]
        doorkeepers = [start_doorkeeper(n.name, n.addresses, net.get(n.name).enter()) for n in resolvers]
        maker = engine_maker(plan.apps, plan.profiles.values())
        start_again = {}
        boxes = []
        for name in network.topology.operators:
            spec = box_spec(plan, net, where, trusted, state_root, name)
            boxes.append(start_box(spec, maker))
            start_again[boxes[-1].name] = partial(start_box, spec, maker)
        agents = Prober()
        variables = _trusting(trusted, state_root)
        asked = [node.name for role in _WITH_AGENTS for node in network.by_role(role)]
        entrances = {}
        for name in asked:
            net.get(name).variables.update(plan.key_log(network.nodes[name].owner))
            entrances[name] = partial(_as_subscriber, net.get(name).enter(), variables | net.get(name).variables)
        known = {name: each.texts for each in reversed(network.hosted) for name in each.names}
        agents.start(entrances, known)
    with _timed(took, "switches"):
        tell(f"starting Open vSwitch, {datapath.name} datapath ({datapath.why})")
        net.start()
        translate(net, network)
        join_translators(net, network)
        tunnels = begin_tunnels(net, network)
        finish_by_senders(net, network, ovs_version())
    recorder = begin_recorder(plan, net) if plan.pcap else None
    with _timed(took, "services"):
        tell("starting routers and servers")
        services = start_services(net, network, ca, plan.files / "services")
        authority = AuthorityClient(controllers)
        authority.order("no policy", {})
        others = [*boxes, *doorkeepers, *(process for process in (relay, tunnels, recorder) if process)]
        for process in others:
            process.wait_ready()
        services.wait_ready()
    country = Country(
        plan,
        datapath,
        net,
        controllers,
        authority,
        services,
        agents,
        others,
        trusted,
        state_root,
        start_again,
        new_controller,
        took,
    )
    country.begin_watch()
    return country


def _trust(ca: CertificateAuthority, files: Path) -> Path:
    """Makes the lab's authority the only one that programs in the sandbox trust."""
    from shutdownlab.system import syscalls

    path = files / "ca.pem"
    path.write_bytes(ca.pem)
    if _TRUSTED.exists():
        syscalls.bind(str(path), str(_TRUSTED.resolve()))
    return path


@cache
def ovs_version() -> str:
    """Returns the version of the installed Open vSwitch."""
    printed = subprocess.run(["ovs-vswitchd", "--version"], capture_output=True, text=True, check=False).stdout
    return printed.partition("\n")[0].rpartition(" ")[2]
