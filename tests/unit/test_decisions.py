"""A box's decisions survive their way to the controller."""

from __future__ import annotations

import pytest

from shutdownlab.inspection.verdict import Action, Side
from shutdownlab.protocol.decisions import as_decision, flow_decision
from shutdownlab.protocol.messages import Decisions, FlowDecision, MessageError, ResidualBlock, decode, encode


def test_a_decision_goes_to_the_controller_and_back_with_every_field() -> None:
    told = FlowDecision(
        "10.0.0.1", 40000, "1.2.3.4", 443, 6, "outside", "throttle", rule="r", protocol="tls", app="whatsapp",
        host="web.whatsapp.com", residual=ResidualBlock("3-tuple", 60.0, True, "client"), rate_up_kbit=130,
        rate_down_kbit=150, cap_bytes=16384, directions="server", in_box=True, burst_bytes=9000,
    )  # fmt: skip
    decision = as_decision(told)
    assert (decision.action, decision.opener) == (Action.THROTTLE, Side.OUTSIDE)
    assert flow_decision(decision) == told
    assert decode(encode(Decisions((told,)))) == Decisions((told,))


def test_a_decision_with_an_unknown_action_is_refused() -> None:
    with pytest.raises(MessageError, match="'explode'"):
        as_decision(FlowDecision("10.0.0.1", 1, "1.2.3.4", 2, 6, "inside", "explode"))
