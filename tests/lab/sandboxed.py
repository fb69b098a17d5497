"""What the sandbox tests run inside: functions named "sandboxed:NAME" to `run_in_sandbox`."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mininet.cli import CLI
from mininet.topo import Topo

from shutdownlab.network.net import EmulatedNetwork
from shutdownlab.system.kernel import MachineCannot
from shutdownlab.system.sandbox import foreground_program, interactive, run_in_sandbox

Payload = Mapping[str, Any]


class TwoOperators(Topo):  # type: ignore[misc]
    """Two switches, each in its operator's Open vSwitch, two hosts each, one address range."""

    def build(self) -> None:
        switches = [
            self.addSwitch("s1", instance="kcell", failMode="standalone"),
            self.addSwitch("s2", instance="beeline", failMode="standalone"),
        ]
        self.addLink(*switches)
        for number in range(1, 5):
            host = self.addHost(
                f"h{number}",
                addresses=[(f"h{number}-eth0", f"10.9.0.{number}/24"), (f"h{number}-eth0", f"fd09::{number}/64")],
                routes=[("default", "10.9.0.254", None), ("default", "fd09::fe", None)],
                resolv="nameserver 10.9.0.254\noptions timeout:1 attempts:1\n",
            )
            self.addLink(host, switches[number % 2])


def built() -> EmulatedNetwork:
    """The network, started, and its hosts seen to reach each other."""
    net = EmulatedNetwork(TwoOperators())
    net.start()
    pinged = net["h1"].cmd("ping -c 1 -W 5 10.9.0.2; ping -c 1 -W 5 fd09::2")
    assert pinged.count("bytes from") == 2, pinged
    return net


def lab_until_told(payload: Payload) -> int:
    """Build, say so in the file `ready`, and wait for a signal; then say goodbye and stop."""
    net = built()
    # An orphan that ignores being asked, and one of a host's.
    subprocess.Popen(["setsid", "sh", "-c", "trap '' TERM INT HUP; sleep 1000 & wait"], stdin=subprocess.DEVNULL)
    net["h3"].spawn(["sleep", "1000"])
    Path(payload["ready"]).write_text("ready")
    try:
        signal.pause()
    except KeyboardInterrupt:
        net.stop()
        print("closed in good order", flush=True)
        raise
    return 0


def deaf(payload: Payload) -> int:
    """Ignore the first signal in a clean-up that never ends."""
    Path(payload["ready"]).write_text("ready")
    try:
        signal.pause()
    except KeyboardInterrupt:
        Path(payload["ready"]).with_name("first").write_text("seen")
        signal.pause()
    return 0


def write_everywhere(payload: Payload) -> int:
    """Try to leave a file in every directory given; tell which were refused, and which kernel settings."""
    refused = []
    for directory in payload["directories"]:
        try:
            Path(directory, payload["name"]).write_text("left behind")
        except OSError:
            refused.append(directory)
    for setting in payload["settings"]:
        try:
            Path(setting).write_text(Path(setting).read_text())
        except OSError:
            refused.append(setting)
    Path(payload["result"]).write_text(json.dumps(refused))
    return 0


def count_traffic(result: str) -> None:
    """Play a machine, in namespaces made for it, run a lab there and leave the counters before and after."""
    be_a_machine()
    before = seen_of_network()
    assert run_in_sandbox("sandboxed:make_traffic", {}) == 0
    after = seen_of_network()
    Path(result).write_text(json.dumps({"before": before, "after": after}))


