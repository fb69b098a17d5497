"""The door for programs: what `import shutdownlab` offers, and what it costs."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

import shutdownlab as sl
from shutdownlab import library

HEAVY = ("mininet", "pyroute2", "os_ken", "pydantic", "rich", "typer", "aioquic", "yaml")


def python(code: str, *arguments: str) -> str:
    """What a program prints, in an interpreter of its own."""
    return subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True, text=True).stdout


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import sys, shutdownlab; print(*sorted(sys.argv[1:] & sys.modules.keys()))"
    code = code.replace("sys.argv[1:]", "set(sys.argv[1:])")
    assert python(code, *HEAVY).split() == []


def test_what_makes_a_lab_needs_none_of_the_emulation() -> None:
    code = "import sys, shutdownlab; shutdownlab.lab; print(*sorted(set(sys.argv[1:]) & sys.modules.keys()))"
    assert python(code, *HEAVY).split() == ["pydantic", "yaml"]


def test_no_module_hides_a_public_name() -> None:
    code = (
        "import importlib, pkgutil, shutdownlab as sl\n"
        "for module in pkgutil.walk_packages(sl.__path__, 'shutdownlab.'):\n"
        "    if module.name != 'shutdownlab.__main__': importlib.import_module(module.name)\n"
        "for name in sl.__all__: assert not type(getattr(sl, name)).__name__ == 'module', name\n"
        "print(sl.load('first-shutdown').scenario.name)"
    )
    assert python(code) == "first-shutdown\n"


def test_every_public_name_is_there_and_described() -> None:
    for name in sl.__all__:
        assert getattr(sl, name).__doc__, name
        assert name in dir(sl)
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        sl.lod  # noqa: B018


def test_a_scenario_is_loaded_by_name_by_path_and_from_a_mapping(tmp_path: Path) -> None:
    text, _ = library.read("scenarios", "first-shutdown")
    path = tmp_path / "mine.yaml"
    path.write_bytes(text)
    made = yaml.load(text, Loader=yaml.BaseLoader)
    made["format"] = 1

    by_name = sl.load("first-shutdown")

    assert sl.load(path) == by_name
    assert sl.load(str(path)) == by_name
    assert sl.load(made).scenario == by_name.scenario


def test_a_program_may_bring_the_topology_as_a_mapping_too() -> None:
    text, _ = library.read("topologies", "two-operators")
    small = json.loads(json.dumps(yaml.safe_load(text), default=str))
    scenario = yaml.safe_load(library.read("scenarios", "first-shutdown")[0]) | {"topology": small}

    assert sl.load(scenario).topology == sl.load("first-shutdown").topology


def test_what_is_wrong_in_a_mapping_is_reported_without_a_line() -> None:
    scenario = yaml.safe_load(library.read("scenarios", "first-shutdown")[0])
    scenario["probes"]["whatsapp"]["test"] = "ap"
    scenario["timeline"][0]["start"] = object()

    with pytest.raises(sl.BadInput) as refused:
        sl.load(scenario)

    assert [str(problem) for problem in refused.value.problems] == [
        "scenario: timeline[0].start: found a value of type object; "
        "expected text, a number, a list, a mapping, or a time with a zone"
    ]


def test_whatever_a_call_returns_says_in_one_line_what_it_is() -> None:
    scenario = sl.load("first-shutdown")
    found = [
        scenario,
        scenario.network,
        sl.verify(scenario),
        sl.detect(scenario),
        sl.cost("kazakhstan-2022"),
        sl.diff(scenario, "first-shutdown", set={"policies.blackout.except.ports": "[]"}),
        sl.explain(scenario, at="blackout", vantage="northnet/coast", target="whatsapp"),
        sl.compare(scenario, _published(scenario), file="ours.csv"),
    ]
    for each in found:
        assert len(repr(each)) < 200, type(each)
        assert len(repr(each).splitlines()) == 1
        assert type(each).__name__ in repr(each)
    assert repr(found[0]) == ("Shutdown(first-shutdown: 7 phases, 11 probes; two-operators: 2 operators, 2 regions)")
    assert repr(found[5]) == "Comparison(of 454 cells 5 changed, in groups: 1; 0 only old, 0 only new)"
    assert repr(found[6]) == (
        "Explanation(whatsapp from northnet/coast/ordinary in blackout, ipv4: blocked (generic_timeout_error))"
    )


def _published(scenario: sl.Shutdown) -> bytes:
    """A series of BGP, an hour each, that falls to half in the middle."""
    first, last = scenario.scenario.timeline[0].at, scenario.scenario.ends
    hours = int((last - first).total_seconds() // 3600)
    rows = (
        f"{first + timedelta(hours=n - 24):%Y-%m-%dT%H:%MZ},{50 if 60 < n < 90 else 100}" for n in range(24 + hours)
    )
    return "\n".join(["time,bgp", *rows]).encode()


@pytest.mark.parametrize("share", ["10%", "0.1", 2, -0.5, True, float("nan"), [0.1]])
def test_a_share_that_is_none_is_bad_input_wherever_one_is_taken(share: object) -> None:
    with pytest.raises(sl.BadInput, match=r"noise: found .*; expected a share from 0 to 1"):
        sl.detect("first-shutdown", noise=share)  # type: ignore[arg-type]
    with pytest.raises(sl.BadInput, match=r"sample: found .*; expected a share from 0 to 1"):
        _ = sl.verify("first-shutdown", sample=share).results  # type: ignore[arg-type]
