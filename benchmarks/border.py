"""Measures bulk TCP and round trips across a border, inspected and not, in turns on the same path.

    python -m benchmarks.border [--runs 5] [--seconds 3]

The path: subscriber, access switch, border router, DPI switch (and its box), national gateway, transit, server; in the
topology `two-operators` with no delay and no rate limit on any link. The profile `perfect` decides a connection, which
is then offloaded from the box; `naive` never decides one that it does not recognise, so the box handles every packet.
"""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Final

from benchmarks.table import Figure, engine, load, markdown
from shutdownlab import library
from shutdownlab.country.assembly import Country, build
from shutdownlab.country.plan import Plan
from shutdownlab.model.box_checks import profile_named
from shutdownlab.model.layout import lay_out
from shutdownlab.model.links import LinkClass
from shutdownlab.model.network import Network, Role
from shutdownlab.model.policy import Policy
from shutdownlab.protocol.messages import Counters
from shutdownlab.system.kernel import MachineCannot
from shutdownlab.system.netns import inside
from shutdownlab.system.sandbox import run_in_sandbox

_OPERATOR: Final = "northnet"
_APP: Final = "wikipedia"
"""The app whose server, abroad, the subscriber connects to."""

_PORT: Final = 5201
_QUIET: Final = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
_DEADLINE_S: Final = 15.0
_ROUND_TRIPS: Final = 1500
_FIRST_BYTES: Final = 1 << 18
"""Bytes sent before round trips are timed: more than any box inspects."""

PROFILES: Final = ("perfect", "naive")
_RULE: Final = {"name": "site", "when": {"name_suffix": "blocked.example"}, "verdict": {"action": "drop"}}
POLICY: Final = {"title": "A site by name", "source": "benchmark", "inspect": [_RULE]}


def unlimited() -> Network:
    """Returns `two-operators` with unlimited links."""
    topology = library.topology("two-operators")
    fast = topology.model_copy(update={"links": dict.fromkeys(topology.links, LinkClass())})
    return lay_out(fast, library.catalogue())


