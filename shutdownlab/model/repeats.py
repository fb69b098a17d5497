"""What recurs in a scenario: nights, exams, bouts, steps. `made_phases` turns them into phases."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import Field, model_validator

from shutdownlab.config.document import Expected, Record
from shutdownlab.config.scalars import Instant, Seconds, Title
from shutdownlab.model.expectation import Expectations
from shutdownlab.model.labels import Name
from shutdownlab.model.recurrence import MOST, Every, Flapping, Window

_MINUTE_S = 60
_WAYS = ("every", "flapping", "ramp")


class Step(Record):
    """What happens at one step of a ramp."""

    title: Title = ""
    """What happens, in a few words; left out: the repeat's title."""
    start: tuple[str, ...] = ()
    """The policies that are in force from now on."""
    stop: tuple[str, ...] = ()
    """The policies that end now."""
    expect: Expectations = ()
    """What is expected in addition to what was expected before this step."""


class Ramp(Record):
    """A series of steps at equal intervals."""

    from_: Instant = Field(alias="from")
    """When the first step happens."""
    apart: Seconds = 86_400
    """The interval between steps: whole minutes; left out: a day."""
    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=MOST)]
    """The steps, in order."""

    @model_validator(mode="after")
    def _in_minutes(self) -> Ramp:
        if not self.apart or self.apart % _MINUTE_S:
            expected = "whole minutes, at least one"
            raise Expected(expected, "a scenario's times have no seconds", found=f"{self.apart:g} s", key="apart")
        return self

    def windows(self) -> Iterator[Window]:
        """Yields a window, without an end, for each step."""
        for number in range(len(self.steps)):
            yield Window(self.from_ + timedelta(seconds=self.apart * number), None)


class After(Record):
    """The phases that follow each occurrence, from its end to the next phase."""

    phase: Name | None = None
    """Their name, which gets a number: `day` makes `day-1`. Left out: the repeat's name and `-over`."""
    title: Title = ""
    """What happens then, in a few words."""
    expect: Expectations | None = None
    """What is expected then. Left out: what was expected before the occurrence began."""
    source: str = ""
    """The source of these phases."""


class Repeat(Record):
    """Something that recurs. Exactly one of `every`, `flapping` and `ramp` says when."""

    every: Every | None = None
    """By the clock: every night, or on the mornings of exams."""
    flapping: Flapping | None = None
    """In bouts, for a share of each period."""
    ramp: Ramp | None = None
    """Step by step: one a day, for example, each with its own policies."""
    title: Title
    """What happens, in a few words; `{number}` is replaced by the number of the occurrence, `{of}` by how many there
    are."""
    start: tuple[str, ...] = ()
    """The policies that are in force each time, and end with it."""
    stop: tuple[str, ...] = ()
    """The policies that are suspended each time, and are in force again after it."""
    faults: tuple[str, ...] = ()
    """What is broken each time, until it is over, also in phases that begin in the meantime."""
    expect: Expectations = ()
    """What is expected each time, in addition to what was expected before."""
    source: str = ""
    """The source of this."""
    after: After = After()
    """The phases that follow."""

    @model_validator(mode="after")
    def _one_way(self) -> Repeat:
        given = [way for way in _WAYS if getattr(self, way) is not None]
        if len(given) != 1:
            expected = f"one of {', '.join(_WAYS)}"
            raise Expected(expected, found=f"{' and '.join(given)} together" if given else "none of them")
        own = [key for key in ("start", "stop", "faults") if getattr(self, key)]
        if self.ramp is not None and (own or self.after != After()):
            found = f"`{own[0] if own else 'after'}` together with `ramp`"
            raise Expected("`start` and `stop` in its steps", "each step lasts until the next", found=found)
        return self

    def phases_of(self, name: str) -> tuple[str, ...]:
        """Returns the names of its phases, without their numbers, for a repeat named `name`."""
        return (name,) if self.ramp is not None else (name, self.after.phase or f"{name}-over")

    def windows(self, since: datetime, until: datetime, utc_offset: int) -> Iterator[Window]:
        """Yields the occurrences in a scenario that lasts from `since` to `until`; `utc_offset` in seconds."""
        if self.every is not None:
            yield from self.every.windows(since, until, utc_offset)
        for other in (self.flapping, self.ramp):
            if other is not None:
                yield from other.windows()
