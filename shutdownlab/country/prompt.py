"""Mininet's command line for a country: its commands, adapted to work here, and further ones for the country.

No error ends it: the exception of a command is printed in a line, and the next command is read.
"""

from __future__ import annotations

import json
import logging
import os
import re
import select
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from mininet import cli
from mininet.cli import CLI
from mininet.log import OUTPUT, StreamHandlerNoNewline, error, lg, output
from mininet.util import quietRun

from shutdownlab.config.document import did_you_mean
from shutdownlab.config.problems import BadInput
from shutdownlab.control.processes import ControlError
from shutdownlab.country.session import Session
from shutdownlab.country.shared_session import DistantSession
from shutdownlab.library import Shutdown
from shutdownlab.model import lookup
from shutdownlab.model.network import Role
from shutdownlab.network.ovs import LabSwitch
from shutdownlab.protocol.session import Measure
from shutdownlab.system.sandbox import Stopped
from shutdownlab.system.streams import OutputLost

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


class _ToItsStream(StreamHandlerNoNewline):  # type: ignore[misc]
    """Writes commands' results to standard output and errors to standard error; Mininet uses one stream for both."""

    def emit(self, record: logging.LogRecord) -> None:
        """Raises `OutputLost` if it cannot be written, as `print` does."""
        stream = sys.stdout if record.levelno == OUTPUT else sys.stderr
        stream.write(self.format(record))
        stream.flush()


