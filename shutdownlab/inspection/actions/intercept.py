"""Hand a TLS connection to the box's proxy, which answers it with a forged certificate. The proxy is the box's."""

from __future__ import annotations

from shutdownlab.inspection.actions.action import DpiAction


class Intercept(DpiAction):
    name = "intercept"
    in_path_only = True

    @classmethod
    def can_meet(cls, protocol: str) -> bool:
        """What a forged certificate can stand in for: TLS over TCP, and what goes by other names inside it."""
        return protocol in ("tls", "dot", "doh", "tor")
