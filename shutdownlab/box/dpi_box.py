"""The DPI box: a node with two links to its operator's DPI switch, and an inspection engine between them.

In-path, frames received on one link are forwarded to the other unless the engine decides otherwise; on-path, the box
receives copies, and can only inject. The profile that came with the last policy decides which. The box reports every
decision to the operator's controller, which installs the flow rule that enforces it and takes the connection off the
box. A box that loses its controller, or whose engine fails, continues to forward, and reports it.

    python -m shutdownlab.box.dpi_box --inside eth0 --outside eth1 --profile perfect --controller 10.0.0.1:7000
"""

from __future__ import annotations

import argparse
import gc
import json
import select
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from shutdownlab.box.channel import Channel
from shutdownlab.box.inspector import MakeInspector, engine_maker, inspection_policy
from shutdownlab.box.interception import Interception
from shutdownlab.box.overheard import Overheard
from shutdownlab.box.race_log import RaceLog
from shutdownlab.box.race_questions import RaceQuestions
from shutdownlab.box.replacement import replaced
from shutdownlab.config.numbers import ETHER_IPV4
from shutdownlab.inspection.policy import InspectionPolicy, load_policy
from shutdownlab.inspection.verdict import Action, Decision, FrameOutcome, Side
from shutdownlab.protocol.messages import (
    Applied,
    BoxPolicy,
    Counters,
    CountersRequest,
    Decisions,
    Failure,
    Hello,
    Message,
    encode,
)
from shutdownlab.system.child_process import Child, Forked, ForkedError, fork, stop_descriptor
from shutdownlab.system.packet_socket import Batch, open_wire

_IPV4: Final = ETHER_IPV4.to_bytes(2, "big")
BOX: Final = "dpi-"
"""The prefix of a box's process name; the box's own name follows."""

_BATCH: Final = 32
_HELD: Final = 8
"""Frames inspected before they are forwarded together: more saves system calls, fewer reduces latency."""

_EXPIRE_S: Final = 1.0
_MOST_RECENT: Final = 100
_TOLD_OF: Final = ("src", "sport", "dst", "dport", "proto", "action", "rule", "protocol", "app", "host")
"""The fields of a decision that counters report."""
_FAILURES_TOLD: Final = 5
"""Engine failures reported in full per policy and request for counters; all are counted."""


@dataclass(frozen=True, slots=True)
class BoxSpec:
    """The settings of a DPI box. `netns` (None: the caller's own) has both interfaces and reaches the controllers (IP,
    port).

    Decisions are reported to the controller that sent the last policy. `trusted`: the CAs that browsers trust (PEM;
    None: this machine's); only servers certified by them are intercepted. `root`: see `forgery.Forger`. `controls`:
    addresses (packed) whose packets show that the box is working: they pass through the box, but not through its
    engine.
    """

    name: str
    netns: Path | None
    inside: str
    outside: str
    profile: str
    controllers: tuple[tuple[str, int], ...] = ()
    seed: int = 0
    trusted: Path | None = None
    root: Path | None = None
    controls: frozenset[bytes] = frozenset()


