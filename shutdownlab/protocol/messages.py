"""What travels between processes: one JSON object a line, `type` first.

A message is a frozen dataclass; `encode` makes a line of it, `decode` makes a message of a line. Anything that is not
exactly one of these messages raises `MessageError`, which says why: a control channel that silently ignores an order
would look like a policy with no effect. `system.line_socket` carries the lines.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, get_args

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

from shutdownlab.inspection.policy import InspectionRule
from shutdownlab.inspection.verdict import Decision
from shutdownlab.model.labels import Name
from shutdownlab.model.policy import Policy
from shutdownlab.model.scenario import Mode
from shutdownlab.protocol.probing import ProbeJob, ProbeResult, ProbingMessage
from shutdownlab.protocol.session import SessionMessage

JsonObject: TypeAlias = dict[str, Any]

_STRICT = ConfigDict(extra="forbid")


class MessageError(ValueError):
    """A line that is not a message, or a message with a missing, unknown or wrong field."""


# --- between a DPI box and its operator's controller ---------------------------------------------------------------


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Hello:
    """First line of a box's connection: which box this is."""

    box: str


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Decisions:
    """Everything a box decided in one turn of its loop, in order."""

    decisions: tuple[Decision, ...]


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class BoxPolicy:
    """The box's whole policy from now on: its profile's name, and the rules, in their order.

    `local_time`: what clocks show where the subscribers are, in seconds since 1970, if any rule asks for the hour of
    the day.
    """

    serial: int
    profile: str
    rules: tuple[InspectionRule, ...] = ()
    local_time: float | None = None


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Applied:
    """The box inspects by policy `serial` from the next packet on."""

    serial: int


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class LineSetting:
    """What a delay line does, both ways: milliseconds one way, give or take, and the share lost."""

    delay_ms: float
    jitter_ms: float = 0.0
    loss: float = 0.0


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Retune:
    """Tells the delay line what links of these names are like from now on; it answers `Applied`."""

    serial: int
    lines: Mapping[str, LineSetting]


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Hold:
    """Tells what stands before a resolver for how many seconds to hold whose questions for which names from now on; it
    answers `Applied`.

    names: by prefix of the clients, then by domain, each with all below it; the longest domain counts.
    """

    serial: int
    names: Mapping[str, Mapping[str, float]]


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class CountersRequest:
    """Asks a box for its `Counters`, or the authority for those of all boxes: an answer each, empty of a lost one.

    `recent`: how many of its latest decisions by rule are to be among them, at most.
    """

    recent: int = 0


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Counters:
    """A box's counters since it started (packets, bytes, drops) and its engine's since the last policy."""

    where: str
    counters: JsonObject


# --- between the authority and an operator -------------------------------------------------------------------------


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Order:
    """The authority's order for a phase: `policies`, by name, and nothing else are in force.

    `delay_s` is how long this operator takes to obey (>= 0). In mode `direct` the authority installs the rules
    itself and the order only informs. `carried_out`: what this operator does instead, as the scenario has it (None: as
    ordered). `local_time` (seconds since 1970, None: unknown) is what clocks show then.
    """

    serial: int
    phase: str
    policies: Mapping[Name, Policy]
    mode: Mode = Mode.OPERATORS
    delay_s: float = 0.0
    local_time: float | None = None
    carried_out: Mapping[Name, Policy] | None = None

    @property
    def obeyed(self) -> Mapping[Name, Policy]:
        """What whoever is given the order does."""
        return self.policies if self.carried_out is None else self.carried_out

    @property
    def departures(self) -> str:
        """How what is done differs from what was ordered, in words; "" where it does not."""
        left_out = [name for name in self.policies if name not in self.obeyed]
        kept = [name for name in self.obeyed if name not in self.policies]
        partly = [n for n, policy in self.obeyed.items() if n in self.policies and policy != self.policies[n]]
        told = [f"ignores {', '.join(left_out)}"] * bool(left_out) + [f"keeps {', '.join(kept)}"] * bool(kept)
        return "; ".join(told + [f"carries {', '.join(partly)} out in part"] * bool(partly))


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Command:
    """What the run tells the authority: an order to the country, and how long each operator takes to obey it.

    `delays` are wall-clock seconds (>= 0); an operator without one takes the order's own `delay_s`. `otherwise`: what
    operators do that do not do as ordered.
    """

    order: Order
    delays: Mapping[str, float] = field(default_factory=dict)
    otherwise: Mapping[str, Mapping[Name, Policy]] = field(default_factory=dict)

    def for_operator(self, operator: str) -> Order:
        """The order as the authority passes it on."""
        order = self.order
        delay = 0.0 if order.mode is Mode.DIRECT else self.delays.get(operator, order.delay_s)
        return replace(order, delay_s=delay, carried_out=self.otherwise.get(operator))


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Ack:
    """A switch confirmed (by barrier) the `rules` flow rules of order `serial`, `seconds` after they were sent."""

    serial: int
    switch: str
    rules: int
    seconds: float


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Obeyed:
    """All of an operator's switches and boxes have confirmed order `serial`."""

    serial: int
    operator: str


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Progress:
    """The owner `where`'s controller is at work on order `serial`: so many rules worked out and sent by now, in all."""

    serial: int
    where: str
    rules: int


