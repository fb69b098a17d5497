"""The messages exchanged between processes, each encoded as one line of JSON: an object whose first key is `type`.

A message is a frozen dataclass; `encode` serialises it to a line, and `decode` parses a line. Anything that is not
exactly one of these messages raises `MessageError`: if a control channel silently ignored an order, it would look like
a policy with no effect. `system.line_socket` carries the lines.
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
    """A line is not a message, or has a missing, unknown or invalid field."""


# --- between a DPI box and its operator's controller ---------------------------------------------------------------


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Hello:
    """Identifies a DPI box: the first message on its connection."""

    box: str


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Decisions:
    """All decisions a DPI box made in one iteration of its loop, in order."""

    decisions: tuple[Decision, ...]


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class BoxPolicy:
    """Replaces a DPI box's policy by `rules`, in this order, under the profile named `profile`; answer: `Applied`.

    `local_time`: the subscribers' local time in seconds since 1970; None if no rule depends on the time of day.
    """

    serial: int
    profile: str
    rules: tuple[InspectionRule, ...] = ()
    local_time: float | None = None


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Applied:
    """Confirms order `serial`: it applies from the next packet on."""

    serial: int


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class LineSetting:
    """Properties of a delay line in each direction: one-way delay and jitter in ms, and the share of frames lost."""

    delay_ms: float
    jitter_ms: float = 0.0
    loss: float = 0.0


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Retune:
    """Gives the named links of a delay line new settings; answer: `Applied`."""

    serial: int
    lines: Mapping[str, LineSetting]


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Hold:
    """Tells the proxy in front of a resolver which DNS queries to hold, and for how long; answer: `Applied`.

    names: seconds, by client prefix and then by domain. A domain includes its subdomains; the longest match counts.
    """

    serial: int
    names: Mapping[str, Mapping[str, float]]


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class CountersRequest:
    """Asks a box for its `Counters`, or the authority for those of all boxes, one answer each (empty if a box is lost).

    `recent`: maximum number of its latest decisions by rule to include.
    """

    recent: int = 0


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Counters:
    """The counters of box `where` since it started (packets, bytes, drops), and its engine's since the last policy."""

    where: str
    counters: JsonObject


# --- between a DPI box and the process that started it --------------------------------------------------------------


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class RacesRequest:
    """Asks an on-path box what it has injected since a moment, once it has seen all frames there are: `RacesRun`.

    `since`: by `time.monotonic`. `ends`: only answers to packets from or to one of these IP addresses; empty: all.
    """

    number: int
    since: float
    ends: tuple[str, ...] = ()


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class RacesRun:
    """The answer to a `RacesRequest`, with its number: how many frames or groups of frames a box has injected.

    `slowest`: the most seconds that passed from the arrival of a frame until those that answer it were sent.
    """

    number: int
    injected: int
    slowest: float


# --- between the authority and an operator -------------------------------------------------------------------------


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Order:
    """The authority's order for a phase: exactly `policies`, by name, are to be in force.

    `delay_s`: seconds that this operator takes to obey (>= 0). In mode `direct` the authority installs the rules
    itself, and the order is only for information. `carried_out`: what this operator does instead, according to the
    scenario; None if it does as ordered. `local_time`: local time then, in seconds since 1970; None if unknown.
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
        """The policies that the recipient carries out."""
        return self.policies if self.carried_out is None else self.carried_out

    @property
    def departures(self) -> str:
        """Describes how `obeyed` differs from the order; "" if it doesn't."""
        left_out = [name for name in self.policies if name not in self.obeyed]
        kept = [name for name in self.obeyed if name not in self.policies]
        partly = [n for n, policy in self.obeyed.items() if n in self.policies and policy != self.policies[n]]
        parts = [f"ignores {', '.join(left_out)}"] * bool(left_out) + [f"keeps {', '.join(kept)}"] * bool(kept)
        return "; ".join(parts + [f"carries {', '.join(partly)} out in part"] * bool(partly))


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Command:
    """Sent by the run to the authority: an order to the country, and how each operator obeys it.

    `delays`: wall-clock seconds that an operator takes (>= 0); operators without an entry take the order's `delay_s`.
    `otherwise`: the policies carried out by operators that don't do as ordered.
    """

    order: Order
    delays: Mapping[str, float] = field(default_factory=dict)
    otherwise: Mapping[str, Mapping[Name, Policy]] = field(default_factory=dict)

    def for_operator(self, operator: str) -> Order:
        """Returns the order as the authority passes it on to an operator."""
        order = self.order
        delay = 0.0 if order.mode is Mode.DIRECT else self.delays.get(operator, order.delay_s)
        return replace(order, delay_s=delay, carried_out=self.otherwise.get(operator))


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Standing:
    """What stands on a switch until it is ordered otherwise: without the rules and meters of single connections.

    rules: their number. digests: a number that stands for all rules of a table, by its name, and for all meters
    (`compiler.standing`).
    """

    rules: int
    digests: Mapping[str, int]


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Ack:
    """A switch has confirmed, by barrier, all of order `serial`, which is `standing`, `seconds` after it was sent."""

    serial: int
    switch: str
    standing: Standing
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
    """The controller of `where` is carrying out order `serial`: it has computed and sent `rules` rules so far."""

    serial: int
    where: str
    rules: int


# --- from anyone ---------------------------------------------------------------------------------------------------


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Ready:
    """First message of an operator's connection to the authority: the controller of `where` is running."""

    where: str


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class BoxJoined:
    """A DPI box has reconnected to the controller of `where`, which commands it, after the start of an order."""

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
    """An event to be recorded that is not an error, such as a channel that was lost or restored."""

    where: str
    text: str


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Failure:
    """A fault that makes the run's measurements doubtful; the run must end or report it."""

    where: str
    text: str


Message: TypeAlias = (
    Hello | Decisions | BoxPolicy | Applied | Retune | Hold | CountersRequest | Counters | RacesRequest | RacesRun
    | Command | Order | Ack | Obeyed | Progress | Ready | BoxJoined | Parted | Notice | Failure | SessionMessage
    | ProbingMessage
)  # fmt: skip

_OTHER_NAMES: dict[type, str] = {CountersRequest: "counters?", BoxPolicy: "policy", BoxJoined: "box-joined"} | {
    RacesRequest: "races?",
    RacesRun: "races",
    ProbeJob: "probe-job",
    ProbeResult: "probe-result",
}
_NAMES: dict[type, str] = {kind: kind.__name__.lower() for kind in get_args(Message)} | _OTHER_NAMES
_ADAPTERS: dict[type, TypeAdapter[Any]] = {kind: TypeAdapter(kind) for kind in _NAMES}
_KINDS = {name: kind for kind, name in _NAMES.items()}


def encode(message: Message) -> bytes:
    """Serialises `message` as one line, including the newline. Default values are left out, as in `config.writing`."""
    kind = type(message)
    fields = _ADAPTERS[kind].dump_json(message, by_alias=True, exclude_defaults=True)
    head = b'{"type":"%s"' % _NAMES[kind].encode()
    return head + (b"}\n" if fields == b"{}" else b"," + fields[1:] + b"\n")


def decode(line: bytes | str) -> Message:
    """Parses one line; raises `MessageError` if it isn't a message."""
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
    """Returns the beginning of `line`, quoted and short enough for an error message."""
    text = line if isinstance(line, str) else line[:400].decode("utf-8", "replace")
    return repr(text if len(text) <= 120 else text[:120] + "…")
