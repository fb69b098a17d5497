"""Links between nodes of a lab: veth pairs created in their namespaces, shaped by the kernel or by a delay line."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mininet.link import Intf, Link, OVSIntf

from shutdownlab.network.hops import Hops
from shutdownlab.network.ovs import LabSwitch
from shutdownlab.network.shaping import Shape, shape
from shutdownlab.system import rtnetlink
from shutdownlab.system.ethtool import Feature
from shutdownlab.system.features import KernelFeatures
from shutdownlab.system.namespace import Namespace

NAME_LIMIT = 15
"""Longest interface name that the kernel accepts (IFNAMSIZ without the final zero)."""


@dataclass(frozen=True)
class DelayLine:
    """A link split in two, to be joined by the delay line: it forwards frames between `if_a` and `if_b` of `namespace`.

    delay_ms: one-way delay, in both directions. loss: share of packets dropped in each direction, 0 to 1.
    hops: the routers on the link; None for none.
    ends: names of the namespaces at the link's ends, in the order of `if_a` and `if_b`.
    """

    namespace: Namespace
    if_a: str
    if_b: str
    delay_ms: float
    loss: float
    hops: Hops | None = None
    ends: tuple[str, str] = ("", "")


@dataclass
class Cabling:
    """State shared by all links of a lab."""

    features: KernelFeatures
    delay_lines: list[DelayLine] = field(default_factory=list)
    relay: Namespace | None = None
    udp_segmentation: Feature = field(default_factory=lambda: Feature("tx-udp-segmentation"))

    def relay_namespace(self) -> Namespace:
        """Returns the namespace with the middle ends of split links, creating it on first use."""
        if self.relay is None:
            self.relay = Namespace("delay-lines", ipv6=False, own_mounts=False)
        return self.relay


@dataclass(frozen=True)
class VethEnd:
    """One end of a veth pair."""

    namespace: Namespace
    name: str
    mac: str | None = None
    mtu: int | None = None


def make_veth(a: VethEnd, b: VethEnd) -> tuple[int, int]:
    """Creates a veth pair with both ends up; returns their interface indexes.

    Raises pyroute2.NetlinkError (17: the name is taken).
    """
    indexes = a.namespace.take_index(), b.namespace.take_index()
    peer = b.name, indexes[1], b.mac, b.namespace.descriptor()
    a.namespace.configure([rtnetlink.veth(a.name, indexes[0], a.mac, peer, (a.mtu, b.mtu))])
    b.namespace.set_up(b.name)  # the kernel refuses to create the peer in the up state
    return indexes


class LabIntf(Intf):  # type: ignore[misc]
    """An interface configured through netlink. `index`: its interface index in its node's namespace."""

    ip: str | None
    mac: str | None
    prefixLen: int | None  # noqa: N815 - Mininet's name

    def __init__(self, name: str, index: int, shaped: bool = False, **params: Any) -> None:
        self.name = name
        self.index = index
        self.shaped = shaped
        super().__init__(name, **params)

    def config(self, **_params: Any) -> dict[str, Any]:
        """Does nothing: the link has already configured the interface."""
        return {}

    def _set(self, **attributes: Any) -> None:
        with self.node.namespace.netlink() as netlink:
            netlink.link("set", index=self.index, **attributes)

    def setIP(self, ipstr: str, prefixLen: int | None = None) -> None:  # noqa: N802, N803
        """Replaces the interface's IPv4 addresses by this one. Raises ValueError without a prefix length."""
        address, _, length = ipstr.partition("/")
        if not length and prefixLen is None:
            raise ValueError(f"no prefix length for {ipstr}")
        self.ip, self.prefixLen = address, int(length or prefixLen or 0)
        with self.node.namespace.netlink() as netlink:
            netlink.flush_addr(index=self.index, family=2)
            netlink.addr("add", index=self.index, address=self.ip, prefixlen=self.prefixLen)

    def setMAC(self, macstr: str) -> None:  # noqa: N802
        self.mac = macstr
        self._set(address=macstr)

    def isUp(self, setUp: bool = False) -> bool:  # noqa: N802
        if setUp:
            self._set(state="up")
        with self.node.namespace.netlink() as netlink:
            return bool(netlink.get_links(self.index)[0]["flags"] & 1)

    def ifconfig(self, *args: str) -> str:
        """Handles `up` and `down` through netlink, for Mininet's CLI command `link`; else runs the ifconfig command."""
        if args in (("up",), ("down",)):
            self._set(state=args[0])
            return ""
        return str(super().ifconfig(*args))

    def rename(self, newname: str) -> None:
        self.node.nameToIntf[newname] = self.node.nameToIntf.pop(self.name)
        self._set(state="down")
        self._set(ifname=newname)
        self.name = newname
        self._set(state="up")

    def updateIP(self) -> str | None:  # noqa: N802
        with self.node.namespace.netlink() as netlink:
            found = netlink.get_addr(index=self.index, family=2)
        self.ip = found[0].get_attr("IFA_ADDRESS") if found else None
        return self.ip

    def updateMAC(self) -> str | None:  # noqa: N802
        with self.node.namespace.netlink() as netlink:
            mac: str | None = netlink.get_links(self.index)[0].get_attr("IFLA_ADDRESS")
        self.mac = mac
        return mac

    def updateAddr(self) -> tuple[str | None, str | None]:  # noqa: N802
        return self.updateIP(), self.updateMAC()

    def status(self) -> str:
        with self.node.namespace.netlink() as netlink:
            return "OK" if netlink.link_lookup(ifname=self.name) else "MISSING"

    def delete(self) -> None:
        """Deletes the veth pair that this interface belongs to, unless it is gone already."""
        if isinstance(self.node, LabSwitch):
            self.node.detach(self)
        with self.node.namespace.netlink() as netlink:
            if netlink.link_lookup(ifname=self.name):
                netlink.link("del", index=self.index)
        self.node.delIntf(self)
        self.link = None


