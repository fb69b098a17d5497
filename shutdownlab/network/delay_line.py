"""The userspace delay line: one process gives any number of links their routers, delay and loss. For links that have
routers on them (`hops`), and for all that have a delay where the kernel has no netem.

Each link is two interfaces of one namespace; what comes in at one goes out of the other, later. Frames of a direction
never overtake each other, whatever the jitter. A segmentation-offload frame is delayed or lost as a whole, as netem
does it; at a limited rate it takes the time of all its segments.
"""

from __future__ import annotations

import random
import select
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import pairwise
from pathlib import Path
from typing import Final

from shutdownlab.network.hops import Hops
from shutdownlab.protocol.messages import Applied, Counters, LineSetting, Retune, decode, encode
from shutdownlab.system.child_process import Child, Forked, fork
from shutdownlab.system.packet_socket import Batch, PacketSocket, open_wire
from shutdownlab.system.vnet_header import line_bytes

RELAY: Final = "relay"
"""What its process is called."""
_BATCH: Final = 64


@dataclass(frozen=True, slots=True)
class DelayedLink:
    """A link through the relay, the same both ways; raises ValueError on a figure out of range.

    `netns` holds both interfaces (None: the caller's namespace). `delay_ms` one way, 0 to 60,000, give or take
    `jitter_ms` (uniform, at most the delay); `loss` the share of frames lost, 0 to 1; `rate_mbit` what the line
    carries (None: all); `queue_bytes` what one direction holds at most, waiting and under way: more is dropped, as by
    netem's `limit`. `hops`: the routers on the link, from `if_a` to `if_b`.
    """

    name: str
    netns: Path | None
    if_a: str
    if_b: str
    delay_ms: float
    jitter_ms: float = 0.0
    loss: float = 0.0
    rate_mbit: float | None = None
    queue_bytes: int = 16 * 1024 * 1024
    hops: Hops | None = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        for holds, what in (
            (0 <= self.delay_ms <= 60_000, f"delay_ms between 0 and 60000, found {self.delay_ms}"),
            (0 <= self.jitter_ms <= self.delay_ms, f"jitter_ms between 0 and delay_ms, found {self.jitter_ms}"),
            (0 <= self.loss <= 1, f"loss between 0 and 1, found {self.loss}"),
            (self.rate_mbit is None or self.rate_mbit > 0, f"rate_mbit above 0, found {self.rate_mbit}"),
            (self.queue_bytes > 0, f"queue_bytes above 0, found {self.queue_bytes}"),
        ):
            if not holds:
                raise ValueError(f"link {self.name}: expected {what}")


class LinkDirection:
    """One direction of a link: takes frames in, says when the next is due, gives them out in order. No I/O."""

    __slots__ = (
        "_answers",
        "_busy_until",
        "_delay",
        "_held",
        "_jitter",
        "_last",
        "_limit",
        "_loss",
        "_pace",
        "_queue",
        "_random",
        "lost",
        "overflowed",
    )

    def __init__(self, link: DelayedLink, seed: str) -> None:
        """Be one direction of `link`; the same `seed` loses the same frames of the same traffic."""
        self._delay = link.delay_ms / 1000
        self._jitter = link.jitter_ms / 1000
        self._loss = link.loss
        self._pace = 0.0 if link.rate_mbit is None else 8 / (link.rate_mbit * 1e6)  # seconds a byte
        self._limit = link.queue_bytes
        self._random = random.Random(seed)
        self._queue: deque[tuple[float, bytes]] = deque()
        self._answers: list[tuple[float, bytes]] = []
        self._held = 0
        self._last = 0.0
        self._busy_until = 0.0
        self.lost = 0
        """Frames lost on purpose."""
        self.overflowed = 0
        """Frames dropped because the queue was full."""

    @property
    def due(self) -> float | None:
        """When the next frame is due, by the clock `accept` was given; None when the line is empty."""
        queue, answers = self._queue, self._answers
        if not answers:
            return queue[0][0] if queue else None
        return min(queue[0][0], answers[0][0]) if queue else answers[0][0]

    def answer(self, raw: bytes, due: float) -> None:
        """Take what a router on the link sends to this direction's end: it has less far to go than what others send."""
        if self._held + len(raw) > self._limit:
            self.overflowed += 1
            return
        self._held += len(raw)
        heappush(self._answers, (due, raw))

    def retune(self, setting: LineSetting) -> None:
        """Be like this for frames that come from now on; those under way arrive as they would have."""
        self._delay, self._jitter, self._loss = setting.delay_ms / 1000, setting.jitter_ms / 1000, setting.loss

    def accept(self, raw: bytes, now: float) -> None:
        """Take a frame (with its offload header) that arrived at `now`, seconds."""
        if self._loss and self._random.random() < self._loss:
            self.lost += 1
            return
        if self._held + len(raw) > self._limit:
            self.overflowed += 1
            return
        due = now
        if self._pace:
            due = self._busy_until = max(now, self._busy_until) + line_bytes(raw) * self._pace
        due += self._delay
        if self._jitter:
            due += self._random.uniform(-self._jitter, self._jitter)
        self._last = due = max(due, self._last)
        self._held += len(raw)
        self._queue.append((due, raw))

    def release(self, now: float) -> list[bytes]:
        """Give out what is due at `now`."""
        queue, answers = self._queue, self._answers
        out = []
        while queue and queue[0][0] <= now:
            out.append(queue.popleft()[1])
        while answers and answers[0][0] <= now:
            out.append(heappop(answers)[1])
        self._held -= sum(map(len, out))
        return out


