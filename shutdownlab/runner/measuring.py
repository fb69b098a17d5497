"""Measures the cells of a phase in a running country, and compares the outcomes with the expectations."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from types import MappingProxyType
from typing import Final

from shutdownlab.compiler.races import Races
from shutdownlab.country.country import Country
from shutdownlab.country.racing import Racing
from shutdownlab.country.starvation import Starvation
from shutdownlab.library import Shutdown
from shutdownlab.measure.controls import Control, controls_of, excused_by
from shutdownlab.measure.requests import over_its_lines, request_at, surroundings
from shutdownlab.measure.task import REFUTED, Race
from shutdownlab.model.policy import Policy
from shutdownlab.model.routing import route_changes
from shutdownlab.model.scenario import Outcome, Phase
from shutdownlab.model.tool import Tool
from shutdownlab.observers.observe import World, observe
from shutdownlab.probes.conclusion import Conclusion
from shutdownlab.probes.failure import is_own
from shutdownlab.protocol.probing import Measurement, ProbeRequest
from shutdownlab.results import measurement as ooni
from shutdownlab.results.cells import Cell, cells_of, expected_of, result_of
from shutdownlab.results.events import Listener, Measured
from shutdownlab.results.result import THE_MODEL, Result
from shutdownlab.verifier.outages import Blamed, Outages

_VERSION: Final = version("shutdownlab")
NOTHING_HELD: Final[Mapping[str, Result]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Measuring:
    """A run's measurements. choices: the chosen accounts. run: the run's name."""

    shutdown: Shutdown
    choices: Mapping[str, str]
    run: str

    def begin(self, country: Country) -> None:
        """Notes what orders have left: what is found changed from now on, nothing of ours has changed."""
        probes = self.shutdown.scenario.probes.values()
        others = bool(self.shutdown.programs) or any(isinstance(probe, Tool) for probe in probes)
        country.begin_measuring(hosts=not others)

    def measure(
        self,
        country: Country,
        phase: Phase,
        active: Mapping[str, Policy],
        tell: Listener,
        held: Mapping[str, Result] = NOTHING_HELD,
    ) -> list[Result]:
        """Runs every probe of the phase from every vantage point concurrently; reports each result as it comes.

        active: the policies in force. held: results of cells that are not measured, by cell. Returns the results in the
        order of the cells.
        """
        shutdown, ca = self.shutdown, str(country.trusted)
        cells = {cell.id: (number, cell) for number, cell in enumerate(cells_of(shutdown, phase))}
        todo: dict[str, list[ProbeRequest]] = defaultdict(list)
        vouching: dict[str, tuple[Control, ...]] = {}
        found = self.hold(phase, held, tell)
        facts = {name: expected_of(shutdown, self.choices, phase, cell) for name, (_, cell) in cells.items()}

        def conclude(cell_id: str, measurement: Measurement, record: ooni.MeasurementRecord | None) -> None:
            number, cell = cells[cell_id]
            found[number] = result_of(shutdown, phase, cell, measurement, facts[cell_id])
            tell(Measured(number=number, result=found[number], record=record))

        carried_out = partial(shutdown.scenario.held, phase.phase, self.choices)
        withdrawn = route_changes(shutdown.network, carried_out)
        broken = shutdown.scenario.broken(phase, self.choices)
        outages = Outages(shutdown.network, broken, shutdown.profiles, carried_out, withdrawn)
        excused: dict[str, dict[str, Blamed]] = {}
        world = World(country.plan.network, country.net, country.services)
        measured = [cell for name, (_, cell) in cells.items() if name not in held]
        observed = dict.fromkeys(cell.target for cell in measured if cell.vantage is None)
        seen = {name: observe(shutdown.scenario.observations[name], world) for name in observed}
        for cell in measured:
            if cell.vantage is None:
                it = seen[cell.target][cell.operator, cell.family]
                blamed = None if it.outcome is Outcome.OK else outages.unseen(cell.operator, cell.family)
                it = Conclusion(*blamed.excuses(it.outcome, it.failure)) if blamed else it
                conclude(cell.id, Measurement(it.outcome, it.failure, value=it.value, unit=it.unit), None)
                continue
            probe, at = shutdown.scenario.probes[cell.target], surroundings(shutdown, cell)
            asked = replace(request_at(probe, cell.target, at, ca), id=cell.id)
            asked = over_its_lines(asked, probe, at, carried_out, shutdown.apps)
            vouching[cell.id] = controls_of(probe, outages.near(at), asked)
            excused[cell.id] = excused_by(vouching[cell.id], outages.blamed(probe, at))
            todo[country.plan.network.subscriber(cell.vantage.id).name].append(asked)
        racers, races = country.racers if active else {}, Races(shutdown.network)
        rivals = {
            cell.id: races.rival(shutdown.scenario.probes[cell.target], outages.near(surroundings(shutdown, cell)), own)
            for cell in measured
            if cell.vantage is not None and cell.operator in racers and (own := carried_out(cell.operator))
        }
        likely = {cell_id for cell_id, fact in facts.items() if fact is not None and fact.outcome is not Outcome.OK}
        with Starvation(country.carriers, country.keepers) as starvation:
            racing = Racing(racers, starvation, country.aside)

            def go_on() -> bool:
                country.watch.look()
                starvation.look()
                return True

            def outrun(cell_id: str, began: float, ended: float) -> Race:
                return racing.of(cells[cell_id][1].operator, rivals.get(cell_id), began, ended)

            answers = country.agents.run(
                todo, likely, vouching, excused, go_on,
                starved=starvation.between, held_up=starvation.held_up, outrun=outrun,
            )  # fmt: skip
            for _, asked, measurement in answers:
                if measurement.taken_away:
                    blamed = excused[asked.id][measurement.controls[0].name]
                    outcome, failure = blamed.excuses(measurement.outcome, measurement.failure)
                    measurement = replace(measurement, outcome=outcome, failure=failure)
                conclude(asked.id, measurement, self._ooni(cells[asked.id][1], phase, asked, measurement))
        return [result for _, result in sorted(found.items())]

    def hold(self, phase: Phase, held: Mapping[str, Result], tell: Listener) -> dict[int, Result]:
        """Returns, and reports, the results of cells that are not measured, by the cell's number in the phase."""
        found: dict[int, Result] = {}
        for number, cell in enumerate(cells_of(self.shutdown, phase)):
            if cell.id in held:
                earlier = held[cell.id]
                own = earlier.held_in(self.result(phase, cell, Measurement(earlier.outcome)))
                found[number] = earlier if earlier.held == THE_MODEL else own
                tell(Measured(number=number, result=found[number]))
        return found

    def unknown(self, phase: Phase, reasons: Sequence[str], tell: Listener) -> list[Result]:
        """Returns, and reports, the results of a phase that could not be measured: all are unknown."""
        failure = f"unknown_failure: {'; '.join(reasons)}"
        nothing = Measurement(Outcome.UNKNOWN, failure, certainty="unconfirmed", passes=0)
        found = []
        for number, cell in enumerate(cells_of(self.shutdown, phase)):
            found.append(self.result(phase, cell, nothing))
            tell(Measured(number=number, result=found[-1]))
        return found

    def result(self, phase: Phase, cell: Cell, measurement: Measurement) -> Result:
        """Returns a cell's result: the measurement with the expectation."""
        fact = expected_of(self.shutdown, self.choices, phase, cell)
        return result_of(self.shutdown, phase, cell, measurement, fact)

    def _ooni(self, cell: Cell, phase: Phase, asked: ProbeRequest, measurement: Measurement) -> ooni.MeasurementRecord:
        topology, vantage = self.shutdown.topology, cell.vantage
        operator = topology.operators[cell.operator]
        home = topology.transits.get(vantage.home) if vantage else None
        context = ooni.Context(
            asn=operator.asn,
            cc=topology.country,
            network_name=operator.title,
            run=self.run,
            began=phase.at,
            at=phase.at,
            software_version=_VERSION,
            resolver_asn=home.asn if home else 0,
            resolver_network_name=home.title if home else "",
            annotations={
                "scenario": self.shutdown.scenario.name,
                "phase": phase.phase,
                "region": vantage.id.region if vantage else "",
                "subscriber": vantage.id.group if vantage else "",
            },
        )
        return ooni.record(asked, measurement, context)


def unconfirmed_of(found: Sequence[Result]) -> str:
    """Returns how many results the testbed could not vouch for, and why, as a sentence; "" if it vouches for all."""
    unsure = sum(result.outcome is Outcome.UNKNOWN or is_own(result.failure) for result in found)
    if not unsure:
        return ""
    outcomes = f"{unsure} outcome{'s' * (unsure > 1)}"
    return f"{outcomes} could not be confirmed: {refuted_by(found) or 'this machine is busy'}"


def refuted_by(found: Sequence[Result]) -> str:
    """Returns why the first refuted result was: which controls failed, or what its prober lacked; "" if none was."""
    failures = (result.failure or "" for result in found if result.outcome is Outcome.UNKNOWN or is_own(result.failure))
    refuted = (each for each in failures if each.startswith(REFUTED) or is_own(each))
    return next(refuted, "").removeprefix("unknown_failure: ")