class DpiBox:
    """A running DPI box: two packet sockets, an engine, a channel to each controller, and one loop over them."""

    def __init__(
        self,
        spec: BoxSpec,
        make_inspector: MakeInspector,
        tell: Callable[[Message], None],
        policy: InspectionPolicy | None = None,
    ) -> None:
        """Opens the wires (raises OSError, which names the interface); inspects by `policy`, or no rules, until one
        arrives.

        `tell` receives notices and failures; failures also go to the controller.
        """
        self.spec = spec
        self._where = f"DPI box {spec.name}"
        self._make = make_inspector
        self._tell = tell
        self._engine = make_inspector(policy or InspectionPolicy(), spec.profile, spec.seed)
        self._serial = 0
        self._clock = 0.0
        """Seconds added to the monotonic clock to get the engine's time, which is local time if rules depend on it."""
        inside = open_wire(spec.netns, spec.inside, stamped=True)
        try:
            self._wires = (inside, open_wire(spec.netns, spec.outside, stamped=True))
        except OSError:
            inside.close()
            raise
        self._overheard = Overheard(self._wires)
        self._races = RaceLog()
        self._interception: Interception | None = None
        self._poller: select.epoll | None = None
        self._batch = Batch(_BATCH, stamped=True)
        self._channels: list[Channel] = []
        self._commander: Channel | None = None
        self._decided: list[Decision] = []
        self._recent: deque[tuple[int, Decision]] = deque(maxlen=_MOST_RECENT)
        """The latest decisions by a rule, each with the number of all decisions by then."""
        self._counts = {"injected": 0, "held_back": 0, "replaced": 0, "decisions": 0, "engine_failures": 0}
        self._failures_left = _FAILURES_TOLD

    def serve(self, stop_fd: int, parent: Child | None = None) -> None:
        """Inspects until `stop_fd` is readable. parent: whose questions about races it answers."""
        sides = {wire.fd: side for side, wire in zip(Side, self._wires, strict=True)}
        questions = RaceQuestions(parent, self._races)
        with select.epoll() as poller:
            for descriptor in (stop_fd, *sides, *([questions.descriptor] if parent is not None else [])):
                poller.register(descriptor, select.EPOLLIN)
            self._poller = poller
            self._prepare()
            hello, netns = Hello(self.spec.name), self.spec.netns
            self._channels = [
                Channel(address, netns, hello, poller, self._where, self._tell) for address in self.spec.controllers
            ]
            self._commander = self._channels[0] if self._channels else None
            expire_at = time.monotonic() + _EXPIRE_S
            while True:
                now = time.monotonic()
                if now >= expire_at:
                    self._expire(now)
                    expire_at = now + _EXPIRE_S
                wake = now if self._overheard.waits or questions.waiting else expire_at
                for channel in self._channels:
                    channel.turn(now)
                    wake = min(wake, channel.next_turn)
                if self._interception is not None:
                    wake = min(wake, self._interception.turn(now))
                overhears = self._overheard.waits or questions.waiting
                for descriptor, _ in poller.poll(max(0.0, wake - now)):
                    side = sides.get(descriptor)
                    if side is not None and not self._engine.on_path:
                        self._inspect(side)
                    elif side is not None:
                        overhears = True
                    elif descriptor == stop_fd:
                        for channel in self._channels:
                            channel.close()
                        return
                    elif descriptor == questions.descriptor:
                        if not questions.hear(self._overheard):
                            poller.unregister(descriptor)
                        overhears = True
                    else:
                        self._hear(descriptor)
                if overhears and self._engine.on_path:
                    self._overhear()
                if self._decided:
                    self._report()
                if questions.waiting:
                    questions.answer(self._overheard if self._engine.on_path else None)

    def _hear(self, descriptor: int) -> None:
        """Reads what the TLS proxy or a controller has sent."""
        if self._interception is not None and descriptor in self._interception.descriptors:
            self._interception.on_readable(descriptor)
            return
        for channel in [channel for channel in self._channels if channel.fd == descriptor]:
            for message in channel.on_event(time.monotonic()):
                self._handle(message, channel)

    def counters(self) -> dict[str, Any]:
        """Returns the box's own counters, each wire's and the engine's."""
        return {
            "serial": self._serial,
            **self._counts,
            **(self._interception.counters if self._interception else {}),
            "decisions_unsent": sum(channel.unsent for channel in self._channels),
            **{side.word: wire.counters() for side, wire in zip(Side, self._wires, strict=True)},
            "engine": dict(self._engine.counters),
        }

    def _latest(self, number: int) -> dict[str, Any]:
        """Returns the last `number` decisions by a rule, with their numbers, as JSON data; empty for 0."""
        if not number:
            return {}
        latest = [*self._recent][-number:]
        return {
            "recent": [
                {"number": at, "opener": Side(d.opener).word} | {name: getattr(d, name) for name in _TOLD_OF}
                for at, d in latest
            ]
        }

    def close(self) -> None:
        """Closes the wires, and stops the proxy if there is one."""
        if self._interception is not None:
            self._interception.close()
        for wire in self._wires:
            wire.close()

    def _inspect(self, side: Side) -> None:
        """In-path: reads the frames queued at `side`, inspects them and forwards those that may pass: unchanged ones
        in batches, without copying."""
        batch, process, load = self._batch, self._engine.process, self._batch.load
        source, target = self._wires[side], self._wires[1 - side]
        interception = self._interception
        controls = self.spec.controls
        count = batch.read(source)
        now = time.monotonic() + self._clock
        first = 0  # the first frame that may pass and is not forwarded yet
        for i in range(count):
            if interception is not None:
                raw = batch.raw(i)
                if interception.claims(raw, side):
                    batch.forward(target, first, i)
                    first = i + 1
                    continue
            try:
                frame, trusted, segment = load(i)
                if controls and not controls.isdisjoint(_ends(frame)):
                    continue  # is forwarded with its neighbours
                outcome = process(frame, side, now, checksum_trusted=trusted, segment=segment)
            except Exception:  # it must not; a box that stops would look like a block
                self._engine_failed()
                continue
            if outcome.decision is not None:
                self._decided.append(outcome.decision)
                if interception is not None and outcome.decision.action is Action.INTERCEPT:
                    if interception.begin(raw, side, outcome.decision.host or ""):
                        batch.forward(target, first, i)
                        first = i + 1
                    continue
                if interception is not None:
                    interception.lets_go(raw)
            elif interception is not None and _goes_on(outcome) and interception.holds(raw, side):
                batch.forward(target, first, i)
                first = i + 1
                continue
            if outcome.inject:
                batch.forward(target, first, i)  # earlier frames stay ahead of the injected ones
                first = i
                self._inject(outcome)
            if not outcome.forward or outcome.replacement is not None:
                batch.forward(target, first, i)
                first = i + 1
                if outcome.forward and outcome.replacement is not None:
                    target.send(replaced(batch.raw(i), outcome.replacement))
                    self._counts["replaced"] += 1
                else:
                    self._counts["held_back"] += 1
            elif i - first >= _HELD:
                batch.forward(target, first, i + 1)
                first = i + 1
        if first < count:
            batch.forward(target, first, count)

    def _overhear(self) -> None:
        """On-path: inspects the frames queued at both sides. The originals have passed; the box can only inject."""
        controls, now = self.spec.controls, time.monotonic() + self._clock
        for side, batch, i in self._overheard.take():
            try:
                frame, trusted, segment = batch.load(i)
                if controls and not controls.isdisjoint(_ends(frame)):
                    continue
                outcome = self._engine.process(frame, side, now, checksum_trusted=trusted, segment=segment)
            except Exception:  # it must not; a box that stops would look like a block
                self._engine_failed()
                continue
            if outcome.decision is not None:
                self._decided.append(outcome.decision)
            if outcome.inject:
                self._inject(outcome)
                self._races.note(batch.came_ns(i), _ends(frame))

    def _inject(self, outcome: FrameOutcome) -> None:
        for injection in outcome.inject:
            self._wires[injection.towards].send_frame(injection.frame)
        self._counts["injected"] += len(outcome.inject)

    def _handle(self, message: Message, sender: Channel) -> None:
        if isinstance(message, BoxPolicy):
            try:
                engine = self._make(inspection_policy(message), message.profile, self.spec.seed)
            except Exception as error:
                self._fail(f"refuses policy {message.serial} and keeps {self._serial}: {type(error).__name__}: {error}")
                return
            self._engine = engine
            self._overheard = Overheard(self._wires)  # frames read for the old engine are dropped
            self._prepare()
            self._clock = 0.0 if message.local_time is None else message.local_time - time.monotonic()
            self._serial = message.serial
            self._commander = sender
            self._failures_left = _FAILURES_TOLD
            sender.send(Applied(message.serial))
        elif isinstance(message, CountersRequest):
            self._failures_left = _FAILURES_TOLD  # usually the end of a phase: report the next one's failures
            if self._interception is not None:
                self._interception.look(time.monotonic())
            sender.send(Counters(self.spec.name, self.counters() | self._latest(message.recent)))
        else:
            self._fail(f"its controller sent a message that is not for a box: {message}")

    def _prepare(self) -> None:
        """Starts the TLS proxy when it is first needed."""
        if self._interception is not None or self._poller is None or not self._engine.intercepts:
            return
        try:
            self._interception = Interception(
                self.spec.name, self.spec.netns, self.spec.trusted, self.spec.root, self._send, self._complain
            )
        except (OSError, ForkedError) as error:
            self._fail(f"cannot intercept: {error}")
            return
        for descriptor in self._interception.descriptors:
            self._poller.register(descriptor, select.EPOLLIN)

    def _send(self, side: Side, raw: bytes) -> None:
        self._wires[side].send(raw)

    def _expire(self, now: float) -> None:
        try:
            self._engine.expire(now + self._clock)
        except Exception:
            self._engine_failed()

    def _report(self) -> None:
        for decision in self._decided:
            self._counts["decisions"] += 1
            if decision.rule is not None:
                self._recent.append((self._counts["decisions"], decision))
        self._answer(Decisions(tuple(self._decided)))
        self._decided.clear()

    def _answer(self, message: Message) -> None:
        if self._commander is not None:
            self._commander.send(message)

    def _engine_failed(self) -> None:
        """Counts and reports an engine's exception, with the traceback; the current frame is forwarded uninspected."""
        self._counts["engine_failures"] += 1
        self._complain(f"its engine failed and the frame went on uninspected:\n{traceback.format_exc()}")

    def _complain(self, text: str) -> None:
        """Reports a failure with one frame or connection, unless too many have been reported lately."""
        if self._failures_left:
            self._failures_left -= 1
            self._fail(text if self._failures_left else f"{text}\n(further failures are only counted for now)")

    def _fail(self, text: str) -> None:
        failure = Failure(self._where, text)
        self._tell(failure)
        self._answer(failure)


