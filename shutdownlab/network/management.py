"""The out-of-band network between switches and their controllers: a Linux bridge outside the emulated country."""

from __future__ import annotations

from contextlib import suppress
from ipaddress import IPv4Interface, IPv4Network

from pyroute2 import NetlinkError

from shutdownlab.model.address_plan import MANAGEMENT
from shutdownlab.network.link import VethEnd, make_veth
from shutdownlab.system import rtnetlink
from shutdownlab.system.namespace import Namespace

_NAME = "mgmt"
_MAC = "02:00:00:00:ff:01"
"""The bridge's fixed MAC address. By default a bridge has the lowest of its ports' addresses, which may change with a
new port, and nodes with the old one in their ARP cache couldn't reach it for half a minute."""


class ManagementNetwork:
    """A bridge `mgmt` in the sandbox's own namespace, where this must be created. It has the prefix's first address."""

    def __init__(self, prefix: IPv4Network = MANAGEMENT) -> None:
        self._prefix = prefix
        self._free = self._prefix.hosts()
        self.address = str(next(self._free))
        self._home = Namespace.current("sandbox")
        self._bridge = self._home.take_index()
        self._ports: list[int] = []
        self._home.set_up("lo")
        with self._home.netlink() as netlink:
            netlink.link(
                "add",
                ifname=_NAME,
                kind="bridge",
                index=self._bridge,
                address=_MAC,
                br_stp_state=0,
                br_mcast_snooping=0,
                state="up",
            )
            netlink.addr("add", index=self._bridge, address=self.address, prefixlen=self._prefix.prefixlen)

    def join(self, namespace: Namespace) -> str:
        """Connects a namespace to this network by an interface `mgmt`; returns its address, without prefix length.

        For Open vSwitch instances (EmulatedNetwork does it) and for controllers in their own namespaces.
        """
        address = str(next(self._free))
        outer, inner = make_veth(VethEnd(self._home, f"{_NAME}{len(self._ports)}"), VethEnd(namespace, _NAME))
        self._home.configure([rtnetlink.enslaved(outer, self._bridge)])
        namespace.configure([rtnetlink.address(inner, IPv4Interface(f"{address}/{self._prefix.prefixlen}"))])
        self._ports.append(outer)
        return address

    def close(self) -> None:
        """Deletes the bridge and all interfaces connected to it."""
        with self._home.netlink() as netlink:
            for index in (*self._ports, self._bridge):
                with suppress(NetlinkError):  # deleted with the namespace at its other end
                    netlink.link("del", index=index)
