"""Mininet nodes that start no shell until it is used: network namespaces configured through netlink."""

from __future__ import annotations

import codecs
import os
import pty
import select
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_address, ip_interface
from pathlib import Path
from typing import Any

from mininet.node import Host, Node, Switch

from shutdownlab.system import rtnetlink
from shutdownlab.system.namespace import Namespace

Address = tuple[str, str]
"""Interface name, address/length (IPv4 or IPv6)."""
Route = tuple[str, str | None, str | None] | tuple[str, str | None, str | None, int | None]
"""Prefix or "default"; gateway or None (on-link); interface or None (the one that leads to the gateway); MTU or None
(the link's)."""

_PROMPT = chr(127)
_SOLICITATIONS = 3600
"""How often a router sends a solicitation for a neighbour, once a second, before it reports it as unreachable."""


class EmulatedNode(Node):  # type: ignore[misc]
    """The base class of a lab's hosts and switches: a namespace, and a shell that starts on first use."""

    namespace: Namespace

    def __init__(self, name: str, **params: Any) -> None:
        self._shell: Any = None
        self._pid: int | None = None
        self._ended = False
        self.variables: dict[str, str] = {}
        """Additional variables for `environment`."""
        self.namespace = self._take_namespace(name, params)
        params["inNamespace"] = True
        super().__init__(name, **params)

    def _take_namespace(self, name: str, params: dict[str, Any]) -> Namespace:
        return Namespace(name, resolv_conf=params.get("resolv"), private_dirs=params.pop("privateDirs", ()))

    @classmethod
    def setup(cls) -> None:
        """Does nothing: Mininet checks for mnexec and ifconfig here, which these nodes don't need."""

    # The shell, its pid and its output are created when one of them is first accessed.

    def startShell(self, mnopts: str | None = None) -> None:  # noqa: N802 - Mininet's name and signature
        self.waiting = False

    def mountPrivateDirs(self) -> None:  # noqa: N802
        """Does nothing: the namespace has mounted them."""

    def unmountPrivateDirs(self) -> None:  # noqa: N802
        """Does nothing: they go with the namespace."""

    @property
    def shell(self) -> Any:
        if self._shell is None and not self._ended:
            self._open_shell()
        return self._shell

    @shell.setter
    def shell(self, value: Any) -> None:
        self._shell = value

    @property
    def pid(self) -> int | None:
        return self.shell.pid if self.shell else self._pid

    @pid.setter
    def pid(self, value: int | None) -> None:
        self._pid = value

    @property
    def stdout(self) -> Any:
        return self.stdin if self.shell else None

    @stdout.setter
    def stdout(self, value: Any) -> None:
        """Ignores the value: it is always the terminal of `stdin`."""

    def _open_shell(self) -> None:
        self.master, self.slave = pty.openpty()
        self._shell = self.namespace.spawn(
            # setsid --ctty: the pseudo-terminal's Ctrl-C (sendInt) must reach the programs in it
            ["setsid", "--ctty", "bash", "--norc", "--noediting", "-is", f"mininet:{self.name}"],
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            env={**os.environ, **self.environment(), "PS1": _PROMPT},
            foreground=True,
        )
        self.stdin = os.fdopen(self.master, "r")
        self.shell_end = os.pidfd_open(self._shell.pid)
        self.pollOut = select.poll()
        self.pollOut.register(self.stdin, select.POLLIN)
        self.pollOut.register(self.shell_end, select.POLLIN)
        self.outToNode[self.master] = self
        self.inToNode[self.master] = self
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")  # a program may print anything
        self.execed = False
        self.lastCmd = self.lastPid = None
        self.readbuf = ""
        while not self.read(1024).endswith(_PROMPT):
            self.pollOut.poll()
        self.waiting = False
        self.cmd("unset HISTFILE; stty -echo; set +m")

    def _close_shell(self) -> None:
        """Closes the descriptors of a shell that has ended or soon will; the next command gets a new shell."""
        self.outToNode.pop(self.master, None)
        self.inToNode.pop(self.master, None)
        self.stdin.close()
        os.close(self.slave)
        os.close(self.shell_end)
        self._shell = None
        self.waiting = False

    def monitor(self, timeoutms: int | None = None, findPid: bool = True) -> str:  # noqa: N803
        """As Mininet's; if the shell has ended in the meantime (`exit`, a signal), so has the command."""
        if not self.readbuf:
            ready = [fd for fd, _ in self.pollOut.poll(timeoutms)]
            if ready == [self.shell_end]:
                self._shell.wait()
                self._close_shell()
            if self.master not in ready:
                return ""
        return str(super().monitor(timeoutms, findPid))

    def environment(self) -> dict[str, str]:
        """Returns the environment variables added for programs in this node."""
        return dict(self.variables)

    def popen(self, *args: Any, **kwargs: Any) -> subprocess.Popen[Any]:
        """As Mininet's (a list, several words, or a string to be split), without starting the node's shell."""
        params = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **kwargs}
        params.pop("mncmd", None)
        words = args[0] if len(args) == 1 else args
        if params.pop("shell", False):
            words = ["sh", "-c", words if isinstance(words, str) else " ".join(words)]
        return self._popen(words.split() if isinstance(words, str) else list(words), **params)

    def _popen(self, cmd: Sequence[str], **params: Any) -> subprocess.Popen[Any]:
        params.setdefault("stdin", None)
        params.setdefault("env", {**os.environ, **self.environment()})
        return self.namespace.spawn(cmd, **params)

    def spawn(self, argv: Sequence[str | Path], **options: Any) -> subprocess.Popen[Any]:
        """Starts a program in this node; see Namespace.spawn."""
        options["env"] = {**(options.get("env") or os.environ), **self.environment()}
        return self.namespace.spawn(argv, **options)

    def enter(self) -> Callable[[], None]:
        """Returns a function that moves a forked child into this node permanently."""
        return self.namespace.enter

    def terminate(self) -> None:
        self._ended = True
        if self._shell is not None:
            if self._shell.poll() is None:
                os.killpg(self._shell.pid, signal.SIGHUP)
            self._close_shell()

    def __repr__(self) -> str:
        addresses = ",".join(f"{each}:{each.IP()}" for each in self.intfList())
        return f"<{type(self).__name__} {self.name}: {addresses} pid={self._shell and self._shell.pid}> "


