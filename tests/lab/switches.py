"""A country's switches alone: every bridge of a topology in one Open vSwitch without ports, with its controllers.

Open vSwitch's dummy datapath needs no device; tables, meters, bundles, roles and timeouts are the real ones.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import pytest
from cables import Cables

from shutdownlab.compiler.rules import MatchValue, Rule, SwitchProgram
from shutdownlab.control.addresses import ControllerAddresses
from shutdownlab.model.network import Network

_SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
_NAMES = {"eth_type": "dl_type", "ip_proto": "nw_proto", "eth_src": "dl_src", "eth_dst": "dl_dst"} | {
    "icmpv6_type": "icmp_type",
    "ipv4_src": "nw_src",
    "ipv4_dst": "nw_dst",
    "tcp_src": "tp_src",
    "tcp_dst": "tp_dst",
    "udp_src": "tp_src",
    "udp_dst": "tp_dst",
}


class Switches:
    """Bridges `NAME` of a network, in the namespace `netns`; a context manager."""

    def __init__(
        self, network: Network, addresses: ControllerAddresses, directory: Path, cables: Cables, netns: Path
    ) -> None:
        if shutil.which("ovs-vswitchd") is None:
            pytest.skip("openvswitch-switch is not installed")
        self.nodes = [node for node in network.nodes.values() if node.role.is_openflow]
        self._addresses = addresses
        self._directory = directory
        self._cables, self._netns = cables, netns
        self._environment = os.environ | dict.fromkeys(("OVS_RUNDIR", "OVS_DBDIR", "OVS_LOGDIR"), str(directory))
        self._daemons: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Switches:
        database = self._directory / "conf.db"
        subprocess.run(["ovsdb-tool", "create", database, _SCHEMA], check=True)
        self._daemon("ovsdb-server", f"--remote=punix:{self._directory}/db.sock", str(database))
        self._start_vswitchd()
        commands: list[str] = []
        for node in self.nodes:
            name = self.bridge(node.name)
            targets = [f"tcp:{host}:{port}" for host, port in self._addresses.of_switch(node.owner)]
            settings = [
                "datapath_type=dummy",
                "fail_mode=secure",
                "protocols=OpenFlow13",
                f"other_config:datapath-id={node.dpid:016x}",
            ]
            commands += ["--", "add-br", name, "--", "set", "bridge", name, *settings]
            commands += ["--", "set-controller", name, *targets]
        self.run("ovs-vsctl", "--timeout=20", "--retry", f"--db=unix:{self._directory}/db.sock", *commands[1:])
        every = self.vsctl("--bare", "--columns=_uuid", "list", "controller").split()
        for uuid in every:
            self.vsctl("set", "controller", uuid, "max_backoff=1000")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for daemon in reversed(self._daemons):
            daemon.kill()
            daemon.wait()

    def bridge(self, name: str) -> str:
        """A bridge's name has room for 15 characters."""
        return f"br{[node.name for node in self.nodes].index(name)}"

    def management(self, name: str) -> Path:
        """The socket by which `ovs-ofctl` speaks to a switch."""
        return self._directory / f"{self.bridge(name)}.mgmt"

    def vsctl(self, *arguments: str) -> str:
        return self.run("ovs-vsctl", "--timeout=20", f"--db=unix:{self._directory}/db.sock", *arguments)

    def ofctl(self, command: str, switch: str, *arguments: str) -> str:
        return self.run("ovs-ofctl", "-O", "OpenFlow13", command, self.bridge(switch), *arguments)

    def appctl(self, *arguments: str) -> str:
        return self.run("ovs-appctl", *arguments)

    def flows(self, switch: str, table: int | None = None) -> list[str]:
        """The flow entries, without counters."""
        chosen = [f"table={table}"] if table is not None else []
        printed = self.ofctl("dump-flows", switch, "--no-stats", *chosen)
        return [line.strip() for line in printed.splitlines() if "table=" in line or "priority=" in line]

    def differences(self, switch: str, program: SwitchProgram) -> str:
        """What the switch has beyond `program` (-) and lacks of it (+); nothing where they are the same."""
        wanted = self._directory / f"{switch}.flows"
        wanted.write_text("".join(f"{as_ofctl(rule)}\n" for rule in program.rules))
        argv = ["ovs-ofctl", "-O", "OpenFlow13", "diff-flows", self.bridge(switch), str(wanted)]
        done = subprocess.run(argv, capture_output=True, text=True, env=self._environment, check=False)
        return done.stdout + done.stderr

    def run(self, *argv: str) -> str:
        done = subprocess.run(argv, capture_output=True, text=True, env=self._environment, check=False, timeout=60)
        assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
        return done.stdout

    def restart_vswitchd(self) -> None:
        """Kill it as a crash would, and start it again without a rule."""
        daemon = self._daemons.pop()
        daemon.kill()
        daemon.wait()
        self._start_vswitchd()

    def _start_vswitchd(self) -> None:
        self._daemon("ovs-vswitchd", "--enable-dummy", "--disable-system", f"unix:{self._directory}/db.sock")

    def _daemon(self, *argv: str) -> None:
        inside = ["nsenter", f"--net={self._netns}", *argv, "--no-chdir", "-vconsole:off", "-vsyslog:off"]
        pidfile = f"--pidfile={self._directory}/{argv[0]}.pid"
        log = f"--log-file={self._directory}/{argv[0]}.log"
        self._daemons.append(subprocess.Popen([*inside[:3], *inside[3:], pidfile, log], env=self._environment))


