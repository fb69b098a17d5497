"""The typed events of a run: one JSON object per line in events.jsonl, and live to every listener.

`event` names the kind, `at` is the wall-clock time (UTC). The terminal's progress display and the run directory are
listeners like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, SkipValidation, TypeAdapter, ValidationError

from shutdownlab.results.decision import BoxDecision
from shutdownlab.results.manifest import Emulation, Status, Undertaking
from shutdownlab.results.reading import Reading
from shutdownlab.results.result import Count, Result, ScenarioTime, Seconds
from shutdownlab.results.signal_verdict import SignalVerdict


class Event(BaseModel):
    """Base of all events. `transient`: sent to listeners only, not written to events.jsonl."""

    model_config = ConfigDict(frozen=True, extra="ignore", json_schema_serialization_defaults_required=True)
    transient: ClassVar[bool] = False

    event: str
    """The kind of event."""
    at: datetime = Field(default_factory=lambda: datetime.now(UTC))
    """The wall-clock time of the event (UTC)."""


class Begun(Undertaking, Event):
    """The run has begun."""

    event: Literal["begun"] = "begun"
    version: str
    """The version of shutdownlab."""


class Step(Event):
    """A step in building and checking the country begins. Live only."""

    transient: ClassVar[bool] = True
    event: Literal["step"] = "step"
    text: str


class Built(Event):
    """The country is up."""

    event: Literal["built"] = "built"
    seconds: dict[str, Seconds]
    """Wall-clock seconds that each step took."""
    emulation: Emulation = Emulation()


class SelfChecked(Event):
    """Everything was measured with no policy in force. The run continues only if everything succeeded."""

    event: Literal["self-check"] = "self-check"
    cells: Count
    """How many measurements were made."""
    broken: tuple[Result, ...] = ()
    """The measurements that did not succeed."""


class Waiting(Event):
    """With `--real-time`: the run waits for the next phase. Live only, once a second."""

    transient: ClassVar[bool] = True
    event: Literal["waiting"] = "waiting"
    phase: str
    seconds: Seconds
    """Wall-clock seconds left to wait."""


class Damaged(Event):
    """The scenario's faults for a phase are in effect, and all others are repaired; before the phase's orders."""

    event: Literal["damaged"] = "damaged"
    phase: str
    faults: dict[str, str]
    """The titles of the faults in effect, by name."""


class Ordered(Event):
    """The authority has ordered exactly these policies to be in force."""

    event: Literal["ordered"] = "ordered"
    phase: str
    scenario_time: ScenarioTime
    mode: str
    """Who carries the order out: `operators`, or `direct` for the authority itself."""
    policies: tuple[str, ...]
    """The policies' names."""


class Acknowledged(Event):
    """A switch has confirmed the rules of an order."""

    event: Literal["acknowledged"] = "acknowledged"
    serial: int
    """The number of the order."""
    switch: str
    rules: Count
    """The number of flow rules sent to the switch."""
    seconds: Seconds
    """Wall-clock seconds from sending the rules to the switch's confirmation."""


class Obeyed(Event):
    """All switches and boxes of an operator have confirmed an order."""

    event: Literal["obeyed"] = "obeyed"
    serial: int
    """The number of the order."""
    operator: str
    """The operator's name, or `gateway`."""


class Confirmed(Event):
    """The phase's order has been carried out everywhere."""

    event: Literal["confirmed"] = "confirmed"
    phase: str
    seconds: Seconds
    """Wall-clock seconds since the order was given."""


class PhaseBegun(Event):
    """The measurement of a phase begins."""

    event: Literal["phase"] = "phase"
    phase: str
    time: ScenarioTime
    """When the phase begins, in the scenario's time."""
    title: str
    cells: Count
    """The number of measurements to be made."""


class Measured(Event):
    """A cell has been measured."""

    event: Literal["measured"] = "measured"
    number: Count
    """The cell's place in the phase, from 0: the order of rows in results.csv."""
    result: Result
    record: Annotated[Mapping[str, object] | None, SkipValidation, Field(exclude=True)] = None
    """The measurement as in measurements.jsonl; not serialised with the event."""


class Observed(Event):
    """The readings of outside signals in a phase that was measured completely: with `--observe`, and of `verify`, whose
    readings are all modelled."""

    event: Literal["observed"] = "observed"
    phase: str
    readings: tuple[Reading, ...]
    """The phase's rows in readings.csv."""
    left_out: dict[str, tuple[str, ...]] = {}
    """By observer, a sentence for each thing that it could not observe because the testbed failed: unknown, not an
    outage."""


class Voided(Event):
    """The measurements of a phase are discarded because the testbed failed; the phase is measured again."""

    event: Literal["voided"] = "voided"
    phase: str
    reasons: tuple[str, ...]
    """One sentence per failure."""
    anew: bool = False
    """Whether the country is rebuilt before the phase is measured again."""


class Resumed(Event):
    """The run continues from this phase in a rebuilt country."""

    event: Literal["resumed"] = "resumed"
    phase: str


class PhaseMeasured(Event):
    """A phase has been measured completely."""

    event: Literal["phase-measured"] = "phase-measured"
    phase: str
    cells: Count
    """The number of the phase's rows in results.csv."""
    reached: Count
    """How many of them got through."""
    unmet: Count
    """How many were not as expected."""
    errors: Count = 0
    """How many have no verdict: the outcome is `error` or `unknown`."""
    held: Count = 0
    """How many were not measured: their outcome is held from another phase, from which it cannot differ."""
    seconds: Seconds
    """Wall-clock seconds that the phase took, from its orders to its last measurement."""
    late: Seconds = 0.0
    """With `--real-time`: seconds that the phase began late."""


