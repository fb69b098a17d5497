"""Times the building of countries of 5, 10, 20, 40 and 80 operators, three quarters of which buy transit from one of
the others.

    python -m benchmarks.countries [--operators 5 10 20 40 80] [--regions 4]

The time is from the start of a lab until it is ready: switches connected, routes converged, servers up. Then a
subscriber of the last operator, which buys its transit from another, must get a page from abroad. Memory is the sum of
all processes' proportional set sizes.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

import shutdownlab as sl
from benchmarks.scenario import descendants, pss
from benchmarks.table import Figure, load, markdown

_SITE = "https://www.bbc.com/"
_SELLERS = 4
"""One in this many operators buys transit abroad, and sells it to those after it."""


@dataclass(frozen=True, slots=True)
class Built:
    """Figures of one country. `memory`: bytes."""

    operators: int
    nodes: int
    seconds: float
    memory: int


def topology(operators: int, regions: int) -> dict[str, Any]:
    """Returns the topology of a country of this many operators, each with subscribers in every region."""
    names = [f"region-{number}" for number in range(regions)]
    made: dict[str, Any] = {}
    for number in range(operators):
        seller = number - number % _SELLERS
        made[f"operator-{number}"] = {
            "title": f"Operator {number}",
            "asn": 4_200_000_000 + number,
            "subscribers": 1,
            "prefixes": [f"100.{64 + number // 4}.{number % 4 * 64}.0/18", f"2001:db8:{0x1000 + number:x}::/48"],
            "transit": ["transit-one"] if seller == number else [f"operator-{seller}"],
            "regions": {name: {"ordinary": {"access": "fixed"}} for name in names},
        }
    return {
        "format": 1,
        "name": f"of-{operators}",
        "title": f"A country of {operators} operators",
        "country": "ZZ",
        "links": {"fixed": {}, "transit": {}},
        "regions": {name: {"title": name, "weight": 1} for name in names},
        "operators": made,
        "gateway": {"title": "Gateway"},
        "exchange": {"title": "Exchange", "asn": 64599},
        "transits": {
            "transit-one": {
                "title": "Transit One",
                "asn": 64601,
                "prefixes": ["198.51.100.0/24", "2001:db8:71::/48"],
                "serves": ["bbc", "google-dns"],
            }
        },
    }


def build(operators: int, regions: int, place: Path) -> Built:
    """Builds a country, checks that its last operator reaches a site abroad, and stops it. Raises if it does not."""
    path = place / f"of-{operators}.yaml"
    path.write_text(yaml.safe_dump(topology(operators, regions), sort_keys=False))
    start = time.perf_counter()
    with sl.lab(path) as lab:
        seconds = time.perf_counter() - start
        memory = sum(map(pss, descendants(os.getpid())))
        last = f"operator-{operators - 1}/region-{regions - 1}"
        page = ["curl", "-sS", "-m", "30", "-o", "/dev/null", "-w", "%{http_code}", _SITE]
        found = lab.exec(last, page).stdout
        if found != "200":
            raise RuntimeError(f"{last} of {operators} operators does not reach {_SITE}: {found}")
        nodes = len(lab.nodes)
    return Built(operators, nodes, seconds, memory)


def run(sizes: list[int], regions: int) -> int:
    """Builds a country of each size and prints the figures."""
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as name:
        for size in sizes:
            built = build(size, regions, Path(name))
            what = f"{built.operators} operators, {built.nodes:,} nodes"
            figures.append(Figure(what, "s until it is ready", [built.seconds]))
            figures.append(Figure(what, "ms a node", [1000 * built.seconds / built.nodes]))
            figures.append(Figure(what, "MB of memory (PSS)", [built.memory / 1e6]))
    print(markdown(f"Countries of size, {regions} regions each", figures, f"Load average: {load()}."))
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--operators", type=int, nargs="+", default=[5, 10, 20, 40, 80])
    parser.add_argument("--regions", type=int, default=4)
    given = parser.parse_args()
    return run(given.operators, given.regions)


if __name__ == "__main__":
    sys.exit(main())
