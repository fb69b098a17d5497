"""What the test of observers runs inside: functions named "observed:NAME" to `run_in_sandbox`."""

from __future__ import annotations

import json
import os
import signal
import tempfile
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from outside import wait_until

from shutdownlab import library
from shutdownlab.country.assembly import build
from shutdownlab.country.plan import Plan
from shutdownlab.inspection.profile import shipped_profile
from shutdownlab.model.network import Role
from shutdownlab.model.observatory import observed
from shutdownlab.observers.bgp import Bgp
from shutdownlab.observers.instrument import Abroad, Moment, Sighting
from shutdownlab.observers.observe import World, observe
from shutdownlab.observers.prober import ActiveProber
from shutdownlab.observers.route_collector import RouteCollector
from shutdownlab.observers.scenario_time import ScenarioTime
from shutdownlab.observers.telescope import Telescope
from shutdownlab.servers import birdc

_LONGEST_S = 60.0


def withdrawn(payload: Mapping[str, Any]) -> int:
    """See a country from abroad, take one operator's BGP sessions down, and see it again once the world has heard."""
    loaded, place = library.load_topology("two-operators"), Path(payload["place"])
    profiles = {name: shipped_profile("perfect") for name in loaded.topology.operators}
    country = build(Plan(loaded.network, loaded.apps, profiles, place / "files"))
    world = World(loaded.network, country.net, country.services)
    observation = Bgp.model_validate({"observer": "bgp", "families": ["ipv4", "ipv6"]})
    before = seen(observation, world)
    border = loaded.network.one(Role.BORDER, "southcell").name
    control = country.services.find("bird", border).control
    assert control is not None
    birdc.ask(control, "disable all")
    wait_until(lambda: seen(observation, world) != before, "what the world sees changes", _LONGEST_S)
    (place / "seen.json").write_text(json.dumps([before, seen(observation, world)]))
    return 0


def troubled(payload: Mapping[str, Any]) -> int:
    """Look at a country from abroad: whole; with the collector killed; with a line that the testbed has lost; with the
    same line cut off on purpose."""
    loaded, place = library.load_topology("two-operators"), Path(payload["place"])
    profiles = {name: shipped_profile("perfect") for name in loaded.topology.operators}
    network = observed(loaded.network)
    country = build(Plan(network, loaded.apps, profiles, place / "files"))
    phase = library.load("first-shutdown").scenario.timeline[0]
    ends = phase.at + timedelta(hours=4)
    time_ = ScenarioTime()
    time_.begin(phase.phase, phase.at, ends, time.time())

    def abroad(name: str) -> Abroad:
        logs, runtime = place / name, Path(tempfile.mkdtemp())
        logs.mkdir()
        blocks = {vantage.id: 1.0 for vantage in network.vantages}
        return Abroad(network, country.net, country.services, (), blocks, logs, runtime, 0, time_)

    collector, prober, telescope = (
        RouteCollector(abroad("bgp")),
        ActiveProber(abroad("probing")),
        Telescope(abroad("dark")),
    )
    whole = Moment(phase, ends)
    found: dict[str, Any] = {"whole": [told(each.look(whole)) for each in (collector, prober, telescope)]}
    found["twice"] = [probed(prober.look(whole)) for _ in range(2)]
    found["killed"] = []
    for _ in range(2):
        processes = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
        [collecting] = [pid for pid in processes if b"collector.conf" in words(pid)]
        os.kill(collecting, signal.SIGKILL)  # whether or not its parent knows of it when it looks
        found["killed"].append(told(collector.look(whole)))
    lost = network.subscriber(next(v.id for v in network.vantages if v.id.operator == "southcell")).name
    with country.net.get(lost).namespace.netlink() as netlink:
        netlink.link("set", index=netlink.link_lookup(ifname="eth0")[0], state="down")
    found["lost"] = [told(each.look(whole)) for each in (prober, telescope)]
    cut = Moment(phase, ends, is_there_a_way=lambda one, other, version: lost not in (one, other))
    found["cut"] = [told(each.look(cut)) for each in (prober, telescope)]
    (place / "seen.json").write_text(json.dumps(found))
    return 0


def probed(sighting: Sighting) -> list[str]:
    """What each block was believed to be, round by round, without the wall clock's time."""
    [content] = sighting.files.values()
    return [line.rpartition(",")[0] for line in content.decode().splitlines()]


def words(pid: int) -> bytes:
    """A process's command line; empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def told(sighting: Sighting) -> dict[str, Any]:
    """The IPv4 readings, by what they are of, and what was left out."""
    readings = {r.of or "all": round(r.value, 3) for r in sighting.readings if r.family == "ipv4"}
    return {"readings": readings, "left_out": list(sighting.left_out)}


def seen(observation: Bgp, world: World) -> dict[str, list[str | None]]:
    found = observe(observation, world)
    return {f"{operator} {family}": [it.outcome, it.failure] for (operator, family), it in found.items()}
