"""Every bad input here gives exactly the message beside it: NAME.yaml goes with NAME.txt.

`missing-file.txt` has no YAML: that is its mistake. The `valid-…` have no text, and pass. What is called `policy-…` is
a DPI box's policy, the rest topologies and scenarios; what these name beside themselves is in `own`. After changing a
message on purpose: `GOLDEN=write pytest tests/golden`, then read the difference.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from shutdownlab import library
from shutdownlab.config.problems import MAX_TOLD, BadInput
from shutdownlab.inspection.policy import load_policy

HERE = Path(__file__).parent
MESSAGES = sorted(HERE.glob("*.txt"))
FILES = sorted(HERE.glob("*.yaml"))


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages name files as the user did."""
    monkeypatch.chdir(HERE)


def check(name: str) -> None:
    if name.startswith(("policy-", "valid-policy")):
        load_policy(Path(name).read_bytes(), name)
    else:
        library.check(name)


def without_lists(message: str) -> str:
    """The message, but for the names of what is shipped: those lists grow."""
    message = re.sub(r"(it ships): [\w, -]+$", r"\1: …", message, flags=re.MULTILINE)
    return re.sub(r"(one of) [\w, -]+ and \d+ more (\(`shutdownlab apps`)", r"\1 … \2", message)


def told(name: str) -> str:
    with pytest.raises(BadInput) as raised:
        check(name)
    return without_lists(f"{raised.value}\n")


@pytest.mark.parametrize("name", [path.stem for path in MESSAGES])
def test_bad_input_gives_this_very_message(name: str) -> None:
    message = told(f"{name}.yaml")
    if os.environ.get("GOLDEN") == "write":
        (HERE / f"{name}.txt").write_text(message)
    assert message == (HERE / f"{name}.txt").read_text()


@pytest.mark.parametrize("name", [path.stem for path in MESSAGES])
def test_every_message_names_the_file_what_was_found_and_what_was_expected(name: str) -> None:
    lines = [line for line in (HERE / f"{name}.txt").read_text().splitlines() if not line.startswith("    hint: ")]
    assert lines
    if re.fullmatch(r"and [\d,]+ more problems", lines[-1]):
        assert len(lines) == MAX_TOLD + 1
        lines.pop()
    for line in lines:
        assert re.fullmatch(
            rf"({name}[.]yaml|shared-policies[.]yml|own/[\w-]+[.]\w+)(:\d+)?: .*found .+; expected .+", line
        )


def test_every_bad_file_has_its_message_and_the_valid_ones_pass() -> None:
    assert {path.stem for path in FILES} - {path.stem for path in MESSAGES} == {
        "valid-extends",
        "valid-policy",
        "valid-scenario",
        "valid-topology",
    }
    assert {path.stem for path in MESSAGES} - {path.stem for path in FILES} == {"missing-file"}
    for kind in ("extends", "policy", "scenario", "topology"):
        check(f"valid-{kind}.yaml")


def test_what_the_package_ships_is_valid() -> None:
    kinds: tuple[library.Kind, ...] = ("topologies", "scenarios")
    for kind in kinds:
        for name, _ in library.shipped(kind):
            library.check(name)


def test_inspecting_with_a_bad_policy_tells_all_its_problems_and_exits_with_2() -> None:
    result = subprocess.run(
        [sys.executable, "-c", "from shutdownlab.cli import main; main()", "inspect", "no-matter.pcap", "--policy",
         "policy-unknown-names.yaml"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 2
    assert result.stdout == ""
    assert without_lists(result.stderr).startswith((HERE / "policy-unknown-names.txt").read_text())


def test_the_command_line_tells_the_problems_of_all_files_and_exits_with_2() -> None:
    result = subprocess.run(
        [sys.executable, "-c", "from shutdownlab.cli import main; main()", "check", "empty.yaml", "valid-topology.yaml",
         "topology-duplicate-as.yaml", "binary.yaml"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 2
    for name in ("empty", "topology-duplicate-as", "binary"):
        for line in (HERE / f"{name}.txt").read_text().splitlines():
            assert line.strip() in result.stderr
    assert "valid-topology.yaml" in result.stdout
    assert "Traceback" not in result.stderr
