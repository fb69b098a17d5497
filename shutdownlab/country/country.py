"""A running country: its processes, what is broken in it on purpose, and restarting and stopping its parts."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from shutdownlab.box.dpi_box import BOX
from shutdownlab.box.tls_proxy import PROXY
from shutdownlab.compiler.resolvers import Lies
from shutdownlab.control.addresses import AUTHORITY
from shutdownlab.control.processes import AuthorityClient, Controllers
from shutdownlab.country import path_mtu
from shutdownlab.country.health import Watch
from shutdownlab.country.liveness import Liveness
from shutdownlab.country.plan import Plan
from shutdownlab.country.racing import Racer
from shutdownlab.country.reconfigured import Reconfigured
from shutdownlab.country.server_files import ServerFiles
from shutdownlab.measure.confirmation import Prober
from shutdownlab.model.faults import NO_DAMAGE, Damage
from shutdownlab.model.network import Node, Role
from shutdownlab.model.topology import VantageId
from shutdownlab.network.datapath import Choice
from shutdownlab.network.net import EmulatedNetwork
from shutdownlab.network.ovs import LabSwitch, OvsInstance, ovs_version
from shutdownlab.network.recorder import RECORDER, mark, patience_s
from shutdownlab.protocol.messages import BoxJoined, Counters, Failure, Message, decode
from shutdownlab.servers.start import Services
from shutdownlab.system.child_process import Forked, ForkedError

_BACK_S: Final = 10.0
"""How long a DPI box that was started again may take to join its controller."""
_TRUST_VARIABLES: Final = (
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "GIT_SSL_CAINFO",
)


@dataclass(slots=True)
class Country:
    """A running country; `assembly.build` makes one.

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
    """How many frames each DPI box, the delay line and the tunnels had missed at the last check."""
    sessions: dict[str, dict[str, float]] = field(default_factory=dict)
    """Since when each router's BGP sessions were up when the phase's measurements began."""
    lies: dict[VantageId, Lies] = field(default_factory=dict)
    """The answers configured for each group of subscribers in its resolver."""
    reconfigured: Reconfigured = field(default_factory=Reconfigured)
    server_files: ServerFiles = field(default_factory=ServerFiles)
    damage: Damage = NO_DAMAGE
    """What is broken on purpose, and so no fault of the run."""

    def begin_watch(self) -> None:
        """Starts watching every process of the country; `examination` reports what happened to them."""
        titles = {process.pid: daemon.title for daemon, process in self.services.watched.items()}
        titles |= {
            process.pid: f"the controller of {name}"
            for name, process in self.controllers.processes.items()
            if name not in self.damage.leaderless
        }
        titles |= {process.pid: process.name for process in self.others if not self.is_broken(process)}
        titles |= {pid: f"the probe agent of {name}" for name, pid in self.agents.pids.items()}
        for name, instance in self.instances.items():
            titles |= {process.pid: f"{program} of {name}" for program, process in instance.daemons.items()}
        forking = {process.pid for daemon, process in self.services.processes.items() if daemon.forks}
        # what a user's controller starts may end when it likes
        forking |= {
            process.pid for name, process in self.controllers.processes.items() if name in self.plan.controllers
        }
        self.watch = Watch(titles, frozenset(forking))
        self.watch.begin()

    def begin_measuring(self, *, hosts: bool = True) -> None:
        """Notes what has started since the watch began, how long BGP sessions have been up, and whose network
        configuration is changed from now on: orders change all three.

        hosts: whether no programs but the country's own run on hosts, which may change their node's configuration.
        """
        self.watch.learn()
        self.server_files.begin(self.services.daemons)
        self.reconfigured.begin(self.net, self.plan.network, hosts=hosts)
        self.sessions = self.liveness.sessions()

    @property
    def liveness(self) -> Liveness:
        """What can be asked of its processes."""
        return Liveness(self.plan.network, self.instances, self.services, self.agents, self.plan.files)

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
        named = {operator: f"{BOX}{box}" for operator, box in self.on_path.items()}
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
    def instances(self) -> dict[str, OvsInstance]:
        """The Open vSwitch instances that should be running."""
        return {n: instance for n, instance in self.net.instances.items() if n not in self.damage.switchless}

    def is_broken(self, process: Forked) -> bool:
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
        self.reconfigured.leave_out(process.name.removeprefix(BOX))  # the box configures its own node anew
        place = self.others.index(process)
        self.others[place] = self.start_again[process.name]()
        self.others[place].wait_ready()
        return self._is_back(process.name.removeprefix(BOX))

    @property
    def switches(self) -> list[Node]:
        """The switches that should be running."""
        nodes = self.plan.network.nodes.values()
        return [node for node in nodes if node.role.is_openflow and node.owner not in self.damage.switchless]

    @property
    def led_switches(self) -> list[Node]:
        """Those whose rules are known: a user's own controller alone knows what it has installed.

        Without the authority nobody hears confirmed which switches bypass a lost box.
        """
        heard = AUTHORITY not in self.damage.leaderless
        own = [node for node in self.switches if node.owner not in self.plan.controllers]
        return [node for node in own if heard or node.role is not Role.DPI_SWITCH]

    @property
    def on_path(self) -> dict[str, str]:
        """The on-path DPI boxes, by operator."""
        racing = (o for o, profile in self.plan.profiles.items() if profile.placement == "on-path")
        return {operator: self.plan.network.one(Role.DPI_BOX, operator).name for operator in racing}

    @property
    def reporting_boxes(self) -> set[str]:
        """The DPI boxes that should report: those that are not broken, nor is their operator's controller."""
        damage = self.damage
        led = {n.name for n in self.plan.network.by_role(Role.DPI_BOX) if n.owner not in damage.leaderless}
        return led - damage.boxes - damage.mute_boxes

    def box_counters(self, seconds: float, recent: int = 0) -> dict[str, dict[str, Any]]:
        """Returns the counters of the DPI boxes that answer within `seconds`. Raises `ControlError`.

        recent: how many of its latest decisions each box adds.
        """
        if AUTHORITY in self.damage.leaderless:
            return {}
        messages = self.authority.counters(seconds, self.reporting_boxes, recent)
        self.heard += [message for message in messages if not isinstance(message, Counters)]
        return {m.where: dict(m.counters) for m in messages if isinstance(m, Counters) and m.counters}

    def _is_back(self, box: str) -> bool:
        """Waits until the controller in command reports that this box has joined again."""
        end = time.monotonic() + _BACK_S
        while (left := end - time.monotonic()) > 0:
            messages = self.authority.events(left)
            self.heard += messages
            if any(isinstance(message, BoxJoined) and message.box == box for message in messages):
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
        last: list[Message] = []
        for process in self.others:
            if process.name != RECORDER:  # it records what the others still send
                process.finish()
        for process in self.others:
            try:
                recorded = self.plan.pcap if process.name == RECORDER else None
                last += map(decode, process.stop(patience_s(recorded)) if recorded else process.stop())
            except ForkedError as error:
                last.append(Failure(process.name, str(error)))
        return last

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
        return os.environ | trusting(self.trusted, self.state_root)


def trusting(trusted: Path, state_root: Path) -> dict[str, str]:
    """Returns the variables that make programs trust the lab's certificates (paths as in `Country`)."""
    return dict.fromkeys(_TRUST_VARIABLES, str(trusted)) | {"SHUTDOWNLAB_STATE_ROOT": str(state_root)}
