"""What has happened to the processes of a country while a phase was measured."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from shutdownlab import library
from shutdownlab.country.country import Country
from shutdownlab.country.health import Watch
from shutdownlab.model.scenario import Outcome
from shutdownlab.protocol.probing import Measurement, ProbeRequest
from shutdownlab.runner.measuring import Measuring


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_process_stopped_before_the_watch_is_resumed_and_casts_doubt() -> None:
    """Stopped between two phases, it would have been stopped all through the next."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        try:
            os.kill(process.pid, signal.SIGSTOP)
            wait_until(lambda: state_of(process.pid) == "T")
            watch = Watch({process.pid: "the server"})
            watch.begin()
            wait_until(lambda: state_of(process.pid) != "T")
            assert watch.examine().doubts == ("the server was stopped for a while",)
            assert watch.examine().doubts == ()
        finally:
            process.kill()


def test_a_forked_grandchild_is_seen_stopped_though_it_was_resumed_before_the_end() -> None:
    """As a worker of nginx; of our own children the kernel remembers it, of theirs it does not."""
    forking = "import os, time; os.fork(); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", forking], start_new_session=True) as process:
        try:
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
            wait_until(lambda: bool(children.read_text().strip()))
            worker = int(children.read_text())
            watch = Watch({process.pid: "the server"})
            watch.begin()
            os.kill(worker, signal.SIGSTOP)
            wait_until(lambda: state_of(worker) == "T")
            watch.look()
            os.kill(worker, signal.SIGCONT)
            assert [doubt.partition(" (")[0] for doubt in watch.examine().doubts] == ["the server"]
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def test_what_is_forked_by_what_a_child_has_forked_is_seen_stopped() -> None:
    """As NSD's server, which answers the queries: its parent's parent is our child."""
    forking = "import os, time; os.fork() or os.fork(); print(flush=True); time.sleep(60)"
    argv = [sys.executable, "-c", forking]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, start_new_session=True) as process:
        try:
            assert process.stdout is not None
            for _ in range(3):
                process.stdout.readline()
            watch = Watch({process.pid: "the server"})
            watch.begin()
            (server,) = (pid for pid in watch.processes if parent_of(pid) in watch.processes.keys() - {process.pid})
            assert parent_of(parent_of(server)) == process.pid
            os.kill(server, signal.SIGSTOP)
            wait_until(lambda: state_of(server) == "T")
            assert [doubt.partition(" (")[0] for doubt in watch.examine().doubts] == ["the server"]
            wait_until(lambda: state_of(server) != "T")
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def test_processes_forked_after_the_watch_began_are_watched_once_they_are_learnt() -> None:
    """As a DPI box forks its TLS proxy by the order that the phase begins with."""
    forking = "import os, time; input(); os.fork(); time.sleep(60)"
    argv = [sys.executable, "-c", forking]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, start_new_session=True) as process:
        try:
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
            watch = Watch({process.pid: "the box"})
            watch.begin()
            assert watch.processes == {process.pid: "the box"}
            assert process.stdin is not None
            process.stdin.write(b"\n")
            process.stdin.flush()
            wait_until(lambda: bool(children.read_text().strip()))
            proxy = int(children.read_text())
            watch.learn()
            assert watch.processes.keys() == {process.pid, proxy}
            os.kill(proxy, signal.SIGSTOP)
            wait_until(lambda: state_of(proxy) == "T")
            assert [doubt.partition(" (")[0] for doubt in watch.examine().doubts] == ["the box"]
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def test_while_a_phase_is_measured_its_country_is_watched_all_the_time() -> None:
    shutdown = library.load("first-shutdown")
    phase, looked = shutdown.scenario.timeline[0], []

    class Agents:
        def run(
            self, todo: dict[str, list[ProbeRequest]], *given: Any, **_more: Any
        ) -> Iterator[tuple[str, ProbeRequest, Any]]:
            wanted = given[-1]
            for agent, requests in todo.items():
                for request in requests:
                    assert wanted()
                    yield agent, request, Measurement(Outcome.OK)

    country = SimpleNamespace(
        trusted=Path("ca.pem"),
        plan=SimpleNamespace(network=shutdown.network),
        net=None,
        services=None,
        agents=Agents(),
        carriers={},
        keepers=frozenset(),
        racers={},
        aside=[],
        begin_measuring=lambda: None,
        watch=SimpleNamespace(look=lambda: looked.append(True), learn=lambda: None),
    )
    measuring = Measuring(shutdown, shutdown.scenario.default_choices(), "run")
    found = measuring.measure(cast(Country, country), phase, {}, lambda _: None)
    assert len(looked) == len(found) > 50
