"""What was ordered in a country that somebody steers, as a scenario of its own, which the report can tell. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from shutdownlab.library import Shutdown
from shutdownlab.model.scenario import Expectation, Phase, Scenario

MOST_MOMENTS: Final = 60
"""That are kept: a class that steers for a day must not fill the memory."""
_FEWEST_MOMENTS, _MOST_CELLS = 8, 8000
"""Of all moments together: the page is drawn from them again and again."""


@dataclass(frozen=True, slots=True)
class Moment:
    """From an order until the next one.

    name: its own; title: what was done. at: by the wall clock (UTC). policies, faults: those that are there. phase:
    that of the scenario whose time it is; whole: whether all policies and faults are that phase's.
    """

    name: str
    title: str
    at: datetime
    policies: tuple[str, ...]
    faults: tuple[str, ...]
    phase: str | None
    whole: bool


def kept_of(cells: int) -> int:
    """How many moments are kept of a country with so many cells."""
    return max(_FEWEST_MOMENTS, min(MOST_MOMENTS, _MOST_CELLS // max(1, cells)))


def added(moments: Sequence[Moment], new: Moment, most: int = MOST_MOMENTS) -> tuple[Moment, ...]:
    """With one more, under a name that no other has and at a later time; but for `most`, the oldest are forgotten."""
    names, name, number = {each.name for each in moments}, new.name, 2
    while name in names:
        name, number = f"{new.name}-{number}", number + 1
    last = moments[-1].at + timedelta(milliseconds=1) if moments else new.at
    return (*moments[-(most - 1) :], replace(new, name=name, at=max(new.at, last)))


def as_shutdown(base: Shutdown, choices: Mapping[str, str], moments: Sequence[Moment], until: datetime) -> Shutdown:
    """The scenario whose timeline these moments are, up to `until`.

    Its probes are made in every moment; what a phase of the base expects is expected while all of it is in force. Its
    choices are made: take it without any.
    """
    scenario = base.scenario
    timeline, before = [], frozenset[str]()
    for moment in moments:
        now = frozenset(moment.policies)
        expected: tuple[Expectation, ...] = ()
        if moment.whole and moment.phase is not None:
            found = scenario.expectations_of(scenario.phase(moment.phase), choices)
            expected = tuple(each.model_copy(update={"given": {}}) for each in found)
        new = tuple(name for name in moment.policies if name not in before)
        timeline.append(
            Phase.model_construct(
                phase=moment.name, at=moment.at, title=moment.title, start=new, stop=tuple(sorted(before - now)),
                faults=moment.faults, expect=expected, source="",
            )
        )  # fmt: skip
        before = now
    changes = {
        "accounts": {},
        "command": scenario.mode(choices),
        "probes": {name: probe.model_copy(update={"during": ()}) for name, probe in scenario.probes.items()},
        "observations": {},  # nobody looks on from outside
        "timeline": tuple(timeline),
        "ends": max(until, moments[-1].at + timedelta(milliseconds=1)) if moments else until,
    }
    steered: Scenario = scenario.model_copy(update=changes)
    return replace(base, scenario=steered)
