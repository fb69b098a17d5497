"""A switch on paper: runs a packet through a compiled program as an OpenFlow 1.3 switch would. Pure."""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cache, lru_cache

from shutdownlab.compiler.rules import Match, PipelineTable, Rule, SwitchProgram

Fields = dict[str, int | str]
"""A packet's OXM fields; a field that it has not is absent."""

_Test = tuple[str, int, int]
"""A field, what it must be, and under which mask (-1: all of it)."""


@dataclass(slots=True)
class Fate:
    """What became of a packet: where it left (nowhere: it was dropped), what held it back, which rules it met."""

    outputs: tuple[int, ...] = ()
    kbit: list[int] = field(default_factory=list)
    rules: list[Rule] = field(default_factory=list)

    @property
    def dropped(self) -> bool:
        return not self.outputs

    @property
    def rate(self) -> int | None:
        """What all the meters on its way let through together (kbit/s)."""
        return min(self.kbit, default=None)

    @property
    def decided_by(self) -> Rule | None:
        """The last rule of a policy that it met: where it was dropped or metered, the one that did."""
        return next((rule for rule in reversed(self.rules) if rule.policy), None)


class PaperSwitch:
    """One switch with its program."""

    def __init__(self, program: SwitchProgram) -> None:
        self.meters = {meter.id: meter for meter in program.meters}
        rules: dict[PipelineTable, list[Rule]] = defaultdict(list)
        for rule in program.rules:
            rules[rule.table].append(rule)
        self._tables = {table: _Lookup(sorted(own, key=lambda rule: -rule.priority)) for table, own in rules.items()}

    def run(self, packet: Fields) -> Fate:
        """Follow a packet from CLASSIFY on."""
        state = {name: number_of(name, value) for name, value in packet.items()} | {"metadata": 0}
        fate = Fate()
        table: PipelineTable | None = PipelineTable.CLASSIFY
        while table is not None:
            rule = self.first(table, state)
            if rule is None:
                break  # OpenFlow 1.3: a table miss drops
            fate.rules.append(rule)
            if rule.meter is not None:
                fate.kbit.append(self.meters[rule.meter].kbit)
            if rule.metadata is not None:
                value, mask = rule.metadata
                state["metadata"] = state["metadata"] & ~mask | value & mask
            for name, register in rule.moves:
                state[register] = state[name]
            fate.outputs += rule.outputs
            table = rule.goto
        return fate

    def first(self, table: PipelineTable, state: dict[str, int]) -> Rule | None:
        """The rule of a table that counts for a packet; `state`: its fields as numbers, metadata and registers too."""
        return self._tables[table].first(state) if table in self._tables else None

    def matching(self, table: PipelineTable, state: dict[str, int]) -> list[Rule]:
        """All rules of a table that a packet matches, the one that counts first."""
        return self._tables[table].every(state) if table in self._tables else []


class _Lookup:
    """The rules of a table, by priority; those that ask for whole metadata are found by it."""

    def __init__(self, rules: list[Rule]) -> None:
        self._any: list[tuple[int, Rule, tuple[_Test, ...]]] = []
        self._by_metadata: dict[int, list[tuple[int, Rule, tuple[_Test, ...]]]] = defaultdict(list)
        for place, rule in enumerate(rules):
            tests = _tests(rule.match)
            exact = [value for name, value, mask in tests if name == "metadata" and mask == -1]
            if exact:
                rest = tuple(test for test in tests if test[0] != "metadata")
                self._by_metadata[exact[0]].append((place, rule, rest))
            else:
                self._any.append((place, rule, tests))

    def first(self, state: dict[str, int]) -> Rule | None:
        best: tuple[int, Rule] | None = None
        for entries in (self._by_metadata.get(state["metadata"], ()), self._any):
            for place, rule, tests in entries:
                if best is not None and place > best[0]:
                    break
                for name, value, mask in tests:  # `_holds`, without a call for each of a table's rules
                    found = state.get(name)
                    if found is None or found & mask != value:
                        break
                else:
                    best = place, rule
                    break
        return best[1] if best is not None else None

    def every(self, state: dict[str, int]) -> list[Rule]:
        entries = [*self._by_metadata.get(state["metadata"], ()), *self._any]
        return [rule for _, rule, tests in sorted(entries, key=lambda entry: entry[0]) if _holds(tests, state)]


@lru_cache(maxsize=1 << 14)
def _tests(match: Match) -> tuple[_Test, ...]:
    """What a match asks for; most rules of a switch are those of its neighbours, and of the phase before."""
    tests = []
    for name, wanted in match:
        if isinstance(wanted, tuple):
            value, mask = (number_of(name, part) for part in wanted)
            tests.append((name, value & mask, mask))
        else:
            tests.append((name, number_of(name, wanted), -1))
    return tuple(tests)


def _holds(tests: tuple[_Test, ...], state: dict[str, int]) -> bool:
    for name, value, mask in tests:
        found = state.get(name)
        if found is None or found & mask != value:
            return False
    return True


@cache
def number_of(name: str, value: int | str) -> int:
    """A field's value as the number that it is on the wire."""
    if isinstance(value, int):
        return value
    return int(value.replace(":", ""), 16) if name.startswith("eth_") else int(ipaddress.ip_address(value))
