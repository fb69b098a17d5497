"""What happens in a run, as typed events: one JSON object a line in events.jsonl, and live to whoever listens.

`event` names the kind, `at` is the wall clock's time (UTC). The terminal's progress and the run directory are listeners
of this stream like any other.
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
    """Base of all events. `transient`: of interest only while it happens; not written to events.jsonl."""

    model_config = ConfigDict(frozen=True, extra="ignore", json_schema_serialization_defaults_required=True)
    transient: ClassVar[bool] = False

    event: str
    """The kind of event."""
    at: datetime = Field(default_factory=lambda: datetime.now(UTC))
    """When it happened, by the wall clock (UTC)."""


class Begun(Undertaking, Event):
    """The run has begun."""

    event: Literal["begun"] = "begun"
    version: str
    """The version of shutdownlab."""


class Step(Event):
    """What is being done while the country is built and checked. Live only."""

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
    """With no policy in force everything was measured. The run goes on only if everything succeeded."""

    event: Literal["self-check"] = "self-check"
    cells: Count
    """How many measurements were made."""
    broken: tuple[Result, ...] = ()
    """Those that did not succeed."""


class Waiting(Event):
    """With `--real-time`: the next phase is waited for. Live only, once a second."""

    transient: ClassVar[bool] = True
    event: Literal["waiting"] = "waiting"
    phase: str
    seconds: Seconds
    """Wall-clock seconds that are left."""


class Damaged(Event):
    """What the scenario wants broken in a phase is broken, and everything else whole; before the phase's orders."""

    event: Literal["damaged"] = "damaged"
    phase: str
    faults: dict[str, str]
    """The names of the faults, and their titles."""


class Ordered(Event):
    """The authority has ordered that these policies, and no others, be in force."""

    event: Literal["ordered"] = "ordered"
    phase: str
    scenario_time: ScenarioTime
    mode: str
    """Who carries it out: `operators`, or `direct`: the authority itself."""
    policies: tuple[str, ...]
    """The policies' names."""


class Acknowledged(Event):
    """A switch has confirmed the rules of an order."""

    event: Literal["acknowledged"] = "acknowledged"
    serial: int
    """The number of the order."""
    switch: str
    rules: Count
    """How many flow rules it was sent."""
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
    """The phase's order is carried out everywhere."""

    event: Literal["confirmed"] = "confirmed"
    phase: str
    seconds: Seconds
    """Wall-clock seconds since it was given."""


class PhaseBegun(Event):
    """Measuring of a phase begins."""

    event: Literal["phase"] = "phase"
    phase: str
    time: ScenarioTime
    """When the phase begins, in the scenario's time."""
    title: str
    cells: Count
    """How many measurements will be made."""


class Measured(Event):
    """A cell has its result."""

    event: Literal["measured"] = "measured"
    number: Count
    """The cell's place in the phase, from 0: the order of rows in results.csv."""
    result: Result
    record: Annotated[Mapping[str, object] | None, SkipValidation, Field(exclude=True)] = None
    """The measurement as in measurements.jsonl; not in the stream of events."""


class Observed(Event):
    """With `--observe`: what outside signals showed in a phase that is measured as a whole."""

    event: Literal["observed"] = "observed"
    phase: str
    readings: tuple[Reading, ...]
    """The phase's rows in readings.csv."""
    left_out: dict[str, tuple[str, ...]] = {}
    """What observers could not see for the testbed, by observer, a sentence each: it is unknown, and no outage."""


class Voided(Event):
    """What has been measured of a phase says nothing, for the testbed was not whole; the phase is measured again."""

    event: Literal["voided"] = "voided"
    phase: str
    reasons: tuple[str, ...]
    """What went wrong, a sentence each."""
    anew: bool = False
    """Whether it is measured again in a country that is built anew."""


class Resumed(Event):
    """The run goes on in a country that has been built anew, with this phase."""

    event: Literal["resumed"] = "resumed"
    phase: str


