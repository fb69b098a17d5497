"""Learns how many probes may work at once from how long successful probes take.

It works as a sender learns a path's capacity (TCP Vegas: Brakmo, O'Malley, Peterson, SIGCOMM 1994): while probes take
about as long as their shortest time there is room; when they take longer, they queue for the CPU, whatever keeps it
busy.
"""

from __future__ import annotations

from collections.abc import Hashable

_FIRST, _LEAST, _MOST = 96.0, 32.0, 192.0
_ROOM, _CROWDED = 1.3, 1.6
"""Mean ratio of a probe's time to its shortest: below the first there is room, above the second there is a queue."""
_WINDOWS_A_SECOND = 6.0
_WIDER, _NARROWER = 0.5, 0.7
"""What each success adds to the window while there is room; its factor, once a window, while there is a queue."""
_SMOOTHING = 0.05
_GRAIN_S = 0.1
"""Differences smaller than this are noise: a cached name, a timer that had just expired."""
_MOST_PATIENT = 4.0
_UNKNOWN_S = 0.3
_WAITING_S = (0.05, 1.0)


class ConcurrencyLimit:
    """How many shares of the machine probes may take at once, learned from how long successful probes take."""

    def __init__(self) -> None:
        self.window = _FIRST
        self._shortest: dict[Hashable, float] = {}
        self._stretch = 1.0
        self._silence = 0.0
        self._since = 0

    @property
    def rate(self) -> float:
        """Shares that may be taken per second: starting a whole window at once would make probes queue for the CPU."""
        return _WINDOWS_A_SECOND * self.window

    def succeeded(self, kind: Hashable, seconds: float) -> None:
        """Records that a probe of this kind succeeded after `seconds`."""
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
        """Records that a probe had no answer: in a blackout most have none, and only wait."""
        self._silence += _SMOOTHING * (1 - self._silence)

    def patience(self, kind: Hashable, seconds: float) -> float:
        """Returns a step's timeout in seconds, at least `seconds`.

        It is longer if whole probes of this kind take longer, or while there is a queue for the CPU.
        """
        return max(seconds, 2 * self._shortest.get(kind, 0.0)) * min(_MOST_PATIENT, max(1.0, self._stretch / _CROWDED))

    def waits_after(self, kind: Hashable | None) -> float:
        """Returns the seconds after which an unanswered probe of this kind only waits for the network, at no CPU cost.

        None: a probe that will probably have no answer at all.
        """
        least, most = _WAITING_S
        if kind is None:
            return least
        return min(most, max(least, 2 * self._shortest.get(kind, _UNKNOWN_S / 2) * (1 - self._silence)))
