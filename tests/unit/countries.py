"""Countries for tests of what runs on a network: the shipped small one, and random ones."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st

import shutdownlab
from shutdownlab.config.document import parse
from shutdownlab.inspection.apps import App, load_apps
from shutdownlab.model.layout import lay_out
from shutdownlab.model.network import Network
from shutdownlab.model.topology_checks import check_topology

REPOSITORY = Path(__file__).parents[2]


@cache
def catalogue() -> Mapping[str, App]:
    """Return the apps that ship, read once: to parse their file is nine tenths of what a made-up country takes."""
    path = Path(shutdownlab.__file__).with_name("inspection") / "apps.yaml"
    return load_apps(path.read_bytes(), path.name)


def small_country() -> Network:
    """Return the shipped topology of two operators."""
    path = REPOSITORY / "topologies" / "two-operators.yaml"
    return lay_out(check_topology(parse(path.read_bytes(), path.name), catalogue()), catalogue())


def country(
    carriers: list[tuple[list[str], bool]],
    transits: int = 2,
    served: dict[str, list[str]] | None = None,
    without: Collection[str] = (),
) -> Network:
    """Return a country whose n-th operator `op<n>` buys from the given carriers and is, or isn't, at the exchange.

    without: the IPv4-only operators.
    """
    subscribers = {"city": {"ordinary": {"access": "fixed"}}}
    data: dict[str, Any] = {
        "format": 1,
        "name": "made-up",
        "title": "Made up",
        "country": "ZZ",
        "links": {"fixed": {}},
        "regions": {"city": {"title": "City", "weight": 1}},
        "operators": {
            f"op{number}": {
                "title": f"Operator {number}",
                "asn": (64600 if number < 100 else 4_200_000_000) + number,
                "subscribers": 1,
                "prefixes": [
                    f"{100 + number // 192}.{64 + number % 192}.0.0/16",
                    f"2001:db8:{number + (1 if number < 200 else 0x1000):x}::/48",
                ][: 1 if f"op{number}" in without else 2],
                "transit": sellers,
                "exchange": member,
                "regions": subscribers,
            }
            for number, (sellers, member) in enumerate(carriers)
        },
        "gateway": {"title": "Gateway"},
        "exchange": {"title": "Exchange", "asn": 64900},
        "transits": {
            f"t{number}": {
                "title": f"Transit {number}",
                "asn": 64700 + number,
                "prefixes": [f"203.0.{100 + 4 * number}.0/22", f"2001:db8:f{number}::/48"],
                "serves": (served or {}).get(f"t{number}", []),
            }
            for number in range(transits)
        },
    }
    text = yaml.safe_dump(data, sort_keys=False).encode()
    return lay_out(check_topology(parse(text, "made-up.yaml"), catalogue()), catalogue())


@st.composite
def countries(draw: st.DrawFn) -> Network:
    """Any way for up to five operators to buy from transits and from operators before them (no one from itself); any of
    them is IPv4-only, and so is whoever buys from those alone."""
    transits = draw(st.integers(1, 3))
    carriers, without = [], set[str]()
    for number in range(draw(st.integers(1, 5))):
        sellers = [f"t{each}" for each in range(transits)] + [f"op{each}" for each in range(number)]
        chosen = draw(st.lists(st.sampled_from(sellers), min_size=1, max_size=3, unique=True))
        carriers.append((chosen, draw(st.booleans())))
        if without.issuperset(chosen) or draw(st.booleans()):
            without.add(f"op{number}")
    return country(carriers, transits, without=without)
