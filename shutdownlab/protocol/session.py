"""What a program outside asks of the country in its sandbox, and what it is told: messages like the others.

Every request has a `number`, and so has its answer. A request comes with as many file descriptors as its `files` says.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from pydantic import ConfigDict, with_config

_STRICT = ConfigDict(extra="forbid")
GIVEN_UP: Final = "given up"
"""Why a measurement is refused that was abandoned."""


# --- requests ------------------------------------------------------------------------------------------------------


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class StartProgram:
    """Start a program on a node, with three descriptors as its standard input, output and error; answer: `Done`.

    The number is the program's from then on. `variables` are added to its environment. With `ports` (`tcp/80`) the
    answer waits until they listen there that did not before, `seconds` at most.
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
    """Send a signal to a program and all that it has started; no answer."""

    program: int
    signal: int
    files: int = 0


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class PutInForce:
    """Put exactly these policies of the scenario in force; answer: `Done` once all have confirmed it.

    `moved`: time has jumped to that phase, so that clocks show its time and resolvers forget what they know.
    `faults`: exactly these faults of the scenario are there then; None: where time has jumped those of the phase, else
    those that are.
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
    """Measure a target (see `model.lookup.target_named`) from a vantage point; answer: `ProbeAnswer`.

    `hopeless`: it will likely fail, and is tried before others, which work while it waits. It plays no part in what is
    believed.
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
    """Measure all of these at once; answer: a `ProbeAnswer` for each, under its own number, as it is certain."""

    number: int
    asked: tuple[Measure, ...]
    files: int = 0


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Abandon:
    """Give up what is left of the `MeasureAll` of that number; what is, is `Refused`. No answer of its own."""

    number: int
    files: int = 0


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Attach:
    """The first message of another terminal: start the command line there, or the argv (none: a shell) on a node.

    Answer: `Ended` when that has ended, `Refused` where it could not begin; their number is 0. It comes with three
    descriptors, for its standard input, output and error, or with none: then a terminal is made for it, and told first
    (`TerminalMade`). `variables`: of the terminal outside (TERM, …).
    """

    node: str | None
    argv: tuple[str, ...] = ()
    variables: dict[str, str] = field(default_factory=dict)
    files: int = 3


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class AskInForce:
    """Ask what is in force; answer: `InForce`."""

    number: int
    files: int = 0


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class AskBoxes:
    """Ask what DPI boxes have counted, and `recent` decisions of each at most; answer: `Boxes`."""

    number: int
    recent: int = 0
    files: int = 0


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class AskRoutes:
    """Ask which routes to the country's operators the transit routers have; answer: `Routes`."""

    number: int
    files: int = 0


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class AskComplaints:
    """Ask what has broken since the last time; answer: `Complaints`."""

    number: int
    files: int = 0


# --- answers -------------------------------------------------------------------------------------------------------


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Done:
    """It is done."""

    number: int


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Refused:
    """It could not be done, and why; with an `errno` (errno.h), what a system call refused, and `text` is the file."""

    number: int
    text: str
    errno: int = 0


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class ProbeAnswer:
    """What came of a measurement: the fields of `probing.Measurement`; `record` is the whole in OONI's format."""

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
    """The phase that the country is in, if it is in one as a whole, and the policies in force."""

    number: int
    phase: str | None
    policies: tuple[str, ...]


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Boxes:
    """The counters of each DPI box that answered in time: its own, and under `engine` those since its last policy."""

    number: int
    counters: dict[str, dict[str, Any]]


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Routes:
    """By transit router, the prefixes of the country's operators that it has a route to, by BGP."""

    number: int
    tables: dict[str, tuple[str, ...]]


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Complaints:
    """What has broken, or complains, a sentence each."""

    number: int
    texts: tuple[str, ...]


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class TerminalMade:
    """A terminal has been made inside: the descriptor is its master's."""

    files: int = 1


# --- unasked -------------------------------------------------------------------------------------------------------


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Tried:
    """The first try of a measurement of a `MeasureAll` has failed: no verdict yet, that is its `ProbeAnswer`."""

    number: int
    outcome: str
    failure: str | None


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Opening:
    """The country is being built, and has got so far: a step of it begins."""

    step: str


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Opened:
    """The country is up, with its first policies in force.

    Where other terminals are let in, a descriptor comes with it: a socket at which their sessions are to be answered.
    """

    datapath: str
    why: str
    files: int = 0


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Ended:
    """A program has ended, with this status: negative for a signal."""

    program: int
    status: int


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class LabFault:
    """Something of the country has broken, or complains."""

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
