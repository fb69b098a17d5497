"""Facts that scenarios which ship were written after, and those scenarios without what brings one of them about."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

from shutdownlab import library
from shutdownlab.config.document import parse
from shutdownlab.library import Shutdown
from shutdownlab.results.result import Result


class Fact(NamedTuple):
    """Something documented, and what brings it about."""

    scenario: str
    phase: str
    where: str
    """Operator and, of what has a vantage point, region and group: `mts/moscow/ordinary`."""
    target: str
    by: str
    """The policy or fault that brings it about, or whose exceptions do: `NAME.except`."""
    choose: tuple[str, str] | None = None

    def __str__(self) -> str:
        return f"{self.scenario}, {self.phase}: {self.target} at {self.where} by {self.by}"


def versions(scenario: str) -> list[dict[str, str]]:
    """The default choices, and every other option of every account by itself."""
    accounts = library.load(scenario).scenario.accounts
    return [{}] + [
        {name: option} for name, account in accounts.items() for option in account.options if option != account.default
    ]


@cache
def shipped(scenario: str) -> dict[str, Any]:
    return dict(parse(dict(library.shipped("scenarios"))[scenario].read_bytes(), scenario).data)


def _less(what: dict[str, Any], path: list[str]) -> dict[str, Any]:
    """The mapping without the key at the end of the path."""
    first, *rest = path
    return {
        key: _less(value, rest) if rest and key == first else value
        for key, value in what.items()
        if rest or key != first
    }


def without(scenario: str, name: str) -> dict[str, Any]:
    """The scenario as if this policy or fault had never been, or a policy had no exceptions: `NAME.except`,
    `NAME.null_route.spare`."""
    made = dict(shipped(scenario))
    policy, _, key = name.partition(".")
    if key:
        kept = _less(made["policies"][policy], key.split("."))
        return made | {"policies": made["policies"] | {policy: kept}}
    assert (name in made["policies"]) != (name in made.get("faults", {}))

    def others(names: Iterable[str]) -> list[str]:
        return [other for other in names if other != name]

    for kind in {"policies", "faults"} & set(made):
        made[kind] = {other: made[kind][other] for other in others(made[kind])}
    made["timeline"] = [
        phase | {key: others(phase[key]) for key in ("start", "stop", "faults") if key in phase}
        for phase in made["timeline"]
    ]
    made["repeats"] = {
        recurs: repeat | {key: others(repeat[key]) for key in ("start", "stop", "faults") if key in repeat}
        for recurs, repeat in made.get("repeats", {}).items()
    }
    made["accounts"] = {
        question: account
        | {
            "options": {
                option: version | {"without": others(version.get("without", []))}
                for option, version in account["options"].items()
            }
        }
        for question, account in made.get("accounts", {}).items()
    }
    return made


def measuring(shutdown: Shutdown, target: str) -> Shutdown:
    """The same with no other target: what comes of one does not hang on the others."""
    scenario = shutdown.scenario
    kept = {
        kind: {name: what for name, what in getattr(scenario, kind).items() if name == target}
        for kind in ("probes", "observations")
    }
    return replace(shutdown, scenario=scenario.model_copy(update=kept))


def cell(results: Iterable[Result], fact: Fact) -> Result:
    """The one cell that the fact is about: of both address families the one of IPv4."""
    every = [
        result
        for result in results
        if (result.phase, result.target) == (fact.phase, fact.target)
        and "/".join(filter(None, (result.operator, result.region, result.subscriber))) == fact.where
    ]
    found = [result for result in every if result.family == "ipv4"] or every
    assert len(found) == 1, f"{fact}: {len(found)} cells"
    return found[0]
