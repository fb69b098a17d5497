"""A scenario's noise: signals are as steady as it says, and the same each time."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml
from countries import small_country

import shutdownlab as sl
from shutdownlab.library import load
from shutdownlab.model.noise import Noise
from shutdownlab.observers.volume import volumes
from shutdownlab.results.reading import Reading

BEGINS = datetime(2030, 5, 1, tzinfo=UTC)


def written(place: Path, noise: dict[str, object] | None, **more: object) -> Path:
    made = {"extends": "first-shutdown", "name": "unsteady", **more}
    if noise is not None:
        made["noise"] = noise
    path = place / "unsteady.yaml"
    path.write_text(yaml.safe_dump(made))
    return path


def test_without_noise_nothing_is_unsteady() -> None:
    assert load("first-shutdown").scenario.noise is None
    found = sl.detect("first-shutdown")
    assert not found.unsteady and set(found.false_alarms.values()) == {0}


def test_a_scenarios_noise_raises_false_alarms_in_the_signals_that_it_names_alone(tmp_path: Path) -> None:
    path = written(tmp_path, {"spread": {"bgp": "2%"}, "seed": 7})
    found = sl.detect(path)
    assert found.unsteady and found.false_alarms["bgp"] > 100, "one percent is BGP's threshold"
    assert {count for name, count in found.false_alarms.items() if name != "bgp"} == {0}
    assert sl.detect(path).false_alarms == found.false_alarms
    other = sl.detect(written(tmp_path, {"spread": {"bgp": "2%"}, "seed": 8}))
    assert other.false_alarms["bgp"] != found.false_alarms["bgp"]
    assert sl.detect(path, noise=0.0).false_alarms["bgp"] == 0, "what is asked for on the command line comes first"


def test_an_expected_silence_is_broken_by_noise_and_levels_are_not(tmp_path: Path) -> None:
    expected = [
        {"signal": "bgp", "alert": "none", "source": "EXAMPLE"},
        {"signal": "bgp", "above": "99.9%", "source": "EXAMPLE"},
    ]
    quiet = sl.verify(written(tmp_path, None, signals=expected))
    noisy = sl.verify(written(tmp_path, {"spread": {"bgp": "2%"}}, signals=expected))
    assert [each.met for each in quiet.signals] == [True, True]
    assert [each.met for each in noisy.signals] == [False, True]


def test_a_cdn_s_file_is_as_unsteady_as_its_signal() -> None:
    reading = Reading("cdn", "quiet", "country", "", "both", 1.0, "share", "modelled")

    def file(noise: Noise | None) -> list[str]:
        [content] = volumes(
            [reading], small_country().topology, BEGINS, BEGINS + timedelta(days=1), timedelta(0), noise
        ).values()
        return [row["values"] for row in csv.DictReader(io.StringIO(content.decode()))]

    steady, unsteady = file(None), file(Noise.model_validate({"spread": {"cdn": "5%"}}))
    assert len(steady) == len(unsteady) == 96 and steady != unsteady == file(
        Noise.model_validate({"spread": {"cdn": "5%"}})
    )
    assert file(Noise.model_validate({"spread": {"bgp": "5%"}})) == steady
