"""What an action is: one class for what a DPI box does to a connection, registered under `shutdownlab.actions`."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, ClassVar, Final

from mypy_extensions import mypyc_attr

from shutdownlab.inspection.flow import Flow
from shutdownlab.inspection.packet import Packet
from shutdownlab.inspection.verdict import FlowRule, Injection

if TYPE_CHECKING:
    from shutdownlab.inspection.policy import Verdict

Effect = tuple[bool, bytes | None, tuple[Injection, ...]]
"""What becomes of a packet: whether it goes on, what goes on in its place, and what is injected."""

GO_ON: Final[Effect] = (True, None, ())
STOP: Final[Effect] = (False, None, ())
DEFAULT_TTL: Final = 64


@mypyc_attr(allow_interpreted_subclasses=True)
class DpiAction:
    """An action of one box. On-path, nothing it says about forwarding counts.

    Of a connection that a rule matched, `first` is given the packet that gave it away, `later` every further one that
    the box still sees, and `residual` what comes under residual censorship. It keeps its state in the `Flow`.
    `from_opener`: the packet comes from who opened the connection; `side`: it came in by this side of the box.
    """

    name: ClassVar[str] = ""
    """As policies write it."""
    fields: ClassVar[frozenset[str]] = frozenset()
    """Of a `Verdict`, what a policy may give for it; `action` and `residual` go with every one."""
    in_path_only: ClassVar[bool] = False
    """It must stop or change packets, which a box that only has copies cannot."""
    meets_answers: ClassVar[bool] = True
    """It can be done to a DNS response."""
    flow_rule: ClassVar[FlowRule | None] = None
    """The flow rule that carries it out on later packets in the box's stead; None: only the box can."""

    def __init__(self, rng: random.Random, on_path: bool) -> None:
        self.rng = rng
        self.on_path = on_path

    @classmethod
    def check(cls, verdict: Verdict) -> None:
        """Raise `Expected` where a verdict of this action lacks something."""

    @classmethod
    def beyond_on_path(cls, verdict: Verdict) -> str:
        """What of the verdict an on-path box cannot do, in a message's words; empty where it can do all of it."""
        return f"the verdict {verdict.action}" if cls.in_path_only else ""

    @classmethod
    def can_meet(cls, protocol: str) -> bool:
        """Whether it can be done to connections of a protocol; of one that it can't, a rule is refused."""
        return True

    def rule_for(self, flow: Flow, verdict: Verdict) -> FlowRule | None:
        """The flow rule that this connection can be left to."""
        residual = verdict.residual
        answered = residual is not None and residual.action == "reset"
        return None if flow.protocol == "dns" or verdict.after_packets or answered else self.flow_rule

    def first(self, flow: Flow, verdict: Verdict, packet: Packet, from_opener: bool, side: int, now: float) -> Effect:
        return GO_ON

    def later(self, flow: Flow, verdict: Verdict, packet: Packet, from_opener: bool, side: int, now: float) -> Effect:
        return GO_ON

    def residual(
        self, flow: Flow, verdict: Verdict, packet: Packet, from_opener: bool, side: int, now: float
    ) -> Effect:
        return self.later(flow, verdict, packet, from_opener, side, now)

    # -- for those that inject ------------------------------------------------------------------------------------

    def ttl(self, verdict: Verdict, seen: int) -> int:
        """Of an injected packet, whose pretended sender's own was last seen as `seen` (0: never)."""
        ttl: int = verdict.ttl or seen or DEFAULT_TTL
        return ttl

    def ipid(self, verdict: Verdict, packet: Packet) -> int:
        """The IPv4 identification of a packet that is injected because of `packet`."""
        ipid = verdict.ipid
        if ipid == "copy":
            return packet.fragment_id & 0xFFFF
        return ipid if isinstance(ipid, int) else self.rng.randrange(65536)


def suffers(verdict: Verdict, from_opener: bool) -> bool:
    """Whether the verdict is about packets of this end."""
    return verdict.directions == "both" or (verdict.directions == "client") == from_opener
