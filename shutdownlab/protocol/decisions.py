"""What a box has decided of a connection, as its engine has it and as the message that tells the controller. Pure."""

from __future__ import annotations

from typing import Final, Literal

from shutdownlab.inspection.verdict import Action, Decision, Residual, Side
from shutdownlab.protocol.messages import FlowDecision, MessageError, ResidualBlock

SIDES: Final[tuple[Literal["inside"], Literal["outside"]]] = ("inside", "outside")
"""What messages call the engine's sides."""
_SIDES: Final = {"inside": Side.INSIDE, "outside": Side.OUTSIDE}
_ACTIONS: Final = {str(action): action for action in Action}


def flow_decision(decision: Decision) -> FlowDecision:
    """Return the engine's `decision` as the message that tells the controller."""
    residual = decision.residual
    return FlowDecision(
        src=decision.src,
        sport=decision.sport,
        dst=decision.dst,
        dport=decision.dport,
        proto=decision.proto,
        opener=SIDES[decision.opener],
        action=str(decision.action),
        rule=decision.rule,
        protocol=decision.protocol,
        app=decision.app,
        host=decision.host,
        residual=None
        if residual is None
        else ResidualBlock(residual.key, residual.seconds, residual.refreshed, residual.directions),  # type: ignore[arg-type]
        rate_up_kbit=decision.rate_up_kbit,
        rate_down_kbit=decision.rate_down_kbit,
        cap_bytes=decision.cap_bytes,
        directions=decision.directions,  # type: ignore[arg-type]
        in_box=decision.in_box,
        burst_bytes=decision.burst_bytes,
    )


def as_decision(told: FlowDecision) -> Decision:
    """A box's decision as its engine made it; raises `MessageError` for an action there is not."""
    action = _ACTIONS.get(told.action)
    if action is None:
        raise MessageError(f"a decision with the unknown action {told.action!r}; expected one of {', '.join(_ACTIONS)}")
    residual = told.residual
    return Decision(
        src=told.src,
        sport=told.sport,
        dst=told.dst,
        dport=told.dport,
        proto=told.proto,
        opener=_SIDES[told.opener],
        action=action,
        rule=told.rule,
        protocol=told.protocol or "",
        app=told.app,
        host=told.host,
        residual=None
        if residual is None
        else Residual(residual.key, residual.seconds, residual.refreshed, residual.directions),
        rate_up_kbit=told.rate_up_kbit,
        rate_down_kbit=told.rate_down_kbit,
        cap_bytes=told.cap_bytes,
        directions=told.directions,
        in_box=told.in_box,
        burst_bytes=told.burst_bytes,
    )
