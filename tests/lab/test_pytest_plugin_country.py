"""The pytest plugin with real packets: a module's tests in the running country, and expectations both ways."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from invocation import small


def test_a_module_has_the_country_in_each_phase_and_from_each_subscriber(
    tmp_path: Path, run_pytest: Callable[..., tuple[int, str]]
) -> None:
    (tmp_path / "test_tool.py").write_text(
        "import pytest\n"
        'FROM = ["northnet/capital/government", "southcell/coast"]\n'
        'pytestmark = pytest.mark.shutdown("first-shutdown", phases=["baseline", "blackout"], subscribers=FROM)\n'
        "def test_the_governments_exemption_holds(country, phase, subscriber):\n"
        '    spared = phase == "baseline" or "government" in subscriber\n'
        '    found = country.exec(subscriber, ["ping", "-c", "1", "-W", "2", "8.8.8.8"])\n'
        "    assert (found.returncode == 0) == spared\n"
    )
    status, output = run_pytest(tmp_path, "-q", "test_tool.py")
    assert (status, output.splitlines()[-1].split(" in ")[0]) == (0, "4 passed"), output


def test_expectations_are_tested_by_the_model_and_by_real_packets_which_must_agree(
    tmp_path: Path, run_pytest: Callable[..., tuple[int, str]]
) -> None:
    file = small(tmp_path)
    status, output = run_pytest(tmp_path, "-q", "--shutdownlab=both", file.name)
    assert status == 0, output