def be_a_machine() -> None:
    """Play a machine with an interface, a neighbour and a default route, on which nothing else goes on."""
    macs = ["02:00:00:00:00:fd", "02:00:00:00:00:fe"]
    pair = f"link add eth0 address {macs[0]} type veth peer name eth0 address {macs[1]} netns neighbour"
    for line in ("link set lo up", "netns add neighbour", pair):
        subprocess.run(["ip", *line.split()], check=True)
    for place, own, other, mac in (([], 253, 254, macs[1]), (["-n", "neighbour"], 254, 253, macs[0])):
        enter = ["ip", "netns", "exec", "neighbour"] if place else []
        # Neither IPv6 nor a neighbour table that speaks up by itself now and then.
        subprocess.run([*enter, "sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6"], check=True)
        for line in (
            f"address add 10.9.0.{own}/24 dev eth0",
            "link set eth0 up",
            f"neighbour replace 10.9.0.{other} lladdr {mac} dev eth0 nud permanent",
        ):
            subprocess.run(["ip", *place, *line.split()], check=True)
    subprocess.run(["ip", "route", "add", "default", "via", "10.9.0.254"], check=True)
    subprocess.run(["ping", "-c", "1", "10.9.0.254"], check=True, stdout=subprocess.DEVNULL)


def seen_of_network() -> dict[str, Any]:
    """Everything this machine ever sent or received, and the sockets that are open."""
    counters = Path("/proc/net/dev").read_text().splitlines()[2:]
    sockets = {
        kind: sorted(line.split()[-1] for line in Path("/proc/net", kind).read_text().splitlines()[1:])
        for kind in ("tcp", "tcp6", "udp", "udp6", "raw", "raw6", "packet")
    }
    return {"counters": counters, "sockets": sockets}


def make_traffic(payload: Payload) -> int:
    """Traffic inside, to addresses the machine outside has, to ones it would route, and to names."""
    net = built()
    host = net["h1"]
    server = net["h2"].spawn(
        [
            sys.executable,
            "-c",
            "import socket; s = socket.create_server(('10.9.0.2', 80)); s.accept()[0].sendall(b'x' * 9)",
        ]
    )
    fetch = "import socket; s = socket.create_connection(('10.9.0.2', 80), 5); assert s.recv(1)"
    tries = f'for i in $(seq 50); do {sys.executable} -c "{fetch}" && echo fetched && break; sleep 0.1; done'
    assert "fetched" in host.cmd(tries)
    server.wait(5)
    host.cmd("ping -c 1 -W 1 10.9.0.254; ping -c 1 -W 1 8.8.8.8; ping -c 1 -W 1 -b 255.255.255.255")
    for namespace in ("the host's", "the sandbox's own"):
        answered = host.cmd(_RESOLVE) if namespace == "the host's" else _run(_RESOLVE)
        assert "resolved" not in answered, f"a name was resolved in {namespace} namespace: {answered}"
    for name in ("example.com", "127.0.0.53"):
        try:
            with socket.create_connection((name, 53), 1):
                raise AssertionError(f"{name} answered inside the sandbox")
        except OSError:
            pass
    net.stop()
    return 0


_RESOLVE = "timeout 2 getent -s dns hosts example.com >/dev/null && echo resolved"


def _run(command: str) -> str:
    return subprocess.run(["timeout", "3", "sh", "-c", command], capture_output=True, text=True, check=False).stdout


def environment(payload: Payload) -> int:
    """What a program inside sees of the machine's."""
    seen = {
        "variables": sorted(os.environ),
        "processes": [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()],
        "interfaces": [name for _, name in socket.if_nameindex()],
        "tmp": sorted(entry.name for entry in Path("/tmp").iterdir()),
        "run": sorted(entry.name for entry in Path("/run").iterdir()),
    }
    Path(payload["result"]).write_text(json.dumps(seen))
    return 0


def echo_input(payload: Payload) -> int:
    """Give back what is typed."""
    print(f"terminal: {sys.stdin.isatty()}, typed: {input()}", flush=True)
    return 0


def prompt(payload: Payload) -> int:
    """Mininet's CLI at the terminal, then a shell of the user's."""
    net = built()
    with interactive():
        CLI(net)
    with foreground_program():
        shell = net["h1"].spawn(["bash", "--norc"], stdin=None, foreground=True, env={**os.environ, "PS1": "shell> "})
        return shell.wait()


def fail(payload: Payload) -> int:
    """End in one of the ways a function can."""
    kind = payload["kind"]
    if kind == "machine":
        raise MachineCannot("fly", "it has no wings", "grow some")
    if kind == "raise":
        raise RuntimeError("on purpose")
    if kind == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    return 42
