"""Build and stop a network of many hosts: EmulatedNetwork against Mininet's own, same Topo, same kind of sandbox.

    python benchmarks/build.py [--hosts 300] [--switches 6] [--json]

Each is timed in its own sandbox, from the constructor to the end of `start`, and during `stop`. In between, the first
host must reach the last one, which proves that both networks work.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mininet.net import Mininet
from mininet.node import OVSSwitch
from mininet.topo import Topo

from shutdownlab.network.net import EmulatedNetwork
from shutdownlab.system.kernel import MachineCannot
from shutdownlab.system.sandbox import run_in_sandbox

_START_SECONDS = 20.0


def _topo(hosts: int, switches: int) -> Any:
    """Returns a line of switches, with the hosts distributed over them."""
    topo = Topo()
    line = [topo.addSwitch(f"s{number + 1}", failMode="standalone") for number in range(switches)]
    for one, other in pairwise(line):
        topo.addLink(one, other)
    for number in range(hosts):
        topo.addLink(topo.addHost(f"h{number + 1}"), line[number % switches])
    return topo


def _stock(topo: Any) -> Any:
    return Mininet(topo, switch=partial(OVSSwitch, datapath="user"), controller=None)


def _stock_open_vswitch() -> None:
    """Starts Open vSwitch in this namespace with its default paths, as stock Mininet expects."""
    place = Path("/run/openvswitch")
    place.mkdir()
    schema = "/usr/share/openvswitch/vswitch.ovsschema"
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["ovsdb-tool", "create", place / "conf.db", schema], check=True)
    quiet = ["--pidfile", "--detach", "-vconsole:off", "-vsyslog:off", "--log-file=/dev/null", "--no-chdir"]
    subprocess.run(["ovsdb-server", place / "conf.db", f"--remote=punix:{place}/db.sock", *quiet], check=True)
    subprocess.run(["ovs-vsctl", "--no-wait", "init"], check=True)
    subprocess.run(["ovs-vswitchd", *quiet], check=True)


def measure(payload: Mapping[str, Any]) -> int:
    """In the sandbox: builds, tests and stops a network; writes the seconds to the file `result`."""
    os.environ.setdefault("TERM", "dumb")
    make: Callable[[Any], Any] = EmulatedNetwork
    if payload["which"] == "mininet":
        make = _stock
        Mininet.inited = True  # otherwise it raises limits of the machine, which a sandbox may not do
        _stock_open_vswitch()
    topo = _topo(payload["hosts"], payload["switches"])
    begin = time.perf_counter()
    net = make(topo)
    net.start()
    built = time.perf_counter()
    first, last = net.hosts[0], net.hosts[-1]
    deadline = time.monotonic() + _START_SECONDS
    while "1 received" not in first.cmd(f"ping -c 1 -W 1 {last.IP()}"):
        if time.monotonic() > deadline:
            print(f"{first} can't reach {last} over what {payload['which']} built", file=sys.stderr)
            return 1
    tried = time.perf_counter()
    net.stop()
    seconds = {"build": built - begin, "stop": time.perf_counter() - tried}
    Path(payload["result"]).write_text(json.dumps(seconds))
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hosts", type=int, default=300)
    parser.add_argument("--switches", type=int, default=6)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    results: dict[str, dict[str, float]] = {}
    with TemporaryDirectory() as scratch:
        for which in ("shutdownlab", "mininet"):
            result = Path(scratch) / which
            payload = {"which": which, "hosts": options.hosts, "switches": options.switches, "result": str(result)}
            try:
                status = run_in_sandbox("build:measure", payload, run_dir=Path(scratch), stdout=subprocess.DEVNULL)
            except MachineCannot as problem:
                print(problem, file=sys.stderr)
                return 3
            if status:
                return status
            results[which] = json.loads(result.read_text())
    totals = {which: sum(seconds.values()) for which, seconds in results.items()}
    ratio = totals["mininet"] / totals["shutdownlab"]
    if options.json:
        print(json.dumps({"hosts": options.hosts, **results, "ratio": round(ratio, 1)}))
        return 0
    print(f"{options.hosts} hosts on {options.switches} switches, seconds:")
    for which, seconds in results.items():
        print(f"  {which:12} build {seconds['build']:6.2f}  stop {seconds['stop']:6.2f}  both {totals[which]:6.2f}")
    print(f"  {ratio:.1f} times as fast")
    return 0


if __name__ == "__main__":
    sys.exit(main())
