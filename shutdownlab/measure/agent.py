"""Long-lived probe agents: one forked process a vantage point, in its network namespace, that runs probes on request.

An agent is asyncio on one thread; it answers each request as soon as it is done. A Python start per probe would cost
more than the probe.
"""

from __future__ import annotations

import asyncio
import gc
import os
import pickle
import signal
import socket
import struct
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from shutdownlab.probes.equipment import Equipment
from shutdownlab.probes.run import run_probe
from shutdownlab.protocol.probing import Measurement, ProbeRequest
from shutdownlab.system.syscalls import die_with_parent, name_process

LENGTH: Final = struct.Struct("!I")


@dataclass(frozen=True, slots=True)
class Job:
    """A request on its way to an agent; `number` tells its answer from others."""

    number: int
    request: ProbeRequest


@dataclass(frozen=True, slots=True)
class Done:
    """An agent's answer. `number` -1: the agent is in place and ready."""

    number: int
    measurement: Measurement | None


def pack(message: Job | Done) -> bytes:
    """A message with its length before it, for the socket between runner and agent."""
    data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    return LENGTH.pack(len(data)) + data


def unpack(buffer: bytearray) -> list[Any]:
    """Take the whole messages out of a buffer. What stands in it was written by our own fork, so pickle may read it."""
    messages = []
    while len(buffer) >= LENGTH.size:
        end = LENGTH.size + LENGTH.unpack_from(buffer)[0]
        if len(buffer) < end:
            break
        messages.append(pickle.loads(buffer[LENGTH.size : end]))
        del buffer[:end]
    return messages


@dataclass(frozen=True, slots=True)
class Agent:
    """The runner's end of an agent."""

    name: str
    pid: int
    sock: socket.socket


def fork_agent(name: str, enter: Callable[[], None], others: list[socket.socket]) -> Agent:
    """Fork an agent that calls `enter` (which moves it into its namespaces) and then takes requests.

    Fork before any thread is started, and from the main thread: the kernel ties the death signal to the thread that
    forked. `others`: the runner's sockets to other agents, which this one must not hold open. What `enter` raises ends
    the agent with its traceback on standard error.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    parent = os.getpid()
    sys.stdout.flush()
    sys.stderr.flush()
    gc.freeze()  # what is there now is never garbage: not looking at it keeps its pages shared
    pid = os.fork()
    if pid == 0:
        _be_agent(name, enter, theirs, [ours, *others], parent)
    theirs.close()
    return Agent(name, pid, ours)


def _be_agent(
    name: str, enter: Callable[[], None], sock: socket.socket, foreign: list[socket.socket], parent: int
) -> NoReturn:
    status = 1
    try:
        die_with_parent()
        if os.getppid() != parent:  # it died before the line above
            os._exit(1)
        name_process(f"probe {name}")
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the runner's to answer
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        for other in foreign:
            other.close()
        enter()
        asyncio.run(_serve(sock))
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


async def _serve(sock: socket.socket) -> None:
    """Take requests until the runner closes its end."""
    loop = asyncio.get_running_loop()
    sock.setblocking(False)
    equipment, buffer, running = Equipment(), bytearray(), set[asyncio.Task[None]]()
    sending = asyncio.Lock()

    async def work(job: Job) -> None:
        await answer(Done(job.number, await run_probe(job.request, equipment)))

    async def answer(done: Done) -> None:
        async with sending:
            await loop.sock_sendall(sock, pack(done))

    await answer(Done(-1, None))
    while data := await loop.sock_recv(sock, 65536):
        buffer += data
        for job in unpack(buffer):
            task = asyncio.create_task(work(job))
            running.add(task)
            task.add_done_callback(running.discard)
