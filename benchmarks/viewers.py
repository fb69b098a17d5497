"""Measures the cost of viewers of a live page: processor time of the page's process, and bytes sent to each viewer.

    python -m benchmarks.viewers [--viewers N] [--rounds N] [--scenario NAME]

This process serves the page. Instead of a country, it gets all measurements of a steered country from the model, order
after order. The viewers are another process, which reads and does not draw. Processor time is counted, not wall time,
so that a busy machine hardly changes the result.
"""

from __future__ import annotations

import argparse
import http.client
import multiprocessing
import sys
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import Synchronized
from typing import Any, Final
from urllib.parse import urlsplit

import shutdownlab as sl
from benchmarks.table import Figure, load, markdown
from shutdownlab.country.lab_node import LabMeasurement
from shutdownlab.library import Shutdown
from shutdownlab.results.cells import cells_of
from shutdownlab.web.foresight import foresee, key_of
from shutdownlab.web.history import Moment, added, as_shutdown, kept_of
from shutdownlab.web.ledger import Ledger
from shutdownlab.web.server import PageServer, Place, guests_of
from shutdownlab.web.source import Source
from shutdownlab.web.steered_view import SteeredView

_ROUND_S: Final = 5.0
"""How long a round of probes takes in a real country; figures in percent refer to it."""
_REPEATS: Final = 5
_PATIENCE_S: Final = 60.0


class Fed(Source):
    """The source of a steered country's page, without the country."""

    def __init__(self, shutdown: Shutdown) -> None:
        super().__init__(1.0)
        choices = shutdown.scenario.default_choices()
        cells = len(list(cells_of(shutdown, shutdown.scenario.timeline[0])))
        self.ledger = Ledger(kept_of(cells))
        self._shown = SteeredView(shutdown, choices, self.ledger)

    def view(self) -> dict[str, Any]:
        return self._shown.view()

    def cell(self, phase: str, vantage: str, target: str, family: str) -> dict[str, Any]:
        return self._shown.cell(phase, vantage, target, family)


def _view(links: Sequence[str], pipe: Connection, received: Synchronized[int]) -> None:
    """Reads each link's event stream until this process is ended."""

    def read(link: str) -> None:
        where = urlsplit(link)
        connection = http.client.HTTPConnection(where.netloc)
        connection.request("GET", f"{where.path}events")
        answer = connection.getresponse()
        while line := answer.readline():
            with received.get_lock():
                received.value += len(line)

    for link in links:
        threading.Thread(target=read, args=(link,), daemon=True).start()
    pipe.send("ready")
    threading.Event().wait()


def cost(scenario: str, viewers: int, rounds: int) -> tuple[float, float]:
    """Returns processor seconds of the page's process, and bytes sent to all viewers together, per round of probes.

    Each round is a new moment in which the scenario's next phase is in force, which is the largest possible change.
    """
    base = sl.load(scenario)
    assert isinstance(base, Shutdown)
    choices = base.scenario.default_choices()
    source, place = Fed(base), Place(students=viewers)
    ours, theirs = multiprocessing.Pipe()
    received: Synchronized[int] = multiprocessing.Value("q", 0)
    timeline = base.scenario.timeline
    known, moments = [], tuple[Moment, ...]()
    for number in range(rounds):
        phase = timeline[number % len(timeline)]
        active = tuple(base.scenario.active(phase.phase, choices))
        moments = added(moments, Moment(phase.phase, phase.title, datetime.now(UTC), active, (), phase.phase, True))
        shutdown = as_shutdown(base, choices, moments, datetime.now(UTC))
        known.append((shutdown, moments[-1], foresee(shutdown, moments[-1].name).outcomes))
    with PageServer(source, place, guests_of(place, steers=False)) as server:
        links = [link for guest, link in server.links.items() if guest.name.startswith("student")]
        process = multiprocessing.get_context("fork").Process(target=_view, args=(links, theirs, received), daemon=True)
        process.start()
        ours.recv()
        source.start()
        _until(lambda: received.value >= 100 * viewers)
        began, before = time.process_time(), received.value
        for shutdown, moment, outcomes in known:
            source.ledger.begin(moment)
            now = source.ledger.newest
            for cell in cells_of(shutdown, shutdown.scenario.phase(moment.name)):
                if cell.vantage is not None:
                    outcome = outcomes[key_of(cell)]
                    measured = LabMeasurement(outcome, None, "certain", None, "", 0.1, {"test_keys": {}})
                    source.ledger.take(shutdown, now, cell, measured)
            source.ledger.complete(now)
            version = source.board.version
            source.changed()
            _until(lambda seen=version: source.board.version > seen)
        time.sleep(0.5)  # for data in flight
        spent, sent = time.process_time() - began, received.value - before
        process.kill()
        process.join()
        source.end()
    return spent / rounds, sent / rounds


def _until(so: Any) -> None:
    end = time.monotonic() + _PATIENCE_S
    while not so():
        if time.monotonic() > end:
            raise TimeoutError(f"nothing was shown for {_PATIENCE_S:g} s")
        time.sleep(0.01)


def main(argv: Sequence[str] | None = None) -> int:
    """Prints a table; returns 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.viewers", description=__doc__.splitlines()[0])
    parser.add_argument("--scenario", default="first-shutdown")
    parser.add_argument("--viewers", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=12)
    args = parser.parse_args(argv)
    cost(args.scenario, 1, 2)  # warm up
    alone, watched, each = [], [], []
    for _ in range(_REPEATS):
        alone.append(1000 * cost(args.scenario, 0, args.rounds)[0])
        spent, sent = cost(args.scenario, args.viewers, args.rounds)
        watched.append(1000 * spent)
        each.append(sent / args.viewers / 1024)
    share = [(more - less) / (10 * _ROUND_S) for more, less in zip(watched, alone, strict=True)]
    figures = [
        Figure("the page's process, nobody looks", "ms of processor time an order", alone),
        Figure(f"{args.viewers} viewers", "ms of processor time an order", watched),
        Figure(f"what they add, at an order every {_ROUND_S:g} s", "% of a processor", share, "≤ 5"),
        Figure("sent to each viewer", "KiB an order", each),
    ]
    print(markdown(f"Viewers of a live page, {args.scenario}", figures, f"Load average: {load()}."))
    return 0


if __name__ == "__main__":
    sys.exit(main())
