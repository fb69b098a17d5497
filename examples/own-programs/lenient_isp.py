"""A controller of one's own: an operator that carries out the authority's orders, except the one it does not like.

It starts from the controller that ships (controllers/isp.py). Whatever an os-ken app can do, one of yours can.
"""

from __future__ import annotations

from dataclasses import replace

from shutdownlab.controllers.isp import Isp

from shutdownlab.protocol.messages import Notice, Order

SPARED = "board-blocked"


class LenientIsp(Isp):
    """Leaves the notice board alone, and says so in the run's record."""

    def obey(self, order: Order) -> None:
        if SPARED in order.policies:
            self.tell(Notice(self.operator, f"does not carry out {SPARED}"))
        carried_out = {name: policy for name, policy in order.policies.items() if name != SPARED}
        super().obey(replace(order, policies=carried_out))
