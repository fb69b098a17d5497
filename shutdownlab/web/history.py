"""The orders given in a steered country, as a scenario of their own that the report can show. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from shutdownlab.library import Shutdown
from shutdownlab.model.scenario import Expectation, Phase, Scenario

MOST_MOMENTS: Final = 60
"""Most moments kept: a class that steers for a day must not fill the memory."""
_FEWEST_MOMENTS, _MOST_CELLS = 8, 8000
"""Fewest moments kept, and most cells of all moments together, as the page is redrawn from them again and again."""


@dataclass(frozen=True, slots=True)
class Moment:
    """The time from one order to the next.

    name: unique. title: the order, in words. at: its start by the wall clock (UTC). policies, faults: those in force.
    phase: the scenario's phase whose time it is. whole: whether policies and faults are exactly that phase's.
    """

    name: str
    title: str
    at: datetime
    policies: tuple[str, ...]
    faults: tuple[str, ...]
    phase: str | None
    whole: bool


def kept_of(cells: int) -> int:
    """Returns how many moments to keep of a country with this number of cells."""
    return max(_FEWEST_MOMENTS, min(MOST_MOMENTS, _MOST_CELLS // max(1, cells)))


def added(moments: Sequence[Moment], new: Moment, most: int = MOST_MOMENTS) -> tuple[Moment, ...]:
    """Returns the moments with `new` appended, under a unique name and at a later time; keeps only the last `most`."""
    names, name, number = {each.name for each in moments}, new.name, 2
    while name in names:
        name, number = f"{new.name}-{number}", number + 1
    last = moments[-1].at + timedelta(milliseconds=1) if moments else new.at
    return (*moments[-(most - 1) :], replace(new, name=name, at=max(new.at, last)))


def as_shutdown(base: Shutdown, choices: Mapping[str, str], moments: Sequence[Moment], until: datetime) -> Shutdown:
    """Returns the scenario whose timeline consists of these moments, up to `until`.

    Its probes run in every moment. The expectations of a phase of `base` apply while exactly that phase is in force.
    The `choices` are already applied: use the result without any.
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
        "observations": {},  # there are no outside observers
        "timeline": tuple(timeline),
        "ends": max(until, moments[-1].at + timedelta(milliseconds=1)) if moments else until,
    }
    steered: Scenario = scenario.model_copy(update=changes)
    return replace(base, scenario=steered)
