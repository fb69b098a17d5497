"""What the engine says about a frame and about a connection."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict, PlainSerializer, PlainValidator, with_config

from shutdownlab.config.wording import Expected, one_of

End = Literal["client", "server", "both"]
"""Whose packets: the client opened the connection."""

_STRICT = ConfigDict(extra="forbid")


class Side(IntEnum):
    """A port of the box: where a frame came from, or leaves by. Subscribers are INSIDE."""

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
"""In messages, a side is its word."""


class Action(StrEnum):
    """The actions that ship; `actions.registry` has those of a user's packages too."""

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
    """Only in policies: whatever the box's profile does to what it blocks; the engine never decides it."""


def action_name(value: object) -> str:
    """An action's name, an `Action` where it is one that ships; whether there is such an action is not looked at."""
    if not isinstance(value, str):
        raise Expected("the name of an action")
    return Action(value) if value in Action.__members__.values() else value


ActionName = Annotated[str, PlainValidator(action_name, json_schema_input_type=str)]

FlowRule = Literal["pass", "drop", "meter"]
"""What a rule of a switch does with a decided connection: sends it past the box, drops it, or meters each direction."""


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Residual:
    """What stays blocked after a decision, and how long.

    key: "4-tuple" the connection; "3-tuple" the two addresses and the server's port, so new connections too; "2-tuple"
    the two addresses.
    refreshed: any packet of the key starts the `seconds` anew. directions: "both", or only packets of "client" or
    "server". Source of the terms: Bock et al., "Your Censor is My Censor", WOOT 2021.
    """

    key: Literal["2-tuple", "3-tuple", "4-tuple"]
    seconds: float
    refreshed: bool
    directions: End = "both"


@dataclass(frozen=True, slots=True)
class Injection:
    """A frame the box sends: a full Ethernet frame, checksums filled in, out of the port `towards`."""

    towards: Side
    frame: bytes


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Decision:
    """A connection has been decided, once. The addresses are as its opener sent them; `proto` is IP's number.

    `flow_rule` can carry it out from now on; None: it stays in the box, as what answers or counts bytes does.
    `directions` says whose packets are dropped ("both", "client", "server"), the rates (None: unlimited) what a meter
    must leave, up being from inside, with `burst_bytes` in hand.
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
    """What to do with one frame, and what came of it."""

    __slots__ = ("decision", "forward", "inject", "replacement")

    def __init__(
        self,
        forward: bool = True,
        replacement: bytes | None = None,
        inject: tuple[Injection, ...] = (),
        decision: Decision | None = None,
    ) -> None:
        self.forward = forward
        """The frame goes on. Means nothing to an on-path box, which only has a copy."""
        self.replacement = replacement
        """Goes on in the frame's place, if set."""
        self.inject = inject
        """Sent before the frame is."""
        self.decision = decision

    def __repr__(self) -> str:
        return f"Outcome({self.forward}, {self.replacement!r}, {self.inject!r}, {self.decision!r})"