def _ends(frame: bytes) -> tuple[bytes, bytes]:
    """Returns the source and destination address of an Ethernet frame's IP packet; arbitrary bytes of other frames."""
    if frame[12:14] == _IPV4:
        return frame[26:30], frame[30:34]
    return frame[22:38], frame[38:54]


def _goes_on(outcome: FrameOutcome) -> bool:
    """Returns whether the frame is forwarded unchanged, with nothing injected."""
    return outcome.forward and outcome.replacement is None and not outcome.inject


def start_box(spec: BoxSpec, make_inspector: MakeInspector) -> Forked:
    """Forks the box's process. Call `wait_ready` on the result, `receive` for its messages, `stop` for its `Counters`.

    `make_inspector`: normally the result of `engine_maker`.
    """

    def main(child: Child) -> None:
        gc.set_threshold(50_000, 20, 20)  # flows are many and long-lived: collect rarely

        def tell(message: Message) -> None:
            if isinstance(message, Failure):
                print(f"{message.where}: {message.text}", file=sys.stderr)
            child.send(encode(message))

        box = DpiBox(spec, make_inspector, tell)
        child.ready()
        box.serve(child.stop_fd, child)
        child.send(encode(Counters(spec.name, box.counters())))
        box.close()

    return fork(f"{BOX}{spec.name}", main)


