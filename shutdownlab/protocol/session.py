"""Requests from a program outside the sandbox to the country inside, and the replies.

A request's `number` is repeated in its reply; `SignalProgram` and `Attach` have none. `files`: how many file
descriptors come with the message.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from pydantic import ConfigDict, with_config

_STRICT = ConfigDict(extra="forbid")
GIVEN_UP: Final = "given up"
"""`Refused.text` of an abandoned measurement."""


# --- requests ------------------------------------------------------------------------------------------------------


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class StartProgram:
    """Starts a program on a node; answer: `Done`.

    Its three descriptors become the program's standard input, output and error, and `number` identifies the program
    from then on. `variables` are added to its environment. With `ports` (such as `tcp/80`), the answer waits up to
    `seconds` until new listening sockets are open on all of them.
    """

    number: int
    node: str
    argv: tuple[str, ...]
    cwd: str
    variables: dict[str, str] = field(default_factory=dict)
    ports: tuple[str, ...] = ()
    seconds: float = 0.0
    files: int = 3


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class SignalProgram:
    """Sends a signal to a program and its descendants; no answer."""

    program: int
    signal: int
    files: int = 0


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class PutInForce:
    """Puts exactly these policies of the scenario in force; answer: `Done` once every operator has confirmed.

    `moved`: whether time jumps to that phase, so that clocks show its time and resolvers clear their caches.
    `faults`: the scenario's faults to be present then; None for those of the phase if time jumps, else for the present
    ones.
    """

    number: int
    phase: str
    policies: tuple[str, ...]
    moved: bool = False
    faults: tuple[str, ...] | None = None
    files: int = 0


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Measure:
    """Measures a target (see `model.lookup.target_named`) from a vantage point; answer: `ProbeAnswer`.

    `hopeless`: whether it is expected to fail. It then starts early, so that other measurements run during its
    timeouts; this doesn't affect the verdict.
    """

    number: int
    vantage: str
    target: str
    family: str
    hopeless: bool = False
    files: int = 0


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class MeasureAll:
    """Measures several targets concurrently; answer: a `ProbeAnswer` for each, under its own number, once certain."""

    number: int
    asked: tuple[Measure, ...]
    files: int = 0


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Abandon:
    """Abandons the rest of the `MeasureAll` of that number: unfinished measurements are `Refused`. No other answer."""

    number: int
    files: int = 0


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Attach:
    """The first message from another terminal: starts Mininet's command line or, on `node`, a program.

    `argv`: the program; empty for a shell. Answer: `Ended` when it has ended, or `Refused` if it can't be started, both
    with number 0. The message comes with three descriptors, for standard input, output and error, or with none: then a
    terminal is created for it, and sent first (`TerminalMade`). `variables`: environment of the terminal outside
    (TERM, …).
    """

    node: str | None
    argv: tuple[str, ...] = ()
    variables: dict[str, str] = field(default_factory=dict)
    files: int = 3


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class AskInForce:
    """Asks what is in force; answer: `InForce`."""

    number: int
    files: int = 0


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class AskBoxes:
    """Asks for the counters of all DPI boxes, and up to `recent` decisions of each; answer: `Boxes`."""

    number: int
    recent: int = 0
    files: int = 0


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class AskRoutes:
    """Asks which routes to the country's operators the transit routers have; answer: `Routes`."""

    number: int
    files: int = 0


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class AskComplaints:
    """Asks what has broken since the last such request; answer: `Complaints`."""

    number: int
    files: int = 0


# --- answers -------------------------------------------------------------------------------------------------------


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Done:
    """The request has been carried out."""

    number: int


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Refused:
    """The request failed; `text` says why. With an `errno` (errno.h), a system call failed, and `text` is the file."""

    number: int
    text: str
    errno: int = 0


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class ProbeAnswer:
    """The result of a measurement: fields of `probing.Measurement`, and the whole in OONI's format as `record`."""

    number: int
    outcome: str
    failure: str | None
    runtime: float
    certainty: str
    value: float | None
    unit: str
    record: dict[str, Any]


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class InForce:
    """The phase that the country is in, None after policies were put in force by hand, and the policies in force."""

    number: int
    phase: str | None
    policies: tuple[str, ...]


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Boxes:
    """The counters of each DPI box that answered in time; those under `engine` count from its last policy."""

    number: int
    counters: dict[str, dict[str, Any]]


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Routes:
    """The prefixes of the country's operators to which each transit router has a BGP route, by router."""

    number: int
    tables: dict[str, tuple[str, ...]]


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Complaints:
    """What has broken or reported an error, one sentence each."""

    number: int
    texts: tuple[str, ...]


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class TerminalMade:
    """A terminal has been created inside the sandbox; the descriptor is its master side."""

    files: int = 1


# --- unasked -------------------------------------------------------------------------------------------------------


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Tried:
    """The first try of a measurement of a `MeasureAll` has failed. The verdict follows in its `ProbeAnswer`."""

    number: int
    outcome: str
    failure: str | None


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Opening:
    """A step of building the country begins."""

    step: str


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Opened:
    """The country is up, with its first policies in force.

    If other terminals may attach, a descriptor comes with it: the listening socket for their sessions.
    """

    datapath: str
    why: str
    files: int = 0


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Ended:
    """A program has ended with this exit status, negative for a signal."""

    program: int
    status: int


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class LabFault:
    """Part of the country has broken or reported an error."""

    text: str


SessionRequest: TypeAlias = (
    StartProgram
    | SignalProgram
    | PutInForce
    | Measure
    | MeasureAll
    | Abandon
    | Attach
    | AskInForce
    | AskBoxes
    | AskRoutes
    | AskComplaints
)
SessionAnswer: TypeAlias = Done | Refused | ProbeAnswer | InForce | Boxes | Routes | Complaints | TerminalMade
SessionMessage: TypeAlias = SessionRequest | SessionAnswer | Tried | Opening | Opened | Ended | LabFault
