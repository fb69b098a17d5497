"""What watches the country from abroad while a run goes on with `--observe`: instruments, registered as probes are.

An instrument is a class under the entry point group `shutdownlab.instruments`. It is made once the country is up, and
looks once in every phase, beside the probes, in a thread of its own: at what has become of the signal that it reads,
never at the rules that made it so. What it sees it writes in the form that its field has, in scenario time.

What the testbed itself keeps it from seeing it leaves out, and says why: that is no outage.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import ClassVar

from shutdownlab.config.extensions import Extensions
from shutdownlab.model.faults import NO_DAMAGE, Damage
from shutdownlab.model.network import Network
from shutdownlab.model.scenario import Phase
from shutdownlab.model.topology import VantageId
from shutdownlab.network.net import EmulatedNetwork
from shutdownlab.observers.scenario_time import ScenarioTime
from shutdownlab.results.reading import Reading
from shutdownlab.servers.start import Services


class CannotSee(Exception):
    """The testbed keeps an instrument from seeing anything at all; says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Abroad:
    """What instruments stand on: the running country, seen from outside, and a directory for what they run by.

    `sites`: names of sites abroad that no policy names; `asked`: those that servers in the country are asked for from
    abroad; `blocks`: for how many /24s
    each group of subscribers stands; `logs`: stays with the run; `runtime`: short paths, gone with the sandbox; `seed`:
    of everything random; `time`: puts the wall clock's moments into the scenario's time.
    """

    network: Network
    net: EmulatedNetwork
    services: Services
    sites: tuple[str, ...]
    blocks: Mapping[VantageId, float]
    logs: Path
    runtime: Path
    seed: int
    time: ScenarioTime
    asked: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Moment:
    """What instruments know of the phase they look at. `ends`: when it does, in the scenario's time.

    `damage`: what is broken on purpose, and which routes are gone. `is_there_a_way`: whether packets go both ways
    between two nodes, by name, over an IP version, as far as that goes: whatever policies do. Where there is none, that
    is an outage for all the world to see; where there is one and controls fail, the testbed has failed.
    """

    phase: Phase
    ends: datetime
    damage: Damage = NO_DAMAGE
    is_there_a_way: Callable[[str, str, int], bool] = lambda _one, _other, _version: True


@dataclass(frozen=True, slots=True)
class Sighting:
    """What an instrument has seen in a phase.

    `files`: by their path below the instrument's own directory, written once the phase is whole; `left_out`: what it
    could not see for the testbed, a sentence each.
    """

    readings: tuple[Reading, ...] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()


class Instrument:
    """One of what watches from abroad. `name`: of its directory below `observations`; `signals`: what it reads."""

    name: ClassVar[str] = ""
    signals: ClassVar[tuple[str, ...]] = ()

    def __init__(self, abroad: Abroad) -> None:
        """Set it up: start what it needs. Raises `CannotSee`, `MachineCannot`, `OSError`."""
        self.abroad = abroad

    def look(self, moment: Moment) -> Sighting:
        """See what there is to see now. Called in a thread, beside the probes; raises `CannotSee`, `OSError`."""
        raise NotImplementedError


@cache
def instruments() -> Extensions[Instrument]:
    """Every kind of instrument that is installed."""
    return Extensions("shutdownlab.instruments", Instrument)
