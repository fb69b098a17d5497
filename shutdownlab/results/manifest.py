"""The manifest of a run: what was run, on what, how it ended. manifest.json in the run directory."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from shutdownlab.results.result import Count, ScenarioTime, Seconds
from shutdownlab.results.signal_verdict import SignalVerdict

FORMAT: Final = 2
"""Of the run directory. 1 had ten columns in results.csv, events of other names, and no `format` in the manifest."""

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
"""`running` and `killed` are told apart by whether the run's process still lives. `verified`: nothing was measured, the
results are what `shutdownlab verify` worked out."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow", json_schema_serialization_defaults_required=True)


class PhaseInfo(BaseModel):
    """A phase of the scenario."""

    model_config = ConfigDict(frozen=True, extra="ignore", json_schema_serialization_defaults_required=True)

    phase: str
    """Its name."""
    at: ScenarioTime
    """When it begins, in the scenario's time."""
    title: str


class Machine(_Part):
    """The machine a run was made on."""

    kernel: str = ""
    """The kernel's release."""
    architecture: str = ""
    python: str = ""
    """Python's version."""
    packages: dict[str, str] = {}
    """Versions of the Python packages that results could depend on."""
    daemons: dict[str, str] = {}
    """Versions of the daemons that the country was made of: Open vSwitch, routers, servers."""
    processors: Count = 0
    """Processors that the run could use."""
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
    """What delays packets on links: `netem` or `userspace delay line`."""
    delay_lines: Count = 0
    """Userspace delay lines in use."""
    nodes: Count = 0
    """Nodes of the emulated country."""
    build_seconds: dict[str, Seconds] = {}
    """Wall-clock seconds that each step of building the country took."""


class Durations(_Part):
    """Wall-clock time, in seconds."""

    phases: dict[str, Seconds] = {}
    """By phase, in order, those that have been measured: from its orders to its last measurement."""
    total: Seconds | None = None
    """From the beginning of the build to the end of the run; null while it goes on."""


class Undertaking(BaseModel):
    """What a run measures, and on what machine: said when it begins, and kept in its manifest."""

    model_config = ConfigDict(frozen=True, extra="ignore", json_schema_serialization_defaults_required=True)

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
    """Short ones for narrow terminals, by those of the table."""
    sources: dict[str, str] = {}
    """The scenario's sources, by the codes with which it cites them."""
    choices: dict[str, str] = {}
    """Where sources disagree: the version that was followed, by account."""
    mode: str = "operators"
    """Who carries orders out: `operators`, or `direct`: the authority itself."""
    profile: str = "perfect"
    """The scenario's DPI profile."""
    profiles: dict[str, str] = {}
    """The DPI profile of each operator."""
    source: str = ""
    """By what the scenario was loaded: its name if it ships, else its whole path, which begins with `~` in the home
    directory of who made the run; empty where a program made it."""
    digest: str = ""
    """SHA-256 of the scenario and all that it names; a run is resumed only with the same."""
    files: dict[str, str] = {}
    """SHA-256 of each file of the user's own that it was made from: the scenario, the topology, what they name, and
    the programs that they start. By paths relative to the scenario's folder; whole ones where they are elsewhere,
    which begin with `~` in the home directory of who made the run."""
    until: str | None = None
    """The last phase to be measured, where not all of them were asked for."""
    datapath: str = "auto"
    """Which of Open vSwitch's datapaths was asked for."""
    openflow: Openflow = "os-ken"
    """The framework that controllers were to run under: `os-ken` or `ryu`."""
    ryu_python: str = ""
    """The Python with Ryu, where it was that."""
    settings: dict[str, str] = {}
    """What was set from outside (`--set`), by path: values of the scenario that are another than in its file."""
    changed_since: str = ""
    """Of a run that measures only what has changed: since what, a file, a revision of git or a run, as it was named.
    `sample` is the share of the rest that it measures too; selection.json has the cells."""
    sample: float | None = None
    """Of phases that repeat cells, the share in which these were measured; in the others they are held. Null: all."""
    seed: int = 0
    """The seed for everything random."""
    real_time: Annotated[float | None, Field(gt=0)] = None
    """How many times as fast as in reality the scenario was played; null: it jumped from phase to phase."""
    pcap: bool = False
    """Whether packets were recorded."""
    keys: bool = False
    """Whether the secrets of clients' TLS connections were, too."""
    observe: bool = False
    """Whether the country was watched from abroad as well."""
    machine: Machine = Machine()


class Manifest(Undertaking):
    """What was run, on what, and how it ended. Kept up to date while the run goes on; the file is always whole."""

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
    """What of the testbed went wrong."""
    seconds: Durations = Durations()
    rows: dict[str, Count] = {}
    """How many rows results.csv has of each phase that has been measured as a whole, in order."""
    cells: Count = 0
    """How many measurements have a result."""
    held: Count = 0
    """How many of them are held: not measured, as they cannot differ from what was measured in another phase."""
    expectations: Count = 0
    """How many of them the scenario expects something of."""
    unmet: Count = 0
    """How many are not as expected, those without a verdict among them."""
    errors: Count = 0
    """How many have no verdict: their outcome is `error` or `unknown`."""
    signals: tuple[SignalVerdict, ...] = ()
    """What became of the expectations about signals abroad."""
    exit_code: Annotated[int, Field(ge=0, le=255)] | None = None
    """What the command ended with; null while the run goes on, and after it was killed."""
