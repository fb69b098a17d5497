"""Runs the instruments of a run with `--observe`, which observe each phase during its probes."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache, partial
from pathlib import Path

from shutdownlab.config.extensions import ExtensionError
from shutdownlab.country.country import Country
from shutdownlab.library import Shutdown
from shutdownlab.model.scenario import Phase
from shutdownlab.observers.demand import demand_files
from shutdownlab.observers.instrument import Abroad, CannotSee, Instrument, Moment, Sighting, instruments
from shutdownlab.observers.requests import served
from shutdownlab.observers.scenario_time import ScenarioTime
from shutdownlab.observers.volume import volumes
from shutdownlab.results.directory import RecordError
from shutdownlab.results.events import Listener, Notice, Observed
from shutdownlab.results.reading import Reading, read_readings
from shutdownlab.results.result import Result
from shutdownlab.signals.calendar import calendar_of
from shutdownlab.signals.catalogue import SIGNALS
from shutdownlab.signals.demand import GAINS
from shutdownlab.system.kernel import MachineCannot
from shutdownlab.verifier.outages import ends_in_a_box, inspectors
from shutdownlab.verifier.outside import Outside as Modelled
from shutdownlab.verifier.outside import blocks_of
from shutdownlab.verifier.ways import Ways

OBSERVATIONS = "observations"
"""Name of the directory, in a run's, with a directory for the files of each instrument."""


@dataclass(slots=True)
class Outside:
    """The observation of a country from abroad.

    directory: the run's. seen: the latest sightings, by instrument.
    """

    country: Country
    shutdown: Shutdown
    choices: Mapping[str, str]
    directory: Path
    seed: int
    time: ScenarioTime = field(default_factory=ScenarioTime)
    seen: dict[str, Sighting] = field(default_factory=dict)
    _there: dict[str, Instrument] = field(default_factory=dict)
    _absent: dict[str, str] = field(default_factory=dict)
    _modelled: tuple[str, ...] = ()
    """Signals that no instrument reads."""
    _model: Modelled = field(init=False)
    _demand: list[Reading] = field(init=False)
    """Readings of completed phases, for the files that cover all phases."""

    def __post_init__(self) -> None:
        self._model = Modelled(self.shutdown, self.choices)
        self._demand = [reading for reading in read_readings(self.directory) if reading.signal in GAINS]

    def set_up(self) -> None:
        """Creates every installed instrument; one that cannot be created is left out in every phase."""
        read = set[str]()
        for name in instruments():
            try:
                kind = instruments()[name]
                read |= {*kind.signals}
                self._there[name] = kind(self._abroad(kind.name or name))
            except (ExtensionError, CannotSee, MachineCannot, OSError) as error:
                self._absent[name] = str(error)
        self._modelled = tuple(signal for signal in SIGNALS if signal not in read)

    @contextmanager
    def looking(self, phase: Phase, ends: datetime, wall: float) -> Iterator[None]:
        """Runs every instrument, each in its own thread, while the context is active; waits for them at its exit.

        ends: the phase's end. wall: its start by the wall clock. Earlier sightings are discarded.
        """
        self.time.begin(phase.phase, phase.at, ends, wall)
        self.seen = {name: Sighting(left_out=(why,)) for name, why in self._absent.items()}
        moment = Moment(phase, ends, self.country.damage, self._ways(phase))
        with ThreadPoolExecutor(max(1, len(self._there)), "observer") as pool:
            looks = {name: pool.submit(instrument.look, moment) for name, instrument in self._there.items()}
            yield
        self.seen |= {name: _seen(look) for name, look in looks.items()}

    def void(self, reasons: Sequence[str]) -> None:
        """Discards the sightings, as the country was not intact."""
        self.seen = {name: Sighting(left_out=tuple(reasons)) for name in self.seen}

    def keep(self, phase: Phase, ends: datetime, results: Iterable[Result], tell: Listener) -> None:
        """Writes and reports the sightings of a completed phase. Raises `RecordError`.

        Signals that no instrument reads are computed from the scenario, and marked so; a CDN's volume is computed from
        what probes fetched from sites abroad, if any did. `results`: the phase's.
        """
        got = served(results, self.shutdown.scenario.probes, self.shutdown.network, self._model.sites.hosts)
        volume = self._model.volumes(phase, got)
        known = {reading.signal for reading in volume}
        rest = self._model.of(phase, [signal for signal in self._modelled if signal not in known])
        modelled = (*(reading for reading in volume if reading.signal in self._modelled), *rest)
        scenario, topology = self.shutdown.scenario, self.shutdown.topology
        offset = timedelta(seconds=scenario.utc_offset)
        self._write("cdn", volumes(modelled, topology, phase.at, ends, offset, scenario.noise))
        self._demand += (reading for reading in modelled if reading.signal in GAINS)
        times = [(each.phase, each.at) for each in scenario.timeline]
        calendar = calendar_of(times, scenario.ends, scenario.utc_offset)
        self._write("demand", demand_files(self._demand, topology, calendar, ends))
        for name, sighting in self.seen.items():
            there = self._there.get(name)
            self._write((there.name if there else "") or name, sighting.files)
            for reason in sighting.left_out:
                tell(Notice(where=phase.phase, text=f"{name} could not be observed: {reason}"))
        readings = tuple(reading for sighting in self.seen.values() for reading in sighting.readings)
        left_out = {name: sighting.left_out for name, sighting in self.seen.items() if sighting.left_out}
        tell(Observed(phase=phase.phase, readings=(*readings, *modelled), left_out=left_out))

    def _write(self, name: str, files: Mapping[str, bytes]) -> None:
        directory = self.directory / OBSERVATIONS / name
        try:
            directory.mkdir(parents=True, exist_ok=True)
            for file, content in files.items():
                (directory / file).write_bytes(content)
        except OSError as error:
            raise RecordError(f"{error.strerror or error}: {error.filename}") from error

    def _ways(self, phase: Phase) -> Callable[[str, str, int], bool]:
        """Returns a function of (node, node, IP version): whether they reach each other in a phase, with all damage."""
        plan, damage = self.country.plan, self.country.damage
        if not damage:
            return lambda _one, _other, _version: True
        ways, nodes = Ways(plan.network, damage), plan.network.nodes
        held = partial(self.shutdown.scenario.held, phase.phase, self.choices)

        def goes(one: str, other: str, version: int) -> bool:
            way = ways.between(one, str(nodes[other].address(version)))
            inspecting = inspectors((nodes[one], nodes[other]), held)
            return way.arrives and not ends_in_a_box(plan.network, damage, plan.profiles, way, inspecting)

        @cache
        def both(one: str, other: str, version: int) -> bool:
            return goes(one, other, version) and goes(other, one, version)

        return both

    def _abroad(self, name: str) -> Abroad:
        country = self.country
        logs = country.plan.files / "observers" / name
        logs.mkdir(parents=True, exist_ok=True)
        runtime = Path(tempfile.mkdtemp(prefix="observer-"))  # a short path, as sockets need it
        plan = country.plan
        sites = self._model.sites
        asked = self._model.names_asked(self.shutdown, sites)
        blocks = blocks_of(plan.network)
        return Abroad(
            plan.network, country.net, country.services, sites.hosts, blocks, logs, runtime, self.seed, self.time, asked
        )  # fmt: skip


def _seen(look: Future[Sighting]) -> Sighting:
    """Returns an instrument's sighting; if the testbed prevented it, the reason it is left out. Raises on our bugs."""
    try:
        return look.result()
    except (CannotSee, OSError) as error:
        return Sighting(left_out=(str(error),))
