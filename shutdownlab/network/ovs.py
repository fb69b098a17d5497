"""Open vSwitch: one instance per operator, each in its own network namespace, and the switches in it.

Two instances of the userspace datapath can't share a namespace (both need the device `ovs-netdev`), and a single one
for the whole country would get slower with every port, because it polls all of them in one loop.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

from mininet.link import Intf, OVSIntf
from mininet.node import OVSSwitch

from shutdownlab.network.node import EmulatedNode
from shutdownlab.system.kernel import MachineCannot
from shutdownlab.system.namespace import Namespace
from shutdownlab.system.questions import SocketQuestion

Datapath = Literal["netdev", "system"]
"""netdev: Open vSwitch's userspace datapath. system: the kernel module openvswitch."""

_RUN = Path("/run/ovs")
_SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")
_START_SECONDS, _SECONDS_A_COMMAND = 20.0, 0.05
"""Timeout of a transaction, plus a time for each command of all transactions begun together."""
_NAME_LIMIT = 15
# Lower indexes are taken by the daemons' own interfaces.
_FIRST_INDEX = 1000
# TSO must be enabled before the first bridge exists. One revalidator is enough for an operator. A probe's flows expire
# after a second (max-idle, in ms): with the default of 10 s they were a quarter of the daemons' work.
_OTHER_CONFIG = [
    ["userspace-tso-enable", "true"], ["max-idle", "1000"], ["n-handler-threads", "1"], ["n-revalidator-threads", "1"]
]  # fmt: skip


def _allocator() -> dict[str, str]:
    """Returns environment variables that make the daemons use jemalloc, if it is installed.

    The userspace datapath allocates and frees 32 packet buffers per port in each poll, which took 22 % of its time with
    glibc's allocator and 13 % with jemalloc.
    """
    found = next(Path("/usr/lib").glob("*/libjemalloc.so.2"), None)
    return {"LD_PRELOAD": str(found)} if found else {}


class OvsInstance:
    """One `ovsdb-server` and one `ovs-vswitchd`, in namespace `NAME_ovs`."""

    def __init__(self, name: str, datapath: Datapath = "netdev", log_dir: Path | None = None) -> None:
        """Starts the daemons, without waiting until they are ready.

        log_dir: directory of the daemons' logs; None for one that is lost with the sandbox. Raises MachineCannot.
        """
        self.name = name
        self.datapath = datapath
        self.namespace = Namespace(f"{name}_ovs", ipv6=False, own_mounts=False, first_index=_FIRST_INDEX)
        self.run_dir = _RUN / name
        self.run_dir.mkdir(parents=True)
        self._logs = log_dir or self.run_dir
        self._logs.mkdir(parents=True, exist_ok=True)
        self._bridges: list[str] = []
        self.daemons: dict[str, subprocess.Popen[Any]] = {}
        """The two processes, by program name."""
        database = self.run_dir / "conf.db"
        shutil.copy(_database_template(), database)
        self._spawn("ovsdb-server", f"--remote=punix:{self.socket}", str(database))
        self._spawn("ovs-vswitchd", f"unix:{self.socket}")

    @property
    def socket(self) -> Path:
        """The database's socket: `ovs-vsctl --db=unix:SOCKET`."""
        return self.run_dir / "db.sock"

    def liveness_questions(self) -> dict[str, SocketQuestion]:
        """Returns a query for each daemon, by program name, that its main loop answers: `ovs-appctl version`."""
        ask = json.dumps({"method": "version", "params": [], "id": 0}).encode()
        return {
            program: SocketQuestion(self.run_dir / f"{program}.{daemon.pid}.ctl", ask, _is_json)
            for program, daemon in self.daemons.items()
        }

    @property
    def control(self) -> Path:
        """The control socket of `ovs-vswitchd`, as used by `ovs-appctl`."""
        return self.run_dir / f"ovs-vswitchd.{self.daemons['ovs-vswitchd'].pid}.ctl"

    def environment(self) -> dict[str, str]:
        """Returns environment variables that make ovs-vsctl, ovs-ofctl and ovs-appctl use this instance."""
        return {"OVS_RUNDIR": str(self.run_dir), "OVS_DBDIR": str(self.run_dir), "OVS_LOGDIR": str(self._logs)}

    def _spawn(self, program: str, *arguments: str) -> None:
        log = self._logs / f"{self.name}-{program}.log"
        options = [f"--pidfile={self.run_dir / program}.pid", f"--log-file={log}", "-vconsole:off", "-vsyslog:off"]
        try:
            self.daemons[program] = self.namespace.spawn(
                [program, *arguments, *options],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**os.environ, **self.environment(), **_allocator()},
            )
        except FileNotFoundError as error:
            raise _no_open_vswitch(program, error) from error

    def adopt(self, bridge: str) -> str:
        """Registers a bridge; returns a short name for it that is unique in this instance."""
        self._bridges.append(bridge)
        return f"br{len(self._bridges)}"

    def begin(self, commands: Sequence[Sequence[str]], beside: int = 0) -> subprocess.Popen[str]:
        """Starts ovs-vsctl commands as one transaction, which ends once ovs-vswitchd has applied it. See `finish`.

        beside: how many commands other instances run at the same time, for the timeout. Raises MachineCannot.
        """
        seconds = round(_START_SECONDS + (len(commands) + beside) * _SECONDS_A_COMMAND)
        argv = ["ovs-vsctl", f"--db=unix:{self.socket}", f"--timeout={seconds}", "--retry"]
        for number, command in enumerate(commands):
            argv += ["--", *command] if number else command
        try:
            return subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
        except FileNotFoundError as error:
            raise _no_open_vswitch("ovs-vsctl", error) from error

    def finish(self, begun: subprocess.Popen[str]) -> str:
        """Waits for a transaction and returns its output. Raises MachineCannot if it failed."""
        output, complaint = begun.communicate()
        if begun.returncode:
            last = self._last_warning()
            raise MachineCannot(
                f"start Open vSwitch for {self.name}",
                complaint.strip()
                or f"ovs-vsctl ended with {begun.returncode}" + (f"; its log says: {last}" if last else ""),
                f"read {self._logs}/{self.name}-ovs-vswitchd.log; `shutdownlab doctor` shows what is missing",
            )
        return output

    def vsctl(self, *command: str) -> str:
        """Runs one ovs-vsctl command and returns its output. Raises MachineCannot."""
        return self.finish(self.begin([command]))

    def close(self) -> None:
        """Kills the daemons and releases their namespace and files, without waiting for the kernel: 12 ms per port."""
        for daemon in self.namespace.running():
            daemon.kill()
        self.namespace.close()
        shutil.rmtree(self.run_dir, ignore_errors=True)

    def _last_warning(self) -> str:
        log = self._logs / f"{self.name}-ovs-vswitchd.log"
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        return next((line for line in reversed(lines) if "|WARN|" in line or "|ERR|" in line or "|EMER|" in line), "")


