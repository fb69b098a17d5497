"""The options of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from shutdownlab.control.ryu import RyuPython
from shutdownlab.country.attach_socket import NOT_OFFERED, Offered
from shutdownlab.library import Shutdown
from shutdownlab.model.scenario import Phase
from shutdownlab.network.datapath import Wish
from shutdownlab.results.result import Result


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The scenario to run, and how; see `launch.run`.

    events_fd: file descriptor to write events to as they happen; -1: none. resume: continue a run of which some phases
    are measured. given_up: why the next phase, after the most attempts, is not measured again; its results are unknown.
    ryu: the Python that runs controllers under Ryu; None: os-ken.
    """

    shutdown: Shutdown
    choices: Mapping[str, str]
    directory: Path
    real_time: float | None = None
    until: str | None = None
    pcap: bool = False
    keys: bool = False
    observe: bool = False
    sample: float | None = None
    seed: int = 0
    datapath: Wish = "auto"
    events_fd: int = -1
    resume: bool = False
    given_up: tuple[str, ...] = ()
    ryu: RyuPython | None = None
    keep: bool = False
    """Keep the country open at the end, as the last phase left it."""
    offered: Offered = NOT_OFFERED
    changed_since: str = ""
    """Measure only what has changed since this; `sample` is then the share of the rest that is measured too."""
    held: Mapping[str, Mapping[str, Result]] = field(default_factory=dict)
    """The model's results for cells that are not measured, by phase and cell (`Cell.id`)."""

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The phases to run: all, or those up to and including `until`."""
        timeline = self.shutdown.scenario.timeline
        names = [phase.phase for phase in timeline]
        return timeline[: names.index(self.until) + 1] if self.until else timeline
