"""Mininet's own commands, adapted to a country: its names, its addresses, its switches, and no display."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from mininet import cli
from mininet.cli import CLI
from mininet.log import error, output

from shutdownlab.country.session import Session
from shutdownlab.country.shared_session import DistantSession
from shutdownlab.model import lookup
from shutdownlab.model.network import Role
from shutdownlab.network.ovs import LabSwitch

_ASKED = (Role.SUBSCRIBER, Role.SERVERS)
"""`pingall` pings between nodes of these roles: the two ends of the Internet."""
_PING_S = "2"
_ENDLESS = ("monitor", "snoop")
"""Commands of ovs-ofctl that would never come to the next switch."""
_IPERF_S = 3
_IPERF_LIMIT_S = 30.0
_NO_DISPLAY = (
    "*** {command} opens a window, and the sandbox has no display. In this terminal: NODE bash\n"
    "*** In another terminal: shutdownlab attach NODE\n"
)


class MininetCommands(CLI):  # type: ignore[misc]
    """Mininet's commands that need to know more of the country. `failures`: how many commands failed."""

    def __init__(self, session: Session | DistantSession, **options: Any) -> None:
        """Reads commands until there are no more; `options` are those of `mininet.cli.CLI`."""
        self.session = session
        self.failures = 0
        super().__init__(session.country.net, **options)

    def _fail(self, text: str) -> None:
        self.failures += 1
        error(f"*** {text}\n")

    def do_net(self, _line: str) -> None:
        """List what each node is connected to."""
        for name in self.mn:
            ends = ((link.intf1, link.intf2) for link in self.mn.links)
            pairs = [(a, b) if a.node.name == name else (b, a) for a, b in ends if name in (a.node.name, b.node.name)]
            output(f"{name}: {' '.join(f'{own}--{far.node.name}' for own, far in pairs)}\n")

    def do_links(self, _line: str) -> None:
        """List the links, by nodes and interfaces, and whether they are up."""
        for link in self.mn.links:
            ends = "--".join(f"{end.node.name}:{end}" for end in (link.intf1, link.intf2))
            output(f"{ends} {link.status()}\n")

    def do_dump(self, _line: str) -> None:
        """List each node's role, title and addresses."""
        for node in self.session.plan.loaded.network.nodes.values():
            addresses = self._addresses(node.name)
            output(f"{node.name}: {node.role.value}, {node.title}{': ' * bool(addresses)}{' '.join(addresses)}\n")

    def do_dpctl(self, line: str) -> None:
        """Run an ovs-ofctl command on all OpenFlow switches. For one switch: sh ovs-ofctl dump-flows SWITCH
        Usage: dpctl COMMAND [ARGUMENT]..."""
        if not line:
            self._fail("usage: dpctl COMMAND [ARGUMENT]...; for example: dpctl dump-flows")
            return
        words = shlex.split(line)
        if words[0] in _ENDLESS:
            self._fail(f"{words[0]} never ends; to watch one switch until Ctrl-C: sh ovs-ofctl {words[0]} SWITCH")
            return
        failed: dict[str, list[str]] = {}
        switches = [switch for switch in self.mn.switches if isinstance(switch, LabSwitch)]
        for switch in switches:
            done = switch.ofctl(*words)
            if done.returncode:
                failed.setdefault(done.stdout.strip(), []).append(switch.name)
            else:
                output(f"*** {switch.name} {'-' * 72}\n{done.stdout}")
        for why, names in failed.items():
            self._fail(f"dpctl, {'all switches' if len(names) == len(switches) else ', '.join(names)}: {why}")

    def do_pingall(self, line: str) -> None:
        """Ping (IPv4) between all subscribers and servers.
        Usage: pingall [SECONDS to wait for each]"""
        self._ping(self.mn.ping, self._ends(), line)

    def do_pingpair(self, line: str) -> None:
        """Ping (IPv4) between the first two subscribers or servers.
        Usage: pingpair [SECONDS to wait for each]"""
        self._ping(self.mn.ping, self._ends()[:2], line)

    def do_pingallfull(self, line: str) -> None:
        """Like pingall, with times.
        Usage: pingallfull [SECONDS to wait for each]"""
        self._ping(self.mn.pingFull, self._ends(), line)

    def do_pingpairfull(self, line: str) -> None:
        """Like pingpair, with times.
        Usage: pingpairfull [SECONDS to wait for each]"""
        self._ping(self.mn.pingFull, self._ends()[:2], line)

    def do_iperf(self, line: str) -> None:
        """Measure TCP throughput between two nodes, both ways (iperf3, 3 s each; default: the first two ends).
        Usage: iperf [NODE NODE]"""
        self._iperf(line.split(), [])

    def do_iperfudp(self, line: str) -> None:
        """Measure UDP throughput between two nodes at a given rate, both ways.
        Usage: iperfudp RATE [NODE NODE]    (for example: iperfudp 10M)"""
        rate, *nodes = line.split() or [""]
        if not re.fullmatch(r"\d+[KMG]?", rate, re.IGNORECASE):
            self._fail("usage: iperfudp RATE [NODE NODE], with a rate in bit/s such as 10M")
            return
        self._iperf(nodes, ["--udp", "--bitrate", rate])

    def do_xterm(self, _line: str, term: str = "xterm") -> None:
        """Not available: the sandbox has no display."""
        self.failures += 1
        error(_NO_DISPLAY.format(command=term))

    def do_gterm(self, line: str) -> None:
        """Not available: the sandbox has no display."""
        self.do_xterm(line, "gterm")

    def do_x(self, line: str) -> None:
        """Not available: the sandbox has no display."""
        self.do_xterm(line, "x")

    def do_py(self, line: str) -> None:
        """Evaluate a Python expression with nodes by name: py northnet-capital.IP()"""
        if not line:
            self._fail("usage: py EXPRESSION; for example: py northnet-capital.IP()")
        elif (result := eval(self._python(line), vars(cli), self._names())) is not None:
            output(f"{result}\n" if isinstance(result, str) else f"{result!r}\n")

    def do_px(self, line: str) -> None:
        """Execute a Python statement with nodes by name: px print(northnet-capital.IP())"""
        exec(self._python(line), vars(cli), self._names())

    def do_sh(self, line: str) -> None:
        """Run one of the machine's commands in the sandbox, outside all nodes.
        Usage: sh COMMAND"""
        subprocess.call(line, shell=True, stdin=None if self.isatty() else subprocess.DEVNULL)

    def do_link(self, line: str) -> None:
        """Bring the links between two nodes up or down.
        Usage: link NODE NODE up|down"""
        words = line.split()
        if len(words) != 3 or words[2] not in {"up", "down"}:
            self._fail("usage: link NODE NODE up|down")
        elif not self._node(words[0], "link").connectionsTo(self._node(words[1], "link")):
            self._fail(f"{words[0]} and {words[1]} have no link; `links` lists them")
        else:
            self.mn.configLinkStatus(*words)

    def do_switch(self, line: str) -> None:
        """Start or stop a switch. A stopped one forwards nothing; a restarted one gets its rules from its controller.
        Usage: switch SWITCH start|stop"""
        words = line.split()
        if len(words) != 2 or words[1] not in {"start", "stop"}:
            self._fail("usage: switch SWITCH start|stop; `ports` lists the switches")
            return
        switches = {switch.name: switch for switch in self.mn.switches if isinstance(switch, LabSwitch)}
        switch = switches[lookup.known("switch", words[0], sorted(switches), "switch")]
        if words[1] == "stop":
            switch.stop(deleteIntfs=False)
        else:
            switch.batchStartup([switch])

    def _names(self) -> dict[str, Any]:
        # Those of `site` close standard input, from which the commands come.
        return {**self.getLocals(), "exit": sys.exit, "quit": sys.exit}

    def _python(self, line: str) -> str:
        """Rewrites node names with a dash so that Python can parse them."""
        names = sorted((name for name in self.mn if not name.isidentifier()), key=len, reverse=True)
        if not names:
            return line
        pattern = rf"(?<![\w\"'-])({'|'.join(map(re.escape, names))})(?![\w\"'-])"
        return re.sub(pattern, lambda found: f"net[{found[0]!r}]", line)

    def _address_of(self, word: str) -> str:
        """Returns the address of a node that has one, so that `h1 ping h2` works; any other word unchanged."""
        interface = self.mn[word].defaultIntf() if word in self.mn and self.mn[word].intfs else None
        return (interface and interface.updateIP()) or word

    def _addresses(self, name: str) -> list[str]:
        ports = self.session.plan.loaded.network.nodes[name].ports
        return [str(address.ip) for port in ports.values() for address in port.addresses]

    def _ping(self, ping: Callable[..., object], nodes: list[Any], seconds: str) -> None:
        if re.fullmatch(r"\d+|\d*\.\d+", seconds or _PING_S) and float(seconds or _PING_S):
            ping(nodes, timeout=seconds or _PING_S)
        else:
            self._fail(f"found {seconds!r}; expected the seconds to wait for each, such as {_PING_S}, or nothing")

    def _node(self, name: str, command: str) -> Any:
        return self.mn[lookup.known("node", name, list(self.mn), command)]

    def _ends(self) -> list[Any]:
        network = self.session.plan.loaded.network
        return [self.mn[node.name] for role in _ASKED for node in network.by_role(role)]

    def _iperf(self, names: list[str], options: list[str]) -> None:
        if len(names) not in {0, 2}:
            self._fail("two nodes, or none; `nodes` lists them")
            return
        client, server = (self._node(name, "iperf") for name in names) if names else self._ends()[:2]
        for end in (client, server):
            if not self._addresses(end.name):
                self._fail(f"{end.name} has no address to send from or to; `dump` lists the nodes that have")
                return
        output(f"*** iperf3 between {client.name} and {server.name}\n")
        for way, reverse in (("there", []), ("back", ["--reverse"])):
            output(f"{way}: {_throughput(client, server, [*options, *reverse])}\n")


def _throughput(client: Any, server: Any, options: list[str]) -> str:
    """Returns an iperf3 client's result against a server that takes one connection, or why there is none."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "stdin": subprocess.DEVNULL}
    listening = server.spawn(["iperf3", "--server", "--one-off"], **quiet)
    try:
        end = time.monotonic() + _IPERF_LIMIT_S
        argv = ["iperf3", "--client", server.IP(), "--time", str(_IPERF_S), "--connect-timeout", "5000", "--json"]
        while True:
            asking = client.spawn([*argv, *options], **{**quiet, "stdout": subprocess.PIPE})
            try:
                printed, _ = asking.communicate(timeout=max(1.0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                asking.kill()
                asking.communicate()
                return f"nothing within {_IPERF_LIMIT_S:g} s"
            report = json.loads(printed or b"{}")
            why = report.get("error", "")
            if "refused" in why and listening.poll() is None and time.monotonic() < end:
                time.sleep(0.05)  # the server does not listen yet
                continue
            break
        sums = report.get("end", {})
        received = sums.get("sum_received") or sums.get("sum") or {}
        return why or f"{received.get('bits_per_second', 0.0) / 1e6:.1f} Mbit/s"
    finally:
        listening.kill()
        listening.wait()