def main(argv: list[str] | None = None) -> int:
    """Runs one box by hand, in the namespace of the caller, until SIGTERM or Ctrl-C; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m shutdownlab.box.dpi_box", description="A DPI box, by hand.")
    parser.add_argument("--name", default="box")
    parser.add_argument("--inside", required=True, help="the interface towards subscribers")
    parser.add_argument("--outside", required=True, help="the interface towards the Internet")
    parser.add_argument(
        "--profile", help="how it parses and reacts (`shutdownlab profiles`); else the policy's, or perfect"
    )
    parser.add_argument("--policy", type=Path, help="a policy file to start with")
    parser.add_argument("--controller", metavar="IP:PORT", action="append", default=[], help="where policies come from")
    parser.add_argument("--netns", type=Path, help="the network namespace of the interfaces (/run/netns/NAME)")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(argv)
    controllers = []
    for text in given.controller:
        host, _, port = text.rpartition(":")
        if not (host and port.isdecimal()):
            parser.error(f"--controller: expected IP:PORT, found {text}")
        controllers.append((host.strip("[]"), int(port)))
    policy = load_policy(given.policy.read_bytes(), str(given.policy)) if given.policy else None
    spec = BoxSpec(
        name=given.name,
        netns=given.netns,
        inside=given.inside,
        outside=given.outside,
        profile=given.profile or (policy and policy.profile) or "perfect",
        controllers=tuple(controllers),
        seed=given.seed,
    )
    box = DpiBox(
        spec, engine_maker(), lambda message: print(encode(message).decode().rstrip(), file=sys.stderr), policy
    )
    stop_fd = stop_descriptor()
    with suppress(KeyboardInterrupt):
        box.serve(stop_fd)
    print(json.dumps(box.counters(), indent=2))
    box.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
