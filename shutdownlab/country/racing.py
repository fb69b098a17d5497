"""Asks on-path DPI boxes about their races: a success that a box or its switch was too late to prevent is none.

A box that is late says so itself (`box.race_log`), to the millisecond. Its switch, if it waits for a CPU, finds the
box's frames and the server's answer in its queues together, and may forward the answer first: that is sampled.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from shutdownlab.compiler.races import Rival
from shutdownlab.country.replies import reply_of
from shutdownlab.country.starvation import OF_LEAD, Starvation
from shutdownlab.measure.task import NO_RACE, Race
from shutdownlab.protocol.messages import Message, RacesRequest, RacesRun, encode
from shutdownlab.system.child_process import Forked

_TURN_S: Final = 1.0
"""For how long to wait for a box's answer, which comes when it has seen all frames there are."""


@dataclass(frozen=True, slots=True)
class Racer:
    """An operator's on-path box, and the process id of the switch between it and the subscribers; None if broken."""

    box: Forked
    switch: int | None


@dataclass(slots=True)
class Racing:
    """The races of a country's on-path boxes, by operator. `aside`: gets what boxes say meanwhile."""

    racers: Mapping[str, Racer]
    starvation: Starvation
    aside: list[Message]
    _number: int = 0
    _owing: dict[str, int] = field(default_factory=dict)
    """The questions that boxes have not answered in time, by operator."""

    def of(self, operator: str, rival: Rival | None, began: float, ended: float) -> Race:
        """Returns what is known of the race that an operator's box ran against a success between two times.

        rival: what the box raced (`compiler.races`); None: nothing. Times are by `time.monotonic`; `ended` is not in
        the future.
        """
        racer = self.racers.get(operator)
        if racer is None or rival is None:
            return NO_RACE
        run = self._ask(operator, racer.box, began, rival.ends)
        if run is None:
            return Race(f"{racer.box.name} has not said within {_TURN_S:g} s what it did")
        if not run.injected:
            return NO_RACE
        if run.slowest >= OF_LEAD * rival.lead:
            return Race(f"{racer.box.name} answered a packet {run.slowest * 1000:.1f} ms after it came")
        return Race(self.starvation.came_late(racer.switch, rival.lead, began, ended), ran=True)

    def _ask(self, operator: str, box: Forked, since: float, ends: Collection[str]) -> RacesRun | None:
        if operator in self._owing:  # it is waited for once only
            if self._answer(box, self._owing[operator], 0.0) is None:
                return None
            del self._owing[operator]
        self._number += 1
        box.send(encode(RacesRequest(self._number, since, tuple(ends))))
        reply = self._answer(box, self._number, _TURN_S)
        if reply is None:
            self._owing[operator] = self._number
        return reply

    def _answer(self, box: Forked, number: int, seconds: float) -> RacesRun | None:
        def fits(message: Message) -> bool:
            return isinstance(message, RacesRun) and message.number == number

        reply = reply_of(box, seconds, fits, self.aside)
        return reply if isinstance(reply, RacesRun) else None
