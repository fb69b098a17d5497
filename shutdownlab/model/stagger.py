"""Operators that obey one after another: a phase that is split into several, one for each turn. Pure."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from shutdownlab.config.document import Expected, Record
from shutdownlab.config.scalars import Seconds, Whole

_MINUTES_APART = 300.0


def _together(value: Any) -> Any:
    """Returns each place of the order as a list of operators that obey together."""
    return [[item] if isinstance(item, str) else item for item in value] if isinstance(value, list | tuple) else value


_Together = Annotated[tuple[str, ...], Field(min_length=1)]
_Order = Annotated[
    tuple[_Together, ...],
    Field(min_length=2),
    BeforeValidator(_together, json_schema_input_type=list[str | list[str]]),
]


class Stagger(Record):
    """The order in which operators carry out what a phase starts and stops.

    The phase becomes one phase for each place of the order: `dark`, `dark-2`, `dark-3`. Until its turn an operator
    follows the orders of the phase before, and that phase's expectations hold for its subscribers. Operators that are
    not named obey with the first.
    """

    order: _Order
    """Operators, one after another; a list within it: operators that obey together."""
    apart: Seconds = _MINUTES_APART
    """The minimum interval between turns; left out: five minutes."""
    jitter: Seconds = 0.0
    """The maximum that is added to each interval: drawn by `seed`, in whole seconds."""
    seed: Whole = 0
    """Another seed draws other times; the same seed always draws the same."""

    @model_validator(mode="after")
    def _one_after_another(self) -> Stagger:
        named = [name for place in self.order for name in place]
        twice = next((name for name in named if named.count(name) > 1), None)
        if twice is not None:
            raise Expected("each operator once", found=f"{twice} twice", key="order")
        if self.apart < 1:
            raise Expected(
                "at least a second", "each phase needs a different time", found=f"{self.apart:g} s", key="apart"
            )
        return self

    def times(self, first: datetime) -> list[datetime]:
        """Returns when each place of the order obeys; `first`: when the first one does."""
        drawn = random.Random(self.seed)
        found = [first]
        for _ in self.order[1:]:
            found.append(found[-1] + timedelta(seconds=int(self.apart) + drawn.randint(0, int(self.jitter))))
        return found

    def names(self, phase: str) -> list[str]:
        """Returns the names of the phases."""
        return [phase, *(f"{phase}-{number}" for number in range(2, len(self.order) + 1))]

    def waiting(self) -> Iterator[Sequence[str]]:
        """Yields, for each of the phases, the operators that have not obeyed yet."""
        for number in range(1, len(self.order) + 1):
            yield [name for place in self.order[number:] for name in place]
