"""Generates docs/library.md from the scenarios that ship; run by `make reference`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from shutdownlab import library
from shutdownlab.model.scenario import Scenario

PAGE: Final = Path("docs/library.md")
_HEAD: Final = """\
# The library of shutdowns

<!-- Made by `make reference` from scenarios/*.yaml; edit those. -->

Every scenario that ships, what it teaches, and how many facts it holds itself to: an expectation, with its source, for
a phase (of phases that recur the first counts), or for a [signal](signals.md) that is watched from abroad.
`shutdownlab verify --all` says in seconds whether the mechanisms produce them, `shutdownlab run --all` proves it with
packets. What is documented and not there stands below, with the reason.
"""


def rendered() -> str:
    """Returns the text of the page."""
    loaded = [library.load(name).scenario for name, _ in library.shipped("scenarios")]
    lines = [
        _HEAD,
        "| Scenario | What it teaches | Phases | Facts | Sources | Left out |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    lines += map(_row, loaded)
    for scenario in loaded:
        lines += _left_out(scenario)
    return "\n".join(lines) + "\n"


def _row(scenario: Scenario) -> str:
    choices = scenario.default_choices()
    phases = [phase for phase in scenario.timeline if not _is_again(scenario, phase.phase)]
    facts = sum(1 for phase in phases for _ in scenario.expectations_of(phase, choices))
    facts += len(scenario.signals_given(choices))
    name = f"[{scenario.name}](../scenarios/{scenario.name}.yaml)"
    counts = (len(scenario.timeline), facts, len(scenario.sources), len(scenario.left_out))
    return f"| {name} | {scenario.title} | {' | '.join(map(str, counts))} |"


def _is_again(scenario: Scenario, phase: str) -> bool:
    """Returns whether a phase is a repetition of an earlier one: of recurring phases only the first counts."""
    return bool(scenario.repeat_of(phase)) and not phase.endswith("-1")


def _left_out(scenario: Scenario) -> Iterator[str]:
    if scenario.left_out:
        yield f"\n## {scenario.name}: left out\n"
    for each in scenario.left_out:
        yield f"- {each.fact} [{each.source}]: {each.why}."


if __name__ == "__main__":
    PAGE.write_text(rendered())
