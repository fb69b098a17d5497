"""The switches and the DPI box of one owner (an operator, or the gateway), as commanded by one controller. Pure.

A domain has a goal, the program of every switch and the rules of the box under one order, and tracks the confirmations.
It is driven by events (`switch_joined`, `on_box_message`, …) and reports through `tell`: an `Ack` per
switch, `Obeyed` once all have confirmed, a `Notice`, `Parted` when a switch disconnects, or a `Failure`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from shutdownlab.compiler.boxes import BYPASS, compile_box
from shutdownlab.compiler.program import compile_operator
from shutdownlab.compiler.rules import Meter, Rule, RuleChange, SwitchProgram, change
from shutdownlab.compiler.standing import standing_of
from shutdownlab.compiler.verdicts import VerdictCompiler
from shutdownlab.inspection.apps import App
from shutdownlab.inspection.policy import InspectionRule
from shutdownlab.inspection.profile import Profile
from shutdownlab.model.network import Network, Role
from shutdownlab.model.policy import Policy
from shutdownlab.protocol.messages import (
    Ack,
    Applied,
    BoxJoined,
    BoxPolicy,
    Counters,
    Decisions,
    Failure,
    Message,
    Notice,
    Obeyed,
    Parted,
    Progress,
)

_TELL_S: Final = 1.0
"""Seconds before an order's progress is first reported, and between reports."""


class ConnectedSwitch(Protocol):
    """The interface of a connected switch, which `openflow.Switch` implements."""

    def claim(self) -> None:
        """Requests the MASTER role."""

    def replace(self, program: SwitchProgram, sent: Callable[[int], None]) -> int:
        """Replaces everything on the switch by `program`; returns the number of the barrier that confirms it.

        `sent` is called meanwhile with the number of rules sent since the last call.
        """

    def update(self, change: RuleChange, held: SwitchProgram, sent: Callable[[int], None]) -> int:
        """Applies `change` to the program it holds; returns the number of the barrier."""

    def enforce(self, meters: list[tuple[Meter, bool]], rules: list[Rule]) -> None:
        """Adds meters (True: the id is in use already) and rules of a decision."""

    def forget_verdicts(self) -> int:
        """Removes the rules of all decisions; returns the number of the barrier."""


class SwitchRefusal(Protocol):
    """The interface of a switch's refusal, which `openflow.Refusal` implements."""

    not_master: bool
    stale: bool
    text: str


@dataclass(slots=True)
class _SwitchState:
    """A connected switch.

    `held`: the program on it; None if another controller may have changed it. `ours`: it accepts our messages, as far
    as we know. `barrier`: the number of the barrier that will confirm `held`; None once it has.
    """

    switch: ConnectedSwitch
    ours: bool = False
    held: SwitchProgram | None = None
    barrier: int | None = None
    sent_at: float = 0.0


@dataclass(slots=True)
class _BoxState:
    """The DPI box: `send` writes to it, `policy` is the last sent, `barrier` confirms that old verdicts are removed.

    `settled`: that barrier has been confirmed. `lost`: the box was connected, and no longer is.
    """

    send: Callable[[Message], None] | None = None
    policy: BoxPolicy | None = None
    barrier: int | None = None
    settled: bool = False
    lost: bool = False


@dataclass(slots=True)
class _Goal:
    """The programs and box rules of an order. `local_time`: None unless the box's rules depend on it, so that
    otherwise they compare equal at any time."""

    serial: int
    programs: dict[str, SwitchProgram]
    box_rules: tuple[InspectionRule, ...]
    local_time: float | None
    unconfirmed: set[str]
    obeyed: bool = False


@dataclass(slots=True)
class _Progress:
    """The progress of an order: rules compiled and sent so far, and when that was last reported."""

    serial: int
    rules: int = 0
    told_at: float = 0.0


