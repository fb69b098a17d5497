"""What the test of observers runs inside: functions named "observed:NAME" to `run_in_sandbox`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from outside import wait_until

from shutdownlab import library
from shutdownlab.country.assembly import Plan, build
from shutdownlab.inspection.profile import shipped_profile
from shutdownlab.model.network import Role
from shutdownlab.observers.bgp import Bgp
from shutdownlab.observers.observe import World, observe
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


def seen(observation: Bgp, world: World) -> dict[str, list[str | None]]:
    found = observe(observation, world)
    return {f"{operator} {family}": [it.outcome, it.failure] for (operator, family), it in found.items()}
