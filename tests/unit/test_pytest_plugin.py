"""The pytest plugin: scenarios are test files, expectations tests that say what the terminal says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from shutil import copytree

import pytest

RunPytest = Callable[..., tuple[int, str]]
FIRST = Path(__file__).parents[2] / "scenarios/first-shutdown.yaml"


def test_each_expectation_of_a_scenario_is_a_test(tmp_path: Path, run_pytest: RunPytest) -> None:
    (tmp_path / "first.yaml").write_text(FIRST.read_text())
    (tmp_path / "other.yaml").write_text("a: list\n")
    status, output = run_pytest(tmp_path, "-q", "--collect-only")
    assert status == 0
    tests = [line for line in output.splitlines() if "::" in line]
    assert tests[0] == "first.yaml::baseline::everything-works: everything is ok"
    assert "first.yaml::one-way::everything from coast is blocked" in tests
    assert "first.yaml::allowlist::kaspi.kz, dns is ok" in tests
    assert len(tests) == 17
    status, output = run_pytest(tmp_path, "-q")
    assert (status, output.splitlines()[-1].split(" in ")[0]) == (0, "17 passed")


def test_a_failure_reads_as_the_terminals_and_has_the_expectations_line(tmp_path: Path, run_pytest: RunPytest) -> None:
    text = FIRST.read_text().replace(
        "    except: {subscribers: [government], ports: [tcp/179]}\n", "    except: {subscribers: [government]}\n"
    )
    (tmp_path / "first.yaml").write_text(text)
    status, output = run_pytest(tmp_path, "-q", "-rA")
    assert status == 1
    assert "1 failed, 16 passed" in output
    assert (
        "blackout: bridge-179 from northnet/capital/ordinary, northnet/capital/datacentre, northnet/coast/ordinary and "
        "2 more: expected ok [EXAMPLE], saw blocked (generic_timeout_error) "
        f"(`blackout`, first.yaml:{text.split(chr(10)).index('  blackout:') + 1})\n    [EXAMPLE] made up for teaching"
    ) in output
    assert "FAILED first.yaml::blackout::shut-down: bridge-179, call is ok" in output
    junit = tmp_path / "junit.xml"
    assert run_pytest(tmp_path, "-q", f"--junitxml={junit}", "-o", "junit_family=xunit1")[0] == 1
    line = text.split("\n").index("    - {probes: [bridge-179, call], outcome: ok, source: EXAMPLE}")
    placed = f'.blackout" name="shut-down: bridge-179, call is ok" file="first.yaml" line="{line}"'
    assert placed in junit.read_text()


def test_a_scenario_that_varies_another_is_a_test_file_too(tmp_path: Path, run_pytest: RunPytest) -> None:
    (tmp_path / "mine.yaml").write_text("extends: first-shutdown  # but for nothing\n")
    (tmp_path / "misspelt.yaml").write_text("extends: first-shutdwn\nname: mine\n")
    (tmp_path / "linter.yaml").write_text("extends: default\nrules: {}\n")
    status, output = run_pytest(tmp_path, "-q", "--collect-only")
    assert (status, output.count("mine.yaml::"), output.count("linter")) == (2, 17, 0)
    assert "did you mean 'first-shutdown'?" in output


def test_a_scenario_with_mistakes_is_an_error_that_lists_them(tmp_path: Path, run_pytest: RunPytest) -> None:
    (tmp_path / "first.yaml").write_text(FIRST.read_text().replace("start: [blackout]", "start: [blakout]"))
    status, output = run_pytest(tmp_path, "-q")
    assert status == 2
    assert "found unknown policy 'blakout'" in output


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (FIRST.read_bytes().replace(b"\ntimeline:", b"\ntimelin:"), "did you mean 'timeline'?"),
        (FIRST.read_bytes().replace(b"\ntopology:", b"\ntoplogy:"), "found no 'topology'"),
        (FIRST.read_bytes().replace(b"\npolicies:", b"\npolices:"), "did you mean 'policies'?"),
        (FIRST.read_bytes().replace(b"\nprobes:", b"\nprobs:"), "did you mean 'probes'?"),
        (FIRST.read_text().encode("utf-16"), "found UTF-16; expected YAML text in UTF-8"),
        (FIRST.read_bytes().replace(b"# ", b"# \xe9 ", 1), "found the byte 0xe9"),
        (FIRST.read_bytes() + b"#" * (1 << 20), "expected at most 1,048,576 bytes"),
    ],
    ids=["timeline", "topology", "policies", "probes", "utf-16", "latin-1", "large"],
)
def test_a_scenario_that_cannot_be_read_is_an_error_and_no_guard_that_has_vanished(
    content: bytes, told: str, tmp_path: Path, run_pytest: RunPytest
) -> None:
    (tmp_path / "guard.yaml").write_bytes(content)
    (tmp_path / "included.yaml").write_text("policies: {}\nprobes: {}\n")
    (tmp_path / "country.yaml").write_bytes((FIRST.parents[1] / "topologies/two-operators.yaml").read_bytes())
    status, output = run_pytest(tmp_path, "-q", "--collect-only")
    assert (status, output.count("ERROR collecting")) == (2, 1)
    assert told in output


def test_a_module_gets_phases_and_subscribers_in_turn_and_says_how_where_it_has_no_scenario(
    tmp_path: Path, run_pytest: RunPytest
) -> None:
    (tmp_path / "test_tool.py").write_text(
        "import pytest\n"
        'pytestmark = pytest.mark.shutdown("first-shutdown", phases=["baseline", "blackout"])\n'
        "def test_it(subscriber, phase): pass\n"
    )
    (tmp_path / "test_none.py").write_text("def test_it(country): pass\n")
    status, output = run_pytest(tmp_path, "-q", "--collect-only", "test_tool.py")
    assert (status, output.count("test_tool.py::test_it[")) == (0, 12)
    status, output = run_pytest(tmp_path, "-q", "test_none.py")
    assert status == 1
    assert 'pytestmark = pytest.mark.shutdown("SCENARIO") in the module names the scenario' in output


def test_a_phase_or_subscriber_that_is_not_there_is_an_error_before_anything_runs(
    tmp_path: Path, run_pytest: RunPytest
) -> None:
    marks = {"phase": 'phases=["blackot"]', "subscriber": 'subscribers=["northnet/capitol"]', "scenario": ""}
    for name, mark in marks.items():
        scenario = "first-shutdown" if mark else "first-shutdwn"
        (tmp_path / f"test_{name}.py").write_text(
            f'import pytest\npytestmark = pytest.mark.shutdown("{scenario}", {mark})\n'
            "def test_it(phase, subscriber): pass\n"
        )
    status, output = run_pytest(tmp_path, "-q")
    assert status == 2
    assert "phases of the mark shutdown: found unknown phase 'blackot'" in output
    assert "subscribers of the mark shutdown: found unknown vantage point 'northnet/capitol'" in output
    assert output.count("did you mean") == 3
    assert "Traceback" not in output and "pytest_plugin.py" not in output


def test_an_expectation_of_tools_or_of_no_cell_is_skipped_and_not_passed(tmp_path: Path, run_pytest: RunPytest) -> None:
    more = "[everything-works, {tools: all, outcome: blocked, source: EXAMPLE}]"
    text = FIRST.read_text().replace("expect: [everything-works]", f"expect: {more}", 1)
    (tmp_path / "first.yaml").write_text(text)
    status, output = run_pytest(tmp_path, "-q", "-rs")
    assert status == 0, output
    assert "17 passed, 1 skipped" in output
    assert "it is about tools: `shutdownlab matrix` tests it" in output


def test_a_run_that_cannot_be_is_reported_without_a_traceback(tmp_path: Path, run_pytest: RunPytest) -> None:
    copytree(Path(__file__).parents[2] / "examples/own-programs", tmp_path / "own")
    status, output = run_pytest(tmp_path, "-q", "--shutdownlab=emulate", "own")
    assert status == 1
    assert output.count("expected a scenario that starts no programs, or --trust") >= 3
    assert "with pytest: --shutdownlab-trust" in output
    assert "Traceback" not in output and "pytest_plugin.py" not in output
    (tmp_path / "test_it.py").write_text(
        'import pytest\npytestmark = pytest.mark.shutdown("own/board-run.yaml")\ndef test_it(country): pass\n'
    )
    status, output = run_pytest(tmp_path, "-q", "test_it.py")
    assert (status, "with pytest: --shutdownlab-trust" in output, "pytest_plugin.py" in output) == (1, True, False)
