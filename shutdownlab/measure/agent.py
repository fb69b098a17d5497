"""A probe agent: a forked process in its vantage point's network namespace that runs probes on request.

It is asyncio on one thread and answers each request as soon as the probe is done. Starting Python for each probe would
cost more than the probe. Messages are JSON, like all others: for 10,000 measurements of 4.4 KB, encoding and decoding
takes 1.2 s of CPU time, against 1.1 s with pickle.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from shutdownlab.probes.equipment import Equipment
from shutdownlab.probes.run import run_probe
from shutdownlab.protocol.messages import decode, encode
from shutdownlab.protocol.probing import ProbeJob, ProbeResult
from shutdownlab.system.child_process import Child, Forked, fork


def fork_agent(name: str, enter: Callable[[], None], hosts: Mapping[str, tuple[str, ...]]) -> Forked:
    """Forks the agent `name`, which calls `enter` to join its namespaces; once ready, it accepts `ProbeJob` messages.

    `hosts`: addresses by name, for names that it need not look up.
    """
    # All agents share one scheduling turn: with one each, they would starve the switches and the delay line.
    return fork(f"probe {name}", lambda child: asyncio.run(_serve(child, hosts)), enter, aside=False)


async def _serve(child: Child, hosts: Mapping[str, tuple[str, ...]]) -> None:
    """Runs the requested probes until the child is told to stop or its parent hangs up."""
    loop, lines = asyncio.get_running_loop(), child.lines
    over = asyncio.Event()
    equipment, running = Equipment(hosts), set[asyncio.Task[None]]()

    async def work(job: ProbeJob) -> None:
        measurement = await run_probe(job.request, equipment)
        child.send(encode(ProbeResult(job.number, measurement)))
        if lines.waiting:
            loop.add_writer(lines, send_rest)

    def send_rest() -> None:
        if lines.flush() or lines.ended is not None:
            loop.remove_writer(lines)

    def hear() -> None:
        for line in child.receive():
            job = decode(line)
            assert isinstance(job, ProbeJob), job
            task = asyncio.create_task(work(job))
            running.add(task)
            task.add_done_callback(running.discard)
        if lines.ended is not None:
            over.set()

    loop.add_reader(lines, hear)
    loop.add_reader(child.stop_fd, over.set)
    child.ready()
    await over.wait()
