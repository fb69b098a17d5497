"""Drops a connection's packets, from one end or both, at once or after a number of packets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shutdownlab.inspection.actions.action import GO_ON, STOP, DpiAction, Effect, suffers
from shutdownlab.inspection.flow import Flow
from shutdownlab.inspection.packet import Packet

if TYPE_CHECKING:
    from shutdownlab.inspection.policy import Verdict


class Drop(DpiAction):
    name = "drop"
    fields = frozenset(("directions", "forward_trigger", "after_packets"))
    in_path_only = True
    flow_rule = "drop"

    def first(self, flow: Flow, verdict: Verdict, packet: Packet, from_opener: bool, side: int, now: float) -> Effect:
        if verdict.after_packets:
            flow.after = verdict.after_packets
            return GO_ON
        return GO_ON if verdict.forward_trigger or not suffers(verdict, from_opener) else STOP

    def later(self, flow: Flow, verdict: Verdict, packet: Packet, from_opener: bool, side: int, now: float) -> Effect:
        if flow.after > 0:
            flow.after -= 1
            return GO_ON
        return STOP if suffers(verdict, from_opener) else GO_ON

    def residual(
        self, flow: Flow, verdict: Verdict, packet: Packet, from_opener: bool, side: int, now: float
    ) -> Effect:
        return STOP
