"""Hands a TLS connection to the box's proxy, which answers with a forged certificate.

The proxy itself is part of the box, not of this package.
"""

from __future__ import annotations

from shutdownlab.inspection.actions.action import DpiAction


class Intercept(DpiAction):
    name = "intercept"
    in_path_only = True

    @classmethod
    def can_meet(cls, protocol: str) -> bool:
        """Returns whether `protocol` is TLS over TCP, or one of the protocols recognised inside it."""
        return protocol in ("tls", "dot", "doh", "tor")
