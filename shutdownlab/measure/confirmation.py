"""Measures with all agents of a run at once, and confirms outcomes that the testbed alone could have caused.

A success is final unless it is `doubtful`. Any other outcome is tried again with longer timeouts, and in further rounds
with fewer probes at once, until two consecutive tries agree and all controls between them succeeded; the rule is the
same for every cell (see `belief`). If more than five probes, and more than a twentieth of the certain ones, succeeded
only on a second try, the machine was slow: outcomes of that round that load could have caused (above all timeouts) do
not count. Probes on a line slowed by a policy are left out of that number, because the line explains their retries.
Whatever stays unconfirmed is `unknown`.
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
from shutdownlab.measure.task import HeldUp, Outrun, Round, Task, no_races, nobody_held_up
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
    """Measures with the agents of a run. Start it from the main thread before any other exists; use it from one."""

    def __init__(self, supervisor: Supervisor | None = None) -> None:
        self._supervisor = supervisor or Supervisor()
        self._limit = ConcurrencyLimit()

    @property
    def pids(self) -> Mapping[str, int]:
        """The agents' process ids, by name."""
        return {name: agent.process.pid for name, agent in self._supervisor.agents.items()}

    def ended(self) -> dict[str, str]:
        """Returns the agents that have ended, each with the reason."""
        return {name: agent.ended for name, agent in self._supervisor.agents.items() if agent.ended is not None}

    def start(
        self,
        entrances: Mapping[str, Callable[[], None]],
        hosts: Mapping[str, tuple[str, ...]] = NO_HOSTS,
        deadline_s: float = 20.0,
    ) -> None:
        """Forks one agent per name; each calls its entrance, which moves it into its namespaces.

        `hosts`: addresses by name, for controls that need not look them up. `deadline_s`: how long each agent may take
        to become ready after the previous one. Raises `AgentError` if an agent ends or is not ready in time.
        """
        prepare([CHECKS])
        self._supervisor.start(entrances, hosts, deadline_s)

    def mute(self, agents: Collection[str], seconds: float) -> frozenset[str]:
        """Returns those of these agents that are running, are sent an empty job, and do not answer within `seconds`."""
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
        """Stops all agents; kills those that have not exited by the deadline."""
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
        outrun: Outrun = no_races,
    ) -> Iterator[Result]:
        """Measures the requests of each agent; yields (agent, request, measurement) as verdicts become final.

        `hopeless`: ids of requests that will probably fail; they start first, so that others can work while they wait.
        `controls`: the controls that vouch for a request, by its id. `excused`: those of them that fail because their
        target was taken away; the measurement then has `taken_away` set. If an agent ends or hangs, its probes are
        `unknown`. `wanted`: polled; once it returns False, the remaining probes are abandoned within half a second.
        `tried`: called for each request whose first try failed, which is no verdict yet. `starved`: given the two times
        and the timeout of a try, names the process that was starved of CPU ("": none); a failure that starvation can
        cause is then void. `held_up`: names a process that could not forward bytes for long enough to explain a speed.
        `outrun`: what is known of an on-path box's race against a success, which a box that was late does not prove,
        and one that was in time makes doubtful.
        Raises KeyError for an unknown agent.
        """
        for agent in requests:
            if agent not in self._supervisor.agents:
                raise KeyError(f"no probe agent {agent}")
        # Interleave the agents' probes.
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
