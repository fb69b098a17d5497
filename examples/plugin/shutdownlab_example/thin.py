"""Thin a connection out: lose one packet in so many, which slows TCP down and looks like a bad line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shutdownlab.config.wording import Expected
from shutdownlab.inspection.actions.action import GO_ON, STOP, DpiAction, Effect
from shutdownlab.inspection.flow import Flow
from shutdownlab.inspection.packet import Packet

if TYPE_CHECKING:
    from shutdownlab.inspection.policy import Verdict


class Thin(DpiAction):
    name = "thin"
    fields = frozenset(("options",))
    in_path_only = True

    @classmethod
    def check(cls, verdict: Verdict) -> None:
        one_in = verdict.options.get("one_in")
        if set(verdict.options) != {"one_in"} or not isinstance(one_in, int) or one_in < 2:
            found = f"{verdict.options}"
            raise Expected("options: {one_in: 5}", "2 or more: one packet in so many", found=found, key="options")

    def first(self, flow: Flow, verdict: Verdict, packet: Packet, from_opener: bool, side: int, now: float) -> Effect:
        return self.later(flow, verdict, packet, from_opener, side, now)

    def later(self, flow: Flow, verdict: Verdict, packet: Packet, from_opener: bool, side: int, now: float) -> Effect:
        flow.counted += 1  # the flow is where an action keeps what it must remember
        return STOP if flow.counted % verdict.options["one_in"] == 0 else GO_ON
