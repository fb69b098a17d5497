"""What a DPI box has decided about a connection, as flow rules of its operator's DPI switch. Pure.

A decided connection leaves the box: what passes goes straight to FORWARD, what is blocked is dropped by the switch,
what is throttled meets a meter a direction. What only the box can do (answer, rewrite, count bytes) stays with it; and
an on-path box stops nothing, so only what passes leaves it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from shutdownlab.compiler.enforcement import METER_BURST_SECONDS
from shutdownlab.compiler.rules import Match, MatchValue, Meter, Rule, Table
from shutdownlab.compiler.traffic import TCP, UDP
from shutdownlab.inspection.verdict import Action, Decision, Side

IDLE_SECONDS = 60
"""How long a decided connection may be silent before its rules go, and a further packet is inspected anew."""

PASS_PRIORITY = 100
DROP_PRIORITY = 200
RESIDUAL_PRIORITY = 300
"""Above the connection's own drop, so that its packets refresh the residual block too."""

LEAST_BURST_SECONDS = 0.05
"""Less than this, and TCP gets nowhere near the rate: its segments come in bunches."""

METER_IDS = range(1000, 21000)
"""Ids of the throttled connections' meters, used in turn: past the last one the oldest connection's is taken over."""


@dataclass(frozen=True, slots=True)
class Enforcement:
    """What a switch must add for one decision. `known_meters`: the switch has meters of these ids, with other rates."""

    meters: tuple[Meter, ...] = ()
    rules: tuple[Rule, ...] = ()
    known_meters: bool = False


class VerdictCompiler:
    """Turns the decisions of one box into rules; counts the meters it has given away on its switch."""

    def __init__(self, *, on_path: bool = False) -> None:
        """Start with a switch that has no meter of ours."""
        self._throttled = 0
        self._on_path = on_path

    def compile(self, decision: Decision) -> Enforcement:
        """What enforces `decision`; nothing if the box must go on seeing the connection."""
        if decision.in_box or (self._on_path and decision.action is not Action.PASS):
            return Enforcement()
        match decision.action:
            case Action.PASS:
                rules = [_rule(decision, client, PASS_PRIORITY, goto=True) for client in (True, False)]
                return Enforcement(rules=tuple(rules))
            case Action.DROP | Action.RESET:
                return Enforcement(rules=tuple(_drops(decision)))
            case Action.THROTTLE:
                return self._throttle(decision)
            case _:
                return Enforcement()

    def _throttle(self, decision: Decision) -> Enforcement:
        """A meter a direction for this connection alone: the policer of a DPI box counts each by itself."""
        lap, place = divmod(self._throttled, len(METER_IDS) // 2)
        self._throttled += 1
        up, down = METER_IDS[2 * place : 2 * place + 2]
        meters, rules = [], []
        for client in (True, False):
            is_up = client == (decision.opener is Side.INSIDE)
            kbit = decision.rate_up_kbit if is_up else decision.rate_down_kbit
            number = None
            if kbit is not None:
                number = up if is_up else down
                burst = kbit * METER_BURST_SECONDS
                if decision.burst_bytes is not None:
                    burst = max(decision.burst_bytes / 125, kbit * LEAST_BURST_SECONDS)
                meters.append(Meter(number, kbit, max(16, round(burst))))
            rules.append(_rule(decision, client, PASS_PRIORITY, goto=True, meter=number))
        return Enforcement(tuple(meters), tuple(rules), known_meters=lap > 0)


def _drops(decision: Decision) -> list[Rule]:
    """The connection's own packets, and those of the residual block, whose rule replaces the connection's."""
    residual = decision.residual
    rules: dict[bool, Rule] = {}
    for client in _directions(decision.directions):
        rules[client] = _rule(decision, client, DROP_PRIORITY)
    if residual is None:
        return list(rules.values())
    seconds = min(max(1, math.ceil(residual.seconds)), 0xFFFF)
    idle, hard = (seconds, 0) if residual.refreshed else (0, seconds)
    any_client_port = residual.key == "3-tuple"
    more = []
    for client in _directions(residual.directions):
        if not any_client_port:
            rules.pop(client, None)
        more.append(_rule(decision, client, RESIDUAL_PRIORITY, any_client_port=any_client_port, idle=idle, hard=hard))
    return [*rules.values(), *more]


def _directions(name: str) -> tuple[bool, ...]:
    """Whose packets: True is the client, who opened the connection."""
    return {"both": (True, False), "client": (True,), "server": (False,)}[name]


def _rule(
    decision: Decision,
    client: bool,
    priority: int,
    *,
    any_client_port: bool = False,
    goto: bool = False,
    meter: int | None = None,
    idle: int = IDLE_SECONDS,
    hard: int = 0,
) -> Rule:
    """One direction of the decided connection: the client's packets, or the server's."""
    match = _match(decision, client, any_client_port)
    onwards = Table.FORWARD if goto else None
    policy = decision.rule or ""
    return Rule(
        Table.VERDICTS, priority, match, onwards, meter=meter, idle_timeout=idle, hard_timeout=hard, policy=policy
    )


def _match(decision: Decision, client: bool, any_client_port: bool) -> Match:
    near, far = ("src", "dst") if client else ("dst", "src")
    version, kind = (6, 0x86DD) if ":" in decision.src else (4, 0x0800)
    fields: list[tuple[str, MatchValue]] = [
        ("eth_type", kind),
        ("ip_proto", decision.proto),
        (f"ipv{version}_{near}", decision.src),
        (f"ipv{version}_{far}", decision.dst),
    ]
    transport = {TCP: "tcp", UDP: "udp"}.get(decision.proto)
    if transport is not None:
        fields.append((f"{transport}_{far}", decision.dport))
        if not any_client_port:
            fields.append((f"{transport}_{near}", decision.sport))
    return tuple(fields)


__all__ = ["IDLE_SECONDS", "METER_IDS", "Enforcement", "VerdictCompiler"]
