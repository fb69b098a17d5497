"""Lets a number of payload bytes of a connection through, and drops everything after them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shutdownlab.config.wording import Expected
from shutdownlab.inspection.actions.action import GO_ON, STOP, DpiAction, Effect, suffers
from shutdownlab.inspection.flow import Flow
from shutdownlab.inspection.packet import Packet

if TYPE_CHECKING:
    from shutdownlab.inspection.policy import Verdict


class Freeze(DpiAction):
    name = "freeze"
    fields = frozenset(("directions", "cap_bytes"))
    in_path_only = True

    @classmethod
    def check(cls, verdict: Verdict) -> None:
        if verdict.cap_bytes is None:
            raise Expected("cap_bytes for the action freeze", "add it, for instance cap_bytes: 16384")

    def first(self, flow: Flow, verdict: Verdict, packet: Packet, from_opener: bool, side: int, now: float) -> Effect:
        return self.later(flow, verdict, packet, from_opener, side, now)

    def later(self, flow: Flow, verdict: Verdict, packet: Packet, from_opener: bool, side: int, now: float) -> Effect:
        if suffers(verdict, from_opener):
            flow.counted += packet.end - packet.payload
        cap = verdict.cap_bytes
        return STOP if cap is not None and flow.counted > cap else GO_ON
