"""Several scenarios run side by side, each in a directory of its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from shutdownlab.runner.every import run_every

pytestmark = pytest.mark.thorough


def test_scenarios_run_side_by_side_into_directories_of_their_names(tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(
        """
format: 1
name: other
title: Another
topology: two-operators
policies: {dark: {title: All off, block: everything, source: made up}}
probes: {ping: {test: ping, host: 8.8.8.8}}
timeline:
  - {phase: baseline, at: 2030-05-01T08:00Z, title: "", expect: [{outcome: blocked, source: wrong on purpose}]}
ends: 2030-05-01T09:00Z
"""
    )
    found = {each.scenario: each for each in run_every(["first-shutdown", str(other)], tmp_path, 2, until="baseline")}
    assert found["first-shutdown"].exit_code == 0
    assert found["first-shutdown"].run.path == tmp_path / "first-shutdown"
    assert found[str(other)].exit_code == 1
    assert found[str(other)].text == "6 cells, 0 of 6 expectations met"
