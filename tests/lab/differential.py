"""Random shutdowns, emulated and verified: `make differential` compares each cell, outcome and failure.

    python tests/lab/differential.py [--seed N] [--cells N] [--phases N] [--out DIR] [--all-kinds]

Scenarios of the small country are made up: a policy or two a phase out of the whole language, and a DPI profile for
each operator; with --all-kinds also IPv4-only operators, routes that are withdrawn, resolvers that lie, and what breaks
by itself. Each is run with real packets, `sl.verify` says what it should find, and what differs is printed, by kind. A
seed makes the same scenario again; with the same --out DIR, runs that are whole are compared anew, and not made again.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import yaml

import shutdownlab as sl
from shutdownlab.model.scenario import Outcome
from shutdownlab.verifier.verify import Verified

FIRST = Path(__file__).parents[2] / "scenarios/first-shutdown.yaml"
COUNTRY = FIRST.parents[1] / "topologies/two-operators.yaml"
APPS = ("kaspi", "tengrinews", "egov-kz", "whatsapp", "telegram", "wikipedia", "google-dns", "bbc", "youtube")
SITES = ("kaspi.kz", "kz", "egov.kz", "www.bbc.com", "whatsapp.net", "dns.google", "wikipedia.org", "youtube.com")
PORTS = ("179", "443", "tcp/443", "udp/443", "udp/53", "tcp/1-1023", "udp/5060", "5222", "80", "53")
ADDRESSES = ("203.0.113.0/24", "100.64.0.0/16", "100.64.3.0/24", "8.8.8.8", "0.0.0.0/0", "::/0", "2001:db8:64::/48")
PROTOCOLS = ("icmp", "tcp", "udp", "quic")
SCOPE = {
    "operators": ("northnet", "southcell"),
    "regions": ("capital", "coast"),
    "access": ("fixed", "mobile"),
    "subscribers": ("ordinary", "government", "datacentre"),
}
PROFILES = ("perfect", "kazakhstan-sni", "kazakhstan-http", "naive", "belarus-2020", "tspu-2022", "turkmenistan-dns")
"""In-path, so that no race decides."""
LIES = ("nxdomain", "nodata", "refused", "none", "192.0.2.1", "203.0.113.80")
PREFIXES = ("203.0.112.0/22", "100.64.0.0/16")
LINKS = (
    "northnet to northnet/coast", "northnet to northnet/capital", "southcell to southcell/coast", "northnet to gateway",
    "southcell to northnet", "northnet to exchange", "southcell to exchange", "transit-one to transit-two",
    "gateway to transit-one",
)  # fmt: skip
MENDED = {
    "boxes": ("northnet", "southcell"),
    "controllers": ("northnet", "southcell", "authority"),
    "routers": ("northnet", "southcell", "transit-one"),
    "resolvers": ("northnet", "southcell"),
    "servers": ("transit-one", "transit-two", "northnet"),
    "telephones": ("northnet", "southcell"),
}
"""What can break in one phase and be whole again in the next, without a country built anew."""
FIRST_PHASE = datetime(2030, 5, 1, 8, tzinfo=UTC)


class Maker:
    """Makes up scenarios."""

    def __init__(self, seed: int, *, all_kinds: bool = False) -> None:
        """all_kinds: beside what is blocked, routes withdrawn, lies and faults; the policies of a seed are the same."""
        self.random, self.all_kinds = random.Random(seed), all_kinds
        self.beside = random.Random(f"beside {seed}")

    def scenario(self, phases: int) -> dict[str, Any]:
        """One with a first phase in which nothing is in force."""
        made: dict[str, Any] = yaml.safe_load(FIRST.read_text())
        made |= {"accounts": {}, "expectations": {}, "policies": {}, "name": "made-up", "title": "Made up"}
        made["profiles"] = {operator: self.random.choice(PROFILES) for operator in SCOPE["operators"]}
        for probe in made["probes"].values():
            probe.pop("during", None)
        del made["probes"]["speed"]
        if self.all_kinds and (without := self.beside.choice(("", *SCOPE["operators"]))):
            made["topology"] = _country(without)
        made["timeline"] = [{"phase": "nothing", "at": _at(0), "title": "Nothing"}]
        before: list[str] = []
        for number in range(1, phases + 1):
            names = [f"policy-{number}-{index}" for index in range(self.random.choice((1, 1, 2)))]
            made["policies"] |= {name: self._valid(made) for name in names}
            more: dict[str, Any] = self._more(made, number, names) if self.all_kinds else {}
            phase = {"phase": f"phase-{number}", "at": _at(number), "title": "Made up", "start": names, "stop": before}
            made["timeline"].append(phase | more)
            before = names
        made["ends"] = _at(phases + 1)
        return made

    def _more(self, made: dict[str, Any], number: int, names: list[str]) -> dict[str, Any]:
        """Adds to a phase's policies, and may have something break; the phase's own keys for that."""
        choose = self.beside.choice
        for kind, make in (("withdrawn", self._withdrawal), ("lie", self._lie)):
            if choose((True, False, False)):
                names.append(f"{kind}-{number}")
                made["policies"][names[-1]] = self._accepted(made, make)
        if choose((True, False)):
            return {}
        made.setdefault("faults", {})[f"fault-{number}"] = self._fault(made)
        return {"faults": [f"fault-{number}"]}

    def _withdrawal(self) -> dict[str, Any]:
        choose = self.beside.choice
        more: dict[str, Any] = choose(({}, {"family": choose(("ipv4", "ipv6"))}, {"share": 0.5}))
        if choose((True, False)):
            more |= {"from": "abroad"}
        where = choose(({}, {"where": {"operators": [choose(SCOPE["operators"])]}}))
        return {"title": "made up", "source": "EXAMPLE", "withdraw": more, **where}

    def _lie(self) -> dict[str, Any]:
        choose = self.beside.choice
        names = choose(({"apps": [choose(APPS)]}, {"sites": [choose(SITES)]}))
        kind = choose(list(SCOPE))
        where = choose(({}, {"where": {kind: [choose(SCOPE[kind])]}}))
        return {"title": "made up", "source": "EXAMPLE", "block": names, "by": "dns", "answer": choose(LIES), **where}

    def _fault(self, made: dict[str, Any]) -> dict[str, Any]:
        choose = self.beside.choice
        while True:
            kind = choose(list(MENDED))
            what: dict[str, Any] = choose(
                (
                    {"cut": [choose(LINKS)]},
                    {"power_off": {"regions": [choose(SCOPE["regions"])]}},
                    {choose(("stop", "kill", "restart")): {kind: [choose(MENDED[kind])]}},
                    {"partition": {"controllers": [choose(SCOPE["operators"])]}},
                )
            )
            fault = {"title": "made up", "source": "EXAMPLE", **what}
            phase = {"phase": "one", "at": _at(0), "title": "One", "faults": ["fault"]}
            if _loads(made | {"policies": {}, "faults": {"fault": fault}, "timeline": [phase], "ends": _at(1)}):
                return fault

    def _accepted(self, made: dict[str, Any], make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """A policy that the scenario may have."""
        while True:
            policy = make()
            phase = {"phase": "one", "at": _at(0), "title": "One", "start": ["policy"]}
            if _loads(made | {"policies": {"policy": policy}, "faults": {}, "timeline": [phase], "ends": _at(1)}):
                return policy

    def _valid(self, made: dict[str, Any]) -> dict[str, Any]:
        """A policy that the scenario may have."""
        return self._accepted(made, self._policy)

    def _policy(self) -> dict[str, Any]:
        choose = self.random.choice
        policy: dict[str, Any] = {"title": "made up", "source": "EXAMPLE"}
        policy["by"] = choose(("address", "dpi", "dpi"))
        policy["at"] = choose(("access", "access", "access", "gateway"))
        policy["direction"] = choose(("both", "both", "both", "inbound", "outbound"))
        policy["action"] = choose(("profile", "profile", "drop", "reset"))
        telephone = {"voice": True, "sms": choose((True, False))}
        policy["block"] = choose(("everything", self._targets(), self._targets(), self._targets(), telephone))
        if choose((True, False)):
            policy["where"] = self._scope()
        policy["except"] = choose(({}, self._scope(), self._targets(), self._targets() | self._scope()))
        return policy

    def _targets(self) -> dict[str, list[str]]:
        kinds = {"apps": APPS, "sites": SITES, "addresses": ADDRESSES, "ports": PORTS, "protocols": PROTOCOLS}
        chosen = self.random.sample(list(kinds), self.random.choice((1, 1, 2)))
        return {kind: self.random.sample(kinds[kind], self.random.choice((1, 2))) for kind in chosen}

    def _scope(self) -> dict[str, list[str]]:
        kind = self.random.choice(list(SCOPE))
        return {kind: [self.random.choice(SCOPE[kind])]}


def _country(without: str) -> dict[str, Any]:
    """The small country, with one of its operators IPv4-only."""
    made: dict[str, Any] = yaml.safe_load(COUNTRY.read_text())
    made["operators"][without]["prefixes"] = made["operators"][without]["prefixes"][:1]
    if without == "northnet":
        made["operators"]["southcell"]["transit"].append("transit-one")
    return made


def _loads(made: dict[str, Any]) -> bool:
    try:
        sl.load(made)
    except sl.BadInput:
        return False
    return True


def _at(number: int) -> str:
    return f"{FIRST_PHASE + timedelta(hours=number):%Y-%m-%dT%H:%MZ}"


def differences(run: sl.Run, verified: Verified) -> Iterator[tuple[str, str, str, str, str]]:
    """The cells that came out otherwise than verified: phase, vantage point, target and family, measured, verified.

    What either of them could not decide is no difference.
    """
    found = {(r.phase, r.vantage, r.target, r.family): r for r in verified}
    for result in run.results:
        model = found[result.phase, result.vantage, result.target, result.family]
        if Outcome.UNKNOWN in {result.outcome, model.outcome}:
            continue
        told = [f"{each.outcome}{f' ({each.failure})' if each.failure else ''}" for each in (result, model)]
        if told[0] != told[1]:
            yield result.phase, result.vantage, f"{result.target} {result.family}", told[0], told[1]


def compared(seed: int, phases: int, out: Path, *, all_kinds: bool = False) -> tuple[int, int]:
    """Emulate and verify the scenario of a seed, and print what differs; how many cells there were, how many differ."""
    made = Maker(seed, all_kinds=all_kinds).scenario(phases)
    run, verified = _run_of(made, out), sl.verify(made)
    differ = list(differences(run, verified))
    kinds = Counter((phase, target, measured, model) for phase, _, target, measured, model in differ)
    for (phase, target, measured, model), times in kinds.items():
        print(f"{times} {phase} {target}: measured {measured}, verified {model}")
        active = {name: made["policies"][name] for name in sl.load(made).scenario.active(phase, {})}
        print(f"    {yaml.safe_dump(active, default_flow_style=True, width=10_000).strip()}")
        broken = next(each for each in made["timeline"] if each["phase"] == phase).get("faults", ())
        for name in broken:
            print(f"    {name}: {made['faults'][name]}")
    undecided = sum(Outcome.UNKNOWN in {a.outcome, b.outcome} for a, b in zip(run.results, verified, strict=True))
    print(
        f"seed {seed}: {len(run.results):,} cells compared, {len(differ)} differ, {undecided} undecided; {out}",
        flush=True,
    )
    return len(run.results), len(differ)


def _run_of(made: dict[str, Any], out: Path) -> sl.Run:
    """A whole run of a scenario: the one that is there already, or a new one."""
    if (out / "manifest.json").is_file():
        earlier = sl.Run.open(out)
        if earlier.status == "finished" and earlier.manifest["digest"] == sl.load(made).digest:
            return earlier
    return sl.run(made, out=out, force=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=1, help="the first; the next has the next")
    parser.add_argument("--cells", type=int, default=1, help="go on until so many cells are compared")
    parser.add_argument("--phases", type=int, default=8, help="of each scenario, beside one with nothing in force")
    parser.add_argument("--out", type=Path, help="where each run's directory is made")
    parser.add_argument("--all-kinds", action="store_true", help="also withdrawals, lies and faults")
    given = parser.parse_args()
    out = given.out or Path(tempfile.mkdtemp(prefix="differential-"))
    cells = differ = 0
    for seed in count(given.seed):
        try:
            found = compared(seed, given.phases, out / f"seed-{seed}", all_kinds=given.all_kinds)
        except sl.RunFailed as failed:  # the testbed's failure says nothing of the model
            print(f"seed {seed}: left out, {failed}", flush=True)
            continue
        cells, differ = cells + found[0], differ + found[1]
        if cells >= given.cells:
            print(f"{cells:,} cells compared, {differ} differ; to go on: --seed {seed + 1}")
            return 1 if differ else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
