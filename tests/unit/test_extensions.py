"""What packages register, and what checking a scenario costs."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from shutdownlab import library
from shutdownlab.config.extensions import ExtensionError, Extensions
from shutdownlab.config.writing import dump
from shutdownlab.model.probe import Probe
from shutdownlab.model.registered import kinds_of

HEAVY = {"aioquic", "dns.message", "h11", "mininet", "os_ken", "pyroute2", "asyncio", "ssl"}


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of packages on the path, as `pip install --target` makes it."""
    monkeypatch.syspath_prepend(tmp_path)
    for package in ("burrow", "warren"):
        monkeypatch.delitem(sys.modules, package, raising=False)
    return tmp_path


def install(where: Path, package: str, registers: str, source: str = "") -> None:
    description = where / f"{package}-1.dist-info"
    description.mkdir()
    (description / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1\n")
    (description / "entry_points.txt").write_text(f"[shutdownlab.probes]\n{registers}\n")
    (where / f"{package}.py").write_text(textwrap.dedent(source))


def kinds() -> Extensions[Probe]:
    return Extensions("shutdownlab.probes", Probe)


def test_what_a_package_registers_stands_beside_what_ships(installed: Path) -> None:
    source = "from shutdownlab.model.probe import HostProbe\nclass Gopher(HostProbe): pass"
    install(installed, "burrow", "gopher = burrow:Gopher", source)
    assert {"gopher", "web"} <= set(kinds())
    gopher = kinds()["gopher"]
    assert issubclass(gopher, Probe)
    assert gopher.own_fields() == {"host": True}


def test_two_packages_that_register_one_name_are_reported_and_neither_wins(installed: Path) -> None:
    install(installed, "burrow", "gopher = burrow:Gopher")
    install(installed, "warren", "gopher = warren:Gopher")
    with pytest.raises(ExtensionError, match="the package burrow and the package warren both register"):
        kinds()["gopher"]


def test_of_an_old_and_an_installed_description_of_one_package_the_installed_one_counts(installed: Path) -> None:
    old, new = installed / "a", installed / "b"
    for place in (old, new):
        place.mkdir()
    install(old, "burrow", "gone = burrow:Gone")
    install(
        new, "burrow", "gopher = burrow:Gopher", "from shutdownlab.model.probe import Probe\nclass Gopher(Probe): pass"
    )
    (new / "burrow-1.dist-info" / "RECORD").touch()
    sys.path[:0] = [str(old), str(new)]  # `installed` puts it back as it was
    assert "gopher" in kinds()
    assert "gone" not in kinds()


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("import nothing_of_that_name", "'gopher' of the package burrow, which cannot be loaded: ModuleNotFoundError"),
        ("", "which cannot be loaded: AttributeError"),
        ("Gopher = 3", "which is not a shutdownlab.model.probe.Probe"),
    ],
)
def test_a_part_that_cannot_be_used_is_named_with_its_package(installed: Path, source: str, told: str) -> None:
    install(installed, "burrow", "gopher = burrow:Gopher", source)
    with pytest.raises(ExtensionError, match=told):
        kinds()["gopher"]
    assert kinds()["web"], "what is sound stays usable"


def test_every_kind_that_ships_says_what_it_runs_and_what_its_record_is_called() -> None:
    for name in kinds_of(Probe):
        kind = kinds_of(Probe)[name]
        module, _, function = kind.runs.partition(":")
        assert module.startswith(("shutdownlab.probes.", "shutdownlab.tools.")) and function, name


def test_a_scenario_is_checked_without_importing_what_only_a_run_needs() -> None:
    program = 'import sys, shutdownlab.library as library; library.load("kazakhstan-2022");print(*sys.modules)'
    loaded = set(subprocess.check_output([sys.executable, "-c", program], text=True).split())
    assert "shutdownlab" in loaded
    assert not loaded & HEAVY


def test_probes_of_every_kind_are_written_as_they_were_loaded() -> None:
    probes = library.load("kazakhstan-2022").scenario.probes
    assert {name: Probe.model_validate(dump(probe)) for name, probe in probes.items()} == probes