class Relay:
    """Serves links until told to stop."""

    def __init__(self, links: Sequence[DelayedLink], seed: int = 0) -> None:
        """Open every interface of `links`; raises OSError naming the first that cannot be."""
        self._batch = Batch(_BATCH)
        self._sources: list[PacketSocket] = []
        self._targets: list[PacketSocket] = []
        self._lines: list[LinkDirection] = []
        self._links = tuple(links)
        with ExitStack() as opened:
            # Before all others: select, which it is waited for with, takes no descriptor above 1,023.
            self._poller = opened.enter_context(select.epoll())
            for link in links:
                a, b = (open_wire(link.netns, ifname) for ifname in (link.if_a, link.if_b))
                opened.callback(a.close)
                opened.callback(b.close)
                self._sources += [a, b]
                self._targets += [b, a]
                self._lines += [LinkDirection(link, f"{seed}/{link.name}/{way}") for way in ("ab", "ba")]
            opened.pop_all()
        self._hops = [link.hops for link in links for _ in "ab"]
        self._delays = [link.delay_ms / 1000 for link in links for _ in "ab"]
        self._due: list[tuple[float, int]] = []
        self._next: list[float | None] = [None] * len(self._lines)
        """Of each direction when it is due next, as the heap has it; its older entries count for nothing."""
        self._worst_late = 0.0

    def serve(self, stop_fd: int, asked: int = -1, answer: Callable[[], None] = lambda: None) -> None:
        """Relay until `stop_fd` is readable; call `answer` whenever the descriptor `asked` is (-1: there is none)."""
        with self._poller as poller:
            poller.register(stop_fd, select.EPOLLIN)
            if asked >= 0:
                poller.register(asked, select.EPOLLIN)
            index_of = {wire.fd: index for index, wire in enumerate(self._sources)}
            for descriptor in index_of:
                poller.register(descriptor, select.EPOLLIN)
            heap = self._due
            while True:
                wait = max(0.0, heap[0][0] - time.monotonic()) if heap else None
                # epoll counts in milliseconds; select, on the epoll descriptor, in microseconds.
                came = [] if wait != 0 and not select.select([poller], [], [], wait)[0] else poller.poll(0)
                for descriptor, _ in came:
                    if descriptor == stop_fd:
                        return
                    if descriptor == asked:
                        answer()
                    else:
                        self._take(index_of[descriptor])
                self._give()

    def retune(self, lines: Mapping[str, LineSetting]) -> None:
        """Have the links of these names be like this, from now on."""
        for number, link in enumerate(self._links):
            if (setting := lines.get(link.name)) is not None:
                self._lines[2 * number].retune(setting)
                self._lines[2 * number + 1].retune(setting)

    def counters(self) -> dict[str, object]:
        """Return, per link and direction, frames received, sent, lost, overflowed …; and the worst delay in giving."""
        found: dict[str, object] = {
            f"{link.name}:{self._sources[index].ifname}": {
                **self._sources[index].counters(),
                "lost": self._lines[index].lost,
                "overflowed": self._lines[index].overflowed,
            }
            for number, link in enumerate(self._links)
            for index in (2 * number, 2 * number + 1)
        }
        found["worst_late_ms"] = round(self._worst_late * 1000, 3)
        return found

    def close(self) -> None:
        """Close every interface."""
        for wire in self._sources:
            wire.close()

    def _take(self, index: int) -> None:
        batch, line, hops = self._batch, self._lines[index], self._hops[index]
        back = index % 2 == 1
        count = batch.read(self._sources[index])
        now = time.monotonic()
        for i in range(count):
            raw: bytes | None = batch.raw(i)
            if hops is not None and raw is not None:
                raw, answer, at = hops.carry(raw, back=back)
                if answer is not None:
                    self._lines[index ^ 1].answer(answer, now + 2 * self._delays[index] * at / (len(hops) + 1))
                    self._schedule(index ^ 1)
            if raw is not None:
                line.accept(raw, now)
        self._schedule(index)

    def _schedule(self, index: int) -> None:
        """Have a direction in the heap for when it is due next."""
        due, known = self._lines[index].due, self._next[index]
        if due is not None and (known is None or due < known):
            self._next[index] = due
            heappush(self._due, (due, index))

    def _give(self) -> None:
        heap = self._due
        now = time.monotonic()
        while heap and heap[0][0] <= now:
            due, index = heappop(heap)
            if due != self._next[index]:
                continue
            self._next[index] = None
            self._worst_late = max(self._worst_late, now - due)
            send = self._targets[index].send
            for raw in self._lines[index].release(now):
                send(raw)
            self._schedule(index)


def start_relay(links: Sequence[DelayedLink], seed: int = 0, name: str = RELAY) -> Forked:
    """Fork a process that serves `links`; `wait_ready` on the result, and `stop` it for its `Counters`.

    It sends its `Counters` whenever it is asked for them, too, and retunes links that a `Retune` names.
    """
    ends = sorted((str(link.netns), end) for link in links for end in (link.if_a, link.if_b))
    for (netns, ifname), following in pairwise(ends):
        if (netns, ifname) == following:
            raise ValueError(f"the interface {ifname} of {netns} is an end of two delayed links")

    def main(child: Child) -> None:
        relay = Relay(links, seed)

        def answer() -> None:
            for line in child.receive():
                message = decode(line)
                if isinstance(message, Retune):
                    relay.retune(message.lines)
                    child.send(encode(Applied(message.serial)))
                else:
                    child.send(encode(Counters(child.name, relay.counters())))

        child.ready()
        relay.serve(child.stop_fd, child.lines.fileno(), answer)
        child.send(encode(Counters(child.name, relay.counters())))
        relay.close()

    return fork(name, main)
