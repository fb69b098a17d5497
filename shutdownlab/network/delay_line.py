"""The userspace delay line: one process that emulates the routers, delay and loss of any number of links.

It serves links with routers on them (`hops`), and all links with delay or loss if the kernel has no netem. Each link is
a pair of interfaces in one namespace; frames received on one are sent from the other after the delay. Frames in one
direction never overtake each other, whatever the jitter. A segmentation-offload frame is delayed or lost as a whole, as
in netem; at a limited rate it takes the time of all its segments.

A frame's delay counts from its arrival, which the kernel has stamped, and not from when the process found it. So the
process need not wake for each frame: see `Moderation`.
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
"""The process name."""
_BATCH: Final = 64
_ROUNDS_A_SECOND: Final = 250.0
_ROUNDS_AT_ONCE: Final = 32.0


@dataclass(frozen=True, slots=True)
class DelayedLink:
    """A link through the relay, with the same properties in both directions. Raises ValueError for values out of range.

    `netns`: namespace of both interfaces; None for the caller's.
    `delay_ms`: one-way delay, 0 to 60,000. `jitter_ms`: uniform variation in both directions, at most the delay.
    `loss`: share of frames lost, 0 to 1. `rate_mbit`: bandwidth; None for no limit.
    `queue_bytes`: most bytes held in one direction, queued or in flight; further frames are dropped, as by netem's
        `limit`.
    `hops`: the routers on the link, from `if_a` to `if_b`.
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
        """Checks the ranges."""
        for holds, what in (
            (0 <= self.delay_ms <= 60_000, f"delay_ms between 0 and 60000, found {self.delay_ms}"),
            (0 <= self.jitter_ms <= self.delay_ms, f"jitter_ms between 0 and delay_ms, found {self.jitter_ms}"),
            (0 <= self.loss <= 1, f"loss between 0 and 1, found {self.loss}"),
            (self.rate_mbit is None or self.rate_mbit > 0, f"rate_mbit above 0, found {self.rate_mbit}"),
            (self.queue_bytes > 0, f"queue_bytes above 0, found {self.queue_bytes}"),
        ):
            if not holds:
                raise ValueError(f"link {self.name}: expected {what}")


class Moderation:
    """Limits how often the relay wakes, as a network card moderates its interrupts (ethtool's `rx-usecs`). No I/O.

    A quiet relay may wake for each frame. A busy one wakes 250 times a second and forwards what is there: a frame then
    leaves up to 4 ms after it was due. What this saves is most of all the rounds of the switches behind the relay,
    which get its frames in bursts: Open vSwitch looks at all of its ports whenever one frame wakes it.
    """

    def __init__(self, now: float) -> None:
        """Starts with room for a burst of rounds."""
        self._credit, self._at = _ROUNDS_AT_ONCE, now

    def rest_s(self, now: float) -> float:
        """Counts a round that ends `now`, and returns for how many seconds to rest before the next; 0 if quiet."""
        self._credit = min(_ROUNDS_AT_ONCE, self._credit + (now - self._at) * _ROUNDS_A_SECOND) - 1
        self._at = now
        return max(0.0, -self._credit / _ROUNDS_A_SECOND)


class LinkDirection:
    """One direction of a link: a queue of frames with the times at which they are due. No I/O."""

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
        """Starts with an empty queue. With the same `seed`, the same frames of the same traffic are lost."""
        self._delay = link.delay_ms / 1000
        self._jitter = link.jitter_ms / 1000
        self._loss = link.loss
        self._pace = 0.0 if link.rate_mbit is None else 8 / (link.rate_mbit * 1e6)  # seconds per byte
        self._limit = link.queue_bytes
        self._random = random.Random(seed)
        self._queue: deque[tuple[float, bytes]] = deque()
        self._answers: list[tuple[float, bytes]] = []
        self._held = 0
        self._last = 0.0
        self._busy_until = 0.0
        self.lost = 0
        """Frames dropped deliberately, by `loss`."""
        self.overflowed = 0
        """Frames dropped because the queue was full."""

    @property
    def due(self) -> float | None:
        """When the next frame is due, by the clock of `accept`'s `now`; None if there is none."""
        queue, answers = self._queue, self._answers
        if not answers:
            return queue[0][0] if queue else None
        return min(queue[0][0], answers[0][0]) if queue else answers[0][0]

    def answer(self, raw: bytes, due: float) -> None:
        """Queues a frame from a router on the link, due at `due`: it may overtake others, as its way is shorter."""
        if self._held + len(raw) > self._limit:
            self.overflowed += 1
            return
        self._held += len(raw)
        heappush(self._answers, (due, raw))

    def retune(self, setting: LineSetting) -> None:
        """Changes delay, jitter and loss for frames accepted from now on; frames in flight aren't affected."""
        self._delay, self._jitter, self._loss = setting.delay_ms / 1000, setting.jitter_ms / 1000, setting.loss

    def accept(self, raw: bytes, now: float) -> None:
        """Queues or drops a frame (with its offload header) that arrived at `now`, in seconds."""
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
        """Removes and returns the frames that are due at `now`."""
        queue, answers = self._queue, self._answers
        out = []
        while queue and queue[0][0] <= now:
            out.append(queue.popleft()[1])
        while answers and answers[0][0] <= now:
            out.append(heappop(answers)[1])
        self._held -= sum(map(len, out))
        return out


