"""The base class of actions: what a DPI box does to a connection. They are registered under `shutdownlab.actions`."""

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
"""An action's result for one packet: whether to forward it, a replacement frame or None, and the frames to inject."""

GO_ON: Final[Effect] = (True, None, ())
STOP: Final[Effect] = (False, None, ())
DEFAULT_TTL: Final = 64


@mypyc_attr(allow_interpreted_subclasses=True)
class DpiAction:
    """An action of one box. In an on-path box, the forwarding part of its results is ignored.

    For a connection that a rule matched, `first` gets the packet that triggered the rule, `later` every further packet
    that the box still sees, and `residual` the packets under residual censorship. State is kept in the `Flow`.
    `from_opener`: the packet comes from the end that opened the connection; `side`: the side of the box it came in by
    (a `Side`'s number).
    """

    name: ClassVar[str] = ""
    """The action's name in policies."""
    fields: ClassVar[frozenset[str]] = frozenset()
    """The `Verdict` keys that a policy may give with this action; `action` and `residual` are always allowed."""
    in_path_only: ClassVar[bool] = False
    """Whether it must stop or change packets, which an on-path box cannot because it only gets copies."""
    tcp_only: ClassVar[bool] = False
    """Whether it can only be done to TCP connections."""
    meets_answers: ClassVar[bool] = True
    """Whether it can be applied to a DNS response."""
    flow_rule: ClassVar[FlowRule | None] = None
    """The switch's flow rule that can apply it to later packets instead of the box; None: only the box can."""

    def __init__(self, rng: random.Random, on_path: bool) -> None:
        self.rng = rng
        self.on_path = on_path

    @classmethod
    def check(cls, verdict: Verdict) -> None:
        """Raises `Expected` if a verdict of this action lacks a key that it needs."""

    @classmethod
    def used_fields(cls, verdict: Verdict) -> frozenset[str]:
        """Returns those of its `fields` that it uses in this verdict; another key in it is refused."""
        return cls.fields

    @classmethod
    def beyond_on_path(cls, verdict: Verdict) -> str:
        """Returns which part of the verdict an on-path box cannot do, for messages; "" if it can do all of it."""
        return f"the verdict {verdict.action}" if cls.in_path_only else ""

    @classmethod
    def can_meet(cls, protocol: str) -> bool:
        """Returns whether it can be applied to connections of `protocol`; rules that combine others are refused."""
        return True

    def rule_for(self, flow: Flow, verdict: Verdict) -> FlowRule | None:
        """Returns the flow rule that can take over this connection, or None if it must stay in the box."""
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
        """Returns an injected packet's TTL; `seen`: the TTL of its pretended sender's own packets (0: none seen)."""
        ttl: int = verdict.ttl or seen or DEFAULT_TTL
        return ttl

    def ipid(self, verdict: Verdict, packet: Packet) -> int:
        """Returns the IPv4 identification of a packet that is injected in reaction to `packet`."""
        ipid = verdict.ipid
        if ipid == "copy":
            return packet.fragment_id & 0xFFFF
        return ipid if isinstance(ipid, int) else self.rng.randrange(65536)


def suffers(verdict: Verdict, from_opener: bool) -> bool:
    """Returns whether the verdict applies to packets from this end, by its `directions`."""
    return verdict.directions == "both" or (verdict.directions == "client") == from_opener
