"""One operator's border, whole: a subscriber, a real Open vSwitch with the compiler's tables, a DPI box, a server.

The rest of the country is left out, and the controller is its domain alone, which speaks to the switch by ovs-ofctl.
"""

from __future__ import annotations

import ipaddress
import itertools
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import pytest
from cables import Cables
from switches import as_ofctl, until

from shutdownlab import library
from shutdownlab.box.dpi_box import BoxSpec, start_box
from shutdownlab.box.inspector import engine_maker
from shutdownlab.compiler.rules import Meter, PipelineTable, Rule, RuleChange, SwitchProgram
from shutdownlab.control.domain import Domain
from shutdownlab.inspection.profile import Profile
from shutdownlab.inspection.verdict import Decision
from shutdownlab.model.box_checks import profile_named
from shutdownlab.model.network import Network
from shutdownlab.model.policy import Policy
from shutdownlab.network.delay_line import DelayedLink, start_relay
from shutdownlab.network.recorder import Tap, start_recorder
from shutdownlab.protocol.messages import (
    Applied,
    Counters,
    CountersRequest,
    Decisions,
    Hello,
    Message,
    Notice,
    decode,
    encode,
)
from shutdownlab.system.child_process import Forked
from shutdownlab.system.line_socket import LineSocket
from shutdownlab.system.netns import inside

DEADLINE_S = 60.0
"""For what comes in a moment, on a machine that has thirty times as much to do as it can."""
SERVER: dict[Literal[4, 6], str] = {4: "203.0.113.10", 6: "2001:db8:72::10"}
_SWITCH = "northnet-dpi"
_SEGMENTATION = (
    '["Open_vSwitch",{"op":"insert","table":"Open_vSwitch","row":'
    '{"other_config":["map",[["userspace-tso-enable","true"]]]}}]'
)
_SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"


class OfctlSwitch:
    """The switch as a domain commands it. What returns a barrier has been carried out."""

    def __init__(self, crossing: Crossing) -> None:
        self._ofctl = crossing.ofctl
        self._barriers = itertools.count(1)

    def claim(self) -> None: ...

    def replace(self, program: SwitchProgram, sent: Callable[[int], None]) -> int:
        self._ofctl("del-flows")
        return self.update(RuleChange(program.meters, program.rules, (), ()), SwitchProgram((), ()), sent)

    def update(self, change: RuleChange, held: SwitchProgram, sent: Callable[[int], None]) -> int:
        self.enforce([(meter, False) for meter in change.meters], change.add)
        for rule in change.delete:
            self._ofctl("--strict", "del-flows", as_ofctl(rule).partition(",actions=")[0].partition(",")[2])
        return next(self._barriers)

    def enforce(self, meters: Iterable[tuple[Meter, bool]], rules: Iterable[Rule]) -> None:
        for meter, known in meters:
            band = f"meter={meter.id},kbps,burst,band=type=drop,rate={meter.kbit},burst_size={meter.burst}"
            self._ofctl("mod-meter" if known else "add-meter", band)
        self._ofctl("add-flows", "-", text="".join(f"{as_ofctl(rule)}\n" for rule in rules))

    def forget_verdicts(self) -> int:
        for table, kind in itertools.product((PipelineTable.RESIDUAL, PipelineTable.VERDICTS), ("ip", "ipv6")):
            self._ofctl("del-flows", f"table={int(table)},{kind}")
        return next(self._barriers)


@dataclass
class Connection:
    """Both ends of a TCP connection. `client` is who opened it."""

    client: socket.socket
    server: socket.socket

    def close(self) -> None:
        for end in (self.client, self.server):
            end.close()


