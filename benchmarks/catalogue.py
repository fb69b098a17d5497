"""Measures large lists: seconds to read them and to load files that name them, bytes per entry, look-ups per second.

    python benchmarks/catalogue.py [SUFFIXES] [PREFIXES]

Prints one JSON object. The figures in `shutdownlab/inspection/lookup.py` come from here.
"""

from __future__ import annotations

import ipaddress
import json
import random
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import yaml

from shutdownlab.config.addresses import IpPrefix
from shutdownlab.inspection.address_list import read_addresses
from shutdownlab.inspection.lookup import PrefixMap, SuffixMap
from shutdownlab.inspection.name_list import read_names
from shutdownlab.library import load

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


def suffixes(count: int, rng: random.Random) -> Iterator[tuple[str, str]]:
    """Yields names as long as those of real block lists (6 to 18 letters, one domain in four with a further label)."""
    for _ in range(count):
        name = "".join(rng.choices(LETTERS, k=rng.randint(6, 18))) + rng.choice((".com", ".ru", ".net", ".org", ".kz"))
        yield (rng.choice(("www.", "m.", "news.")) + name if rng.random() < 0.25 else name), "blocked"


def prefixes(count: int, rng: random.Random) -> Iterator[tuple[IpPrefix, str]]:
    """Yields three IPv4 prefixes (/12 to /32) for every IPv6 prefix (/24 to /64)."""
    for number in range(count):
        if number % 4:
            length = rng.choice((12, 16, 19, 20, 21, 22, 23, 24, 24, 24, 28, 32))
            yield ipaddress.IPv4Network((rng.getrandbits(length) << (32 - length), length)), "blocked"
        else:
            length = rng.choice((24, 29, 32, 36, 40, 44, 48, 48, 56, 64))
            yield ipaddress.IPv6Network((rng.getrandbits(length) << (128 - length), length)), "blocked"


Map = TypeVar("Map", SuffixMap[str], PrefixMap[str])
Key = TypeVar("Key", str, bytes)


def fresh(names: list[str]) -> SuffixMap[str]:
    """Returns a map over new strings, so that their memory counts."""
    return SuffixMap((name[:1] + name[1:], "blocked") for name in names)


def weigh(build: Callable[[], Map]) -> tuple[Map, float]:
    """Returns the structure and the bytes that it keeps per entry."""
    tracemalloc.start()
    built = build()
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return built, kept / len(built)


def rate(find: Callable[[Key], object], asked: list[Key], rounds: int = 100) -> int:
    """Returns look-ups per second."""
    start = time.perf_counter()
    for _ in range(rounds):
        for key in asked:
            find(key)
    return round(rounds * len(asked) / (time.perf_counter() - start))


LISTED: dict[str, dict[str, Any]] = {
    "name_file": {"inspect": [{"name": "listed", "when": {"name_file": "names.txt"}, "verdict": "drop"}]},
    "address_file": {"inspect": [{"name": "listed", "when": {"address_file": "addresses.txt"}, "verdict": "drop"}]},
    "site_file": {"block": {"site_file": "names.txt"}},
    "addresses": {"block": {"address_file": "addresses.txt"}, "by": "address"},
}
"""Policies that name a list, by the key that names it: in rules of DPI boxes, or themselves."""


def loading(names: int, networks: int) -> Iterator[tuple[str, float]]:
    """Yields processor seconds per million entries: to read a list, and to load a scenario that names it.

    All address prefixes are disjoint.
    """
    lists = {
        "names.txt": "\n".join(dict.fromkeys(name for name, _ in suffixes(names, random.Random(2)))),
        "addresses.txt": "\n".join(f"{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}.0/24" for n in range(1 << 16, networks)),
    }
    readers: dict[str, Callable[[bytes, str], object]] = {"names.txt": read_names, "addresses.txt": read_addresses}
    plain: dict[str, Any] = yaml.safe_load((files("shutdownlab.scenarios") / "first-shutdown.yaml").read_bytes())
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for name, text in lists.items():
            (place / name).write_text(text)
            yield f"{name} read", 1e6 * _spent(partial(readers[name], text.encode(), name)) / (text.count("\n") + 1)
        for key, policy in LISTED.items():
            policies = {**plain["policies"], "listed": {"title": "", "source": "made up", **policy}}
            (place / "listed.yaml").write_text(yaml.safe_dump(plain | {"policies": policies}, sort_keys=False))
            entries = lists["names.txt" if "name" in key or "site" in key else "addresses.txt"].count("\n") + 1
            yield f"{key} loaded", 1e6 * _spent(partial(load, place / "listed.yaml")) / entries


def _spent(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


def main() -> None:
    names = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    networks = int(sys.argv[2]) if len(sys.argv) > 2 else 100_000
    rng = random.Random(1)
    report = {what: round(seconds, 2) for what, seconds in loading(names, (1 << 16) + 7 * networks)}
    for label, size in (("1k", 1000), ("all", names)):
        known = list(dict.fromkeys(name for name, _ in suffixes(size, random.Random(2))))
        start = time.perf_counter()
        SuffixMap((name, "blocked") for name in known)
        report[f"suffixes_{label}_build_s"] = round(time.perf_counter() - start, 2)
        # New strings, as from a parsed file, so that their memory counts too.
        found, weight = weigh(partial(fresh, known))
        report[f"suffixes_{label}"] = len(found)
        report[f"suffixes_{label}_bytes_each"] = round(weight, 1)
        asked = [f"www.{rng.choice(known)}" for _ in range(1000)] + [f"cdn.a{i}.example.org" for i in range(1000)]
        report[f"suffixes_{label}_per_s"] = rate(found.find, asked)
    for label, size in (("1k", 1000), ("all", networks)):
        entries = list(dict(prefixes(size, random.Random(3))).items())
        table, weight = weigh(partial(PrefixMap, entries))
        report[f"prefixes_{label}"] = len(table)
        report[f"prefixes_{label}_bytes_each"] = round(weight, 1)
        addresses = [rng.randbytes(4) for _ in range(1500)] + [rng.randbytes(16) for _ in range(500)]
        report[f"prefixes_{label}_per_s"] = rate(table.find, addresses)
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
