"""How busy the machine is, whoever keeps it busy."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

_STAT: Final = Path("/proc/stat")
_WINDOW_S: Final = 0.05
_IDLE, _IOWAIT = 3, 4
_UNKNOWN: Final = 0.15


class Idleness:
    """The share of processor time that went unused, over windows of at least 50 ms (proc_stat(5))."""

    def __init__(self, stat: Path = _STAT) -> None:
        self._stat = stat
        self._taken = 0.0
        self._share = _UNKNOWN
        self._before = self._read()

    def share(self) -> float:
        """0 (nothing to spare) to 1 (all idle); 0.15 before the first window is over, and where it can't be read."""
        now = time.monotonic()
        if now - self._taken >= _WINDOW_S:
            self._taken = now
            total, idle = self._read()
            spent = total - self._before[0]
            if spent > 0:
                self._share = max(0.0, (idle - self._before[1]) / spent)  # iowait may go back
                self._before = total, idle
        return self._share

    def _read(self) -> tuple[int, int]:
        """(all, idle) jiffies of all processors."""
        try:
            # user to steal; guest time is counted in user already
            fields = [int(field) for field in self._stat.read_text().split("\n", 1)[0].split()[1:9]]
        except (OSError, ValueError):
            return 0, 0
        return sum(fields), fields[_IDLE] + fields[_IOWAIT]
