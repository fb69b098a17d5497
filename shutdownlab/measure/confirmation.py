"""Measures with all agents of a run at once, and confirms what the testbed alone could have caused.

A probe that succeeds has succeeded. Whatever else comes out is tried again, with more patience, and in further rounds
with less under way, until two tries running have the same outcome and all controls between them succeeded: for every
cell alike (see `belief`). Where more than five probes, and a twentieth of those that succeeded, needed a second try,
the machine was slow, and nothing of that round counts that load could have caused (a timeout above all); a line that a
policy slows does that as well, and says nothing of the machine. What is not confirmed in the end is unknown.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import chain, zip_longest
from types import MappingProxyType
from typing import Final

from shutdownlab.measure.concurrency import ConcurrencyLimit
from shutdownlab.measure.controls import CHECKS, Control, checks_request
from shutdownlab.measure.scheduler import Scheduler
from shutdownlab.measure.supervisor import Supervisor
from shutdownlab.measure.task import HeldUp, Round, Task, nobody_held_up
from shutdownlab.measure.vouching import Vouching
from shutdownlab.probes.run import prepare
from shutdownlab.protocol.probing import Measurement, ProbeJob, ProbeRequest

Result = tuple[str, ProbeRequest, Measurement]

ROUNDS: Final = (Round(2, 1.0), Round(3, 0.4), Round(4, 0.15))
NO_CONTROLS: Final[Mapping[str, tuple[Control, ...]]] = MappingProxyType({})
NOTHING_EXCUSED: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType({})
NO_HOSTS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType({})
_SLOW: Final = 0.05
_FEW: Final = 5


class Prober:
    """Measures with the agents of a run. Start it from the main thread, before there are others; use it in one."""

    def __init__(self, supervisor: Supervisor | None = None) -> None:
        self._supervisor = supervisor or Supervisor()
        self._limit = ConcurrencyLimit()

    @property
    def pids(self) -> Mapping[str, int]:
        """The agents' process ids, by name."""
        return {name: agent.process.pid for name, agent in self._supervisor.agents.items()}

    def ended(self) -> dict[str, str]:
        """The agents that are no more, each with how it ended."""
        return {name: agent.ended for name, agent in self._supervisor.agents.items() if agent.ended is not None}

    def start(
        self,
        entrances: Mapping[str, Callable[[], None]],
        hosts: Mapping[str, tuple[str, ...]] = NO_HOSTS,
        deadline_s: float = 20.0,
    ) -> None:
        """Fork one agent a name; each calls its entrance, which moves it into its namespaces.

        `hosts`: the addresses of the country's names, for controls that need not look them up.
        Raises `AgentError` when one ends or is not ready in time.
        """
        prepare([CHECKS])
        self._supervisor.start(entrances, hosts, deadline_s)

    def mute(self, agents: Collection[str], seconds: float) -> frozenset[str]:
        """Those of these agents that are there, asked for nothing, and do not answer within so many seconds."""
        asked: dict[int, str] = {}
        for name in agents:
            if self._supervisor.agents[name].ended is None:
                number = self._supervisor.next_number()
                self._supervisor.send(name, ProbeJob(number, checks_request(name, (), seconds)))
                asked[number] = name
        end = time.monotonic() + seconds
        while asked and (left := end - time.monotonic()) > 0:
            for _, result in self._supervisor.receive(left):
                asked.pop(result.number, None)
        return frozenset(name for name in asked.values() if self._supervisor.agents[name].ended is None)

    def stop(self, deadline_s: float = 5.0) -> None:
        """End all agents; those that take longer than the deadline are killed."""
        self._supervisor.stop(deadline_s)

    def run(
        self,
        requests: Mapping[str, Sequence[ProbeRequest]],
        hopeless: Collection[str] = (),
        controls: Mapping[str, tuple[Control, ...]] = NO_CONTROLS,
        excused: Mapping[str, Collection[str]] = NOTHING_EXCUSED,
        wanted: Callable[[], bool] = lambda: True,
        tried: Callable[[ProbeRequest, Measurement], None] = lambda *_: None,
        starved: Callable[[float, float, float], str] = lambda *_: "",
        held_up: HeldUp = nobody_held_up,
        outrun: Callable[[str, float, float], str] = lambda *_: "",
    ) -> Iterator[Result]:
        """Measure; yields (agent, request, measurement) as the verdicts become final.

        `hopeless`: ids of requests that will likely fail; they go first, for the others can work while they wait.
        `controls`: which ones vouch for a request, by its id; `excused`: which of those fail because what they are
        controls of was taken away: a measurement says so of itself then (`taken_away`). An agent that ended or hangs
        makes the outcome of its probes `unknown`. `wanted`: asked now and then; once it says no, the rest is given up
        within half a second. `tried`: told of each request whose first try has failed, which is no verdict yet.
        `starved`: what of the country had no processor between two moments for long, of so much patience ("": nothing);
        what failed meanwhile by what that can cause is void. `held_up`: who was kept from passing octets on for so long
        that a speed may be by that. `outrun`: what may have come too late to block a request, between two moments.
        Raises KeyError for an unknown agent.
        """
        for agent in requests:
            if agent not in self._supervisor.agents:
                raise KeyError(f"no probe agent {agent}")
        # One probe an agent in turn.
        turns = zip_longest(*([Task(agent, r, r.id in hopeless) for r in own] for agent, own in requests.items()))
        todo = [task for task in chain.from_iterable(turns) if task is not None]
        vouching = Vouching(controls, excused)

        def told(task: Task) -> None:
            assert task.found is not None, "it has been tried"
            tried(task.request, task.found)

        for this in ROUNDS:
            scheduler = Scheduler(self._supervisor, this, self._limit, vouching, told, starved, held_up, outrun)
            yield from (task.result() for task in scheduler.run(todo, wanted))
            if not wanted():
                return
            doubtful = [task for task in todo if not task.certain]
            late = sum(len(task.tries) > 1 and not task.request.slowed for task in todo if task.succeeded)
            if late <= max(_FEW, _SLOW * (len(todo) - len(doubtful))):
                yield from (task.result() for task in doubtful if task.confirmed)
                doubtful = [task for task in doubtful if not task.confirmed]
            todo = doubtful
        yield from (task.result(believed=False) for task in todo)
