"""What a lab starts: which country, and the policies of which phase. Does not need the emulation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shutdownlab import library
from shutdownlab.config.document import quoted
from shutdownlab.country.limits import check_room
from shutdownlab.library import LoadedTopology, Shutdown
from shutdownlab.model import lookup
from shutdownlab.model.policy import Policy
from shutdownlab.model.programs import allowed
from shutdownlab.model.scenario import Mode, Scenario
from shutdownlab.system.limits import Room

if TYPE_CHECKING:
    from shutdownlab.model.probe import Probe
    from shutdownlab.network.datapath import Wish

Lookable = str | Path | Mapping[str, Any] | Shutdown | LoadedTopology
"""A scenario or a topology: by name, by path, as a mapping, or loaded already."""

_DATAPATHS = ("auto", "kernel", "userspace")
_THROTTLED_BELOW = 512


@dataclass(frozen=True, slots=True)
class LabPlan:
    """A country to explore. `at`: the phase whose policies are in force first; None: no policy is.

    `keep`: the folders that must be visible in the sandbox for the programs that it brings along.
    """

    loaded: Shutdown | LoadedTopology
    choices: Mapping[str, str]
    at: str | None
    datapath: Wish
    keep: tuple[Path, ...] = ()

    @property
    def scenario(self) -> Scenario | None:
        """The scenario; None if only a topology was given."""
        return self.loaded.scenario if isinstance(self.loaded, Shutdown) else None

    @property
    def title(self) -> str:
        """The name of the scenario, or of the topology."""
        return self.scenario.name if self.scenario else self.loaded.topology.name

    @property
    def policies(self) -> Mapping[str, Policy]:
        """Every policy that can be started."""
        return self.scenario.policies if self.scenario else {}

    @property
    def probes(self) -> Mapping[str, Probe]:
        """The scenario's probes."""
        return self.scenario.probes if self.scenario else {}

    @property
    def mode(self) -> Mode:
        """Whether the operators or the authority carry orders out."""
        return self.scenario.mode(self.choices) if self.scenario else Mode.OPERATORS

    @property
    def throttled_below(self) -> int:
        """The rate (kbit/s) below which a download counts as throttled."""
        return self.scenario.throttled_below if self.scenario else _THROTTLED_BELOW

    @property
    def folder(self) -> Path:
        """The folder of the scenario's file, in which its programs run; the working directory without a scenario."""
        return self.loaded.folder if isinstance(self.loaded, Shutdown) else Path.cwd()

    @property
    def folders(self) -> list[Path]:
        """The folders that must stay visible inside, for programs that files name by relative paths."""
        return [*self.keep, *([self.folder] if isinstance(self.loaded, Shutdown) else [])]

    def active_in(self, phase: str | None) -> tuple[str, ...]:
        """Returns the names of the policies in force in a phase of the scenario."""
        if self.scenario is None or phase is None:
            return ()
        return tuple(self.scenario.active(phase, self.choices))


def lab_plan(
    what: Lookable,
    at: str | None,
    choose: Mapping[str, str],
    datapath: Wish,
    option: Callable[[str], str] = lambda name: name,
    *,
    trust: bool = False,
) -> LabPlan:
    """Checks the arguments and returns the plan; raises `BadInput`.

    option: returns the name under which the user gave a parameter. trust: whether programs that it brings may start.
    """
    lookup.known("datapath", datapath, _DATAPATHS, option("datapath"))
    loaded = _loaded(what)
    check_room(loaded.network, Room.here())
    keep = allowed(loaded.programs, trust=trust)
    if isinstance(loaded, LoadedTopology):
        if at is not None or choose:
            given = option("at" if at is not None else "choose")
            found = f"the topology {quoted(loaded.topology.name)}"
            lookup.refuse(given, found, "a scenario: a topology has no phases")
        return LabPlan(loaded, {}, None, datapath, keep)
    choices = lookup.choices_of(loaded.scenario, choose, option("choose"))
    if at is not None:
        lookup.phase_named(loaded.scenario, at, option("at"))
    return LabPlan(loaded, choices, at, datapath, keep)


def _loaded(what: Lookable) -> Shutdown | LoadedTopology:
    if isinstance(what, Shutdown | LoadedTopology):
        return what
    if isinstance(what, Mapping):
        return library.load(what) if "timeline" in what else library.load_topology(what)
    return library.check(str(what))
