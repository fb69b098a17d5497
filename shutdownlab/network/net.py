"""Mininet's network class, built through netlink: any Topo, with Mininet's API and CLI, in a tenth of the time."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from mininet.net import Mininet

from shutdownlab.model.address_plan import MANAGEMENT
from shutdownlab.network.link import Cabling, DelayLine, LabLink
from shutdownlab.network.management import ManagementNetwork
from shutdownlab.network.node import LabBridge, LabHost
from shutdownlab.network.ovs import Datapath, LabSwitch, OvsInstance
from shutdownlab.system.features import KernelFeatures
from shutdownlab.system.namespace import Namespace, end_processes

# How many Open vSwitch instances share the switches without an `instance`: each polls only its own ports.
_SPREAD = 8


class EmulatedNetwork(Mininet):  # type: ignore[misc]
    """A lab's network. Build it in a sandbox; it ends with the sandbox, or by `stop`.

    The Topo's parameters decide the classes of nodes, so that stock Mininet can load the same Topo: a host is a
    LabHost; a switch is a LabBridge if its parameter `bridge` is true, else a LabSwitch in the Open vSwitch instance
    that `instance` names (by default one of eight in turn). Switches without a digit in their name need no `dpid`.
    """

    def __init__(
        self,
        topo: Any = None,
        *,
        datapath: Datapath = "netdev",
        management: IPv4Network | None = MANAGEMENT,
        log_dir: Path | None = None,
        userspace_delays: bool = False,
        controller: Any = None,
        **params: Any,
    ) -> None:
        """Creates the network from a Topo.

        management: prefix of the network between switches and controllers, in which the sandbox itself has the first
            address; None for no such network.
        log_dir: directory of Open vSwitch's logs.
        userspace_delays: whether the delay line emulates delay and loss even if the kernel has netem.
        """
        Mininet.inited = True  # skips Mininet.init, which raises machine-wide limits: not allowed in a sandbox
        self.datapath = datapath
        self.log_dir = log_dir
        self.instances: dict[str, OvsInstance] = {}
        features = KernelFeatures.detect()
        self.cabling = Cabling(replace(features, netem=False) if userspace_delays else features)
        self.management = ManagementNetwork(management) if management else None
        self._macs = 0
        self._namespaces: list[Namespace] = []
        super().__init__(topo, host=LabHost, switch=LabSwitch, controller=controller, link=LabLink, intf=None, **params)

    @property
    def delay_lines(self) -> list[DelayLine]:
        """The split links, for the delay-line process to join."""
        return self.cabling.delay_lines

    # Mininet's API

    def addHost(self, name: str, cls: Any = None, **params: Any) -> Any:  # noqa: N802
        if "addresses" in params:
            params.setdefault("ip", None)  # not one of Mininet's choosing
        host = super().addHost(name, cls=cls, **params)
        self._namespaces.append(host.namespace)
        return host

    def addSwitch(self, name: str, cls: Any = None, **params: Any) -> Any:  # noqa: N802
        if not params.get("dpid") and not any(letter.isdigit() for letter in name):
            params["dpid"] = f"{0x10000 + len(self.switches):x}"
        if cls is None and params.pop("bridge", False):
            cls = LabBridge
        if (cls or self.switch) is LabSwitch:
            params["instance"] = self.instance(params.get("instance") or f"lab{len(self.switches) % _SPREAD + 1}")
        else:
            params.pop("instance", None)
        switch = super().addSwitch(name, cls=cls, **params)
        if isinstance(switch, LabBridge):
            self._namespaces.append(switch.namespace)
        return switch

    def instance(self, name: str) -> OvsInstance:
        """Returns the Open vSwitch instance of this name, starting it on first use."""
        if name not in self.instances:
            made = OvsInstance(name, self.datapath, self.log_dir)
            self.instances[name] = made
            if self.management is not None:
                self.management.join(made.namespace)
        return self.instances[name]

    def addLink(  # noqa: N802
        self, node1: Any, node2: Any, port1: Any = None, port2: Any = None, cls: Any = None, **params: Any
    ) -> Any:
        if (cls or self.link) is LabLink:
            params["cabling"] = self.cabling
        return super().addLink(node1, node2, port1, port2, cls, **params)

    def delNode(self, node: Any, nodes: Any = None) -> None:  # noqa: N802
        """Removes a node with its links, and ends the programs in it."""
        for link in [each for each in self.links if node in (each.intf1.node, each.intf2.node)]:
            self.delLink(link)
        super().delNode(node, nodes)
        if node.namespace in self._namespaces:
            self._namespaces.remove(node.namespace)
            end_processes([node.namespace])
            node.namespace.close()

    def randMac(self) -> str:  # noqa: N802
        """Returns the next of this lab's MAC addresses; the sequence is the same in every run."""
        self._macs += 1
        number = f"{0x02_00_00_00_00_00 + self._macs:012x}"
        return ":".join(number[at : at + 2] for at in range(0, 12, 2))

    def stop(self) -> None:
        """Ends all programs in the network and removes it."""
        if self.terms:
            self.stopXterms()
        for controller in self.controllers:
            controller.stop()
        for node in (*self.hosts, *self.switches):
            node.terminate()
        end_processes(self._namespaces)
        for namespace in (*self._namespaces, *([self.cabling.relay] if self.cabling.relay else [])):
            namespace.close()
        for instance in self.instances.values():
            instance.close()
        if self.management is not None:
            self.management.close()
