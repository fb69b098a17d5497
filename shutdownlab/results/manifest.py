"""The manifest of a run: what was run, on what, how it ended. manifest.json in the run directory."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from shutdownlab.results.result import Count, ScenarioTime, Seconds
from shutdownlab.results.signal_verdict import SignalVerdict

FORMAT: Final = 2
"""The version of the run directory's format. Version 1 had ten columns in results.csv, other event names, and no
`format` in the manifest."""

Openflow = Literal["os-ken", "ryu"]

Status = Literal[
    "running",
    "finished",
    "self-check failed",
    "broken",
    "interrupted",
    "machine lacks",
    "crashed",
    "killed",
    "verified",
]
"""`running` and `killed` differ in whether the run's process still exists. `verified`: nothing was measured; the
results were computed by `shutdownlab verify`."""


class _Part(BaseModel):
    model_config = ConfigDict(
        frozen=True, defer_build=True, extra="allow", json_schema_serialization_defaults_required=True
    )


class PhaseInfo(BaseModel):
    """A phase of the scenario."""

    model_config = ConfigDict(
        frozen=True, defer_build=True, extra="ignore", json_schema_serialization_defaults_required=True
    )

    phase: str
    """Its name."""
    at: ScenarioTime
    """When it begins, in the scenario's time."""
    title: str


class Machine(_Part):
    """The machine that a run was made on."""

    kernel: str = ""
    """The kernel's release."""
    architecture: str = ""
    python: str = ""
    """Python's version."""
    packages: dict[str, str] = {}
    """Versions of the Python packages that results may depend on."""
    daemons: dict[str, str] = {}
    """Versions of the daemons that emulate the country: Open vSwitch, routers, servers."""
    processors: Count = 0
    """Number of processors available to the run."""
    load: tuple[float, ...] = ()
    """Load averages when the run began, over 1, 5 and 15 minutes."""


class Emulation(_Part):
    """What the country was emulated with."""

    datapath: str = ""
    """Open vSwitch's datapath: `kernel` or `userspace`."""
    datapath_asked_for: str = ""
    """`auto`, `kernel` or `userspace`."""
    datapath_because: str = ""
    """Why this datapath was used."""
    openvswitch: str = ""
    """Open vSwitch's version."""
    openflow: str = ""
    """The framework that controllers ran under, and its version."""
    delays: str = ""
    """How packets on links are delayed: `netem` or `userspace delay line`."""
    delay_lines: Count = 0
    """Userspace delay lines in use."""
    nodes: Count = 0
    """Nodes of the emulated country."""
    build_seconds: dict[str, Seconds] = {}
    """Wall-clock seconds that each step of building the country took."""


class Durations(_Part):
    """Wall-clock time, in seconds."""

    phases: dict[str, Seconds] = {}
    """By phase, in order, for the phases that have been measured: from the orders to the last measurement."""
    total: Seconds | None = None
    """From the start of the build to the end of the run; null while it is running."""


class Undertaking(BaseModel):
    """What a run measures, and on what machine: announced when it begins, and kept in its manifest."""

    model_config = ConfigDict(
        frozen=True, defer_build=True, extra="ignore", json_schema_serialization_defaults_required=True
    )

    run: str = ""
    """The name of the run directory."""
    scenario: str = ""
    """The scenario's name."""
    title: str = ""
    """The scenario's title."""
    topology: str = ""
    """The topology's name."""
    operators: dict[str, str] = {}
    """The operators' titles, by name."""
    phases: tuple[PhaseInfo, ...] = ()
    """The phases to be measured, in order."""
    columns: tuple[str, ...] = ()
    """The headings of the table, in order."""
    short_columns: dict[str, str] = {}
    """Abbreviated headings for narrow terminals, by heading."""
    sources: dict[str, str] = {}
    """The scenario's sources, by the codes with which it cites them."""
    choices: dict[str, str] = {}
    """Where sources disagree: the version that was chosen, by account."""
    mode: str = "operators"
    """Who carries orders out: `operators`, or `direct` for the authority itself."""
    profile: str = "perfect"
    """The scenario's DPI profile."""
    profiles: dict[str, str] = {}
    """The DPI profile of each operator."""
    source: str = ""
    """How the scenario was named when loaded: its name if it ships with shutdownlab, else its full path, with `~` for
    the user's home directory; empty if a program made it."""
    digest: str = ""
    """SHA-256 of the scenario and everything that it refers to; a run is resumed only if it is unchanged."""
    files: dict[str, str] = {}
    """SHA-256 of each of the user's files that the run was made from: the scenario, the topology, the files that they
    name, and the programs that they start. By path relative to the scenario's folder; files elsewhere by full path,
    with `~` for the user's home directory."""
    until: str | None = None
    """The last phase to be measured, if not all of them were requested."""
    datapath: str = "auto"
    """The Open vSwitch datapath requested."""
    openflow: Openflow = "os-ken"
    """The framework requested for the controllers: `os-ken` or `ryu`."""
    ryu_python: str = ""
    """The Python interpreter that has Ryu, if Ryu was requested."""
    settings: dict[str, str] = {}
    """Values of the scenario that were overridden (`--set`), by path."""
    changed_since: str = ""
    """For a run that measures only what has changed: the baseline (a file, a git revision or a run), as the user named
    it. `sample` is the share of the other cells that it measures as well; selection.json lists the cells."""
    sample: float | None = None
    """Of the phases that repeat a cell, the share in which it was measured; in the others it is held. Null: all."""
    seed: int = 0
    """The seed for everything random."""
    real_time: Annotated[float | None, Field(gt=0)] = None
    """How many times as fast as in reality the scenario was played; null: it jumped from phase to phase."""
    pcap: bool = False
    """Whether packets were recorded."""
    keys: bool = False
    """Whether the TLS session secrets of clients were recorded."""
    observe: bool = False
    """Whether the country was also observed from abroad."""
    machine: Machine = Machine()


class Manifest(Undertaking):
    """What was run, on what, and how it ended. Updated during the run; the file is replaced atomically."""

    format: Literal[2] = FORMAT
    """The version of the run directory's format."""
    shutdownlab: str = ""
    """The version of shutdownlab."""
    status: Status = "running"
    """How the run ended, or `running`."""
    began: datetime = Field(default_factory=lambda: datetime.now(UTC))
    """When the run began, by the wall clock (UTC)."""
    updated: datetime = Field(default_factory=lambda: datetime.now(UTC))
    """When this file was last written, by the wall clock (UTC)."""
    emulation: Emulation | None = None
    """Null until the country is up."""
    broken: tuple[str, ...] = ()
    """What did not work in the self-check, with no policy in force: vantage point, target and address family."""
    faults: tuple[str, ...] = ()
    """Failures of the testbed."""
    seconds: Durations = Durations()
    rows: dict[str, Count] = {}
    """The number of rows in results.csv of each phase that has been measured completely, in order."""
    cells: Count = 0
    """How many measurements have a result."""
    held: Count = 0
    """How many of them are held: not measured, as they cannot differ from what was measured in another phase."""
    expectations: Count = 0
    """How many of them the scenario has an expectation for."""
    unmet: Count = 0
    """How many are not as expected, including those without a verdict."""
    errors: Count = 0
    """How many have no verdict: the outcome is `error` or `unknown`."""
    signals: tuple[SignalVerdict, ...] = ()
    """The verdicts on the expectations about signals abroad."""
    exit_code: Annotated[int, Field(ge=0, le=255)] | None = None
    """The command's exit code; null while the run is in progress, and after it was killed."""
