"""A switch on paper: runs a frame through a compiled program as an OpenFlow 1.3 switch would."""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cache
from typing import cast

from shutdownlab.compiler.rules import Match, MatchValue, Rule, SwitchProgram, Table

Fields = dict[str, int | str]
"""A frame's OXM fields; a field that the frame has not is absent."""

_PREREQUISITES: dict[str, Fields] = {
    "ipv4_src": {"eth_type": 0x0800}, "ipv4_dst": {"eth_type": 0x0800},
    "ipv6_src": {"eth_type": 0x86DD}, "ipv6_dst": {"eth_type": 0x86DD},
    "tcp_src": {"ip_proto": 6}, "tcp_dst": {"ip_proto": 6},
    "udp_src": {"ip_proto": 17}, "udp_dst": {"ip_proto": 17},
    "icmpv6_type": {"eth_type": 0x86DD, "ip_proto": 58},
}  # fmt: skip
"""What else a match must say for these fields to be allowed in it (OpenFlow 1.3.5, table 12)."""


@dataclass
class Fate:
    """What became of a frame: where it left (nowhere: it was dropped), what held it back, which rules it met."""

    outputs: tuple[int, ...]
    kbit: list[int] = field(default_factory=list)
    rules: list[Rule] = field(default_factory=list)

    @property
    def dropped(self) -> bool:
        return not self.outputs

    @property
    def rate(self) -> int | None:
        """What all the meters on its way let through together (kbit/s)."""
        return min(self.kbit, default=None)


class PaperSwitch:
    """Refuses programs that a real switch would refuse, or whose effect the specification leaves open."""

    def __init__(self, program: SwitchProgram) -> None:
        self.meters = {meter.id: meter for meter in program.meters}
        assert len(self.meters) == len(program.meters), "two meters with the same number"
        keys = [rule.key for rule in program.rules]
        assert len(set(keys)) == len(keys), "two rules with the same table, priority and match: the second replaces it"
        self.tables: dict[Table, list[Rule]] = defaultdict(list)
        for rule in program.rules:
            self._check(rule)
            self.tables[rule.table].append(rule)
        for rules in self.tables.values():
            rules.sort(key=lambda rule: -rule.priority)

    def _check(self, rule: Rule) -> None:
        assert 0 <= rule.priority <= 0xFFFF
        assert rule.goto is None or rule.goto > rule.table, "a goto backwards"
        assert rule.meter is None or rule.meter in self.meters, "a meter that the switch has not"
        given = dict(rule.match)
        assert len(given) == len(rule.match), "a field twice in one match"
        for name in [*given, *(copied for copied, _ in rule.moves)]:
            for needed, value in _PREREQUISITES.get(name, {}).items():
                assert given.get(needed) == value, f"{name} without {needed}={value}"

    def run(self, frame: Fields) -> Fate:
        state = dict(frame, metadata=0)
        fate = Fate(())
        table: Table | None = Table.CLASSIFY
        while table is not None:
            matching = [rule for rule in self.tables[table] if _matches(rule.match, state)]
            if not matching:
                break  # OpenFlow 1.3: a table miss drops
            rule = matching[0]
            for other in matching[1:]:
                if other.priority == rule.priority:
                    assert _effect(other) == _effect(rule), f"which comes first? {rule} or {other}"
            fate.rules.append(rule)
            if rule.meter is not None:
                fate.kbit.append(self.meters[rule.meter].kbit)
            if rule.metadata is not None:
                value, mask = rule.metadata
                state["metadata"] = cast(int, state["metadata"]) & ~mask | value & mask
            state |= {register: _number(name, state[name]) for name, register in rule.moves}
            fate.outputs += rule.outputs
            table = rule.goto
        return fate


def _effect(rule: Rule) -> tuple[object, ...]:
    return rule.goto, rule.outputs, rule.meter, rule.metadata, rule.moves


def _matches(match: Match, frame: Fields) -> bool:
    return all(name in frame and _field_matches(name, frame[name], wanted) for name, wanted in match)


def _field_matches(name: str, value: int | str, wanted: MatchValue) -> bool:
    if not isinstance(wanted, tuple):
        return value == wanted
    number, target, mask = (_number(name, part) for part in (value, *wanted))
    return number & mask == target & mask


@cache
def _number(name: str, value: int | str) -> int:
    if isinstance(value, int):
        return value
    return int(value.replace(":", ""), 16) if name.startswith("eth_") else int(ipaddress.ip_address(value))
