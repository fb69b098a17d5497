"""Many measurements at once in a lab, as a program sees them."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeAlias

from shutdownlab.country.lab_connection import LabError
from shutdownlab.country.lab_node import LabMeasurement
from shutdownlab.model.scenario import Outcome
from shutdownlab.protocol.session import GIVEN_UP, Measure, MeasureAll, ProbeAnswer

if TYPE_CHECKING:
    from shutdownlab.country.lab_connection import LabConnection


FirstTry: TypeAlias = Callable[[int, Outcome, str | None], object]
"""Called after a measurement's first try has failed, with its index in the request, the outcome and the failure.

That outcome is still to be confirmed.
"""


class Measuring:
    """The measurements of one request. Iterate over it once to get the index and result of each.

    Yields results as they become certain; leaves out those that were abandoned. Iterating raises `LabEnded`, and
    `LabError` for what could not be measured.
    """

    def __init__(self, connection: LabConnection, asked: Sequence[Measure], tried: FirstTry = lambda *_: None) -> None:
        """Made by `Lab`. Sends the request at once; raises `LabEnded`."""
        self._connection = connection
        self._heard: queue.SimpleQueue[tuple[int, Future[Any]]] = queue.SimpleQueue()
        self._places = {each.number: place for place, each in enumerate(asked)}
        self._number = connection.number()
        if asked:
            places = dict(self._places)
            connection.ask_all(
                MeasureAll(self._number, tuple(asked)),
                lambda *heard: self._heard.put(heard),
                lambda first: tried(places[first.number], Outcome(first.outcome), first.failure),
            )

    def __iter__(self) -> Iterator[tuple[int, LabMeasurement]]:
        while self._places:
            number, answer = self._heard.get()
            place = self._places.pop(number)
            try:
                yield place, measured(answer.result())
            except LabError as error:
                if str(error) != GIVEN_UP:
                    raise

    def abandon(self) -> None:
        """Gives up the measurements that have no result yet."""
        self._connection.abandon(self._number)


def measured(found: ProbeAnswer) -> LabMeasurement:
    """Converts a probe's answer to a `LabMeasurement`."""
    outcome, certainty = Outcome(found.outcome), found.certainty
    return LabMeasurement(outcome, found.failure, certainty, found.value, found.unit, found.runtime, found.record)