def _is_json(data: bytes) -> bool:
    try:
        json.loads(data)
    except ValueError:
        return False
    return True


def _database_template() -> Path:
    """Returns an empty database with our settings, created once per sandbox, for instances to copy."""
    template = _RUN / "template.db"
    if template.exists():
        return template
    _RUN.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_RUN) as scratch:
        made = Path(scratch) / "template.db"
        insert = '["Open_vSwitch",{"op":"insert","table":"Open_vSwitch","row":{"other_config":["map",%s]}}]'
        config = str([list(pair) for pair in _OTHER_CONFIG]).replace("'", '"')
        try:
            for argv in (["create", str(made), str(_SCHEMA)], ["transact", str(made), insert % config]):
                subprocess.run(["ovsdb-tool", *argv], check=True, capture_output=True, text=True)
        except FileNotFoundError as error:
            raise _no_open_vswitch("ovsdb-tool", error) from error
        except subprocess.CalledProcessError as error:
            raise MachineCannot(
                "make an Open vSwitch database", error.stderr.strip(), "reinstall openvswitch-switch"
            ) from error
        made.rename(template)
    return template


def _no_open_vswitch(program: str, error: FileNotFoundError) -> MachineCannot:
    """Explains why a program couldn't be started: it isn't installed, or another file, such as the working directory,
    is missing.
    """
    if shutil.which(program) is None:
        why, mend = f"{program} is not installed", "sudo apt install openvswitch-switch"
    else:
        why, mend = f"{program} needs {error.filename}, which does not exist", "change to a directory that exists"
    return MachineCannot("start Open vSwitch", why, mend)


