"""Hand a TLS connection to the box's proxy, which answers it with a forged certificate. The proxy is the box's."""

from __future__ import annotations

from shutdownlab.inspection.actions.action import DpiAction


class Intercept(DpiAction):
    name = "intercept"
    in_path_only = True
