"""`scripts/setup` on a distribution that lacks some packages: what is only useful is done without, and said.

The script is the project's own; what it would change the machine with, apt behind `scripts/system`, is a stand-in that
knows some packages and not others, and says of these what apt says.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"

LISTS = {
    "packages": "server  serverd\nlibrary-dev  server-tool\n",
    "packages.tools": "tunnel  tunnel-client\nproxy  proxyd\n",
    "packages.tests": "browser  browser\nreader  dump\n",
}
PROGRAMS = {line.split()[0]: line.split()[1] for text in LISTS.values() for line in text.splitlines()}

SYSTEM = """#!/bin/bash
[[ $1 == packages ]] || exit 0
shift
echo "$*" >>"$PLACE/asked"
failed=0
for name; do
  case " $UNKNOWN " in *" $name "*) echo "E: Unable to locate package $name"; failed=100 ;; esac
  case " $WITHDRAWN " in *" $name "*) echo "E: Package '$name' has no installation candidate"; failed=100 ;; esac
done
((failed)) && exit 100
for name; do cp "$PLACE/program" "$PLACE/bin/$(cat "$PLACE/programs/$name")"; done
"""
SUDO = '#!/bin/bash\n[[ $1 == -n ]] && exit 0\nshift\nexec "$@"\n'


@dataclass(frozen=True)
class Machine:
    """A checkout, and where what is installed goes."""

    place: Path

    def set_up(self, *arguments: str, unknown: str = "", withdrawn: str = "") -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if name not in {"USERNS", "PYTHON"}}
        env = {
            **kept, "PATH": f"{self.place}/bin:{os.environ['PATH']}", "PLACE": str(self.place), "VENV": "venv",
            "UNKNOWN": unknown, "WITHDRAWN": withdrawn,
        }  # fmt: skip
        argv = [str(self.place / "scripts/setup"), *arguments]
        return subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60, check=False)

    @property
    def installed(self) -> set[str]:
        """Packages, by their programs."""
        return {name for name, program in PROGRAMS.items() if (self.place / "bin" / program).exists()}

    @property
    def asked(self) -> list[set[str]]:
        """What apt was asked for, time after time."""
        return [set(line.split()) for line in (self.place / "asked").read_text().splitlines()]


def program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    for name in ("setup", "messages"):
        shutil.copy(SCRIPTS / name, scripts)
    for name, text in LISTS.items():
        (scripts / name).write_text(f"# {name}\n\n{text}")
    program(scripts / "system", SYSTEM)
    program(scripts / "environment", "#!/bin/bash\n")
    (scripts / "compile").write_text("")
    program(tmp_path / "bin" / "sudo", SUDO)
    program(tmp_path / "bin" / "apt-get", "#!/bin/bash\nexit 99\n")
    program(tmp_path / "program", "#!/bin/bash\n")
    (tmp_path / "programs").mkdir()
    for package, name in PROGRAMS.items():
        (tmp_path / "programs" / package).write_text(name)
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    (tmp_path / "venv" / "bin" / "python").symlink_to(sys.executable)
    return Machine(tmp_path)


def test_what_tests_or_the_matrix_use_is_done_without_where_it_is_not_to_be_had(machine: Machine) -> None:
    done = machine.set_up("tests", unknown="browser", withdrawn="proxy")
    assert done.returncode == 0, done.stderr
    assert "setup: browser is not to be had here: tests that use it are skipped\n" in done.stderr
    assert "setup: proxy is not to be had here: shutdownlab matrix does without\n" in done.stderr
    assert machine.installed == PROGRAMS.keys() - {"browser", "proxy"}
    assert machine.asked == [set(PROGRAMS), PROGRAMS.keys() - {"browser", "proxy"}]


@pytest.mark.parametrize("unknown", ["server", "server browser"])
def test_what_is_needed_is_not_done_without(machine: Machine, unknown: str) -> None:
    done = machine.set_up("tests", unknown=unknown)
    assert done.returncode == 1
    assert "setup: apt-get could not install server " in done.stderr
    assert machine.installed == set()


def test_a_distribution_that_has_everything_is_asked_once_and_then_nothing(machine: Machine) -> None:
    assert machine.set_up("tests").returncode == 0
    assert machine.installed == set(PROGRAMS)
    again = machine.set_up("tests")
    assert (again.returncode, again.stderr) == (0, "")
    assert machine.asked == [set(PROGRAMS)]


def test_setup_alone_asks_for_nothing_that_is_only_useful(machine: Machine) -> None:
    assert machine.set_up(unknown="browser proxy").returncode == 0
    assert machine.installed == {"server", "library-dev"}


def test_what_apt_did_not_find_the_last_time_counts_no_more(machine: Machine) -> None:
    """As after its sources were mended: the log still has what it said before."""
    assert machine.set_up("tests", unknown=" ".join(PROGRAMS)).returncode == 1
    done = machine.set_up("tests", unknown="browser")
    assert done.returncode == 0, done.stderr
    assert machine.installed == PROGRAMS.keys() - {"browser"}


def test_modules_are_compiled_once_for_whoever_cannot_keep_them_compiled(machine: Machine) -> None:
    for folder in ("shutdownlab", "controllers", "topologies"):
        (machine.place / folder).mkdir()
        (machine.place / folder / "module.py").write_text("x = 1\n")
    done = machine.set_up()
    assert done.returncode == 0, done.stderr
    assert {path.parts[-3] for path in machine.place.glob("*/__pycache__/module.*.pyc")} == {
        "shutdownlab", "controllers", "topologies"
    }  # fmt: skip