class LabHost(EmulatedNode, Host):  # type: ignore[misc]
    """A host or a router.

    Optional parameters, in addition to Mininet's ip, mac and defaultRoute:
        addresses: list of (interface, "address/length"), IPv4 and IPv6; `lo` is an interface too
        spare_addresses: the same, for addresses that are not used as a source unless a program binds to them
        routes: list of (prefix or "default", gateway or None, interface or None), with an MTU where it is smaller
        local_prefixes: prefixes of which all addresses are this host's
        sysctls: {"net.ipv4.…": value}
        forwarding: True for a router
        resolv: text of /etc/resolv.conf for programs in this host
    """

    def config(
        self,
        mac: str | None = None,
        ip: str | None = None,
        defaultRoute: str | None = None,  # noqa: N803
        addresses: Sequence[Address] = (),
        spare_addresses: Sequence[Address] = (),
        routes: Sequence[Route] = (),
        local_prefixes: Sequence[str] = (),
        sysctls: Mapping[str, object] | None = None,
        forwarding: bool = False,
        serves: bool = False,
        **_params: Any,
    ) -> dict[str, Any]:
        """Configures addresses and routes in one netlink session.

        Raises pyroute2.NetlinkError, and KeyError for an unknown interface.
        """
        if forwarding or serves:
            # No rate limit on ICMP errors: with one error a second, outcomes would depend on which probe came first.
            sysctls = {"net.ipv4.icmp_ratelimit": 0, "net.ipv6.icmp.ratelimit": 0, **(sysctls or {})}
        if forwarding:
            # Keeps the IPv6 addresses of an interface that goes down, so that it has them when it is up again.
            keep = {"net.ipv6.conf.all.keep_addr_on_down": 1}
            # No error for an unused address, as behind routers configured to send none: if it came after the three
            # seconds of ARP and neighbour discovery, outcomes would depend on a probe's timeout.
            # Set per interface, as an ordinary user's namespace has no `default` to set.
            ways = [f"net.{family}.neigh.{name}" for family in ("ipv4", "ipv6") for name in self.nameToIntf]
            look = {f"{way}.mcast_solicit": _SOLICITATIONS for way in ways}
            forward = {"net.ipv4.ip_forward": 1, "net.ipv6.conf.all.forwarding": 1}
            sysctls = {**forward, **keep, **look, **(sysctls or {})}
        if sysctls:
            self.namespace.set_sysctls(sysctls)
        if ip and "/" not in ip:
            ip += "/8"
        every = [*([(self.defaultIntf().name, ip)] if ip else []), *addresses]
        if mac:
            self.setMAC(mac)
        if defaultRoute:
            routes = [*routes, _mininet_route(defaultRoute)]
        self.namespace.configure(
            [
                *(self._address(name, address) for name, address in every),
                *(self._address(name, address, spare=True) for name, address in spare_addresses),
                *(rtnetlink.local(prefix) for prefix in local_prefixes),
                *(self._route(route, forwards=forwarding) for route in routes),
            ]
        )
        return {}

    def _index(self, name: str) -> int:
        if name in self.nameToIntf:
            return int(self.nameToIntf[name].index)
        try:
            with self.namespace.entered():
                return socket.if_nametoindex(name)
        except OSError:
            there = f"it has lo, {', '.join(self.nameToIntf)}"
            raise KeyError(f"{self.name} has no interface {name!r}; {there}") from None

    def _address(self, name: str, address: str, *, spare: bool = False) -> rtnetlink.Request:
        """Returns the request to add an address. spare: deprecated; for IPv4 it is only added after the others."""
        value = ip_interface(address)
        intf = self.nameToIntf.get(name)
        if intf is not None and (intf.ip is None or ":" in intf.ip):
            intf.ip, intf.prefixLen = str(value.ip), value.network.prefixlen
        return rtnetlink.address(self._index(name), value, deprecated=spare)

    def _route(self, route: Route, *, forwards: bool = False) -> rtnetlink.Request:
        prefix, gateway, name, *mtu = route
        via = ip_address(gateway) if gateway else None
        return rtnetlink.route(prefix, via, self._index(name) if name else None, *mtu, forwards=forwards)

    def setDefaultRoute(self, intf: Any = None) -> None:  # noqa: N802
        self.namespace.configure([self._route(_mininet_route(f"dev {intf}" if " " not in str(intf) else str(intf)))])

    def setARP(self, ip: str, mac: str) -> None:  # noqa: N802
        """Adds a permanent neighbour entry on the default interface."""
        with self.namespace.netlink() as netlink:
            netlink.neigh("replace", dst=ip, lladdr=mac, ifindex=self.defaultIntf().index, state=0x80)


