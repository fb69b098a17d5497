"""Builds a whole country: network, controllers, DPI boxes, delay lines, servers and probe agents. In a sandbox."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from shutdownlab.box.dpi_box import start_box
from shutdownlab.box.inspector import engine_maker
from shutdownlab.control.addresses import controller_addresses
from shutdownlab.control.processes import AuthorityClient, start_controllers
from shutdownlab.country.borders import join_translators, translate
from shutdownlab.country.boxes import begin_recorder, begin_relay, box_spec
from shutdownlab.country.country import Country, trusting
from shutdownlab.country.offload import finish_by_senders
from shutdownlab.country.plan import Plan
from shutdownlab.country.roaming import begin_tunnels
from shutdownlab.measure.confirmation import Prober
from shutdownlab.model.network import Role
from shutdownlab.network.datapath import choose
from shutdownlab.network.net import EmulatedNetwork
from shutdownlab.network.ovs import ovs_version
from shutdownlab.network.topo import CountryTopo
from shutdownlab.servers.late_answers import start_doorkeeper
from shutdownlab.servers.start import start_services
from shutdownlab.servers.tls import CertificateAuthority
from shutdownlab.system.child_process import Forked
from shutdownlab.system.inside import require_sandbox

_WITH_AGENTS = (Role.SUBSCRIBER, Role.CONTROL, Role.SERVERS)
_TRUSTED = Path("/etc/ssl/certs/ca-certificates.crt")
_STATE_ROOT = "state-root.pem"


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
        start_them = partial(
            start_controllers, network, plan.apps, where, plan.profiles, plan.files / "controllers",
            own=plan.controllers, ryu=plan.ryu,
        )  # fmt: skip
        controllers = start_them()

        def new_controller(name: str) -> Forked:
            return start_them(names=[name]).processes[name]

        relay = begin_relay(net, plan.seed)
        resolvers = [network.one(Role.RESOLVER, name) for name in sorted(plan.late)]
        doorkeepers = [start_doorkeeper(n.name, n.addresses, net.get(n.name).enter()) for n in resolvers]
        maker = engine_maker(plan.apps, plan.profiles.values())
        boxes: list[Forked] = []
        start_again: dict[str, Callable[[], Forked]] = {}
        for name in network.topology.operators:
            start = partial(start_box, box_spec(plan, net, where, trusted, state_root, name), maker)
            boxes.append(start())
            start_again[boxes[-1].name] = start
        agents = _start_agents(plan, net, trusting(trusted, state_root))
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
        plan, datapath, net, controllers, authority, services, agents, others, trusted, state_root, start_again,
        new_controller, took,
    )  # fmt: skip
    country.begin_watch()
    return country


def _start_agents(plan: Plan, net: EmulatedNetwork, variables: Mapping[str, str]) -> Prober:
    """Starts the probe agents. variables: of the environment of each, which gets those of its node as well."""
    network, agents, entrances = plan.network, Prober(), dict[str, Callable[[], None]]()
    for name in [node.name for role in _WITH_AGENTS for node in network.by_role(role)]:
        host = net.get(name)
        host.variables.update(plan.key_log(network.nodes[name].owner))
        entrances[name] = partial(_as_subscriber, host.enter(), {**variables, **host.variables})
    agents.start(entrances, {name: each.texts for each in reversed(network.hosted) for name in each.names})
    return agents


def _trust(ca: CertificateAuthority, files: Path) -> Path:
    """Makes the lab's authority the only one that programs in the sandbox trust."""
    from shutdownlab.system import syscalls

    path = files / "ca.pem"
    path.write_bytes(ca.pem)
    if _TRUSTED.exists():
        syscalls.bind(str(path), str(_TRUSTED.resolve()))
    return path
