"""A file is of the kind that its keys say, a variation of a scenario too, whatever it varies."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from shutdownlab import library
from shutdownlab.config.kinds import _SIGNS, kind_of
from shutdownlab.config.problems import BadInput
from shutdownlab.inspection.policy import InspectionPolicy
from shutdownlab.inspection.profile import Profile
from shutdownlab.model.scenario import Scenario
from shutdownlab.model.topology import Topology

MODELS: dict[str, type[BaseModel]] = {
    "scenario": Scenario,
    "topology": Topology,
    "profile": Profile,
    "policy": InspectionPolicy,
}


@pytest.mark.parametrize("kind", MODELS)
def test_each_sign_is_a_key_of_its_kind_and_of_none_after_it(kind: str) -> None:
    names = list(MODELS)
    signs = _SIGNS[kind]  # type: ignore[index]
    assert signs <= set(MODELS[kind].model_fields)
    for later in names[names.index(kind) + 1 :]:
        assert not signs & set(MODELS[later].model_fields), later


@pytest.mark.parametrize("key", sorted(set(Scenario.model_fields) - {"extends"}))
def test_a_variation_is_a_scenario_whatever_the_one_key_is_that_it_varies(key: str) -> None:
    assert kind_of({"extends": "first-shutdown", key: None}) == "scenario"


def test_a_variation_may_have_sources_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("extends: first-shutdown\nname: mine\nsources: {MINE: my notes}\n")
    library.check(str(tmp_path / "mine.yaml"))


def told(folder: Path, text: str) -> str:
    (folder / "mine.yaml").write_text(text)
    with pytest.raises(BadInput) as raised:
        library.check(str(folder / "mine.yaml"))
    return str(raised.value)


def test_a_misspelt_name_in_a_variation_is_reported_with_the_one_that_is_meant(tmp_path: Path) -> None:
    said = told(tmp_path, "extends: first-shutdown\nname: mine\npolicies: {blackot: {except: {ports: []}}}\n")
    assert "policies.blackot: found no 'title'" in said
    assert "hint: add it, or did you mean 'blackout'?" in said


def test_a_file_that_is_not_a_scenario_is_not_extended(tmp_path: Path) -> None:
    (tmp_path / "land.yaml").write_bytes(library.read("topologies", "two-operators")[0])
    said = told(tmp_path, "extends: land.yaml\nname: mine\n")
    assert "mine.yaml:1: extends: found 'land.yaml', a topology; expected the name or path of a scenario" in said


def test_a_chain_of_files_that_is_too_long_is_not_called_a_circle(tmp_path: Path) -> None:
    before = "first-shutdown"
    for number in range(10):
        (tmp_path / f"v{number}.yaml").write_text(f"extends: {before}\nname: v{number}\n")
        before = f"v{number}.yaml"
    assert "in a chain of files; expected at most 8 files" in told(tmp_path, "extends: v9.yaml\nname: mine\n")


def test_a_removal_of_a_key_that_the_other_file_lacks_is_reported_with_its_keys(tmp_path: Path) -> None:
    said = told(tmp_path, "extends: first-shutdown\nname: mine\nprobes: {pign: null}\n")
    assert "probes.pign: found nothing; expected a value, or the name of something in the other file" in said
    assert "hint: did you mean 'ping'?" in said


def test_an_alias_without_its_anchor_is_reported_by_its_name(tmp_path: Path) -> None:
    said = told(tmp_path, "name: mine\npolicies:\n  dark: {<<: *everybody, title: x}\n")
    assert (
        "mine.yaml:3: found '*everybody', an alias without an anchor; expected the anchor '&everybody' before it"
        in said
    )