# --- from anyone ---------------------------------------------------------------------------------------------------


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Ready:
    """First message of an operator's connection to the authority: the controller `where` is at work."""

    where: str


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class BoxJoined:
    """A DPI box is connected to the controller `where` that commands it, other than at an order's beginning: again."""

    where: str
    box: str


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Parted:
    """The controller `where` has lost the `node` it commands, a switch or a DPI box, and can enforce nothing by it.

    It may be back since; a switch is given its rules anew then, and what boxes had decided is gone.
    """

    where: str
    node: str


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Notice:
    """Something the run's record should tell, that is not an error: a channel lost or regained."""

    where: str
    text: str


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Failure:
    """Something went wrong that makes what the run measures doubtful; the run must end or say so."""

    where: str
    text: str


Message: TypeAlias = (
    Hello | Decisions | BoxPolicy | Applied | Retune | Hold | CountersRequest | Counters | Command | Order | Ack
    | Obeyed | Progress | Ready | BoxJoined | Parted | Notice | Failure | SessionMessage | ProbingMessage
)  # fmt: skip

_OTHER_NAMES: dict[type, str] = {CountersRequest: "counters?", BoxPolicy: "policy", BoxJoined: "box-joined"} | {
    ProbeJob: "probe-job",
    ProbeResult: "probe-result",
}
_NAMES: dict[type, str] = {kind: kind.__name__.lower() for kind in get_args(Message)} | _OTHER_NAMES
_ADAPTERS: dict[type, TypeAdapter[Any]] = {kind: TypeAdapter(kind) for kind in _NAMES}
_KINDS = {name: kind for kind, name in _NAMES.items()}


def encode(message: Message) -> bytes:
    """Return `message` as one line, newline included; what has its default is left out, as `config.writing` does."""
    kind = type(message)
    fields = _ADAPTERS[kind].dump_json(message, by_alias=True, exclude_defaults=True)
    head = b'{"type":"%s"' % _NAMES[kind].encode()
    return head + (b"}\n" if fields == b"{}" else b"," + fields[1:] + b"\n")


def decode(line: bytes | str) -> Message:
    """Return the message `line` holds; raises `MessageError` if it holds none."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise MessageError(f"not JSON: {_excerpt(line)}: {error}") from error
    if not isinstance(found, dict) or not isinstance(found.get("type"), str):
        raise MessageError(f"expected an object with a `type`, found {_excerpt(line)}")
    kind = _KINDS.get(found.pop("type"))
    if kind is None:
        raise MessageError(f"unknown message {_excerpt(line)}; expected one of {', '.join(sorted(_KINDS))}")
    try:
        message: Message = _ADAPTERS[kind].validate_python(found)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'message'}: {e['msg']}" for e in error.errors())
        raise MessageError(f"bad `{_NAMES[kind]}` message: {faults}; found {_excerpt(line)}") from error
    return message


def _excerpt(line: bytes | str) -> str:
    """Return the beginning of `line`, short enough for an error message."""
    text = line if isinstance(line, str) else line[:400].decode("utf-8", "replace")
    return repr(text if len(text) <= 120 else text[:120] + "…")