class Counted(Event):
    """The counters of a DPI box at the end of a phase; at the end of the run, also those of the delay lines."""

    event: Literal["counters"] = "counters"
    phase: str
    """Empty at the end of the run."""
    where: str
    """The DPI box, or `relay`: the delay lines."""
    counters: dict[str, Any]
    """Counts by name. For a box, `engine` holds those of the inspection engine: by rule, verdict and protocol."""


class Decided(Event):
    """Decisions by a rule of a DPI box in a phase, one per connection: a sample that covers every kind first."""

    event: Literal["decided"] = "decided"
    phase: str
    where: str
    """The DPI box."""
    decisions: tuple[BoxDecision, ...]
    """In the order in which they were made."""
    others: Count = 0
    """How many more there are among the recent decisions that the box remembers."""


class Rerouted(Event):
    """Routes to the country's operators that a transit's router lost and gained since the previous phase."""

    event: Literal["rerouted"] = "rerouted"
    phase: str
    where: str
    """The router."""
    lost: tuple[str, ...] = ()
    """Prefixes that it no longer has a route to."""
    heard: tuple[str, ...] = ()
    """Prefixes that it has a route to now, and had none before."""


class RuleCount(BaseModel):
    """The counters of a policy's rules in one table of a switch."""

    model_config = ConfigDict(frozen=True, extra="ignore", json_schema_serialization_defaults_required=True)

    policy: str
    """The policy that the rules implement."""
    table: Count
    """The number of the table."""
    packets: Count
    """The number of packets that matched one of the rules."""
    bytes: Count
    """The bytes of these packets, including Ethernet headers."""


class RulesCounted(Event):
    """The counters of the policies' rules at a switch for a phase; rules that matched nothing are left out."""

    event: Literal["rule-counters"] = "rule-counters"
    phase: str
    switch: str
    rules: tuple[RuleCount, ...]
    """One entry per policy and table."""


class Notice(Event):
    """Something worth knowing that is not a fault, such as a DPI box that has come back."""

    event: Literal["notice"] = "notice"
    where: str
    """The controller or box that reported it."""
    text: str


class Fault(Event):
    """A part of the testbed failed; the run continues."""

    event: Literal["fault"] = "fault"
    text: str


class Broken(Event):
    """The run cannot continue."""

    event: Literal["broken"] = "broken"
    error: str
    """The kind of error."""
    text: str
    """The failure, in full."""
    lines: tuple[str, ...]
    """The failure, for a person to read."""


class Lacking(Event):
    """This machine lacks something that the run needs."""

    event: Literal["machine-lacks"] = "machine-lacks"
    what: str
    why: str
    mend: str = ""
    """How to fix it."""


class Interrupted(Event):
    """The run was asked to end."""

    event: Literal["interrupted"] = "interrupted"


class Crashed(Event):
    """A bug in shutdownlab."""

    event: Literal["crashed"] = "crashed"
    text: str


class SignalsJudged(Event):
    """The expectations about outside observers have been compared with what the run observed."""

    event: Literal["signals-judged"] = "signals-judged"
    signals: tuple[SignalVerdict, ...]
    """The expectations, in the scenario's order."""


class Finished(Event):
    """The last event: how the run ended."""

    event: Literal["finished"] = "finished"
    status: Status
    """`finished`, or how the run aborted."""
    exit_code: Annotated[int, Field(ge=0, le=255)]
    """The command's exit code."""
    seconds: Seconds
    """Wall-clock seconds from the start of the build to the end."""
    cells: Count
    """How many measurements have a result."""
    expectations: Count
    """How many of them the scenario has an expectation for."""
    unmet: Count
    """How many are not as expected, including those without a verdict."""
    errors: Count
    """How many have no verdict: the outcome is `error` or `unknown`."""
    faults: tuple[str, ...] = ()
    """Failures of the testbed."""


AnyEvent: TypeAlias = Annotated[
    Begun
    | Step
    | Built
    | SelfChecked
    | Waiting
    | Damaged
    | Ordered
    | Acknowledged
    | Obeyed
    | Confirmed
    | PhaseBegun
    | Measured
    | Observed
    | Voided
    | Resumed
    | PhaseMeasured
    | Counted
    | Decided
    | Rerouted
    | RulesCounted
    | Notice
    | Fault
    | Broken
    | Lacking
    | Interrupted
    | Crashed
    | SignalsJudged
    | Finished,
    Field(discriminator="event"),
]

Ending: TypeAlias = Broken | Lacking | Interrupted | Crashed | Finished
"""The events that a run may end with."""

Listener: TypeAlias = Callable[[Event], object]

ADAPTER: TypeAdapter[AnyEvent] = TypeAdapter(AnyEvent)


def encode(event: Event) -> bytes:
    """Returns an event as a line of JSON, with its newline."""
    return event.model_dump_json(by_alias=True).encode() + b"\n"


def decode(line: bytes | str) -> Event | None:
    """Parses an event; returns None for a kind that this version does not know. Raises ValueError if it is invalid."""
    try:
        return ADAPTER.validate_json(line)
    except ValidationError as error:
        if all(detail["type"] == "union_tag_invalid" for detail in error.errors()):
            return None
        raise
