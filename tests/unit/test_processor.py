"""How long a process has waited for a CPU, by its own account."""

from __future__ import annotations

import os
from pathlib import Path

from shutdownlab.system.processor import waited_s


def counted_s() -> float:
    return int(Path("/proc/self/schedstat").read_text().split()[1]) / 1e9


def test_a_forked_child_tells_its_own_waits_and_not_its_parents() -> None:
    before = counted_s()
    assert before <= waited_s() <= counted_s()
    child = os.fork()
    if child == 0:
        before = counted_s()
        os._exit(0 if before <= waited_s() <= counted_s() else 1)
    assert os.waitpid(child, 0)[1] == 0
