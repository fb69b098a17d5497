"""Allowlists in layers, by classes of subscribers, addresses and names: real packets do as the model has it."""

from __future__ import annotations

import sys
from pathlib import Path

import shutdownlab as sl

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from layered import LAYERS, scenario


def test_what_layers_let_through_by_class_address_and_name_is_what_the_model_has(tmp_path: Path) -> None:
    made = scenario()
    measured = sl.run(made, tmp_path / "run")
    keys = [(r.phase, r.vantage, r.target, r.family.value, r.outcome.value, r.failure) for r in measured.results]
    model = [(r.phase, r.vantage, r.target, r.family.value, r.outcome.value, r.failure) for r in sl.verify(made)]
    assert keys == model
    classes = {r.class_ for r in measured.results}
    assert classes == {"ordinary", "pro", "white", "datacentre"}
    assert {r.phase for r in measured.results} == set(LAYERS)