class Border:
    """A subscriber, a server abroad, and the path between them."""

    def __init__(self, country: Country) -> None:
        network = country.plan.network
        vantage = next(vantage for vantage in network.vantages if vantage.id.operator == _OPERATOR)
        hosted = next(hosted for hosted in network.hosted if hosted.app == _APP)
        self.country = country
        self.address = str(next(address for address in hosted.addresses if address.version == 4))
        self.client = country.net.get(network.subscriber(vantage.id).name)
        self.server = country.net.get(hosted.node)
        self.box = network.one(Role.DPI_BOX, _OPERATOR).name

    def inspect(self, on: bool) -> None:
        """Puts the policy in force, or none; returns when switches and boxes have confirmed."""
        policies = {"inspected": Policy.model_validate(POLICY)} if on else {}
        self.country.authority.order("on" if on else "off", policies)

    def boxed(self) -> int:
        """Returns how many frames the operator's box has received so far."""
        for message in self.country.authority.counters():
            if isinstance(message, Counters) and message.where == self.box:
                return sum(int(message.counters[side]["received"]) for side in ("inside", "outside"))
        raise RuntimeError(f"{self.box} does not tell its counters")

    def bulk(self, seconds: float) -> float:
        """Returns the Mbit/s of one TCP connection from the subscriber to the server, as counted by the server."""
        argv = ["iperf3", "-c", self.address, "-p", str(_PORT), "-t", f"{seconds:g}", "-J"]
        argv.append("--repeating-payload")  # random bytes are sometimes recognised as a protocol, and decided
        client = self.client.spawn(argv, stdin=None, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        printed = client.communicate(timeout=seconds + _DEADLINE_S)[0]
        try:
            return float(json.loads(printed)["end"]["sum_received"]["bits_per_second"]) / 1e6
        except (ValueError, KeyError) as problem:
            raise RuntimeError(f"iperf3: {printed.decode(errors='replace')[-500:]}") from problem

    def round_trip(self) -> float:
        """Returns the median round-trip time of 64 bytes in microseconds, on a connection after its inspection."""
        with ExitStack() as stack:
            with inside(self.server.namespace.path):
                listener = stack.enter_context(socket.create_server((self.address, 0)))
            with inside(self.client.namespace.path):
                near = stack.enter_context(socket.socket())
            near.settimeout(_DEADLINE_S)
            near.connect(listener.getsockname())
            far = stack.enter_context(listener.accept()[0])
            far.settimeout(_DEADLINE_S)
            for end in (near, far):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for _ in range(_FIRST_BYTES // 4096):
                _across(near, far, bytes(4096))
            took = []
            for number in range(_ROUND_TRIPS):
                begin = time.perf_counter()
                _across(near, far, bytes(64))
                _across(far, near, bytes(64))
                if number > _ROUND_TRIPS // 5:
                    took.append(time.perf_counter() - begin)
            return median(took) * 1e6


def _across(here: socket.socket, there: socket.socket, data: bytes) -> None:
    here.sendall(data)
    left = len(data)
    while left:
        left -= len(there.recv(left))


def measure(payload: Mapping[str, Any]) -> int:
    """In the sandbox: measures with inspection off and on in turns; writes the figures to the file `result`."""
    network = unlimited()
    profiles = dict.fromkeys(network.topology.operators, profile_named(payload["profile"]))
    border = Border(build(Plan(network, library.catalogue(), profiles, Path(payload["files"]))))
    server = border.server.spawn(["iperf3", "-s", "-p", str(_PORT)], stdin=None, **_QUIET)
    _await_port(border)
    seen: dict[str, list[float]] = {f"{what} {how}": [] for what in ("bulk", "trip", "boxed") for how in ("off", "on")}
    for number in range(payload["runs"]):
        for on in ((False, True), (True, False))[number % 2]:
            how = "on" if on else "off"
            border.inspect(on)
            before = border.boxed()
            seen[f"bulk {how}"].append(border.bulk(payload["seconds"]))
            seen[f"boxed {how}"].append(border.boxed() - before)
            seen[f"trip {how}"].append(border.round_trip())
    server.terminate()
    Path(payload["result"]).write_text(json.dumps(seen))
    return 0


def _await_port(border: Border) -> None:
    deadline = time.monotonic() + _DEADLINE_S
    wanted = f":{_PORT:04X}"
    while True:
        with inside(border.server.namespace.path):
            tables = [Path(f"/proc/thread-self/net/{name}").read_text() for name in ("tcp", "tcp6")]
        if any(line.split()[1].endswith(wanted) for table in tables for line in table.splitlines()[1:]):
            return
        if time.monotonic() > deadline:
            raise RuntimeError(f"iperf3 does not listen after {_DEADLINE_S:g} s; is it installed?")
        time.sleep(0.02)


def _figures(profile: str, seen: Mapping[str, Sequence[float]]) -> list[Figure]:
    on = {"perfect": "inspected, decided", "naive": "inspected, never decided"}[profile]
    ratios = [100 * one / other for one, other in zip(seen["bulk on"], seen["bulk off"], strict=True)]
    added = [one - other for one, other in zip(seen["trip on"], seen["trip off"], strict=True)]
    decided = profile == "perfect"
    return [
        Figure("bulk TCP, not inspected", "Mbit/s", seen["bulk off"]),
        Figure(f"bulk TCP, {on}", "Mbit/s", seen["bulk on"]),
        Figure(f"the same, {on}", "% of not inspected", ratios, "≥ 90 %" if decided else ""),
        Figure(f"bulk TCP, {on}", "frames through the box", seen["boxed on"]),
        Figure("round trip, not inspected", "µs", seen["trip off"]),
        Figure(f"round trip, {on}: added", "µs", added, "0" if decided else ""),
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Measures and prints; returns 0, 1 if it failed, 3 if the machine lacks something."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.border", description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5, help="of each, by turns (default 5)")
    parser.add_argument("--seconds", type=float, default=3, help="of bulk TCP in each run (default 3)")
    options = parser.parse_args(argv)
    figures: list[Figure] = []
    before = load()
    with TemporaryDirectory(prefix="shutdownlab-benchmark-") as place:
        result = Path(place) / "result"
        for profile in PROFILES:
            payload = {"profile": profile, "runs": options.runs, "seconds": options.seconds}
            payload |= {"result": str(result), "files": str(Path(place) / profile)}
            try:
                status = run_in_sandbox("benchmarks.border:measure", payload, run_dir=Path(place))
            except MachineCannot as problem:
                print(problem, file=sys.stderr)
                return 3
            if status:
                return 1
            figures += _figures(profile, json.loads(result.read_text()))
    print(
        markdown(
            "Across a border", figures, f"Load average: {before} before, {load()} after (its own included). {engine()}"
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