class PhaseMeasured(Event):
    """All of a phase is measured."""

    event: Literal["phase-measured"] = "phase-measured"
    phase: str
    cells: Count
    """How many measurements were made: the phase's rows in results.csv."""
    reached: Count
    """How many of them got through."""
    unmet: Count
    """How many were not as expected."""
    errors: Count = 0
    """How many have no verdict: their outcome is `error` or `unknown`."""
    held: Count = 0
    """How many were not measured: their outcome is that of another phase, from which it cannot differ."""
    seconds: Seconds
    """Wall-clock seconds that the phase took, from its orders to its last measurement."""
    late: Seconds = 0.0
    """With `--real-time`: seconds that the phase began behind the clock."""


class Counted(Event):
    """What a DPI box has seen and done by the end of a phase; at the end of the run, also what delay lines have."""

    event: Literal["counters"] = "counters"
    phase: str
    """Empty at the end of the run."""
    where: str
    """The DPI box, or `relay`: the delay lines."""
    counters: dict[str, Any]
    """Counts by name. Of a box, `engine` has those of the inspection engine: by rule, verdict and protocol."""


class Decided(Event):
    """What a DPI box has decided by a rule in a phase, connection by connection: some of it, of each kind first."""

    event: Literal["decided"] = "decided"
    phase: str
    where: str
    """The DPI box."""
    decisions: tuple[BoxDecision, ...]
    """In the order that they were made in."""
    others: Count = 0
    """How many more there were, of the latest that the box remembers."""


class Rerouted(Event):
    """Which routes to the country's operators a router of a transit has had go and come since the phase before."""

    event: Literal["rerouted"] = "rerouted"
    phase: str
    where: str
    """The router."""
    lost: tuple[str, ...] = ()
    """Prefixes that it has no route to any more."""
    heard: tuple[str, ...] = ()
    """Prefixes that it has a route to, and had none."""


class RuleCount(BaseModel):
    """What the rules of a policy have met in a table of a switch."""

    model_config = ConfigDict(frozen=True, extra="ignore", json_schema_serialization_defaults_required=True)

    policy: str
    """The policy that they carry out."""
    table: Count
    """The number of the table."""
    packets: Count
    """How many have matched one of them."""
    bytes: Count
    """Of these packets, Ethernet headers and all."""


class RulesCounted(Event):
    """What the rules of policies have met at a switch during a phase; rules that have met nothing are left out."""

    event: Literal["rule-counters"] = "rule-counters"
    phase: str
    switch: str
    rules: tuple[RuleCount, ...]
    """One entry a policy and table."""


class Notice(Event):
    """Something worth knowing that is no fault, such as a DPI box that has come back."""

    event: Literal["notice"] = "notice"
    where: str
    """The controller or box that said it."""
    text: str


class Fault(Event):
    """Something of the testbed went wrong; the run goes on."""

    event: Literal["fault"] = "fault"
    text: str


class Broken(Event):
    """The run cannot go on."""

    event: Literal["broken"] = "broken"
    error: str
    """The kind of error."""
    text: str
    """What broke, in full."""
    lines: tuple[str, ...]
    """What broke, for a person to read."""


class Lacking(Event):
    """This machine lacks something that the run needs."""

    event: Literal["machine-lacks"] = "machine-lacks"
    what: str
    why: str
    mend: str = ""
    """How to fix it."""


class Interrupted(Event):
    """Somebody asked the run to end."""

    event: Literal["interrupted"] = "interrupted"


class Crashed(Event):
    """A bug of shutdownlab."""

    event: Literal["crashed"] = "crashed"
    text: str


class SignalsJudged(Event):
    """What outsiders should see was held against what the run has observed."""

    event: Literal["signals-judged"] = "signals-judged"
    signals: tuple[SignalVerdict, ...]
    """The expectations, in the scenario's order."""


class Finished(Event):
    """The last event: how the run ended."""

    event: Literal["finished"] = "finished"
    status: Status
    """`finished`, or how the run broke off."""
    exit_code: Annotated[int, Field(ge=0, le=255)]
    """What the command exits with."""
    seconds: Seconds
    """Wall-clock seconds from the beginning of the build to the end."""
    cells: Count
    """How many measurements have a result."""
    expectations: Count
    """How many of them the scenario expects something of."""
    unmet: Count
    """How many are not as expected, those without a verdict among them."""
    errors: Count
    """How many have no verdict: their outcome is `error` or `unknown`."""
    faults: tuple[str, ...] = ()
    """What of the testbed went wrong."""


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
"""What a run may end with."""

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
