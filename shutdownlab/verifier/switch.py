"""A switch on paper: runs a packet through a compiled program as an OpenFlow 1.3 switch would. Pure."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from functools import cache, lru_cache
from itertools import chain
from typing import Final

from shutdownlab.compiler.rules import Match, PipelineTable, Rule, SwitchProgram

Fields = dict[str, int | str]
"""A packet's OXM fields; a field that it has not is absent."""

_Test = tuple[str, int, int]
"""A field, what it must be, and under which mask (-1: all of it)."""
_Entry = tuple[int, Rule, tuple[_Test, ...]]
"""A rule, its place in its table, and what it asks for besides what it is found by."""
_NOWHERE: Final = 1 << 62
"""Behind every rule of a table."""
_TELLING: Final = ("metadata", "eth_dst", "in_port")
"""The fields that tell rules of a switch apart, the most telling first."""


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
        self._rules: list[list[Rule]] = [[] for _ in PipelineTable]
        for rule in program.rules:
            self._rules[rule.table].append(rule)
        self._tables: list[_Lookup | None] = [None for _ in PipelineTable]
        self._passed: list[tuple[tuple[Rule, ...], PipelineTable | None] | None] = [None for _ in PipelineTable]

    def run(self, packet: Fields) -> Fate:
        """Follow a packet from CLASSIFY on."""
        state = {name: v if isinstance(v, int) else number_of(name, v) for name, v in packet.items()} | {"metadata": 0}
        fate = Fate()
        table: PipelineTable | None = PipelineTable.CLASSIFY
        while table is not None:
            passed, table = self._passed[table] or self._passing(table)
            fate.rules += passed
            rule = self._table(table).first(state) if table is not None else None
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
        return self._table(table).first(state)

    def matching(self, table: PipelineTable, state: dict[str, int]) -> list[Rule]:
        """All rules of a table that a packet matches, the one that counts first."""
        return self._table(table).every(state)

    def _passing(self, table: PipelineTable) -> tuple[tuple[Rule, ...], PipelineTable | None]:
        """The rules that every packet meets from a table on as it is sent from table to table, and where that ends."""
        met: list[Rule] = []
        here: PipelineTable | None = table
        while here is not None and (rule := self._table(here).passes_all) is not None:
            met.append(rule)
            here = rule.goto
        found = self._passed[table] = tuple(met), here
        return found

    def _table(self, table: PipelineTable) -> _Lookup:
        """A table, ordered when a packet first comes to it: many never see one."""
        if (known := self._tables[table]) is None:
            known = self._tables[table] = _Lookup(sorted(self._rules[table], key=_late))
        return known


def _late(rule: Rule) -> int:
    return -rule.priority


class _Lookup:
    """The rules of a table, by priority; those that ask for the whole of some field are found by what it is."""

    def __init__(self, rules: list[Rule]) -> None:
        self._any: list[_Entry] = []
        self._by_field: dict[str, dict[int, list[_Entry]]] = {}
        self._only = rules[0] if len(rules) == 1 and not rules[0].match else None
        """What goes for every packet alike, where nothing else is there."""
        only = self._only
        does_more = only is None or only.outputs or only.moves or only.meter is not None or only.metadata is not None
        self.passes_all = None if does_more else only
        """The same, where it only sends packets on, or drops them."""
        for place, rule in enumerate(rules):
            tests = _tests(rule.match)
            exact = {name: value for name, value, mask in tests if mask == -1}
            field = next((name for name in _TELLING if name in exact), None)
            if field is None:
                self._any.append((place, rule, tests))
            else:
                rest = tuple([test for test in tests if test[0] != field])
                self._by_field.setdefault(field, {}).setdefault(exact[field], []).append((place, rule, rest))

    def first(self, state: dict[str, int]) -> Rule | None:
        if self._only is not None:
            return self._only
        best: Rule | None = None
        before = _NOWHERE
        for entries in self._entries(state):
            for place, rule, tests in entries:
                if place > before:
                    break
                for name, value, mask in tests:  # `_holds`, without a call for each of a table's rules
                    found = state.get(name)
                    if found is None or found & mask != value:
                        break
                else:
                    before, best = place, rule
                    break
        return best

    def every(self, state: dict[str, int]) -> list[Rule]:
        entries = sorted(chain.from_iterable(self._entries(state)), key=lambda entry: entry[0])
        return [rule for _, rule, tests in entries if _holds(tests, state)]

    def _entries(self, state: dict[str, int]) -> list[list[_Entry]]:
        """The rules that a packet can match, in lists by their order."""
        found = [self._any]
        for name, by_value in self._by_field.items():
            if (value := state.get(name)) is not None and (entries := by_value.get(value)) is not None:
                found.append(entries)
        return found


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
