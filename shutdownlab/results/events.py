"""What happens in a run, as typed events: one JSON object a line in events.jsonl, and live to whoever listens.

`event` names the kind, `at` is the wall clock's time (UTC). The terminal's progress and the run directory are listeners
of this stream like any other.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from shutdownlab.results.result import Result, ScenarioTime


def _now() -> datetime:
    return datetime.now(UTC)


class Event(BaseModel):
    """Base of all events. `transient`: of interest while it happens only; it is not written down."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    transient: ClassVar[bool] = False

    event: str
    at: datetime = Field(default_factory=_now)


class PhaseInfo(BaseModel):
    """A phase of the scenario: its name, when it begins, and its title."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    phase: str
    at: ScenarioTime
    title: str


class Begun(Event):
    """The run has begun. `phases`: those that will be walked; `columns`: headings of the table, in order.

    operators: their titles by name. accounts: the choice made for each. sources: the scenario's, by their codes.
    machine: kernel, versions, processors. profiles: of the DPI boxes, by operator.
    """

    event: Literal["begun"] = "begun"
    version: str
    run: str
    scenario: str
    title: str
    topology: str
    operators: dict[str, str]
    phases: tuple[PhaseInfo, ...]
    columns: tuple[str, ...]
    sources: dict[str, str] = {}
    choices: dict[str, str] = {}
    mode: str = "operators"
    profile: str = "perfect"
    profiles: dict[str, str] = {}
    seed: int = 0
    real_time: float | None = None
    pcap: bool = False
    machine: dict[str, Any] = {}


class Step(Event):
    """What is under way while the country is built and checked."""

    transient: ClassVar[bool] = True
    event: Literal["step"] = "step"
    text: str


class Built(Event):
    """The country is up. `seconds`: what each step took; `emulation`: what was used to emulate, for the manifest."""

    event: Literal["built"] = "built"
    seconds: dict[str, float]
    emulation: dict[str, Any] = {}


class SelfChecked(Event):
    """With no policy in force everything was measured; `broken`: what did not succeed. The run goes on if nothing."""

    event: Literal["self-check"] = "self-check"
    cells: int
    broken: tuple[Result, ...] = ()


class Waiting(Event):
    """Playing by the clock: so many seconds are left until the phase."""

    transient: ClassVar[bool] = True
    event: Literal["waiting"] = "waiting"
    phase: str
    seconds: float


class Ordered(Event):
    """The authority has ordered that these policies, and nothing else, be in force."""

    event: Literal["ordered"] = "ordered"
    phase: str
    scenario_time: ScenarioTime
    mode: str
    policies: tuple[str, ...]


class Acknowledged(Event):
    """A switch has confirmed the rules of an order, `seconds` after they were sent."""

    event: Literal["acknowledged"] = "acknowledged"
    serial: int
    switch: str
    rules: int
    seconds: float


class Obeyed(Event):
    """All switches and boxes of an operator (or the gateway) have confirmed an order."""

    event: Literal["obeyed"] = "obeyed"
    serial: int
    operator: str


class Confirmed(Event):
    """The phase's order is carried out everywhere, `seconds` after it was given."""

    event: Literal["confirmed"] = "confirmed"
    phase: str
    seconds: float


class PhaseBegun(Event):
    """Measuring of a phase begins: so many cells."""

    event: Literal["phase"] = "phase"
    phase: str
    time: ScenarioTime
    title: str
    cells: int


class Measured(Event):
    """A cell has its result. `number`: its place in the phase. `record`: the measurement as in measurements.jsonl;
    it is not in the stream of events."""

    event: Literal["measured"] = "measured"
    number: int
    result: Result
    record: Annotated[dict[str, Any] | None, Field(exclude=True)] = None


class PhaseMeasured(Event):
    """A phase is measured as a whole; its rows are in results.csv. `late`: seconds behind the clock."""

    event: Literal["phase-measured"] = "phase-measured"
    phase: str
    cells: int
    reached: int
    unmet: int
    seconds: float
    late: float = 0.0


class Counted(Event):
    """What a DPI box has seen and done by the end of a phase: per rule, verdict and protocol."""

    event: Literal["counters"] = "counters"
    phase: str
    where: str
    counters: dict[str, Any]


class Notice(Event):
    """Something that the record should tell and that is no fault."""

    event: Literal["notice"] = "notice"
    where: str
    text: str


class Fault(Event):
    """Something of the testbed went wrong."""

    event: Literal["fault"] = "fault"
    text: str


class Broken(Event):
    """The run cannot go on. `lines`: why, for a person; `text`: in full."""

    event: Literal["broken"] = "broken"
    error: str
    text: str
    lines: tuple[str, ...]


class Lacking(Event):
    """This machine lacks something the run needs."""

    event: Literal["machine-lacks"] = "machine-lacks"
    what: str
    why: str
    mend: str = ""


class Interrupted(Event):
    """Somebody asked the run to end."""

    event: Literal["interrupted"] = "interrupted"


class Crashed(Event):
    """A mistake of the program's own."""

    event: Literal["crashed"] = "crashed"
    text: str


Status = Literal[
    "running", "finished", "self-check failed", "broken", "interrupted", "machine lacks", "crashed", "killed"
]
"""`running` and `killed` are told apart by whether the run's process still lives."""


class Finished(Event):
    """The last event: how the run ended, and what it would exit with. `seconds`: from build to end."""

    event: Literal["finished"] = "finished"
    status: Status
    exit_code: int
    seconds: float
    cells: int
    expectations: int
    unmet: int
    errors: int
    faults: tuple[str, ...] = ()


AnyEvent: TypeAlias = Annotated[
    Begun
    | Step
    | Built
    | SelfChecked
    | Waiting
    | Ordered
    | Acknowledged
    | Obeyed
    | Confirmed
    | PhaseBegun
    | Measured
    | PhaseMeasured
    | Counted
    | Notice
    | Fault
    | Broken
    | Lacking
    | Interrupted
    | Crashed
    | Finished,
    Field(discriminator="event"),
]

Listener: TypeAlias = Callable[[Event], object]

ADAPTER: TypeAdapter[AnyEvent] = TypeAdapter(AnyEvent)


def encode(event: Event) -> bytes:
    """An event as a line, newline included."""
    return event.model_dump_json(by_alias=True).encode() + b"\n"


def decode(line: bytes | str) -> Event | None:
    """The event of a line; None for a kind that this version does not know. Raises ValueError for what is no event."""
    try:
        return ADAPTER.validate_json(line)
    except ValidationError as error:
        if all(detail["type"] == "union_tag_invalid" for detail in error.errors()):
            return None
        raise