class Relay:
    """Forwards the frames of all links."""

    def __init__(self, links: Sequence[DelayedLink], seed: int = 0) -> None:
        """Opens all interfaces of `links`. Raises OSError naming the first that can't be opened."""
        self._batch = Batch(_BATCH, stamped=True)
        self._sources: list[PacketSocket] = []
        self._targets: list[PacketSocket] = []
        self._lines: list[LinkDirection] = []
        self._links = tuple(links)
        with ExitStack() as opened:
            # Opened first: select, which waits for it, takes no descriptor above 1,023.
            self._poller = opened.enter_context(select.epoll())
            for link in links:
                a, b = (open_wire(link.netns, ifname, stamped=True) for ifname in (link.if_a, link.if_b))
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
        """For each direction, the due time of its valid entry in the heap; other entries of it are obsolete."""
        self._worst_late = 0.0
        self._polled = time.monotonic()
        """When frames were last read: those read next came later."""

    def serve(self, stop_fd: int, asked: int = -1, answer: Callable[[], None] = lambda: None) -> None:
        """Forwards frames until `stop_fd` is readable, calling `answer` whenever `asked` is (-1 for no descriptor)."""
        with self._poller as poller:
            poller.register(stop_fd, select.EPOLLIN)
            if asked >= 0:
                poller.register(asked, select.EPOLLIN)
            index_of = {wire.fd: index for index, wire in enumerate(self._sources)}
            for descriptor in index_of:
                poller.register(descriptor, select.EPOLLIN)
            heap, moderation = self._due, Moderation(time.monotonic())
            while True:
                wait = max(0.0, heap[0][0] - time.monotonic()) if heap else None
                # epoll's timeout is in milliseconds; select, on the epoll descriptor, has microseconds.
                events = [] if wait != 0 and not select.select([poller], [], [], wait)[0] else poller.poll(0)
                polled, more = time.monotonic(), False
                for descriptor, _ in events:
                    if descriptor == stop_fd:
                        return
                    if descriptor == asked:
                        answer()
                    else:
                        more |= self._take(index_of[descriptor])
                if events:
                    self._polled = polled
                self._give()
                rest = moderation.rest_s(time.monotonic())
                if rest and not more:
                    time.sleep(rest)

    def retune(self, lines: Mapping[str, LineSetting]) -> None:
        """Changes the settings of links, by name, in both directions; other names are ignored."""
        for number, link in enumerate(self._links):
            if (setting := lines.get(link.name)) is not None:
                self._lines[2 * number].retune(setting)
                self._lines[2 * number + 1].retune(setting)

    def counters(self) -> dict[str, object]:
        """Returns counters (frames received, sent, lost, overflowed …) by link and direction, and `worst_late_ms`: the
        most that a frame was sent after it was due.
        """
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
        """Closes all interfaces."""
        for wire in self._sources:
            wire.close()

    def _take(self, index: int) -> bool:
        """Reads what has come from one interface, and returns whether there may be more."""
        batch, line, hops = self._batch, self._lines[index], self._hops[index]
        back = index % 2 == 1
        count = batch.read(self._sources[index])
        now = time.monotonic()
        ahead = now - time.time()  # of the kernel's stamps; taken anew, as somebody may set the clock
        for i in range(count):
            came = min(now, max(self._polled, ahead + batch.came_ns(i) / 1e9))
            raw: bytes | None = batch.raw(i)
            if hops is not None and raw is not None:
                raw, answer, at = hops.carry(raw, back=back)
                if answer is not None:
                    self._lines[index ^ 1].answer(answer, came + 2 * self._delays[index] * at / (len(hops) + 1))
                    self._schedule(index ^ 1)
            if raw is not None:
                line.accept(raw, came)
        self._schedule(index)
        return count == _BATCH

    def _schedule(self, index: int) -> None:
        """Adds a direction to the heap, unless its entry there is early enough."""
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
    """Forks a process that serves `links`. Call `wait_ready` on the result; `stop` returns a line with its `Counters`.

    It also sends its `Counters` on request, and answers `Retune`. Raises ValueError if an interface is used twice.
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
