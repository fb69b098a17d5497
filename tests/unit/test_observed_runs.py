"""What a run keeps of what it saw from abroad: the readings of whole phases, and no others."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from shutdownlab.results.directory import RunDirectory
from shutdownlab.results.events import Begun, Observed, PhaseMeasured, Voided
from shutdownlab.results.manifest import PhaseInfo
from shutdownlab.results.reading import Reading, read_readings

PHASES = ("baseline", "blackout")


def reading(phase: str, value: float) -> Reading:
    return Reading("bgp", phase, "country", "", "ipv4", value, "share", "measured")


def begun(*, observe: bool) -> Begun:
    phases = tuple(PhaseInfo(phase=name, at=datetime(2030, 5, 1, 8, tzinfo=UTC), title="") for name in PHASES)
    return Begun(version="0", run="run", scenario="small", phases=phases, observe=observe)


def measured(phase: str) -> PhaseMeasured:
    return PhaseMeasured(phase=phase, cells=0, reached=0, unmet=0, seconds=1.0)


def test_what_is_seen_in_a_phase_is_kept_once_the_phase_is_whole(tmp_path: Path) -> None:
    with RunDirectory(tmp_path / "run") as directory:
        directory(begun(observe=True))
        for phase, value in zip(PHASES, (1.0, 0.5), strict=True):
            directory(Observed(phase=phase, readings=(reading(phase, value),)))
            assert [each.phase for each in read_readings(tmp_path / "run")] == list(PHASES[: PHASES.index(phase)])
            directory(measured(phase))
    assert read_readings(tmp_path / "run") == [reading("baseline", 1.0), reading("blackout", 0.5)]


def test_what_was_seen_in_a_country_that_was_not_whole_is_forgotten(tmp_path: Path) -> None:
    with RunDirectory(tmp_path / "run") as directory:
        directory(begun(observe=True))
        directory(Observed(phase="baseline", readings=(reading("baseline", 0.0),)))
        directory(Voided(phase="baseline", reasons=("bird on north-border has ended",)))
        directory(measured("baseline"))
    assert read_readings(tmp_path / "run") == []


def test_a_run_that_goes_on_keeps_the_readings_of_its_whole_phases(tmp_path: Path) -> None:
    with RunDirectory(tmp_path / "run") as directory:
        directory(begun(observe=True))
        directory(Observed(phase="baseline", readings=(reading("baseline", 1.0),)))
        directory(measured("baseline"))
        directory(Observed(phase="blackout", readings=(reading("blackout", 0.0),)))  # and the run is killed
    with RunDirectory(tmp_path / "run", resume=True) as directory:
        directory(Observed(phase="blackout", readings=(reading("blackout", 0.25),)))
        directory(measured("blackout"))
    assert read_readings(tmp_path / "run") == [reading("baseline", 1.0), reading("blackout", 0.25)]


def test_a_run_that_does_not_observe_has_no_readings(tmp_path: Path) -> None:
    with RunDirectory(tmp_path / "run") as directory:
        directory(begun(observe=False))
        directory(measured("baseline"))
    assert not (tmp_path / "run" / "readings.csv").exists()
