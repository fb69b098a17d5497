"""The runner's hold on its agents: sending jobs, receiving answers, noticing that one has ended."""

from __future__ import annotations

import itertools
import os
import selectors
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from shutdownlab.measure.agent import Agent, Done, Job, fork_agent, pack, unpack

_SEND_S: Final = 5.0


class AgentError(RuntimeError):
    """An agent could not be started."""


@dataclass(slots=True)
class Desk:
    """One agent. `ended` says why it is no more."""

    agent: Agent
    buffer: bytearray = field(default_factory=bytearray)
    ended: str | None = None


class Switchboard:
    """All agents of a run, and one wait for all of them."""

    def __init__(self) -> None:
        self.desks: dict[str, Desk] = {}
        self._selector = selectors.DefaultSelector()
        self._numbers = itertools.count(1)

    def next_number(self) -> int:
        """A job number that no earlier job of the run had."""
        return next(self._numbers)

    def start(self, entrances: Mapping[str, Callable[[], None]], deadline_s: float) -> None:
        """Fork the agents and wait until each is in place; raises `AgentError`."""
        for name, enter in entrances.items():
            agent = fork_agent(name, enter, [desk.agent.sock for desk in self.desks.values()])
            agent.sock.settimeout(_SEND_S)
            self.desks[name] = Desk(agent)
            self._selector.register(agent.sock, selectors.EVENT_READ, name)
        waiting = set(entrances)
        end = time.monotonic() + deadline_s
        while waiting:
            waiting -= {name for name, _ in self.receive(max(0.0, end - time.monotonic()))}
            ended = [f"{name} ({self.desks[name].ended})" for name in entrances if self.desks[name].ended]
            if ended:
                raise AgentError(f"probe agents did not start: {', '.join(ended)}; see their traceback above")
            if waiting and time.monotonic() > end:
                raise AgentError(f"probe agents not ready within {deadline_s:g} s: {', '.join(sorted(waiting))}")

    def send(self, name: str, job: Job) -> None:
        """An agent that does not take it has ended, or is ended now."""
        desk = self.desks[name]
        try:
            desk.agent.sock.sendall(pack(job))
        except OSError:
            self.end(name, "agent took no request")

    def receive(self, timeout_s: float) -> Iterator[tuple[str, Done]]:
        """The answers that are there, after waiting for the first of them at most so long."""
        for key, _ in self._selector.select(timeout_s):
            name: str = key.data
            desk = self.desks[name]
            try:
                data = desk.agent.sock.recv(1 << 18)
            except OSError:
                data = b""
            if not data:
                self.end(name, "agent died")
                continue
            desk.buffer += data
            for done in unpack(desk.buffer):
                yield name, done

    def end(self, name: str, why: str, grace_s: float = 1.0) -> None:
        """Part with an agent: give it so long to end by itself, then SIGKILL."""
        desk = self.desks[name]
        if desk.ended is None:
            self._selector.unregister(desk.agent.sock)
            desk.agent.sock.close()
            desk.ended = f"{why}: {_reap(desk.agent.pid, grace_s)}"

    def stop(self, deadline_s: float) -> None:
        """End all agents; they end by themselves when their sockets close."""
        for desk in self.desks.values():
            if desk.ended is None:
                self._selector.unregister(desk.agent.sock)
                desk.agent.sock.close()
        end = time.monotonic() + deadline_s
        for desk in self.desks.values():
            if desk.ended is None:
                desk.ended = f"stopped: {_reap(desk.agent.pid, max(0.0, end - time.monotonic()))}"
        self._selector.close()


def _reap(pid: int, grace_s: float) -> str:
    """Collect a child that is about to end, or end it; how it ended."""
    fd = os.pidfd_open(pid)
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(fd, selectors.EVENT_READ)
            if not selector.select(grace_s):
                signal.pidfd_send_signal(fd, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    finally:
        os.close(fd)
    return f"exit status {status}" if status >= 0 else signal.Signals(-status).name
