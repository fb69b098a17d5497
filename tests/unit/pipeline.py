"""The verifier's switch on paper, which refuses programs that a real one would, or that leave their effect open."""

from __future__ import annotations

from shutdownlab.compiler.rules import PipelineTable, Rule, SwitchProgram
from shutdownlab.verifier import switch
from shutdownlab.verifier.switch import Fate, Fields

_PREREQUISITES: dict[str, Fields] = {
    "ipv4_src": {"eth_type": 0x0800}, "ipv4_dst": {"eth_type": 0x0800},
    "ipv6_src": {"eth_type": 0x86DD}, "ipv6_dst": {"eth_type": 0x86DD},
    "tcp_src": {"ip_proto": 6}, "tcp_dst": {"ip_proto": 6},
    "udp_src": {"ip_proto": 17}, "udp_dst": {"ip_proto": 17},
    "icmpv6_type": {"eth_type": 0x86DD, "ip_proto": 58},
}  # fmt: skip
"""What else a match must say for these fields to be allowed in it (OpenFlow 1.3.5, table 12)."""


class PaperSwitch(switch.PaperSwitch):
    def __init__(self, program: SwitchProgram) -> None:
        super().__init__(program)
        assert len(self.meters) == len(program.meters), "two meters with the same number"
        keys = [rule.key for rule in program.rules]
        assert len(set(keys)) == len(keys), "two rules with the same table, priority and match: the second replaces it"
        for rule in program.rules:
            self._check(rule)

    def _check(self, rule: Rule) -> None:
        assert 0 <= rule.priority <= 0xFFFF
        assert rule.goto is None or rule.goto > rule.table, "a goto backwards"
        assert rule.meter is None or rule.meter in self.meters, "a meter that the switch has not"
        given = dict(rule.match)
        assert len(given) == len(rule.match), "a field twice in one match"
        for name in [*given, *(copied for copied, _ in rule.moves)]:
            for needed, value in _PREREQUISITES.get(name, {}).items():
                assert given.get(needed) == value, f"{name} without {needed}={value}"

    def first(self, table: PipelineTable, state: dict[str, int]) -> Rule | None:
        """The rule that counts; of those with its priority, each must do the same."""
        rule, *others = self.matching(table, state) or [None]
        for other in others:
            if rule is not None and other is not None and other.priority == rule.priority:
                assert _effect(other) == _effect(rule), f"which comes first? {rule} or {other}"
        return rule


def _effect(rule: Rule) -> tuple[object, ...]:
    return rule.goto, rule.outputs, rule.meter, rule.metadata, rule.moves


__all__ = ["Fate", "Fields", "PaperSwitch"]
