"""Hands a TLS connection to the box's proxy, which answers with a forged certificate.

The proxy itself is part of the box, not of this package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shutdownlab.config.wording import Expected
from shutdownlab.inspection.actions.action import DpiAction

if TYPE_CHECKING:
    from shutdownlab.inspection.policy import Verdict


class Intercept(DpiAction):
    name = "intercept"
    in_path_only = True
    tcp_only = True

    @classmethod
    def check(cls, verdict: Verdict) -> None:
        if verdict.residual is not None and verdict.residual.action == "same":
            hint = "only a new connection can be intercepted; `drop` and `reset` stop what stays blocked"
            raise Expected("`action: drop` or `reset` in it", hint, found="`residual` that does the same")

    @classmethod
    def can_meet(cls, protocol: str) -> bool:
        """Returns whether `protocol` is TLS over TCP, or one of the protocols recognised inside it."""
        return protocol in ("tls", "dot", "doh", "tor")