class Prompt(CLI):  # type: ignore[misc]
    """The command line of a session. `failures`: how many commands failed."""

    identchars = f"{CLI.identchars}-."
    doc_header = "Commands of Mininet and of the country (type help COMMAND):"
    helpStr = (  # noqa: N815 - Mininet's name
        "A line that begins with a node's name is a command on that node: NODE COMMAND\n"
        "Names of nodes among its words stand for their addresses: NODE ping OTHER-NODE\n"
        "A program that draws on the whole screen: noecho NODE COMMAND\n"
        "A terminal of its own: shutdownlab attach NODE, outside the lab\n"
    )

    def __init__(self, session: Session | DistantSession, **options: Any) -> None:
        """Reads commands until there are no more; `options` are those of `mininet.cli.CLI`."""
        self.session = session
        self.failures = 0
        self._sources: list[Path] = []
        with suppress(ImportError):
            import readline

            readline.set_completer_delims(readline.get_completer_delims().replace("-", "").replace("/", ""))
        handler = _ToItsStream()
        handler.setFormatter(logging.Formatter("%(message)s"))
        lg.handlers = [handler]
        super().__init__(session.country.net, **options)

    def run(self) -> None:
        """Reads commands to the end. Ctrl-C stops a command; a signal to the lab itself (SIGTERM) ends it."""
        while True:
            try:
                for node in self.mn.values():
                    while node.waiting:
                        node.sendInt()
                        node.waitOutput()
                if self.isatty():
                    quietRun("stty echo sane intr ^C")
                self.cmdloop()
                return
            except Stopped:
                raise
            except KeyboardInterrupt:
                output("\nInterrupt\n")

    # --- input ---

    def onecmd(self, line: str) -> bool:
        """Carries out a line; prints an exception and counts it as a failure."""
        try:
            return bool(super().onecmd(line))
        except BadInput as mistake:
            for text in mistake.lines():
                self._fail(text)
        except ControlError as broken:
            self._fail(str(broken))
        except (KeyboardInterrupt, OutputLost):
            raise
        except SystemExit:  # of `py exit()`
            self._fail(f"{line.split()[0]}: `exit` ends the lab; a Python program's own end does not")
        except Exception as bug:  # a Mininet command with unexpected arguments
            self._fail(f"{line.split()[0]}: {type(bug).__name__}: {bug}")
        finally:
            sys.stdout.flush()  # output written directly must precede what a node prints next
        return False

    def default(self, line: str) -> None:
        first, arguments, _ = self.parseline(line)
        if not line:
            self._fail("usage: noecho NODE COMMAND")
        elif first not in self.mn:
            near = did_you_mean(first or "", [*self._commands(), *self.mn])
            where = near or "`help` lists them, `nodes` where any program can be run"
            self._fail(f"unknown command {first or line!r}; {where}")
        elif not arguments:
            self._fail(f"which command is to be run at {first}? For example: {first} ip address")
        else:
            command = " ".join(self._address_of(word) for word in arguments.split(" "))
            source = "" if self.isatty() else " </dev/null"  # its contents are the next commands
            self.mn[first].sendCmd(f"eval {shlex.quote(command)}{source}")
            self.waitForNode(self.mn[first])

    def do_help(self, line: str) -> None:
        """List the commands, or tell what one does.
        Usage: help [COMMAND]"""
        if line in self.mn:
            output(f"{line} is a node. A command on it: {line} ip address\n")
        elif line and line not in self._commands():
            near = did_you_mean(line, self._commands()) or "`help` lists the commands"
            self._fail(f"no help on {line!r}, which is no command here; {near}")
        else:
            super().do_help(line)

    def _commands(self) -> list[str]:
        return [name.removeprefix("do_") for name in self.get_names() if name.startswith("do_")]

    def waitForNode(self, node: Any) -> None:  # noqa: N802 - Mininet's name
        """Prints a node's command's output until it ends; meanwhile forwards what is typed to it."""
        waiting, keys = select.poll(), self.stdin.fileno()
        waiting.register(node.stdout, select.POLLIN)
        waiting.register(node.shell_end, select.POLLIN)
        if self.isatty():
            waiting.register(keys, select.POLLIN)
            quietRun("stty -icanon min 1")
        while node.waiting:
            try:
                ready = [fd for fd, _ in waiting.poll()]
                if keys in ready:
                    typed = os.read(keys, 1024)
                    os.write(node.master, typed)
                    if not typed:
                        waiting.unregister(keys)
                if ready != [keys]:
                    output(node.monitor(0, findPid=False))
            except Stopped:
                raise
            except KeyboardInterrupt:
                node.sendInt()

    def completenames(self, text: str, *ignored: Any) -> list[str]:
        """Completes commands and nodes."""
        return [*super().completenames(text, *ignored), *(name for name in self.mn if name.startswith(text))]

    def completedefault(self, text: str, *_ignored: Any) -> list[str]:
        plan = self.session.plan
        vantages = [vantage.id for vantage in plan.loaded.network.vantages]
        names = [*self.mn, *plan.policies, *plan.probes, *self._phases(), *vantages]
        return [name for name in names if name.startswith(text)]

    def _fail(self, text: str) -> None:
        self.failures += 1
        error(f"*** {text}\n")

    def do_source(self, line: str) -> None:
        """Carry out the commands of a file, up to an `exit`.
        Usage: source FILE"""
        if not line:
            self._fail("usage: source FILE")
            return
        path = Path(line).resolve()
        if path in self._sources:
            self._fail(f"{line} is being carried out already: a file cannot source itself")
            return
        try:
            lines = path.read_text().splitlines()
        except UnicodeDecodeError:
            self._fail(f"{line} is not text in UTF-8; expected a file of commands, one per line")
            return
        except OSError as why:
            self._fail(f"{line}: {why.strerror}")
            return
        self._sources.append(path)
        try:
            for each in lines:
                if not each.lstrip().startswith("#") and self.onecmd(each):
                    break
        finally:
            self._sources.pop()

    # --- the country ---

    def do_phase(self, line: str) -> None:
        """Bring the country to a phase of the scenario: its policies and its time.
        Usage: phase [NAME]    (without NAME: list the phases)"""
        scenario = self.session.plan.scenario
        if scenario is None:
            self._fail("a topology has no phases; `shutdownlab lab SCENARIO` has")
        elif not line:
            for phase in scenario.timeline:
                here = "*" if phase.phase == self.session.phase else " "
                output(f"{here} {phase.phase:<24} {phase.at:%Y-%m-%d %H:%M}  {phase.title}\n")
        else:
            name = lookup.phase_named(scenario, line, "phase").phase
            self.session.put_in_force(name, self.session.plan.active_in(name))
            self._tell_policies()

    def do_policies(self, _line: str) -> None:
        """List the scenario's policies; a * marks those in force."""
        for name, policy in self.session.plan.policies.items():
            output(f"{'*' if name in self.session.active else ' '} {name:<24} {policy.title}\n")

    def do_start(self, line: str) -> None:
        """Put policies of the scenario in force, in addition to the present ones.
        Usage: start POLICY..."""
        named = self._policies(line, "start")
        if named:
            self._put_in_force([*self.session.active, *(name for name in named if name not in self.session.active)])

    def do_stop(self, line: str) -> None:
        """Take policies out of force.
        Usage: stop POLICY..."""
        named = self._policies(line, "stop")
        if named:
            self._put_in_force([name for name in self.session.active if name not in named])

    def do_probe(self, line: str) -> None:
        """Measure as a subscriber: a probe of the scenario, an app, a site or ADDRESS:PORT.
        Usage: probe OPERATOR/REGION[/GROUP] TARGET [ipv4|ipv6]"""
        words = line.split()
        if len(words) not in {2, 3} or words[2:] not in ([], ["ipv4"], ["ipv6"]):
            self._fail("usage: probe OPERATOR/REGION[/GROUP] TARGET [ipv4|ipv6]")
            return
        for answer in self.session.measure([Measure(1, words[0], words[1], words[2] if len(words) == 3 else "ipv4")]):
            failure = f" ({answer.failure})" if answer.failure else ""
            figure = f", {answer.value:g} {answer.unit}" if answer.value is not None else ""
            output(f"{answer.outcome}{failure}{figure}, in {answer.runtime:.2f} s\n")
        self._tell_complaints()

    def do_why(self, line: str) -> None:
        """Explain an outcome in the present phase: the path through the model, hop by hop.
        Usage: why OPERATOR/REGION[/GROUP] TARGET [ipv4|ipv6]"""
        from shutdownlab.verifier.explain import explain
        from shutdownlab.verifier.explained import explanation_lines

        words, plan, phase = line.split(), self.session.plan, self.session.phase
        if len(words) not in {2, 3}:
            self._fail("usage: why OPERATOR/REGION[/GROUP] TARGET [ipv4|ipv6]")
        elif not isinstance(plan.loaded, Shutdown):
            self._fail("a topology has no phases to explain; `shutdownlab lab SCENARIO` has")
        elif phase is None:
            self._fail("no phase is in force; `phase NAME` goes to one")
        elif set(self.session.active) != set(plan.active_in(phase)):
            self._fail(f"the policies in force are not those of {phase}; `phase {phase}` applies them")
        else:
            vantage, target, family = words[0], words[1], words[2] if len(words) == 3 else None
            found = explain(plan.loaded, at=phase, vantage=vantage, target=target, family=family, choose=plan.choices)
            output("".join(f"{text}\n" for text in explanation_lines(found)))

    def _policies(self, line: str, command: str) -> list[str]:
        if not line:
            self._fail(f"usage: {command} POLICY...; `policies` lists them")
        return [lookup.known("policy", name, self.session.plan.policies, command) for name in line.split()]

    def _put_in_force(self, policies: list[str]) -> None:
        self.session.put_in_force(self.session.phase or "", policies, moved=False)
        self._tell_policies()

    def _tell_policies(self) -> None:
        output(f"in force: {', '.join(self.session.active) or 'no policy'}\n")
        self._tell_complaints()

    def _tell_complaints(self) -> None:
        for complaint in self.session.faults():
            error(f"*** {complaint}\n")

    def _phases(self) -> list[str]:
        scenario = self.session.plan.scenario
        return [phase.phase for phase in scenario.timeline] if scenario else []

    # --- Mininet's commands that need to know more of the country ---

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