class LabSwitch(EmulatedNode, OVSSwitch):  # type: ignore[misc]
    """An Open vSwitch bridge in its operator's instance.

    Parameters in addition to Mininet's:
        instance: the OvsInstance (EmulatedNetwork looks it up by name)
        targets: controllers in addition to the network's own, such as "tcp:192.0.2.1:6653"
    """

    controlIntf = None  # noqa: N815 - read by mininet.node.Switch

    def __init__(self, name: str, instance: OvsInstance, targets: Sequence[str] = (), **params: Any) -> None:
        self.instance = instance
        self.targets = tuple(targets)
        self.short_name = instance.adopt(name)
        self.bridge = name if len(name) <= _NAME_LIMIT else self.short_name
        params.setdefault("protocols", "OpenFlow13")
        super().__init__(name, **{**params, "datapath": "user" if instance.datapath == "netdev" else "kernel"})

    @property
    def management(self) -> Path:
        """The bridge's management socket, as used by `ovs-ofctl`."""
        return self.instance.run_dir / f"{self.bridge}.mgmt"

    def _take_namespace(self, name: str, params: dict[str, Any]) -> Namespace:
        return self.instance.namespace

    def environment(self) -> dict[str, str]:
        return self.instance.environment() | self.variables

    def bridge_commands(self, controllers: Iterable[Any]) -> list[list[str]]:
        """Returns the ovs-vsctl commands that create this bridge with all its ports."""
        bridge = [
            f"datapath_type={self.instance.datapath}",
            f"fail_mode={self.failMode}",
            f"other_config:datapath-id={self.dpid}",
            f"other_config:dp-desc={self.name}",
            "other_config:disable-in-band=true",
            *([f"protocols={self.protocols}"] if self.protocols else []),
        ]
        made = [["--may-exist", "add-br", self.bridge], ["set", "Bridge", self.bridge, *bridge]]
        for intf in self.intfList():
            made += self._port_commands(intf)
        targets = [*self.targets, *(f"tcp:{each.IP()}:{each.port}" for each in controllers)]
        if targets:
            made.append(["set-controller", self.bridge, *targets])
        return made

    def _port_commands(self, intf: Intf) -> list[list[str]]:
        settings = [f"ofport_request={self.ports[intf]}"]
        if isinstance(intf, OVSIntf):
            peer = intf.link.intf2 if intf.link.intf1 is intf else intf.link.intf1
            settings += ["type=patch", f"options:peer={peer}"]
        made = [["--may-exist", "add-port", self.bridge, intf.name, "--", "set", "Interface", intf.name, *settings]]
        if getattr(intf, "shaped", False):
            # Without this, Open vSwitch removes existing queueing disciplines from the interface.
            made.append(
                [
                    f"--id=@{intf.name}",
                    "create",
                    "QoS",
                    "type=linux-noop",
                    "--",
                    "set",
                    "Port",
                    intf.name,
                    f"qos=@{intf.name}",
                ]
            )
        return made

    def start(self, controllers: Sequence[Any]) -> None:
        """Stores the controllers for `batchStartup`, which Mininet calls next to create the bridges of all switches."""
        self._controllers = tuple(controllers)

    @classmethod
    def batchStartup(cls, switches: Sequence[LabSwitch], run: object = None) -> Sequence[LabSwitch]:  # noqa: N802
        """Creates the bridges of all switches: one transaction per instance, all of them concurrently."""
        by_instance: dict[OvsInstance, list[list[str]]] = {}
        for switch in switches:
            by_instance.setdefault(switch.instance, []).extend(switch.bridge_commands(switch._controllers))
        every = sum(map(len, by_instance.values()))
        begun = [(i, i.begin(commands, every - len(commands))) for i, commands in by_instance.items()]
        for instance, transaction in begun:
            instance.finish(transaction)
        return switches

    def stop(self, deleteIntfs: bool = True) -> None:  # noqa: N803
        """Removes this bridge only, not its instance."""
        self.instance.vsctl("--if-exists", "del-br", self.bridge)

    def attach(self, intf: Intf) -> None:
        """Adds a port that was created after the start."""
        self.instance.finish(self.instance.begin(self._port_commands(intf)))

    def detach(self, intf: Intf) -> None:
        self.instance.vsctl("--if-exists", "del-port", self.bridge, str(intf))

    def vsctl(self, *args: Any, **_kwargs: Any) -> str:
        """Runs an ovs-vsctl command. As in Mininet, arguments are split at spaces."""
        return self.instance.vsctl(*" ".join(str(arg) for arg in args).split())

    def dpctl(self, *args: Any) -> str:
        """Runs `ovs-ofctl COMMAND BRIDGE ARGUMENTS...` and returns its output, including errors."""
        return self.ofctl(*args).stdout

    def ofctl(self, *args: Any) -> subprocess.CompletedProcess[str]:
        """Like `dpctl`, with the exit status of ovs-ofctl."""
        command, *rest = (str(arg) for arg in args)
        protocols = ["-O", self.protocols] if self.protocols else []
        return subprocess.run(
            ["ovs-ofctl", *protocols, command, self.bridge, *rest],
            env={**os.environ, **self.environment()},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def connected(self) -> bool:
        """Whether a controller of the instance is connected, or this switch forwards without one (fail mode)."""
        states = self.instance.vsctl("--columns=is_connected", "--format=csv", "--no-headings", "list", "Controller")
        return "true" in states or self.failMode == "standalone"


@cache
def ovs_version() -> str:
    """Returns the version of the installed Open vSwitch."""
    printed = subprocess.run(["ovs-vswitchd", "--version"], capture_output=True, text=True, check=False).stdout
    return printed.partition("\n")[0].rpartition(" ")[2]
