"""A simulated switch: runs a packet through a compiled program as an OpenFlow 1.3 switch would. Pure."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from functools import cache, lru_cache
from itertools import chain
from typing import Final

from shutdownlab.compiler.rules import Match, PipelineTable, Rule, SwitchProgram

Fields = dict[str, int | str]
"""A packet's OXM fields; those that it does not have are absent."""

_Test = tuple[str, int, int]
"""A field, the value it must have, and the mask (-1: all bits)."""
_Entry = tuple[int, Rule, tuple[_Test, ...]]
"""A rule's place in its table, the rule, and its tests other than of the field by which it is indexed."""
_NOWHERE: Final = 1 << 62
"""A place after every rule of a table."""
_TELLING: Final = ("metadata", "eth_dst", "in_port")
"""The fields by which rules are indexed, the most selective first."""


@dataclass(slots=True)
class Fate:
    """What happens to a packet: its output ports (none: dropped), its meters' rates, and the rules that it matches."""

    outputs: tuple[int, ...] = ()
    kbit: list[int] = field(default_factory=list)
    rules: list[Rule] = field(default_factory=list)

    @property
    def dropped(self) -> bool:
        return not self.outputs

    @property
    def rate(self) -> int | None:
        """The lowest rate of its meters (kbit/s); None without meters."""
        return min(self.kbit, default=None)

    @property
    def decided_by(self) -> Rule | None:
        """The last rule it matched that is for a policy: the one that dropped or metered it, if any did."""
        return next((rule for rule in reversed(self.rules) if rule.policy), None)


class PaperSwitch:
    """A switch with its program."""

    def __init__(self, program: SwitchProgram) -> None:
        self.meters = {meter.id: meter for meter in program.meters}
        self._rules: list[list[Rule]] = [[] for _ in PipelineTable]
        for rule in program.rules:
            self._rules[rule.table].append(rule)
        self._tables: list[_Lookup | None] = [None for _ in PipelineTable]
        self._passed: list[tuple[tuple[Rule, ...], PipelineTable | None] | None] = [None for _ in PipelineTable]

    def run(self, packet: Fields) -> Fate:
        """Runs a packet through the pipeline, from table CLASSIFY on."""
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
        """Returns the rule of a table that applies to a packet; `state`: fields, metadata and registers as numbers."""
        return self._table(table).first(state)

    def matching(self, table: PipelineTable, state: dict[str, int]) -> list[Rule]:
        """Returns all rules of a table that a packet matches, the one that applies first."""
        return self._table(table).every(state)

    def _passing(self, table: PipelineTable) -> tuple[tuple[Rule, ...], PipelineTable | None]:
        """Returns the rules that all packets match from a table on, and the first table where they differ, if any."""
        met: list[Rule] = []
        at: PipelineTable | None = table
        while at is not None and (rule := self._table(at).passes_all) is not None:
            met.append(rule)
            at = rule.goto
        found = self._passed[table] = tuple(met), at
        return found

    def _table(self, table: PipelineTable) -> _Lookup:
        """Returns the lookup of a table, built when a packet first reaches it: many tables never see one."""
        if (known := self._tables[table]) is None:
            known = self._tables[table] = _Lookup(sorted(self._rules[table], key=_late))
        return known


def _late(rule: Rule) -> int:
    return -rule.priority


class _Lookup:
    """The rules of a table, by priority; those that match a whole field exactly are indexed by its value."""

    def __init__(self, rules: list[Rule]) -> None:
        self._any: list[_Entry] = []
        self._by_field: dict[str, dict[int, list[_Entry]]] = {}
        self._only = rules[0] if len(rules) == 1 and not rules[0].match else None
        """The table's only rule, if it matches every packet."""
        only = self._only
        does_more = only is None or only.outputs or only.moves or only.meter is not None or only.metadata is not None
        self.passes_all = None if does_more else only
        """The same rule, if it does nothing but send packets to another table, or drop them."""
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
        """Returns lists of the rules that a packet can match, each in order of priority."""
        found = [self._any]
        for name, by_value in self._by_field.items():
            if (value := state.get(name)) is not None and (entries := by_value.get(value)) is not None:
                found.append(entries)
        return found


@lru_cache(maxsize=1 << 14)
def _tests(match: Match) -> tuple[_Test, ...]:
    """Returns the tests of a match; cached, because most rules recur on other switches and in other phases."""
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
    """Returns a field's value as a number, as it is on the wire."""
    if isinstance(value, int):
        return value
    return int(value.replace(":", ""), 16) if name.startswith("eth_") else int(ipaddress.ip_address(value))
