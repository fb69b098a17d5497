"""The changes that `explain` offers, made in the scenario's file: the cell gets through, and as many change as said."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml

from shutdownlab.library import load
from shutdownlab.model.lookup import choices_of
from shutdownlab.model.scenario import Outcome, Phase
from shutdownlab.results.cells import Cell, cells_of
from shutdownlab.verifier.explain import explain
from shutdownlab.verifier.mending import Mend
from shutdownlab.verifier.verdicts import Verifier

SCENARIOS = Path(__file__).parents[2] / "scenarios"
SEED, MOST = 1, 5


@cache
def written(name: str) -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((SCENARIOS / f"{name}.yaml").read_text())
    return read


def verifier_of(scenario: dict[str, Any]) -> Verifier:
    shutdown = load(scenario)
    return Verifier(shutdown, choices_of(shutdown.scenario, {}, "choose"))


def unlike_cells(verifier: Verifier) -> Iterator[tuple[Phase, Cell]]:
    """Yields blocked and throttled cells in a random order, no two of the same phase, probe and kind of subscriber."""
    cells = [
        (phase, cell) for phase in verifier.shutdown.scenario.timeline for cell in cells_of(verifier.shutdown, phase)
    ]
    Random(SEED).shuffle(cells)
    told = set()
    for phase, cell in cells:
        if cell.vantage is None:
            continue
        kind = phase.phase, cell.target, cell.family, cell.vantage.access, cell.vantage.class_
        if kind not in told and verifier.verdict(phase, cell).outcome in {Outcome.BLOCKED, Outcome.THROTTLED}:
            told.add(kind)
            yield phase, cell


def made_in(scenario: dict[str, Any], phase: str, mend: Mend) -> dict[str, Any] | None:
    """Returns a scenario with a change written into it; None if it concerns an operator that obeys late."""
    changed = deepcopy(scenario)
    if mend.change.startswith("except"):
        more = yaml.safe_load(f"{{{mend.change}}}")["except"]
        for name in mend.policies:
            spared = changed["policies"][name].setdefault("except", {})
            for key, values in more.items():
                before = spared.get(key, [])
                spared[key] = [*(before if isinstance(before, list) else [before]), *values]
        return changed
    if "stop it" not in mend.change:
        return None
    at = next(index for index, each in enumerate(changed["timeline"]) if each["phase"] == phase)
    for name in mend.policies:
        here = changed["timeline"][at]
        started = name in here.get("start", [])
        for each in changed["timeline"][at:]:
            each["stop"] = [other for other in each.get("stop", []) if other != name]
        if started:
            here["start"].remove(name)
        else:
            here["stop"].append(name)
    for each in changed["timeline"]:
        for key in ("start", "stop"):
            if not each.get(key, True):
                del each[key]
    return changed


def key_of(cell: Cell) -> tuple[object, ...]:
    return cell.operator, cell.vantage and cell.vantage.id, cell.target, cell.family


def outcomes(verifier: Verifier, phase: str) -> dict[tuple[object, ...], Outcome]:
    found = next(each for each in verifier.shutdown.scenario.timeline if each.phase == phase)
    return {key_of(cell): verifier.verdict(found, cell).outcome for cell in cells_of(verifier.shutdown, found)}


@pytest.mark.parametrize(
    "name",
    [
        "first-shutdown",
        *(
            pytest.param(name, marks=pytest.mark.thorough)
            for name in ("egypt-2011", "iran-2019", "karakalpakstan-2022", "russia-twitter-2021")
        ),
    ],
)
def test_a_change_that_is_offered_lets_the_cell_through_when_it_is_written_into_the_file(name: str) -> None:
    scenario = written(name)
    verifier, tried = verifier_of(scenario), 0
    for phase, cell in unlike_cells(verifier):
        why = explain(
            verifier.shutdown, at=phase.phase, vantage=str(cell.vantage and cell.vantage.id), target=cell.target,
            family=cell.family.value,
        )  # fmt: skip
        for mend in why.mends:
            changed = made_in(scenario, phase.phase, mend)
            if changed is None:
                continue
            before, after = outcomes(verifier, phase.phase), outcomes(verifier_of(changed), phase.phase)
            said = f"{why}: {mend}"
            assert after[key_of(cell)] is Outcome.OK, said
            assert sum(before[key] is not after[key] for key in before) == mend.cells, said
        tried += bool(why.mends)
        if tried == MOST:
            break
    assert tried == MOST


def test_cells_explained_one_after_another_by_one_model_get_the_answers_of_each_alone() -> None:
    from shutdownlab.verifier.explain import _Explainer

    verifier = verifier_of(written("first-shutdown"))
    for _, (phase, cell) in zip(range(MOST), unlike_cells(verifier), strict=False):
        alone = explain(
            verifier.shutdown, at=phase.phase, vantage=str(cell.vantage and cell.vantage.id), target=cell.target,
            family=cell.family.value,
        )  # fmt: skip
        assert _Explainer(verifier, phase, cell).explain().mends == alone.mends