class LabPatch(OVSIntf):  # type: ignore[misc]
    """A patch port, which Open vSwitch creates when the switch starts; the kernel has no interface for it."""

    def config(self, **_params: Any) -> dict[str, Any]:
        return {}

    def delete(self) -> None:
        self.node.delIntf(self)
        self.link = None


class LabLink(Link):  # type: ignore[misc]
    """A link of a lab. Parameters in addition to Mininet's:

        bandwidth: such as "30mbit" (kbit, mbit, gbit), enforced on what each end sends
        delay_ms: one-way delay, in each direction
        loss: share of packets lost in each direction, 0 to 1
        hops: routers on the link
        params1, params2: `mac` and `mtu` (octets) of the interfaces

    Two switches of one Open vSwitch instance are joined by patch ports, unless the link is shaped or has routers.
    """

    intf1: Intf | None
    intf2: Intf | None

    def __init__(
        self,
        node1: Any,
        node2: Any,
        *,
        cabling: Cabling,
        port1: int | None = None,
        port2: int | None = None,
        intfName1: str | None = None,  # noqa: N803
        intfName2: str | None = None,  # noqa: N803
        addr1: str | None = None,
        addr2: str | None = None,
        params1: dict[str, Any] | None = None,
        params2: dict[str, Any] | None = None,
        bandwidth: str | None = None,
        delay_ms: float = 0,
        loss: float = 0,
        hops: Hops | None = None,
        **_params: Any,
    ) -> None:
        ends = []
        for node, port, name, mac, params in (
            (node1, port1, intfName1, addr1, {**(params1 or {})}),
            (node2, port2, intfName2, addr2, {**(params2 or {})}),
        ):
            number = params.pop("port", port)
            number = node.newPort() if number is None else number
            if number in node.intfs:
                raise ValueError(f"port {number} of {node.name} is already {node.intfs[number]}")
            label = name or self.intfName(node, number)
            if len(label) > NAME_LIMIT:
                raise ValueError(f"interface name {label!r} of {node.name} is longer than {NAME_LIMIT} characters")
            ends.append((node, number, label, params.pop("mac", mac), params.pop("mtu", None)))
            # Reserved at once: a link from a node to itself must get two ports.
            node.intfs[number] = label
        for node, number, *_ in ends:
            del node.intfs[number]
        wanted = Shape.parse(bandwidth, delay_ms, loss)
        if wanted is None and hops is None and _same_instance(node1, node2):
            self.intf1, self.intf2 = (
                LabPatch(label, node=node, port=number, link=self, mac=mac, moveIntfFn=_stays)
                for node, number, label, mac, _ in ends
            )
            return
        one, two = (VethEnd(node.namespace, label, mac, mtu) for node, _, label, mac, mtu in ends)
        indexes = self._connect(one, two, wanted, cabling, hops)
        for end, other in ((one, node2), (two, node1)):
            if isinstance(other, LabSwitch) and other.instance.datapath == "netdev":
                # The datapath forwards TCP's oversized packets but drops UDP's (QUIC's), as seen with 3.1: so the
                # kernel has to segment them.
                with end.namespace.entered():
                    cabling.udp_segmentation.switch_off(end.name)
        self.intf1, self.intf2 = (
            LabIntf(label, index, wanted is not None, node=node, port=number, link=self, mac=mac, moveIntfFn=_stays)
            for (node, number, label, mac, _), index in zip(ends, indexes, strict=True)
        )

    @staticmethod
    def _connect(
        one: VethEnd, two: VethEnd, wanted: Shape | None, cabling: Cabling, hops: Hops | None
    ) -> tuple[int, int]:
        if wanted is None:
            if hops is None:
                return make_veth(one, two)
            wanted = Shape(None, 0, 0)
        at_ends = wanted
        if hops is not None or (wanted.needs_netem and not cabling.features.netem):
            at_ends = wanted.without_netem()
            relay, number = cabling.relay_namespace(), len(cabling.delay_lines)
            middle = VethEnd(relay, f"line{number}a"), VethEnd(relay, f"line{number}b")
            indexes = make_veth(one, middle[0])[0], make_veth(two, middle[1])[0]
            ends = one.namespace.name, two.namespace.name
            names = middle[0].name, middle[1].name
            cabling.delay_lines.append(DelayLine(relay, *names, wanted.delay_ms, wanted.loss, hops, ends))
        else:
            indexes = make_veth(one, two)
        for end, index in zip((one, two), indexes, strict=True):
            shape(end.namespace, index, at_ends, cabling.features)
        return indexes

    def intfName(self, node: Any, n: int) -> str:  # noqa: N802
        """Returns Mininet's NODE-ethN if it is short enough, else ethN, or a switch's short name and the number.

        Hosts have namespaces of their own, in which ethN is unique; switches share one.
        """
        name = f"{node.name}-eth{n}"
        if len(name) <= NAME_LIMIT:
            return name
        return f"{node.short_name}-{n}" if isinstance(node, LabSwitch) else f"eth{n}"

    def delete(self) -> None:
        for intf in (self.intf1, self.intf2):
            if intf is not None:
                intf.delete()
        self.intf1 = self.intf2 = None

    def stop(self) -> None:
        """Does nothing: the link is deleted with the namespaces of its ends."""


def _same_instance(node1: Any, node2: Any) -> bool:
    return isinstance(node1, LabSwitch) and isinstance(node2, LabSwitch) and node1.instance is node2.instance


def _stays(*_args: object) -> None:
    """Does nothing: the interface was created in the node's namespace, and Mininet needn't move it there."""
