"""Random shutdowns, emulated and verified: `make differential` compares each cell, outcome and failure.

    python tests/lab/differential.py [--seed N] [--cells N] [--phases N] [--out DIR]

Scenarios of the small country are made up: a policy or two a phase out of the whole language, and a DPI profile for
each operator. Each is run with real packets, `sl.verify` says what it should find, and what differs is printed, by
kind. A seed makes the same scenario again.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import yaml

import shutdownlab as sl
from shutdownlab.model.scenario import Outcome
from shutdownlab.verifier.verify import Verified

FIRST = Path(__file__).parents[2] / "scenarios/first-shutdown.yaml"
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
FIRST_PHASE = datetime(2030, 5, 1, 8, tzinfo=UTC)


class Maker:
    """Makes up scenarios."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def scenario(self, phases: int) -> dict[str, Any]:
        """One with a first phase in which nothing is in force."""
        made: dict[str, Any] = yaml.safe_load(FIRST.read_text())
        made |= {"accounts": {}, "expectations": {}, "policies": {}, "name": "made-up", "title": "Made up"}
        made["profiles"] = {operator: self.random.choice(PROFILES) for operator in SCOPE["operators"]}
        for probe in made["probes"].values():
            probe.pop("during", None)
        del made["probes"]["speed"]
        made["timeline"] = [{"phase": "nothing", "at": _at(0), "title": "Nothing"}]
        before: list[str] = []
        for number in range(1, phases + 1):
            names = [f"policy-{number}-{index}" for index in range(self.random.choice((1, 1, 2)))]
            made["policies"] |= {name: self._valid(made) for name in names}
            phase = {"phase": f"phase-{number}", "at": _at(number), "title": "Made up", "start": names, "stop": before}
            made["timeline"].append(phase)
            before = names
        made["ends"] = _at(phases + 1)
        return made

    def _valid(self, made: dict[str, Any]) -> dict[str, Any]:
        """A policy that the scenario may have."""
        while True:
            policy = self._policy()
            phase = {"phase": "one", "at": _at(0), "title": "One", "start": ["policy"]}
            tried = made | {"policies": {"policy": policy}, "timeline": [phase], "ends": _at(1)}
            try:
                sl.load(tried)
            except sl.BadInput:
                continue
            return policy

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


def compared(seed: int, phases: int, out: Path) -> tuple[int, int]:
    """Emulate and verify the scenario of a seed, and print what differs; how many cells there were, how many differ."""
    made = Maker(seed).scenario(phases)
    run, verified = sl.run(made, out=out), sl.verify(made)
    differ = list(differences(run, verified))
    kinds = Counter((phase, target, measured, model) for phase, _, target, measured, model in differ)
    for (phase, target, measured, model), times in kinds.items():
        print(f"{times} {phase} {target}: measured {measured}, verified {model}")
        active = {name: made["policies"][name] for name in sl.load(made).scenario.active(phase, {})}
        print(f"    {yaml.safe_dump(active, default_flow_style=True, width=10_000).strip()}")
    undecided = sum(Outcome.UNKNOWN in {a.outcome, b.outcome} for a, b in zip(run.results, verified, strict=True))
    print(
        f"seed {seed}: {len(run.results):,} cells compared, {len(differ)} differ, {undecided} undecided; {out}",
        flush=True,
    )
    return len(run.results), len(differ)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=1, help="the first; the next has the next")
    parser.add_argument("--cells", type=int, default=1, help="go on until so many cells are compared")
    parser.add_argument("--phases", type=int, default=8, help="of each scenario, beside one with nothing in force")
    parser.add_argument("--out", type=Path, help="where each run's directory is made")
    given = parser.parse_args()
    out = given.out or Path(tempfile.mkdtemp(prefix="differential-"))
    cells = differ = 0
    for seed in count(given.seed):
        found = compared(seed, given.phases, out / f"seed-{seed}")
        cells, differ = cells + found[0], differ + found[1]
        if cells >= given.cells:
            print(f"{cells:,} cells compared, {differ} differ; to go on: --seed {seed + 1}")
            return 1 if differ else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
