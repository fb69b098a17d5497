"""Measures how the cost of `verify` grows with a country: by classes of cells, not by cells. One process for each size.
from its files on.

python -m benchmarks.classes [--operators 10,30,100,300,1000] [--regions 20] [--targets 200] [--phases 20]
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import yaml

from benchmarks.table import load

_TRANSITS: Final = ("transit-one", "transit-two")
_POLICIES: Final[dict[str, dict[str, Any]]] = {
    "blackout": {"block": "everything", "except": {"ports": [179]}},
    "fixed": {"block": "everything", "where": {"access": ["fixed"]}},
    "whatsapp": {"block": {"apps": ["whatsapp"]}},
    "addresses": {"block": {"addresses": ["203.0.113.0/24"]}, "by": "address", "where": {"regions": ["capital"]}},
    "site": {"block": {"sites": ["bbc.com"]}, "where": {"regions": ["coast"]}},
}
_PROBES: Final[tuple[dict[str, Any], ...]] = (
    {"test": "app", "app": "whatsapp"},
    {"test": "app", "app": "telegram"},
    {"test": "web", "url": "https://www.bbc.com/"},
    {"test": "web", "url": "https://kaspi.kz/"},
    {"test": "dns", "host": "www.bbc.com"},
)


def scenario(targets: int, phases: int) -> dict[str, Any]:
    """Returns a scenario: half of the targets are the five probes above, the others ports; each phase has a subset of
    the policies in force."""
    probes = {
        f"target-{n}": _PROBES[n % 10]
        if n % 10 < len(_PROBES)
        else {"test": "tcp", "host": "bridge.example.net", "port": f"tcp/{179 + n}"}
        for n in range(targets)
    }
    names, timeline, before = list(_POLICIES), [], set[str]()
    for n in range(phases):
        now = {name for bit, name in enumerate(names) if n >> bit & 1}
        at = f"2030-01-{1 + n // 24:02}T{n % 24:02}:00Z"
        timeline.append(
            {"phase": f"phase-{n}", "at": at, "title": "", "start": sorted(now - before), "stop": sorted(before - now)}
        )
        before = now
    policies = {name: {"title": "", "source": "made up", **policy} for name, policy in _POLICIES.items()}
    return {
        "format": 1, "name": "large", "title": "Large", "topology": "large-country.yaml", "policies": policies,
        "probes": probes, "timeline": timeline, "ends": "2030-03-01T00:00Z",
    }  # fmt: skip


def country(operators: int, regions: int) -> dict[str, Any]:
    """Returns the small country's topology with this many operators, half of them mobile, each in this many regions.

    What operators have in common is one object, which YAML writes once.
    """
    names = ["capital", "coast", *(f"region-{n}" for n in range(2, regions))][:regions]
    made: dict[str, Any] = yaml.safe_load((files("shutdownlab.topologies") / "two-operators.yaml").read_bytes())
    made["name"] = "large-country"
    everywhere = [{name: {"ordinary": {"access": access}} for name in names} for access in ("fixed", "mobile")]
    made["regions"] = {name: {"title": name, "weight": 1.0} for name in names}
    made["operators"] = {
        f"operator-{n}": {
            "title": f"Operator {n}", "asn": 4_200_000_000 + n, "subscribers": 1.0,
            "prefixes": [f"10.{n >> 2}.{(n & 3) * 64}.0/18", f"2001:db8:{0x1000 + n:x}::/48"],
            "transit": list(_TRANSITS if n % 3 else _TRANSITS[:1]),
            "regions": everywhere[n % 2],
        }
        for n in range(operators)
    }  # fmt: skip
    serving = {"class": "datacentre", "access": "fixed", "serves": ["kaspi", "tengrinews", "egov-kz"]}
    made["operators"]["operator-0"]["regions"] = everywhere[0] | {"capital": {"datacentre": serving}}
    return made


def one(operators: int, regions: int, targets: int, phases: int) -> dict[str, Any]:
    """Verifies one size in this process; returns its counts, processor seconds and peak memory (MiB)."""
    from shutdownlab.library import load as load_scenario
    from shutdownlab.verifier.verify import verify

    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        written = {"large-country": country(operators, regions), "large": scenario(targets, phases)}
        for name, made in written.items():
            (place / f"{name}.yaml").write_text(yaml.safe_dump(made, sort_keys=False))
        begun = time.process_time()
        shutdown = load_scenario(place / "large.yaml")
    read = time.process_time() - begun
    found = verify(shutdown)
    str(found.table)
    return {
        "operators": operators, "cells": found.cells, "groups": len(found.groups),
        "classes": len(found.verifier.verdicts), "read_s": read, "seconds": time.process_time() - begun,
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Measures and prints a row for each size; returns 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.classes", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--operators", default="10,30,100,300,1000")
    for name, default in (("regions", 20), ("targets", 200), ("phases", 20)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--json", action="store_true", help="one size, in this process, as JSON")
    given = parser.parse_args(argv)
    sizes = (str(given.regions), str(given.targets), str(given.phases))
    if given.json:
        print(json.dumps(one(int(given.operators), *map(int, sizes))))
        return 0
    heads = ("operators", "cells", "groups", "classes", "reading the files, s", "all, s of one core", "MB, peak")
    print(f"### Verifying {sizes[0]} regions, {sizes[1]} targets, {sizes[2]} phases\n")
    print(f"| {' | '.join(heads)} |\n|{'---:|' * len(heads)}")
    for operators in given.operators.split(","):
        beside = [f"--{name}={value}" for name, value in zip(("regions", "targets", "phases"), sizes, strict=True)]
        command = [sys.executable, "-m", "benchmarks.classes", "--json", f"--operators={operators}", *beside]
        told = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        figures = [f"{told[name]:,}" for name in ("operators", "cells", "groups", "classes")]
        figures += [f"{told['read_s']:.1f}", f"{told['seconds']:.1f}", f"{told['megabytes']:.0f}"]
        print(f"| {' | '.join(figures)} |", flush=True)
    print(f"\nLoad average: {load()}. Target: 80 million cells in ≤ 60 s and ≤ 2 GB.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
