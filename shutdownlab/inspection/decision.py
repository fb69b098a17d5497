"""The decision on a connection, as the controller gets it."""

from __future__ import annotations

from shutdownlab.inspection.flow import Flow
from shutdownlab.inspection.matching import address_text
from shutdownlab.inspection.policy import Verdict
from shutdownlab.inspection.verdict import Action, Decision, Residual, Side


def make_decision(flow: Flow, verdict: Verdict | None, rule: str | None) -> Decision:
    """`verdict` None: it passes."""
    action = Action.PASS if verdict is None else verdict.action
    residual: Residual | None = None
    if verdict is not None and verdict.residual is not None:
        spec = verdict.residual
        residual = Residual(spec.key, spec.seconds, spec.refreshed, spec.directions)
    return Decision(
        src=address_text(flow.src),
        sport=flow.sport,
        dst=address_text(flow.dst),
        dport=flow.dport,
        proto=flow.proto,
        opener=Side.OUTSIDE if flow.opener else Side.INSIDE,
        action=action,
        rule=rule,
        protocol=flow.protocol,
        app=flow.app,
        host=flow.host,
        residual=residual,
        rate_up_kbit=verdict.rate_up if verdict is not None else None,
        rate_down_kbit=verdict.rate_down if verdict is not None else None,
        cap_bytes=verdict.cap_bytes if verdict is not None else None,
        directions=verdict.directions if verdict is not None else "both",
        in_box=_stays_in_box(flow, action, verdict),
        burst_bytes=verdict.burst if verdict is not None and action is Action.THROTTLE else None,
    )


def _stays_in_box(flow: Flow, action: Action, verdict: Verdict | None) -> bool:
    """Whether carrying the verdict out needs the box for every packet."""
    if verdict is None:
        return False
    if flow.protocol == "dns" or verdict.rewrite or verdict.after_packets:
        return True
    if action in (Action.DNS, Action.FREEZE):
        return True
    residual = verdict.residual
    return residual is not None and (action is Action.RESET or residual.action == "reset")