def as_ofctl(rule: Rule) -> str:
    """A rule in ovs-ofctl's language: an independent account of what the controller should have installed."""
    fields = [f"cookie={rule.cookie:#x}", f"table={int(rule.table)}", f"priority={rule.priority}"]
    fields += [f"idle_timeout={rule.idle_timeout}"] if rule.idle_timeout else []
    fields += [f"hard_timeout={rule.hard_timeout}"] if rule.hard_timeout else []
    fields += [f"{_NAMES.get(name, name)}={_value(name, value)}" for name, value in rule.match]
    actions = [f"meter:{rule.meter}"] if rule.meter is not None else []
    actions += [f"move:{_copied(field)}->{_copied(field, register)}" for field, register in rule.moves]
    actions += [f"output:{port}" for port in rule.outputs]
    actions += [f"write_metadata:{rule.metadata[0]:#x}/{rule.metadata[1]:#x}"] if rule.metadata else []
    actions += [f"goto_table:{int(rule.goto)}"] if rule.goto is not None else []
    return f"{','.join(fields)},actions={','.join(actions) or 'drop'}"


def _copied(field: str, register: str = "") -> str:
    """The field, or as much of the register as it fills."""
    version, _, end = field.partition("_")
    if version in {"ipv4", "ipv6"}:
        kind = {"ipv4": f"OF_IP_{end}", "ipv6": f"NX_IPV6_{end}"}[version]
        return f"NXM_{kind.upper()}[]" if not register else f"NXM_NX_{register.upper()}[]"
    return f"NXM_OF_{field.upper()}[]" if not register else f"NXM_NX_{register.upper()}[0..15]"


def _value(name: str, value: MatchValue) -> str:
    if isinstance(value, tuple):
        return f"{_number(name, value[0])}/{_number(name, value[1])}"
    return _number(name, value)


def _number(name: str, value: int | str) -> str:
    return hex(value) if isinstance(value, int) and name not in {"ip_proto", "in_port", "icmpv6_type"} else str(value)


def until(what: str, condition: Callable[[], bool], deadline_s: float = 60.0) -> None:
    """Return as soon as `condition` holds; a test fails by `what` if it does not in time."""
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, f"{what}: not within {deadline_s:g} s"
        time.sleep(0.01)