@dataclass(slots=True)
class Domain:
    """The switches and the box of `owner`, commanded by one controller. `profile`: the box's profile."""

    network: Network
    apps: Mapping[str, App]
    owner: str
    profile: Profile
    tell: Callable[[Message], None]
    switches: tuple[str, ...] = field(init=False)
    box: str | None = field(init=False)
    _dpi_switch: str | None = field(init=False)
    _switch_states: dict[str, _SwitchState] = field(default_factory=dict)
    _goal: _Goal | None = None
    _box: _BoxState = field(default_factory=_BoxState)
    _verdicts: VerdictCompiler = field(init=False)
    _on_path: bool = field(init=False)
    _fails_open: bool = field(init=False)
    _progress: _Progress = field(default_factory=lambda: _Progress(0))

    def __post_init__(self) -> None:
        own = [node for node in self.network.nodes.values() if node.owner == self.owner]
        self.switches = tuple(node.name for node in own if node.role.is_openflow)
        self.box = next((node.name for node in own if node.role is Role.DPI_BOX), None)
        self._dpi_switch = next((node.name for node in own if node.role is Role.DPI_SWITCH), None)
        self._on_path = self.profile.placement == "on-path"
        self._fails_open = self.profile.table.overload == "open"
        self._verdicts = VerdictCompiler(on_path=self._on_path)

    def reconcile(self, serial: int, active: Mapping[str, Policy], local_time: float | None = None) -> None:
        """Brings switches and box to the rules of the policies in force, `active` (order `serial`).

        `local_time`: the country's local time, in seconds since 1970. It does not wait for a lost box.
        """
        self._progress = _Progress(serial, told_at=time.monotonic())
        programs = compile_operator(
            self.network, self.apps, active, self.owner, on_path=self._on_path, worked_out=self._got_on
        )
        rules = compile_box(self.network, active, self.owner)
        clock = local_time if any(part.hours for rule in rules for part in rule.when.parts) else None
        self._goal = _Goal(serial, programs, rules, clock, set(programs))
        if self.box and (rules or self._box.send):  # with nothing to look for, no box is needed
            if self._box.lost:
                self.tell(Notice(self.owner, f"carries out order {serial} without its DPI box; {self._without_box}"))
            else:
                self._goal.unconfirmed.add(self.box)
        for name in self._switch_states:
            self._install(name)
        self._send_box_policy()
        self._check()

    def _got_on(self, rules: int) -> None:
        """Counts rules compiled or sent, and reports them at intervals, so that a long order does not look stuck."""
        progress, now = self._progress, time.monotonic()
        progress.rules += rules
        if now - progress.told_at >= _TELL_S:
            progress.told_at = now
            self.tell(Progress(progress.serial, self.owner, progress.rules))

    def relinquish(self, *, still_trying: bool = False) -> None:
        """Drops the goal, because another controller takes command: nothing is reconciled until the next one.

        still_trying: continue to enforce the box's decisions, until a switch refuses.
        """
        self._goal = None
        for state in self._switch_states.values():
            state.held, state.barrier = None, None
            state.ours = state.ours and still_trying

    # --- switches --------------------------------------------------------------------------------------------------

    def switch_joined(self, name: str, switch: ConnectedSwitch) -> None:
        """Handles a switch that has connected, for the first time or again."""
        self._switch_states[name] = _SwitchState(switch)
        if self._goal is not None:
            if self._goal.obeyed:
                self.tell(Notice(self.owner, f"the switch {name} is back"))
            self._install(name)

    def switch_left(self, name: str) -> None:
        """Handles a lost switch connection; the switch keeps its rules (Open vSwitch's fail-mode `secure`)."""
        del self._switch_states[name]
        if self._goal is not None:
            self._goal.unconfirmed.add(name)
            self.tell(Notice(self.owner, f"lost the switch {name}; it keeps the rules it has"))
            self.tell(Parted(self.owner, name))

    def switch_confirmed(self, name: str, barrier: int) -> None:
        """Handles a barrier reply: the switch has applied all messages before `barrier`."""
        state, goal = self._switch_states[name], self._goal
        if name == self._dpi_switch and barrier == self._box.barrier:
            self._box.barrier, self._box.settled = None, True
            self._send_box_policy()
        elif goal is not None and state.held is not None and barrier == state.barrier:
            state.barrier = None
            seconds = round(time.monotonic() - state.sent_at, 6)
            self.tell(Ack(goal.serial, name, standing_of(state.held), seconds))
            goal.unconfirmed.discard(name)
        self._check()

    def switch_refused(self, name: str, why: SwitchRefusal) -> None:
        """Handles a refused message. If another controller is the switch's master that is expected: only a notice."""
        state = self._switch_states[name]
        was_ours, state.ours, state.held, state.barrier = state.ours, False, None, None
        if why.stale and self._goal is not None:
            self._install(name)
        elif not why.not_master:
            self.tell(Failure(self.owner, f"the switch {name} refused a message: {why.text}"))
        elif was_ours:
            text = f"the switch {name} refused a message: {why.text}: another controller is its master"
            self.tell(Notice(self.owner, text))

    def _install(self, name: str) -> None:
        assert self._goal is not None
        state, program = self._switch_states[name], self._program(name)
        state.sent_at = time.monotonic()
        if state.held is not None:
            state.barrier = state.switch.update(change(state.held, program), state.held, self._got_on)
            state.held = program
            return
        state.switch.claim()
        state.barrier = state.switch.replace(program, self._got_on)
        state.held, state.ours = program, True
        if name == self._dpi_switch:
            # Its verdicts are gone, and the previous controller may have sent the box other rules.
            self._verdicts = VerdictCompiler(on_path=self._on_path)
            self._box = _BoxState(self._box.send, lost=self._box.lost)
            self._send_box_policy()

    def _program(self, name: str) -> SwitchProgram:
        """Returns the program for a switch; if its box is lost and fails open, traffic bypasses the box."""
        assert self._goal is not None
        program = self._goal.programs[name]
        if name == self._dpi_switch and self._box.lost and self._fails_open:
            return SwitchProgram(program.meters, (*program.rules, BYPASS))
        return program

    # --- the box ---------------------------------------------------------------------------------------------------

    def box_joined(self, send: Callable[[Message], None]) -> None:
        """Handles a box that has connected; `send` writes to it."""
        was_lost = self._box.lost
        self._box = _BoxState(send)
        if self._goal is not None:
            if not self._goal.obeyed:
                self._goal.unconfirmed.add(self.box or "")
            elif self.box is not None:
                self.tell(BoxJoined(self.owner, self.box))
            if was_lost:
                self._steer_again()
            self._send_box_policy()

    def box_left(self) -> None:
        """Handles a lost box or connection: the operator's traffic fails open or closed, by the profile."""
        self._box = _BoxState(lost=True)
        if self._goal is not None:
            self.tell(Notice(self.owner, f"lost the DPI box {self.box}; {self._without_box}"))
            self.tell(Parted(self.owner, self.box or ""))
            self._goal.unconfirmed.discard(self.box or "")
            self._steer_again()
            self._check()

    @property
    def _without_box(self) -> str:
        """Describes in words what happens to the packets that a lost box should see."""
        if self._on_path:
            return f"{self.profile.name} is on-path, so they go on without it"
        how = "open: they go past it" if self._fails_open else "closed: they are lost"
        return f"{self.profile.name} fails {how}"

    def _steer_again(self) -> None:
        """Reinstalls the DPI switch's program if it depends on whether there is a box."""
        name = self._dpi_switch
        if self._fails_open and not self._on_path and name in self._switch_states and self._switch_states[name].ours:
            self._install(name)

    def on_box_message(self, message: Message) -> None:
        """Handles a message from the box: decisions become flow rules at once."""
        match message:
            case Decisions():
                self._enforce(message)
            case Applied():
                self._box_applied(message.serial)
            case Failure() | Notice() | Counters():
                self.tell(message)
            case _:
                self.tell(Failure(self.owner, f"its DPI box sent a message that a box may not send: {message}"))

    def _send_box_policy(self) -> None:
        """Sends the box its rules, unless it has the same already: then its decisions stay valid."""
        goal, box, state = self._goal, self._box, self._switch_states.get(self._dpi_switch or "")
        if goal is None or box.send is None or state is None or not state.ours:
            return
        known = box.policy
        if known is None or (known.rules, known.local_time) != (goal.box_rules, goal.local_time):
            policy = BoxPolicy(goal.serial, self.profile.name, goal.box_rules, local_time=goal.local_time)
            self._box = _BoxState(box.send, policy)
            box.send(policy)
        elif box.settled:
            goal.unconfirmed.discard(self.box or "")

    def _box_applied(self, serial: int) -> None:
        """Handles applied box rules: removes decisions by older rules, so that connections are decided anew."""
        state = self._switch_states.get(self._dpi_switch or "")
        policy = self._box.policy
        if policy is not None and policy.serial == serial and state is not None and state.ours:
            self._box.barrier = state.switch.forget_verdicts()

    def _enforce(self, decisions: Decisions) -> None:
        state = self._switch_states.get(self._dpi_switch or "")
        if state is None or not state.ours:
            return
        meters: list[tuple[Meter, bool]] = []
        rules: list[Rule] = []
        for decision in decisions.decisions:
            enforcement = self._verdicts.compile(decision)
            meters += [(meter, enforcement.known_meters) for meter in enforcement.meters]
            rules += enforcement.rules
        if rules:
            state.switch.enforce(meters, rules)

    def _check(self) -> None:
        if self._goal is not None and not self._goal.unconfirmed and not self._goal.obeyed:
            self._goal.obeyed = True
            self.tell(Obeyed(self._goal.serial, self.owner))
