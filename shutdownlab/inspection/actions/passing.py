"""Lets a connection pass."""

from __future__ import annotations

from shutdownlab.inspection.actions.action import DpiAction


class Pass(DpiAction):
    name = "pass"
    flow_rule = "pass"
