"""The pages of docs/reference, their sections and the order of both."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from shutdownlab.schemas.kinds import REGISTERED, shipped_kinds
from shutdownlab.schemas.markdown import ROOT, code, loaded
from shutdownlab.schemas.shipped import shipped

_EVENTS: Final = (
    "Begun", "Built", "SelfChecked", "PhaseBegun", "Damaged", "Ordered", "Acknowledged", "Obeyed", "Confirmed",
    "Measured", "Observed", "Reading", "PhaseMeasured", "Counted", "Decided", "BoxDecision", "Rerouted",
    "RulesCounted", "RuleCount", "Notice", "Fault", "Voided", "Resumed", "Interrupted", "Broken", "Lacking",
    "Crashed", "SignalsJudged", "Finished", "Step", "Waiting", "PhaseInfo", "SignalVerdict",
)  # fmt: skip
"""The events in the order in which they occur, with the records that they contain."""


@dataclass(frozen=True, slots=True)
class Section:
    """The section on one definition of a schema. `common`: a definition whose keys are not repeated."""

    name: str
    heading: str
    common: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """The sections of a page on one kind of file."""

    kind: str
    sections: tuple[Section, ...]


@dataclass(frozen=True, slots=True)
class ReferencePage:
    """A page: its file, title, summary and contents."""

    file: str
    title: str
    what: str
    parts: tuple[Part, ...]


_SCENARIO: Final = (
    Section(ROOT, "The file"),
    Section("Parameter", "Parameters: `parameters.NAME`"),
    Section("Policy", "A policy: `policies.NAME`"),
    Section("Targets", "What is blocked or throttled: `block`, `only`"),
    Section("Scope", "For whom: `where`, `from`, `who`"),
    Section("Exceptions", "Exceptions: `except`"),
    Section("Allowance", "Allowlist entries: `allow[]`"),
    Section("Degradation", "Degraded lines: `degrade`"),
    Section("Rates", "Rates by direction: `degrade.rate`"),
    Section("BlockAfter", "Blocking after a number of pings: `block_after`"),
    Section("Withdrawal", "Withdrawn routes: `withdraw`"),
    Section("Announcement", "Announced more-specific prefixes: `announce`"),
    Section("Hijack", "A hijacked prefix: `hijack`"),
    Section("Leak", "A leaked route: `leak`"),
    Section("NullRoute", "Null routes at border routers: `null_route`"),
    Section("Cut", "Cut cables: `cut`"),
    Section("DeclaredFault", "Faults: `faults.NAME`"),
    Section("Parts", "Processes that are killed or stopped: `kill`, `stop`, `restart`"),
    Section("Partitioned", "Partitions of the control network: `partition`"),
    Section("Powerless", "Power cuts and sites switched off: `power_off`, `switch_off`"),
    Section("LeftOut", "Facts left out: `left_out[]`"),
    Section("ShutdownCost", "Cost: `cost`"),
    Section("Published", "Published costs: `cost.published[]`"),
    Section("Account", "A question on which sources disagree: `accounts.NAME`"),
    Section("Option", "A version to choose: `accounts.NAME.options.NAME`"),
    Section("Expectation", "An expectation: in `expectations.NAME` and `timeline[].expect`"),
    Section("SignalExpectation", "What outsiders should see: `signals[]`"),
    Section("Noise", "Noise of signals: `noise`"),
    Section("Phase", "A phase: `timeline[]`"),
    Section("Stagger", "Staggered obedience: `timeline[].stagger`"),
    Section("Obedience", "Operators that disobey: `timeline[].obey.OPERATOR`"),
    Section("Leniency", "Exceptions that an operator makes: `timeline[].obey.OPERATOR.spares.POLICY`"),
    Section("Repeat", "Recurring phases: `repeats.NAME`"),
    Section("Every", "Recurrence by the clock: `every`"),
    Section("Flapping", "Flapping: `flapping`"),
    Section("Ramp", "A ramp: `ramp`"),
    Section("Step", "A step of a ramp: `ramp.steps[]`"),
    Section("After", "The phases that follow: `after`"),
)
_TOPOLOGY: Final = (
    Section(ROOT, "The file"),
    Section("LinkClass", "A kind of link: `links.NAME`"),
    Section("Cable", "A cable between two networks: `cables.NAME`"),
    Section("Region", "A region: `regions.NAME`"),
    Section("OwnClass", "Custom subscriber classes: `classes.NAME`"),
    Section("Economy", "The economy: `cost`"),
    Section("Estimate", "An estimate with its range: in `cost`"),
    Section("Operator", "An operator: `operators.NAME`"),
    Section("Subscribers", "A group of subscribers: `operators.NAME.regions.NAME.NAME`"),
    Section("ServerProgram", "A server program of your own: in `serves`"),
    Section("Gateway", "A gateway: `gateway`, `gateways.NAME`"),
    Section("Exchange", "The exchange: `exchange`"),
    Section("Transit", "A foreign transit: `transits.NAME`"),
)
_RULES: Final = (
    Section(ROOT, "The file"),
    Section("InspectionRule", "A rule: in `rules`, and in `inspect` of a scenario's policy"),
    Section("Conditions", "Conditions: `when`"),
    Section("ClassifierCondition", "A trained model: `classifier`"),
    Section("FirstPacket", "Sizes and timing of the first packets: `first_packets`"),
    Section("Verdict", "The verdict: `verdict`"),
    Section("ResidualSpec", "Residual blocking: `verdict.residual`"),
)
_PROFILE: Final = (
    Section(ROOT, "The file"),
    Section("IpModel", "IP fragments: `ip`"),
    Section("Validation", "Packet validation: `validate`"),
    Section("TcpModel", "TCP tracking: `tcp`"),
    Section("RstTeardown", "Resets that tear down state: `rst_teardown`"),
    Section("Tolerance", "Parser tolerance: `parse`"),
    Section("Budget", "Inspection budget: `budget`"),
    Section("ConnectionTable", "Connection table: `table`"),
    Section("Blocks", "Block action: `block`"),
)
_APPS: Final = (
    Section(ROOT, "The file"),
    Section("App", "An app: `apps.NAME`"),
    Section("Endpoint", "What answers: `endpoints[]`"),
)

_ABOUT: Final = {
    "scenario": "A shutdown: policies, a timeline, what is expected.",
    "probes": "What a scenario measures: `test:` of its `probes`, `observer:` of its `observations`.",
    "topology": "A country: operators, regions, subscribers, the world abroad.",
    "rules": "What DPI boxes look for, and what they then do: `inspect:` of a policy, and files for captures.",
    "profile": "How a make of DPI box parses and reacts.",
    "apps": "What apps are called on the wire, where they live, and what answers there.",
    "results": "The files in a run's directory. An event is a line of events.jsonl, or of `run --events`.",
}


def pages() -> tuple[ReferencePage, ...]:
    """Returns all pages, in order."""
    measured = tuple(_kinds_of_all())
    return (
        ReferencePage("scenario.md", "Scenarios", _ABOUT["scenario"], (Part("scenario", _SCENARIO),)),
        ReferencePage("probes.md", "Probes and observations", _ABOUT["probes"], (Part("scenario", measured),)),
        ReferencePage("topology.md", "Topologies", _ABOUT["topology"], (Part("topology", _TOPOLOGY),)),
        ReferencePage("rules.md", "Rules of DPI boxes", _ABOUT["rules"], (Part("policy", _RULES),)),
        ReferencePage("profile.md", "Profiles of DPI boxes", _ABOUT["profile"], (Part("profile", _PROFILE),)),
        ReferencePage("apps.md", "Apps", _ABOUT["apps"], (Part("apps", _APPS),)),
        ReferencePage("results.md", "What a run writes", _ABOUT["results"], _written()),
    )


def _written() -> tuple[Part, ...]:
    """Returns the parts of the page on the files of a run's directory."""
    return (
        Part("results", (Section(ROOT, "A row of results.csv"),)),
        Part("readings", (Section(ROOT, "A row of readings.csv"),)),
        Part(
            "measurement",
            (
                Section(ROOT, "A line of measurements.jsonl"),
                Section("TestKeys", "`test_keys` of a measurement"),
                Section("ControlKeys", "`x_control` of a measurement"),
            ),
        ),
        Part("event", tuple(Section(name, _event_heading(name)) for name in _EVENTS)),
        Part(
            "manifest",
            (
                Section(ROOT, "manifest.json"),
                Section("Machine", "`machine`"),
                Section("Emulation", "`emulation`"),
                Section("Durations", "`durations`"),
            ),
        ),
    )


def _kinds_of_all() -> Iterator[Section]:
    for base in REGISTERED:
        named_by = base.named_by
        yield Section(base.__name__, f"Every {base.__name__.lower()}")
        for name, _ in shipped_kinds(base):
            yield Section(f"{base.__name__}-{name}", f"{code(f'{named_by}: {name}')}", base.__name__)


def _event_heading(name: str) -> str:
    schema = loaded(shipped("event"))
    named = {ref.rpartition("/")[2]: event for event, ref in schema["discriminator"]["mapping"].items()}
    parts = {
        "BoxDecision": "One of `decisions` of `decided`",
        "PhaseInfo": "A phase in the event `begun`",
        "Reading": "One of `readings` of `observed`",
        "RuleCount": "One of `rules` of `rule-counters`",
        "SignalVerdict": "One of `signals` of `signals-judged`",
    }
    return f"The event {code(named[name])}" if name in named else parts[name]
