"""What `sl.lab` is given, checked before anything is built."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

import shutdownlab as sl
from shutdownlab import library
from shutdownlab.country.lab_plan import lab_plan
from shutdownlab.model.scenario import Mode


def test_a_country_is_given_by_name_by_path_as_a_mapping_or_loaded(tmp_path: Path) -> None:
    text, _ = library.read("scenarios", "first-shutdown")
    path = tmp_path / "mine.yaml"
    path.write_bytes(text)
    topology = yaml.safe_load(library.read("topologies", "two-operators")[0])
    for what in ("first-shutdown", path, str(path), yaml.safe_load(text), sl.load("first-shutdown")):
        plan = lab_plan(what, "blackout", {}, "auto")
        assert (plan.title, plan.active_in(plan.at)) == ("first-shutdown", ("blackout",))
    for what in ("two-operators", topology):
        plan = lab_plan(what, None, {}, "auto")
        assert (plan.title, plan.scenario, plan.active_in(None), dict(plan.policies)) == ("two-operators", None, (), {})


def test_choices_decide_who_commands_and_what_a_phase_has_in_force() -> None:
    assert lab_plan("first-shutdown", None, {}, "auto").mode is Mode.OPERATORS
    assert lab_plan("first-shutdown", None, {"command": "direct"}, "auto").mode is Mode.DIRECT


def test_mistakes_name_the_argument_that_was_given() -> None:
    for option, start in ((lambda name: f"--{name}", "--at: "), (lambda name: name, "at: ")):
        with pytest.raises(sl.BadInput) as refused:
            lab_plan("first-shutdown", "black-out", {}, "auto", option)
        assert str(refused.value).startswith(f"{start}found unknown phase 'black-out'")
    with pytest.raises(sl.BadInput, match="a topology has no phases"):
        lab_plan("two-operators", None, {"command": "direct"}, "auto")
