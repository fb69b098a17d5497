"""How many probes may be at work at once, learned from how long those that succeed take.

As a sender learns what a path carries (TCP Vegas: Brakmo, O'Malley, Peterson, SIGCOMM 1994): while probes take about
as long as they ever did there is room, when they take longer they queue for the processor. Whoever keeps it busy.
"""

from __future__ import annotations

from collections.abc import Hashable

_FIRST, _LEAST, _MOST = 96.0, 32.0, 192.0
_ROOM, _CROWDED = 1.3, 1.6
"""How many times as long as the shortest, on the average, still shows room; and from when on it shows a queue."""
_WINDOWS_A_SECOND = 6.0
_WIDER, _NARROWER = 0.5, 0.7
"""What each success adds while there is room; what is left of the window, once a window, while there is a queue."""
_SMOOTHING = 0.05
_GRAIN_S = 0.1
"""What is this much shorter or longer says nothing: a name was in a cache, a timer had just run out."""
_MOST_PATIENT = 4.0
_UNKNOWN_S = 0.3
_WAITING_S = (0.05, 1.0)


class ConcurrencyLimit:
    """How many shares of the machine probes may take at once, learned from how long those that succeed take."""

    def __init__(self) -> None:
        self.window = _FIRST
        self._shortest: dict[Hashable, float] = {}
        self._stretch = 1.0
        self._silence = 0.0
        self._since = 0

    @property
    def rate(self) -> float:
        """Shares a second that may be taken: a whole window at once would queue for the processor."""
        return _WINDOWS_A_SECOND * self.window

    def succeeded(self, kind: Hashable, seconds: float) -> None:
        """A probe of this kind took so long, and succeeded."""
        self._silence -= _SMOOTHING * self._silence
        shortest = self._shortest.setdefault(kind, seconds)
        if seconds < shortest:
            self._shortest[kind] = shortest = seconds
        self._stretch += _SMOOTHING * ((seconds + _GRAIN_S) / (shortest + _GRAIN_S) - self._stretch)
        self._since += 1
        if self._stretch < _ROOM:
            self.window = min(_MOST, self.window + _WIDER)
        elif self._stretch > _CROWDED and self._since >= self.window:
            self.window = max(_LEAST, self.window * _NARROWER)
            self._since = 0

    def silent(self) -> None:
        """A probe had no answer: in a blackout most have none, and only wait."""
        self._silence += _SMOOTHING * (1 - self._silence)

    def patience(self, kind: Hashable, seconds: float) -> float:
        """What a step may take, in seconds: more where the whole probe takes as long, and where there is a queue."""
        return max(seconds, 2 * self._shortest.get(kind, 0.0)) * min(_MOST_PATIENT, max(1.0, self._stretch / _CROWDED))

    def waits_after(self, kind: Hashable | None) -> float:
        """Seconds after which a probe of this kind that has no answer waits for the network, and costs nothing.

        None: one that will likely have no answer at all.
        """
        least, most = _WAITING_S
        if kind is None:
            return least
        return min(most, max(least, 2 * self._shortest.get(kind, _UNKNOWN_S / 2) * (1 - self._silence)))
