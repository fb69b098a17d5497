"""Lets a connection pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shutdownlab.config.wording import Expected
from shutdownlab.inspection.actions.action import DpiAction

if TYPE_CHECKING:
    from shutdownlab.inspection.policy import Verdict


class Pass(DpiAction):
    name = "pass"
    flow_rule = "pass"

    @classmethod
    def check(cls, verdict: Verdict) -> None:
        if verdict.residual is not None:
            raise Expected("an action that blocks something", found="`residual` for the action pass")
