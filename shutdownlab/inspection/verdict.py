"""The engine's results: what to do with a frame, and the decision on a connection."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict, PlainSerializer, PlainValidator, with_config

from shutdownlab.config.wording import Expected, one_of

End = Literal["client", "server", "both"]
"""One end of a connection, or both; the client opened it."""

_STRICT = ConfigDict(extra="forbid")


class Side(IntEnum):
    """A port of the box that a frame came in or leaves by. Subscribers are INSIDE."""

    INSIDE = 0
    OUTSIDE = 1

    @property
    def other(self) -> Side:
        return Side.OUTSIDE if self is Side.INSIDE else Side.INSIDE

    @property
    def word(self) -> str:
        """`inside` or `outside`."""
        return self.name.lower()


def _side(value: object) -> object:
    words = {side.word: side for side in Side}
    if isinstance(value, Side):
        return value
    if not isinstance(value, str) or value not in words:
        raise Expected(one_of(words))
    return words[value]


WrittenSide = Annotated[Side, BeforeValidator(_side), PlainSerializer(lambda side: side.word)]
"""A side, written in messages as `inside` or `outside`."""


class Action(StrEnum):
    """The actions that ship; `actions.registry` also has those of other installed packages."""

    PASS = "pass"
    DROP = "drop"
    RESET = "reset"
    DNS = "dns"
    BLOCK_PAGE = "block-page"
    REDIRECT = "redirect"
    THROTTLE = "throttle"
    FREEZE = "freeze"
    INTERCEPT = "intercept"
    BLOCK = "block"
    """Only in policies: stands for the profile's own way of blocking; never in a decision."""


def action_name(value: object) -> str:
    """Returns an action's name, as an `Action` if it ships; does not check that the action exists."""
    if not isinstance(value, str):
        raise Expected("the name of an action")
    return Action(value) if value in Action.__members__.values() else value


ActionName = Annotated[str, PlainValidator(action_name, json_schema_input_type=str)]

FlowRule = Literal["pass", "drop", "meter"]
"""A switch's flow rule for a decided connection: send it past the box, drop it, or meter each direction."""


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Residual:
    """What stays blocked after a decision, and how long.

    key: "4-tuple" the connection; "3-tuple" the two addresses and the server's port, so new connections too; "2-tuple"
    the two addresses. refreshed: any packet of the key restarts the `seconds`. directions: "both", or only packets
    from "client" or "server". Source of the terms: Bock et al., "Your Censor is My Censor", WOOT 2021.
    """

    key: Literal["2-tuple", "3-tuple", "4-tuple"]
    seconds: float
    refreshed: bool
    directions: End = "both"


@dataclass(frozen=True, slots=True)
class Injection:
    """A complete Ethernet frame, checksums filled in, that the box sends out of the port `towards`."""

    towards: Side
    frame: bytes


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Decision:
    """The decision on a connection, made once. `src` is the end that opened it; `proto` is the IP protocol number.

    `flow_rule` can apply it from now on; None: the connection stays in the box, as one does whose packets it answers or
    counts. `directions`: whose packets are dropped ("both", "client", "server"). The rates (None: unlimited; up is from
    inside) and `burst_bytes` are a meter's.
    """

    src: str
    sport: int
    dst: str
    dport: int
    proto: int
    opener: WrittenSide
    action: ActionName
    rule: str | None = None
    protocol: str = ""
    app: str | None = None
    host: str | None = None
    residual: Residual | None = None
    rate_up_kbit: int | None = None
    rate_down_kbit: int | None = None
    cap_bytes: int | None = None
    directions: End = "both"
    flow_rule: FlowRule | None = None
    burst_bytes: int | None = None


class FrameOutcome:
    """What to do with one frame, and the decision it led to, if any."""

    __slots__ = ("decision", "forward", "inject", "replacement")

    def __init__(
        self,
        forward: bool = True,
        replacement: bytes | None = None,
        inject: tuple[Injection, ...] = (),
        decision: Decision | None = None,
    ) -> None:
        self.forward = forward
        """Whether to forward the frame. Means nothing to an on-path box, which only has a copy."""
        self.replacement = replacement
        """If set, forwarded instead of the frame."""
        self.inject = inject
        """Sent before the frame."""
        self.decision = decision

    def __repr__(self) -> str:
        return f"Outcome({self.forward}, {self.replacement!r}, {self.inject!r}, {self.decision!r})"
