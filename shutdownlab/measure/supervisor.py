"""Supervises the probe agents: sends them jobs, receives their results, and notices when one has ended."""

from __future__ import annotations

import gc
import itertools
import selectors
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from shutdownlab.measure.agent import fork_agent
from shutdownlab.protocol.messages import decode, encode
from shutdownlab.protocol.probing import ProbeJob, ProbeResult
from shutdownlab.system.child_process import Forked, ForkedError

_SEND_S: Final = 5.0


class AgentError(RuntimeError):
    """Raised if an agent cannot be started."""


@dataclass(slots=True)
class Agent:
    """One agent. `ended`: why it has ended; None while it runs."""

    process: Forked
    ended: str | None = None


class Supervisor:
    """All agents of a run, with one selector for all of them."""

    def __init__(self) -> None:
        self.agents: dict[str, Agent] = {}
        self._selector = selectors.DefaultSelector()
        self._numbers = itertools.count(1)

    def next_number(self) -> int:
        """Returns a job number that no earlier job of the run had."""
        return next(self._numbers)

    def start(
        self, entrances: Mapping[str, Callable[[], None]], hosts: Mapping[str, tuple[str, ...]], deadline_s: float
    ) -> None:
        """Forks the agents and waits until all are ready.

        Raises `AgentError` if no further agent becomes ready for `deadline_s` seconds, or one ends.
        """
        gc.freeze()  # excludes existing objects from collection, which keeps their pages shared with the children
        for name, enter in entrances.items():
            process = fork_agent(name, enter, hosts)
            self.agents[name] = Agent(process)
            self._selector.register(process, selectors.EVENT_READ, name)
        end = time.monotonic() + deadline_s
        failed = []
        for name in entrances:
            try:
                self.agents[name].process.wait_ready(max(0.0, end - time.monotonic()))
                end = time.monotonic() + deadline_s
            except ForkedError:
                ended = not self.agents[name].process.alive()
                self.end(name, "agent died" if ended else "agent was not ready in time", 0.0)
                failed.append(f"{name} ({self.agents[name].ended})")
        if failed:
            raise AgentError(f"probe agents did not start: {', '.join(failed)}; see their traceback above")

    def send(self, name: str, job: ProbeJob) -> None:
        """Sends an agent a job; ends an agent that does not accept it."""
        process = self.agents[name].process
        if not (process.send(encode(job)) and process.flush(_SEND_S)):
            self.end(name, "agent took no request")

    def receive(self, timeout_s: float) -> Iterator[tuple[str, ProbeResult]]:
        """Yields the results that have arrived, after waiting at most `timeout_s` for the first."""
        for key, _ in self._selector.select(timeout_s):
            name: str = key.data
            process = self.agents[name].process
            for result in map(decode, process.receive()):
                assert isinstance(result, ProbeResult), result
                yield name, result
            if process.hung_up:
                self.end(name, "agent died")

    def end(self, name: str, why: str, grace_s: float = 1.0) -> None:
        """Ends an agent: gives it `grace_s` seconds to exit, then sends SIGKILL."""
        agent = self.agents[name]
        if agent.ended is None:
            self._selector.unregister(agent.process)
            agent.ended = f"{why}: it {agent.process.end(grace_s)}"
            agent.process.close()

    def stop(self, deadline_s: float) -> None:
        """Asks all agents to stop, then kills those that have not exited by the deadline."""
        for agent in self.agents.values():
            if agent.ended is None:
                agent.process.finish()
        end = time.monotonic() + deadline_s
        for name in self.agents:
            self.end(name, "stopped", max(0.0, end - time.monotonic()))
        self._selector.close()
