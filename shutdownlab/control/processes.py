"""The controllers' processes, and the run's connection to the authority's controller."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from shutdownlab.control.addresses import AUTHORITY, ControllerAddresses
from shutdownlab.control.manager import serve
from shutdownlab.control.ryu import RyuPython
from shutdownlab.control.settings import ControllerSettings
from shutdownlab.inspection.apps import App
from shutdownlab.inspection.profile import Profile
from shutdownlab.model.faults import NO_DAMAGE, Damage
from shutdownlab.model.network import Network
from shutdownlab.model.policy import Policy
from shutdownlab.model.scenario import Mode
from shutdownlab.protocol.messages import (
    Ack,
    Command,
    Counters,
    CountersRequest,
    Failure,
    Message,
    Notice,
    Obeyed,
    Order,
    Progress,
    Standing,
    decode,
    encode,
)
from shutdownlab.system import polling
from shutdownlab.system.child_process import Child, Forked, ending, fork
from shutdownlab.system.line_socket import CLOSED, LineSocket
from shutdownlab.system.netns import enter, inside

_DEADLINE_S = 30.0
_CONNECT_S = 10.0
_READY_S = 10.0
_RYU_READY_S = 60.0
"""Longer, because it imports everything again."""
_GRACE_S = 3.0
"""Seconds after a failure in which an order may still be confirmed: the failure may be unrelated to it."""

_KEPT = "the switches keep the rules they have"


class ControlError(RuntimeError):
    """An order was not carried out; the text says what is missing, and what was reported meanwhile."""


@dataclass(frozen=True, slots=True)
class Controllers:
    """The controllers' processes, by name: the authority and the operators.

    `netns`: their network namespace. `own`: the user's own apps, by operator.
    """

    network: Network
    addresses: ControllerAddresses
    netns: Path | None
    processes: dict[str, Forked]
    own: Mapping[str, Path] = field(default_factory=dict)

    def died(self, on_purpose: Collection[str] = ()) -> Iterator[str]:
        """Yields a sentence about each controller that has ended, except those `on_purpose`."""
        for name, process in self.processes.items():
            if name not in on_purpose and not process.alive():
                why = f"has ended ({process.failure})" if process.failure else ending(process.status)
                yield f"the controller of {name} {why}; its switches keep the rules they have"

    def stop(self) -> None:
        """Stops all of them; raises `ForkedError` if one had to be killed."""
        for process in self.processes.values():
            process.stop()


def start_controllers(
    network: Network,
    apps: Mapping[str, App],
    addresses: ControllerAddresses,
    profiles: Mapping[str, Profile] | None = None,
    logs: Path | None = None,
    *,
    netns: Path | None = None,
    names: Iterable[str] = (),
    own: Mapping[str, Path] | None = None,
    ryu: RyuPython | None = None,
) -> Controllers:
    """Forks the authority's and every operator's controller (or those in `names`) into the namespace at `netns`.

    They share this process's memory copy-on-write. `profiles`: of the DPI boxes, by operator (default: the perfect
    one); `own`: the user's own apps, by operator; `logs`: a directory for what they print; `ryu`: the Python to
    run them under Ryu. Call it from the main thread, before starting other threads (see `child_process`). Returns once
    all listen; raises `ForkedError`.
    """
    if logs is not None:
        logs.mkdir(parents=True, exist_ok=True)
    started: dict[str, Forked] = {}
    for name in tuple(names) or (AUTHORITY, *network.topology.operators):
        shipped = Path(str(files("shutdownlab.controllers")))
        app = (own or {}).get(name) or shipped / ("authority.py" if name == AUTHORITY else "isp.py")
        settings = ControllerSettings(name, network, apps, addresses, profiles or {})

        def main(child: Child, app: Path = app, settings: ControllerSettings = settings) -> None:
            if logs is not None:
                with (logs / f"{settings.name}.log").open("ab") as log:
                    for printed in (1, 2):
                        os.dup2(log.fileno(), printed)
            enter(netns)
            if ryu is not None:
                ryu.go_on(child, app, settings)
            serve(app, settings, child.stop_fd, child.ready)

        started[name] = fork(f"ctl-{name}", main)
    for controller in started.values():
        controller.wait_ready(_RYU_READY_S if ryu else _READY_S)
    return Controllers(network, addresses, netns, started, dict(own or {}))


@dataclass(frozen=True, slots=True)
class Confirmation:
    """An order carried out everywhere, `seconds` after it was given. `messages`: those received meanwhile."""

    serial: int
    phase: str
    seconds: float
    messages: tuple[Message, ...]

    def __iter__(self) -> Iterator[Message]:
        return iter(self.messages)


_Latest = tuple[str, Mapping[str, Policy], Mode, float | None, Mapping[str, Mapping[str, Policy]] | None]
"""Phase, policies, mode, local time, and the policies of operators that deviate."""


class AuthorityClient:
    """The run's connection to the authority's controller: sends orders and receives reports."""

    def __init__(self, controllers: Controllers) -> None:
        """Connects to the authority's controller; raises OSError if it does not answer."""
        self._controllers = controllers
        self._serial = 0
        self._lines = self._connected()
        self._latest: _Latest = ("", {}, Mode.OPERATORS, None, None)
        self.held: dict[str, Standing] = {}
        """What each switch has confirmed last."""

    def connect_again(self) -> None:
        """Reconnects to the authority's controller after a restart; raises OSError if it does not answer."""
        self._lines.close()
        self._lines = self._connected()

    def _connected(self) -> LineSocket:
        controllers = self._controllers
        with inside(controllers.netns):
            return LineSocket(socket.create_connection(controllers.addresses.authority, timeout=_CONNECT_S))

    def order(
        self,
        phase: str,
        policies: Mapping[str, Policy],
        mode: Mode = Mode.OPERATORS,
        delays: Mapping[str, float] | None = None,
        deadline_s: float = _DEADLINE_S,
        local_time: float | None = None,
        damage: Damage = NO_DAMAGE,
        otherwise: Mapping[str, Mapping[str, Policy]] | None = None,
    ) -> Confirmation:
        """Puts exactly `policies` in force, and returns once every switch and box of the country has confirmed it.

        delays: wall-clock seconds that operators take to obey (mode `operators`). deadline_s: counted after the longest
        delay, and restarted by every confirmation or progress report, so that only an order without progress times out.
        local_time: the country's local time (seconds since 1970), for rules that depend on the hour. damage: it does
        not wait for controllers and boxes that cannot confirm because of it; if only the box cannot, it waits for the
        switches. otherwise: the policies of operators that do not do as ordered. A `Failure` that does not prevent the
        confirmation is in its `messages`. Raises `ControlError` if one does, if the authority's controller is gone, and
        at the deadline.
        """
        self._serial += 1
        if AUTHORITY in damage.leaderless:
            return Confirmation(self._serial, phase, 0.0, ())
        self._latest = (phase, policies, mode, local_time, otherwise)
        delays = dict(delays or {})
        order = Order(self._serial, phase, policies, mode, local_time=local_time)
        begin = time.monotonic()
        longest = max(delays.values(), default=0.0) if mode is Mode.OPERATORS else 0.0
        end = begin + deadline_s + longest
        self._send(Command(order, delays, otherwise or {}))
        topology = self._controllers.network.topology
        waiting = {*topology.all_gateways, *topology.operators} - damage.switchless
        waiting -= damage.leaderless if mode is Mode.OPERATORS else frozenset()
        without_box = self._switches_beside(damage.mute_boxes)
        messages: list[Message] = []
        failures: list[Failure] = []
        while waiting:
            left = end - time.monotonic()
            if left <= 0:
                raise ControlError(self._complaint(order, waiting, messages, time.monotonic() - begin))
            for message in self.events(left):
                if isinstance(message, Progress):
                    end = end if failures else max(end, time.monotonic() + deadline_s)
                    continue
                messages.append(message)
                if isinstance(message, Ack | Obeyed) and message.serial == order.serial:
                    end = end if failures else max(end, time.monotonic() + deadline_s)
                    if isinstance(message, Obeyed):
                        waiting.discard(message.operator)
                    else:
                        waiting -= {owner for owner, left in without_box.items() if left == {message.switch}}
                        for switches in without_box.values():
                            switches.discard(message.switch)
                elif isinstance(message, Failure) and not failures:
                    failures.append(message)
                    end = min(end, time.monotonic() + _GRACE_S)
        return Confirmation(order.serial, phase, round(time.monotonic() - begin, 6), tuple(messages))

    def order_again(self, damage: Damage) -> None:
        """Repeats the latest order, for controllers that were down when it was given. Raises `ControlError`."""
        phase, policies, mode, local_time, otherwise = self._latest
        self.order(phase, policies, mode, local_time=local_time, damage=damage, otherwise=otherwise)

    def _switches_beside(self, boxes: Collection[str]) -> dict[str, set[str]]:
        """Returns the switches of these boxes' operators, by operator."""
        nodes = self._controllers.network.nodes
        owners = {nodes[box].owner for box in boxes}
        return {o: {n.name for n in nodes.values() if n.owner == o and n.role.is_openflow} for o in owners}

    def counters(self, deadline_s: float, of: Collection[str], recent: int = 0) -> list[Message]:
        """Asks every DPI box for its counters; returns all messages received meanwhile. A lost box has empty
        `Counters`.

        It waits for the boxes `of`; one that has not answered by the deadline is missing. `recent`: the number of
        latest decisions that each includes. Raises `ControlError` if the authority's controller is gone.
        """
        boxes = set(of)
        self._send(CountersRequest(recent))
        end = time.monotonic() + deadline_s
        messages: list[Message] = []
        while boxes and (left := end - time.monotonic()) > 0:
            for message in self.events(left):
                messages.append(message)
                if isinstance(message, Counters):
                    boxes.discard(message.where)
        return messages

    def events(self, wait_s: float = 0.0) -> list[Message]:
        """Returns the messages received since the last call, waiting up to `wait_s` seconds for the first.

        Raises `ControlError` if the authority's controller is gone.
        """
        polling.wait([self._lines], seconds=wait_s)
        messages = [decode(line) for line in self._lines.receive()]
        self.held |= {message.switch: message.standing for message in messages if isinstance(message, Ack)}
        if self._lines.ended is not None and not messages:
            raise self._lost()
        return messages

    def fileno(self) -> int:
        """Returns the file descriptor that is readable when `events` has messages."""
        return self._lines.fileno()

    def close(self) -> None:
        """Closes the connection; the rules in force stay."""
        self._lines.close()

    def _send(self, message: Message) -> None:
        self._lines.send(encode(message))
        if not self._lines.flush(_CONNECT_S):
            raise self._lost()

    def _lost(self) -> ControlError:
        why = self._lines.ended or "it does not read"
        if why == CLOSED:
            return ControlError(f"the authority's controller has ended; {_KEPT}")
        return ControlError(f"lost the authority's controller: {why}; {_KEPT}")

    def _complaint(self, order: Order, owners: set[str], messages: list[Message], waited_s: float) -> str:
        """Describes who has not confirmed (with the switches), the failures reported, and dead controllers."""
        acked = {message.switch for message in messages if isinstance(message, Ack) and message.serial == order.serial}
        silent = []
        for owner in sorted(owners):
            nodes = [n for n in self._controllers.network.nodes.values() if n.owner == owner and n.role.is_openflow]
            missing = [node.name for node in nodes if node.name not in acked]
            silent.append(f"{owner} ({', '.join(missing) or 'its DPI box'})")
        lines = [f"phase {order.phase}: not confirmed by {', '.join(silent)} within {waited_s:.1f} s"]
        lines += [f"{m.where}: {m.text}" for m in messages if isinstance(m, Failure | Notice)]
        for name in sorted(self._controllers.own.keys() & owners):
            app = self._controllers.own[name].name
            lines.append(f"{name}'s controller is {app}: `super().obey(order)` confirms, also an order with less in it")
        return "\n".join([*lines, *self._controllers.died()])


__all__ = ["AuthorityClient", "Confirmation", "ControlError", "Controllers", "start_controllers"]
