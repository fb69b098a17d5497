"""Residual blocks as the switch enforces them, with packets of one end, of the other, and of none.

All kinds at once, each a UDP conversation between ports of its own; seconds are four instead of minutes.
"""

from __future__ import annotations

import itertools
import select
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from crossing import SERVER, Crossing
from switches import until

pytestmark = pytest.mark.thorough

SECONDS = 4
EVERY_S = 0.25
"""A talker's packets come this often: a rule that they refresh is never idle."""
LATE_S = 3.0
"""Open vSwitch looks for rules whose time is over about every second, and reads its datapath's counters as often."""


@dataclass
class Kind:
    """A residual block, and which end goes on sending under it."""

    number: int
    key: str
    refreshed: bool
    directions: str
    talker: str
    client: socket.socket = field(init=False)
    server: socket.socket = field(init=False)
    later: tuple[str, int] = field(init=False)

    @property
    def port(self) -> int:
        return 5000 + self.number

    @property
    def stops(self) -> set[str]:
        return {"client", "server"} if self.directions == "both" else {self.directions}

    def __str__(self) -> str:
        return f"{self.key}, {self.directions}, {'' if self.refreshed else 'not '}refreshed, {self.talker} talks"

    @property
    def rule(self) -> dict[str, object]:
        residual = {"key": self.key, "for": f"{SECONDS}s", "refreshed": self.refreshed, "directions": self.directions}
        verdict = {"action": "drop", "directions": self.directions, "residual": residual}
        return {"name": f"kind {self.number}", "when": {"port": self.port, "keyword": "forbidden"}, "verdict": verdict}

    def send(self, end: str, what: bytes) -> None:
        if end == "client":
            self.client.sendto(what, (SERVER[4], self.port))
        else:
            self.server.sendto(what, self.later)


KINDS = [
    Kind(number, *kind)
    for number, kind in enumerate(
        itertools.product(
            ("4-tuple", "3-tuple"), (True, False), ("both", "client", "server"), ("client", "server", "nobody")
        )
    )
]


@pytest.fixture
def crossing(tmp_path: Path) -> Iterator[Crossing]:
    with Crossing(tmp_path, "perfect") as crossing:
        yield crossing


def bound(crossing: Crossing, port: int, *, outside: bool = False) -> socket.socket:
    end = crossing.end(socket.SOCK_DGRAM, outside=outside)
    end.bind((SERVER[4] if outside else crossing.subscriber[4], port))
    return end


class Watch:
    """What has come, and when it last did: by kind and by the end that sent it."""

    def __init__(self, kinds: list[Kind]) -> None:
        self._ends = {kind.server: (kind.number, "client") for kind in kinds}
        self._ends |= {kind.client: (kind.number, "server") for kind in kinds}

    def during(self, seconds: float) -> set[tuple[int, str, bytes]]:
        """All that comes within this time."""
        end, came = time.monotonic() + seconds, set()
        while (left := end - time.monotonic()) > 0:
            for ready in select.select(list(self._ends), [], [], left)[0]:
                came.add((*self._ends[ready], ready.recv(100)))
        return came


def test_every_kind_of_residual_block_lasts_and_lapses_as_it_says(crossing: Crossing) -> None:
    crossing.inspect(*(kind.rule for kind in KINDS))
    for kind in KINDS:
        first = bound(crossing, 40000 + kind.number)
        kind.server = bound(crossing, kind.port, outside=True)
        first.sendto(b"forbidden", (SERVER[4], kind.port))
        # Under a 3-tuple, another port of the client's is punished too.
        kind.client = first if kind.key == "4-tuple" else bound(crossing, 41000 + kind.number)
        kind.later = kind.client.getsockname()
    begin = time.monotonic()
    until("a rule for each", lambda: len(crossing.verdicts()) == len(KINDS))
    watch, stop = Watch(KINDS), threading.Event()
    watch.during(EVERY_S)

    def talk() -> None:
        while not stop.wait(EVERY_S):
            for kind in KINDS:
                if kind.talker != "nobody":
                    kind.send(kind.talker, b"talk")

    talker = threading.Thread(target=talk)
    talker.start()
    try:
        # At first every block is there, whoever sends.
        came = watch.during(1.0)
        assert time.monotonic() < begin + SECONDS, "too slow to see anything"
        for kind in KINDS:
            if kind.talker != "nobody":
                arrives = (kind.number, kind.talker, b"talk") in came
                assert arrives is (kind.talker not in kind.stops), f"{kind}: at first"
        # Past its time there are only those that are refreshed and hear something, and they hold for both ends.
        watch.during(SECONDS + LATE_S)
        for kind in KINDS:
            for end in ("client", "server"):
                kind.send(end, b"past")
        came = watch.during(1.0)
        for kind, end in itertools.product(KINDS, ("client", "server")):
            stopped = kind.refreshed and kind.talker != "nobody" and end in kind.stops
            assert ((kind.number, end, b"past") in came) is not stopped, f"{kind}: {end}, past its time"
    finally:
        stop.set()
        talker.join()
    # Silence ends them all.
    until("no block is left", lambda: not any("table=4" in rule for rule in crossing.verdicts()), SECONDS + LATE_S + 10)
    for kind in KINDS:
        for end in ("client", "server"):
            kind.send(end, b"after")
    came = watch.during(1.0)
    assert {(kind.number, end) for kind in KINDS for end in ("client", "server")} == {
        (number, end) for number, end, what in came if what == b"after"
    }
