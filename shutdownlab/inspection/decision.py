"""Builds the decision on a connection that is reported to the controller."""

from __future__ import annotations

from shutdownlab.inspection.actions.action import DpiAction
from shutdownlab.inspection.flow import Flow
from shutdownlab.inspection.matching import address_text
from shutdownlab.inspection.policy import Verdict
from shutdownlab.inspection.verdict import Action, Decision, FlowRule, Residual, Side


def make_decision(flow: Flow, verdict: Verdict | None, action: DpiAction | None, rule: str | None) -> Decision:
    """Returns the decision on `flow`. `verdict` and `action` None: it passes. `rule`: the deciding rule's name."""
    residual: Residual | None = None
    if verdict is not None and verdict.residual is not None:
        spec = verdict.residual
        residual = Residual(spec.key, spec.seconds, spec.refreshed, spec.directions)
    flow_rule: FlowRule | None = "pass"
    if verdict is not None and action is not None:
        flow_rule = action.rule_for(flow, verdict)
    if flow.stays:
        flow_rule = None
    burst = verdict.burst if verdict is not None and flow_rule == "meter" else None
    return Decision(
        src=address_text(flow.src),
        sport=flow.sport,
        dst=address_text(flow.dst),
        dport=flow.dport,
        proto=flow.proto,
        opener=Side.OUTSIDE if flow.opener else Side.INSIDE,
        action=Action.PASS if verdict is None else verdict.action,
        rule=rule,
        protocol=flow.protocol,
        app=flow.app,
        host=flow.host,
        residual=residual,
        rate_up_kbit=verdict.rate_up if verdict is not None else None,
        rate_down_kbit=verdict.rate_down if verdict is not None else None,
        cap_bytes=verdict.cap_bytes if verdict is not None else None,
        directions=verdict.directions if verdict is not None else "both",
        flow_rule=flow_rule,
        burst_bytes=burst,
    )
