"""Limits a connection's rate in each direction by dropping packets that exceed it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shutdownlab.config.wording import Expected
from shutdownlab.inspection.actions.action import GO_ON, STOP, DpiAction, Effect
from shutdownlab.inspection.flow import Flow
from shutdownlab.inspection.packet import Packet
from shutdownlab.inspection.token_bucket import Bucket

if TYPE_CHECKING:
    from shutdownlab.inspection.policy import Verdict


class Throttle(DpiAction):
    name = "throttle"
    fields = frozenset(("rate_up", "rate_down", "burst"))
    in_path_only = True
    flow_rule = "meter"

    @classmethod
    def check(cls, verdict: Verdict) -> None:
        if verdict.rate_up is None and verdict.rate_down is None:
            hint = "add rate, rate_up or rate_down, for instance rate: 150kbit"
            raise Expected("a rate for the action throttle", hint)

    def first(self, flow: Flow, verdict: Verdict, packet: Packet, from_opener: bool, side: int, now: float) -> Effect:
        flow.buckets = (_bucket(verdict.rate_up, verdict, now), _bucket(verdict.rate_down, verdict, now))
        return self.later(flow, verdict, packet, from_opener, side, now)

    def later(self, flow: Flow, verdict: Verdict, packet: Packet, from_opener: bool, side: int, now: float) -> Effect:
        if flow.buckets is None:
            return GO_ON
        bucket = flow.buckets[side]
        return GO_ON if bucket is None or bucket.take(packet.end - packet.ip, now) else STOP

    def residual(
        self, flow: Flow, verdict: Verdict, packet: Packet, from_opener: bool, side: int, now: float
    ) -> Effect:
        if flow.buckets is None:
            return self.first(flow, verdict, packet, from_opener, side, now)
        return self.later(flow, verdict, packet, from_opener, side, now)


def _bucket(rate: int | None, verdict: Verdict, now: float) -> Bucket | None:
    return Bucket(rate, verdict.burst, now) if rate is not None else None
