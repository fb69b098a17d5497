"""Allowlists in layers, by classes of subscribers, addresses and names: real packets do as the model has it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from foretold import run_as_foretold

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from layered import LAYERS, scenario

pytestmark = pytest.mark.thorough


def test_what_layers_let_through_by_class_address_and_name_is_what_the_model_has(tmp_path: Path) -> None:
    made = scenario()
    measured = run_as_foretold(made, tmp_path)
    classes = {r.class_ for r in measured.results}
    assert classes == {"ordinary", "pro", "white", "datacentre"}
    assert {r.phase for r in measured.results} == set(LAYERS)
