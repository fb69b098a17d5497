"""Instruments, which observe the country from abroad during a run with `--observe`; registered as probes are.

An instrument is a class under the entry point group `shutdownlab.instruments`. It is created once the country is up,
and looks once in every phase, in parallel with the probes, in a thread of its own. It measures a signal, and never
looks at the rules that cause it. It writes its observations in the format usual in its field, in scenario time.

Whatever it cannot observe because of the testbed it leaves out, with the reason: that is not an outage.
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
    """The testbed keeps an instrument from observing anything at all; the text says why."""


@dataclass(frozen=True, slots=True)
class Abroad:
    """What instruments are given: the running country, and directories for their files.

    `sites`: names of sites abroad that no policy names; `asked`: names that servers in the country are asked for from
    abroad; `blocks`: the number of /24s that each group of subscribers stands for; `logs`: a directory kept with the
    run; `runtime`: one with a short path, deleted with the sandbox; `seed`: for everything random; `time`: converts
    wall-clock to scenario time.
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
    """The phase that instruments look at. `ends`: its end, in scenario time.

    `damage`: what is broken on purpose, and which routes are gone. `is_there_a_way`: whether two nodes, by name, can
    reach each other over an IP version, regardless of policies. If not, there is a real outage; if so and controls
    fail, the testbed has failed.
    """

    phase: Phase
    ends: datetime
    damage: Damage = NO_DAMAGE
    is_there_a_way: Callable[[str, str, int], bool] = lambda _one, _other, _version: True


@dataclass(frozen=True, slots=True)
class Sighting:
    """An instrument's observations in a phase.

    `files`: contents by path below the instrument's own directory, written once the phase is complete; `left_out`: a
    sentence for each thing that it could not observe because of the testbed.
    """

    readings: tuple[Reading, ...] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()


class Instrument:
    """Base of the instruments. `name`: of its directory below `observations`; `signals`: the signals it reads."""

    name: ClassVar[str] = ""
    signals: ClassVar[tuple[str, ...]] = ()

    def __init__(self, abroad: Abroad) -> None:
        """Starts what the instrument needs. Raises `CannotSee`, `MachineCannot`, `OSError`."""
        self.abroad = abroad

    def look(self, moment: Moment) -> Sighting:
        """Makes the observations of a phase. Called in a thread, in parallel with the probes; raises `CannotSee`,
        `OSError`."""
        raise NotImplementedError


@cache
def instruments() -> Extensions[Instrument]:
    """Returns the kinds of instruments that are installed."""
    return Extensions("shutdownlab.instruments", Instrument)
