"""Compiles a DPI box's decision about a connection into flow rules of its operator's DPI switch. Pure.

A decided connection is offloaded from the box: the switch sends a passed one straight to FORWARD, drops a blocked one
and meters each direction of a throttled one. The box keeps connections that only it can handle (answer, rewrite, count
bytes). An on-path box cannot stop packets, so only passed connections are offloaded from it. Rules match both
directions of a connection (see `ends`), so packets from either end keep them from expiring.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from shutdownlab.compiler.ends import addresses, connection, from_end, stop
from shutdownlab.compiler.enforcement import METER_BURST_SECONDS
from shutdownlab.compiler.rules import Match, Meter, PipelineTable, Rule
from shutdownlab.inspection.verdict import Decision, Residual, Side

IDLE_SECONDS = 60
"""How long a decided connection may be idle before its rules expire and its next packet is inspected again."""

PASS_PRIORITY = 100
DROP_PRIORITY = 200
RESIDUAL_PRIORITY = 100
"""In a table ahead of VERDICTS, so that the connections' packets refresh the residual block too."""

LEAST_BURST_SECONDS = 0.05
"""The smallest burst, as seconds at the rate: with less, TCP gets nowhere near it, as its segments come in bunches."""

METER_IDS = range(1000, 21000)
"""Ids of the throttled connections' meters, used in turn: after the last, the oldest connection's are reused."""


@dataclass(frozen=True, slots=True)
class Enforcement:
    """The meters and rules to add for one decision. `known_meters`: the switch has meters of these ids to modify."""

    meters: tuple[Meter, ...] = ()
    rules: tuple[Rule, ...] = ()
    known_meters: bool = False


class VerdictCompiler:
    """Turns the decisions of one box into rules, and assigns the meter ids of its switch."""

    def __init__(self, *, on_path: bool = False) -> None:
        """Starts with a switch that has none of these meters yet."""
        self._throttled = 0
        self._on_path = on_path

    def compile(self, decision: Decision) -> Enforcement:
        """Returns the rules and meters that enforce `decision`; none if the box must go on seeing the connection."""
        if self._on_path and decision.flow_rule != "pass":
            return Enforcement()
        match decision.flow_rule:
            case "pass":
                return Enforcement(
                    rules=(_rule(decision, connection(decision), PASS_PRIORITY, goto=PipelineTable.FORWARD),)
                )
            case "drop":
                return Enforcement(rules=tuple(_drops(decision)))
            case "meter":
                return self._throttle(decision)
            case None:
                return Enforcement()

    def _throttle(self, decision: Decision) -> Enforcement:
        """Returns a meter for each limited direction of one connection: a DPI box polices each connection by itself."""
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
            match = connection(decision) + from_end(decision, client=client)
            rules.append(_rule(decision, match, PASS_PRIORITY, goto=PipelineTable.FORWARD, meter=number))
        return Enforcement(tuple(meters), tuple(rules), known_meters=lap > 0)


def _drops(decision: Decision) -> list[Rule]:
    """Returns rules that drop the connection's packets and those of its residual block.

    Packets that both would drop are left to the residual block, so that the connection is inspected again once that has
    expired.
    """
    taken, whole = _ends(decision.directions), connection(decision)
    residual = decision.residual
    if residual is None:
        return _per_end(decision, taken, whole)
    return [*_per_end(decision, taken - _ends(residual.directions), whole), *_residual(decision, residual)]


def _per_end(decision: Decision, taken: frozenset[bool], whole: Match) -> list[Rule]:
    """Returns rules that drop packets from these ends of the connection (True: the client)."""
    if len(taken) == 2:
        return [_rule(decision, whole, DROP_PRIORITY)]
    return [_rule(decision, whole + from_end(decision, client=client), DROP_PRIORITY) for client in taken]


def _residual(decision: Decision, residual: Residual) -> Iterator[Rule]:
    """Yields the residual block as one rule, so that it has one timer.

    A one-way block that is refreshed by packets of both ends must match both: it only marks them, and VERDICTS drops
    the marked packets of the blocked direction.
    """
    match = addresses(decision) if residual.key == "2-tuple" else connection(decision, residual.key == "3-tuple")
    seconds = min(max(1, math.ceil(residual.seconds)), 0xFFFF)
    idle, hard = (seconds, 0) if residual.refreshed else (0, seconds)
    policy = decision.rule or ""
    whole = Rule(PipelineTable.RESIDUAL, RESIDUAL_PRIORITY, match, idle_timeout=idle, hard_timeout=hard, policy=policy)
    if residual.directions == "both":
        yield whole
        return
    client = residual.directions == "client"
    if residual.refreshed:
        yield replace(whole, goto=PipelineTable.VERDICTS, metadata=stop(decision, client=client))
    else:
        yield replace(whole, match=match + from_end(decision, client=client))


def _ends(name: str) -> frozenset[bool]:
    """Returns the ends whose packets are dropped: True for the client, which opened the connection."""
    return {"both": frozenset((True, False)), "client": frozenset((True,)), "server": frozenset((False,))}[name]


def _rule(
    decision: Decision, match: Match, priority: int, *, goto: PipelineTable | None = None, meter: int | None = None
) -> Rule:
    return Rule(
        PipelineTable.VERDICTS,
        priority,
        match,
        goto,
        meter=meter,
        idle_timeout=IDLE_SECONDS,
        policy=decision.rule or "",
    )


__all__ = ["IDLE_SECONDS", "METER_IDS", "Enforcement", "VerdictCompiler"]