class Crossing:
    """A context manager. Delays are one way: on the subscriber's link (near), the server's (far), and the box's two."""

    def __init__(
        self,
        directory: Path,
        profile: str | Profile,
        *,
        near_ms: float = 0,
        far_ms: float = 0,
        box_ms: float = 0,
        trusted: Path | None = None,
        root: Path | None = None,
    ) -> None:
        if shutil.which("ovs-vswitchd") is None:
            pytest.skip("openvswitch-switch is not installed")
        self.profile = profile_named(profile) if isinstance(profile, str) else profile
        self._trusted, self._root = trusted, root
        self.network: Network = library.network("two-operators")
        vantage = next(v for v in self.network.vantages if str(v.id) == "northnet/capital/ordinary")
        subnets = {subnet.version: subnet for subnet in self.network.subnets[vantage.id]}
        self.subscriber = {version: str(subnet.network_address + 10) for version, subnet in subnets.items()}
        self.told: list[Message] = []
        self._directory = directory
        self._delays = {"near": near_ms, "far": far_ms, "box": box_ms}
        self._environment = os.environ | dict.fromkeys(("OVS_RUNDIR", "OVS_DBDIR", "OVS_LOGDIR"), str(directory))
        self._stack = ExitStack()
        self._lock = threading.RLock()
        self._serial = 0
        self.applied: list[int] = []
        """The serials of the orders that the box, or its successor, has come to work by."""
        self._counted: list[Counters] = []
        self.decided: list[Decision] = []
        """All that the box has told, in its order."""

    # --- building --------------------------------------------------------------------------------------------------

    def __enter__(self) -> Crossing:
        with ExitStack() as ends_if_it_fails:
            ends_if_it_fails.push(self._stack)
            self._build()
            ends_if_it_fails.pop_all()
        return self

    def _build(self) -> None:
        cables = self.cables = self._stack.enter_context(Cables())
        self.near, self.far, self._middle, self._switch, self._lines = (cables.netns() for _ in range(5))
        node = self.network.nodes[_SWITCH]
        border = self.network.nodes["northnet-border"].port_for("intl")
        self._relayed: list[DelayedLink] = []
        self._cable(self.near, "client", "border-intl", self._delays["near"])
        self._cable(self.far, "server", "gateway", self._delays["far"])
        self._cable(self._middle, "inside", "box-inside", self._delays["box"])
        self._cable(self._middle, "outside", "box-outside", self._delays["box"])
        cables.run(self.near, "ip", "link", "set", "client", "address", border.mac)
        for netns, ifname, own, other in (
            (self.near, "client", self.subscriber, SERVER),
            (self.far, "server", SERVER, self.subscriber),
        ):
            for version in SERVER:
                length = ipaddress.ip_address(own[version]).max_prefixlen
                cables.address(netns, ifname, f"{own[version]}/{length}")
                cables.run(netns, "ip", f"-{version}", "route", "add", other[version], "dev", ifname)
        self._start_switch({port.purpose: port.number for port in node.ports.values()})
        if self._relayed:
            relay = start_relay(self._relayed, 0)
            relay.wait_ready()
            self._stack.callback(relay.stop)
        self.domain = Domain(self.network, library.catalogue(), "northnet", self.profile, self.told.append)
        with inside(self._middle):
            self._listener = socket.create_server(("127.0.0.1", 0))
        self._controller = threading.Thread(target=self._listen, daemon=True)
        self._controller.start()
        self.domain.switch_joined(_SWITCH, OfctlSwitch(self))
        self.domain.reconcile(0, {})
        self.start_box()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        counters = {}
        if self.box.alive():
            # a box that has just been killed may still count as alive, and has no last words
            counters = next((m.counters for m in map(decode, reversed(self.box.stop())) if isinstance(m, Counters)), {})
        self._listener.shutdown(socket.SHUT_RDWR)
        self._controller.join()
        self._listener.close()
        self._stack.close()
        if error is None and counters:
            assert counters["engine_failures"] == 0, counters
            assert counters["inside"]["refused"] == counters["outside"]["refused"] == 0, counters

    def _cable(self, netns: Path, ifname: str, purpose: str, delay_ms: float) -> None:
        """Join an interface to the switch, over the delay line if need be."""
        if not delay_ms:
            self.cables.veth(self._switch, purpose, netns, ifname)
            return
        self.cables.veth(self._switch, purpose, self._lines, f"{ifname}-a")
        self.cables.veth(self._lines, f"{ifname}-b", netns, ifname)
        self._relayed.append(DelayedLink(ifname, self._lines, f"{ifname}-a", f"{ifname}-b", delay_ms))

    def _start_switch(self, ports: Mapping[str, int]) -> None:
        database = self._directory / "conf.db"
        self._run("ovsdb-tool", "create", str(database), _SCHEMA)
        self._run("ovsdb-tool", "transact", str(database), _SEGMENTATION)  # before the daemon starts, or it is too late
        self._daemon("ovsdb-server", f"--remote=punix:{self._directory}/db.sock", str(database))
        self._daemon("ovs-vswitchd", f"unix:{self._directory}/db.sock")
        vsctl = ["ovs-vsctl", "--timeout=20", "--retry", f"--db=unix:{self._directory}/db.sock"]
        commands = ["add-br", "dpi", "--", "set", "bridge", "dpi"]
        commands += ["datapath_type=netdev", "fail_mode=secure", "protocols=OpenFlow13"]
        for purpose in ("border-intl", "gateway", "box-inside", "box-outside"):
            commands += ["--", "add-port", "dpi", purpose]
            commands += ["--", "set", "interface", purpose, f"ofport_request={ports[purpose]}"]
        self._run(*vsctl, *commands)

    def _daemon(self, *argv: str) -> None:
        inside = ["nsenter", f"--net={self._switch}", *argv, "--no-chdir", "-vconsole:off", "-vsyslog:off"]
        files = [f"--pidfile={self._directory}/{argv[0]}.pid", f"--log-file={self._directory}/{argv[0]}.log"]
        daemon = subprocess.Popen([*inside, *files], env=self._environment)
        self._stack.callback(daemon.wait)
        self._stack.callback(daemon.kill)

    def ofctl(self, *argv: str, text: str | None = None) -> str:
        options = [argv[0]] if argv[0].startswith("--") else []
        command, *rest = argv[len(options) :]
        return self._run("ovs-ofctl", "-O", "OpenFlow13", *options, command, "dpi", *rest, text=text)

    def verdicts(self) -> list[str]:
        """The flow rules that enforce decisions."""
        tables = (
            self.ofctl("dump-flows", f"table={int(table)}")
            for table in (PipelineTable.RESIDUAL, PipelineTable.VERDICTS)
        )
        return [
            line.strip() for printed in tables for line in printed.splitlines() if ",reg" in line or ",xxreg" in line
        ]

    def _run(self, *argv: str, text: str | None = None) -> str:
        done = subprocess.run(
            argv, input=text, capture_output=True, text=True, env=self._environment, check=False, timeout=60
        )
        assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
        return done.stdout

    # --- the box and its controller --------------------------------------------------------------------------------

    def start_box(self) -> Forked:
        """Start the DPI box, perhaps again."""
        controllers = (self._listener.getsockname()[:2],)
        spec = BoxSpec(
            "northnet-box",
            self._middle,
            "inside",
            "outside",
            self.profile.name,
            controllers=controllers,
            trusted=self._trusted,
            root=self._root,
        )
        self.box = start_box(spec, engine_maker(profiles=[self.profile]))
        self.box.wait_ready()
        return self.box

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._serve(connection)

    def _serve(self, connection: socket.socket) -> None:
        self._box_end = connection
        lines = LineSocket(connection, waits=True)
        while lines.ended is None:
            for message in map(decode, lines.receive()):
                with self._lock:
                    self._heard(message, lines)
        with self._lock:
            self.domain.box_left()

    def _heard(self, message: Message, lines: LineSocket) -> None:
        match message:
            case Hello():
                self.domain.box_joined(lambda said: lines.send(encode(said)))
            case Counters():
                self._counted.append(message)
            case Decisions():
                self.decided += message.decisions
                self.domain.on_box_message(message)
            case _:
                self.domain.on_box_message(message)
                if isinstance(message, Applied):
                    self.applied.append(message.serial)

    def order(self, policies: Mapping[str, Policy], local_time: float | None = None) -> None:
        """Put these policies in force, and return when switch and box have them."""
        self._serial += 1
        until("the box is connected", lambda: self.domain._box.send is not None)
        with self._lock:
            before = self.domain._box.policy
            self.domain.reconcile(self._serial, policies, local_time)
            sent = self.domain._box.policy is not before
        if sent:
            until("the box has applied its rules", lambda: self.applied[-1:] == [self._serial])

    def inspect(self, *rules: dict[str, Any], local_time: float | None = None, **fields: Any) -> None:
        """Have the subscribers inspected by these rules."""
        policy = {"title": "test", "source": "test", "inspect": list(rules), **fields}
        self.order({"test": Policy.model_validate(policy)}, local_time)

    def block(self, **targets: Any) -> None:
        """Have what is named blocked, by whatever the box's profile does."""
        self.order({"test": Policy.model_validate({"title": "test", "source": "test", "block": targets})})

    def notices(self) -> str:
        return "\n".join(message.text for message in self.told if isinstance(message, Notice))

    def record(self, directory: Path) -> Forked:
        """Record what the switch receives, as `run --pcap` does, until what is returned is stopped."""
        ports = ("border-intl", "gateway", "box-inside", "box-outside")
        recorder = start_recorder([Tap(_SWITCH, self._switch, tuple((port, port) for port in ports))], directory)
        recorder.wait_ready()
        return recorder

    def counters(self) -> dict[str, Any]:
        """The box's own, now."""
        known = len(self._counted)
        self._box_end.sendall(encode(CountersRequest()))
        until("the box's counters", lambda: len(self._counted) > known)
        return self._counted[-1].counters

    # --- the two ends ----------------------------------------------------------------------------------------------

    def end(self, kind: socket.SocketKind, *, outside: bool = False, version: Literal[4, 6] = 4) -> socket.socket:
        """A socket of the subscriber's, or of the server's."""
        family = socket.AF_INET if version == 4 else socket.AF_INET6
        with inside(self.far if outside else self.near):
            made = socket.socket(family, kind)
        made.settimeout(DEADLINE_S)
        self._stack.callback(made.close)
        return made

    def listener(self, port: int, *, outside: bool = True, version: Literal[4, 6] = 4) -> socket.socket:
        """A listening socket at the server, or at the subscriber."""
        made = self.end(socket.SOCK_STREAM, outside=outside, version=version)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((SERVER[version] if outside else self.subscriber[version], port))
        made.listen()
        return made

    def connect(
        self, port: int = 443, *, from_outside: bool = False, client_port: int = 0, version: Literal[4, 6] = 4
    ) -> Connection:
        """A new connection to `port`, opened by the subscriber or `from_outside`."""
        listener = self.listener(port, outside=not from_outside, version=version)
        client = self.end(socket.SOCK_STREAM, outside=from_outside, version=version)
        if client_port:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            client.bind((SERVER[version] if from_outside else self.subscriber[version], client_port))
        try:
            client.connect(listener.getsockname()[:2])
            server, _ = listener.accept()
        finally:
            listener.close()
        server.settimeout(DEADLINE_S)
        self._stack.callback(server.close)
        return Connection(client, server)