class LabBridge(EmulatedNode, Switch):  # type: ignore[misc]
    """A plain Linux bridge in its own namespace: an exchange's learning switch, without a controller."""

    controlIntf = None  # noqa: N815 - read by mininet.node.Switch

    def __init__(self, name: str, dpid: str | None = None, **params: Any) -> None:
        super().__init__(name, dpid=dpid, **params)

    def _take_namespace(self, name: str, params: dict[str, Any]) -> Namespace:
        return Namespace(name, ipv6=False)

    def start(self, controllers: Sequence[object]) -> None:
        """Creates the bridge with all interfaces as ports. It forwards at once, without spanning tree."""
        with self.namespace.netlink() as netlink:
            self._bridge = self.namespace.take_index()
            netlink.link(
                "add",
                ifname="br0",
                kind="bridge",
                index=self._bridge,
                br_stp_state=0,
                br_forward_delay=0,
                br_mcast_snooping=0,
                state="up",
            )
        self.namespace.configure([rtnetlink.enslaved(intf.index, self._bridge) for intf in self.intfList()])

    def attach(self, intf: Any) -> None:
        """Adds the interface of a link that was created after the start."""
        self.namespace.configure([rtnetlink.enslaved(intf.index, self._bridge)])

    def stop(self, deleteIntfs: bool = True) -> None:  # noqa: N803
        """Does nothing: the bridge is deleted with its namespace."""


def _mininet_route(text: str) -> Route:
    """Parses Mininet's default route: "via 10.0.0.1", "dev h1-eth0" or "dev h1-eth0 via 10.0.0.1"."""
    words = text.split()
    found = dict(zip(words[::2], words[1::2], strict=False))
    return "default", found.get("via"), found.get("dev")
