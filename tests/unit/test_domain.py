"""What a controller commands, without a switch: who has to confirm what before an order is obeyed."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from shutdownlab import library
from shutdownlab.compiler.boxes import BYPASS
from shutdownlab.compiler.program import compile_switch
from shutdownlab.compiler.rules import Meter, Rule, RuleChange, SwitchProgram
from shutdownlab.control.domain import Domain
from shutdownlab.inspection.profile import Profile
from shutdownlab.inspection.verdict import Action, Decision, Side
from shutdownlab.model.box_checks import profile_named
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

NETWORK = library.network("two-operators")
PERFECT = profile_named("perfect")
ON_PATH = profile_named("gfw-tls")
CLOSED = PERFECT.model_copy(update={"table": PERFECT.table.model_copy(update={"overload": "closed"})})
SWITCHES = ("southcell-dpi", "southcell-capital-sw", "southcell-coast-sw")
BLACKOUT = {"blackout": Policy.model_validate({"title": "All", "block": "everything", "source": "test"})}
NAMED = {"named": Policy.model_validate({"title": "One", "block": {"apps": ["whatsapp"]}, "source": "test"})}
DROP = Decisions((Decision("100.65.1.10", 40000, "203.0.112.10", 443, 6, Side.INSIDE, Action.DROP, flow_rule="drop"),))


@dataclass
class FakeSwitch:
    """Notes what it is sent; barriers are numbered across all of them."""

    numbers: Iterator[int]
    sent: list[str] = field(default_factory=list)
    program: SwitchProgram | None = None
    enforced: list[Rule] = field(default_factory=list)
    barrier: int = 0

    def claim(self) -> None:
        self.sent.append("claim")

    def replace(self, program: SwitchProgram, sent: Callable[[int], None]) -> int:
        sent(len(program.rules))
        self.program = program
        return self._did("replace")

    def update(self, change: RuleChange, held: SwitchProgram, sent: Callable[[int], None]) -> int:
        assert self.program is not None
        assert set(self.program.rules) == set(held.rules)
        kept = [rule for rule in held.rules if rule.key not in {gone.key for gone in (*change.delete, *change.add)}]
        self.program = SwitchProgram(change.meters, (*kept, *change.add))
        return self._did("update")

    def enforce(self, meters: list[tuple[Meter, bool]], rules: list[Rule]) -> None:
        self.sent.append("enforce")
        self.enforced += rules

    def forget_verdicts(self) -> int:
        self.enforced.clear()
        return self._did("forget")

    def _did(self, what: str) -> int:
        self.sent.append(what)
        self.barrier = next(self.numbers)
        return self.barrier


@dataclass
class Refusal:
    not_master: bool = False
    stale: bool = False
    text: str = "OFPET_X OFPXX_Y"


class Scene:
    """A domain with fake switches, and what it tells."""

    def __init__(self, profile: Profile = PERFECT) -> None:
        self.told: list[Message] = []
        self.domain = Domain(NETWORK, library.catalogue(), "southcell", profile, self.told.append)
        numbers = itertools.count(1)
        self.switches = {name: FakeSwitch(numbers) for name in SWITCHES}
        self.box: list[Any] = []

    def join(self) -> None:
        for name, switch in self.switches.items():
            self.domain.switch_joined(name, switch)

    def confirm(self, *names: str) -> None:
        for name in names or SWITCHES:
            self.domain.switch_confirmed(name, self.switches[name].barrier)

    def obeyed(self) -> list[int]:
        return [message.serial for message in self.told if isinstance(message, Obeyed)]


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_an_order_is_obeyed_when_the_last_switch_has_confirmed(scene: Scene) -> None:
    scene.join()
    scene.domain.reconcile(1, BLACKOUT)
    scene.confirm("southcell-dpi", "southcell-coast-sw")
    assert scene.obeyed() == []
    assert {ack.switch for ack in scene.told if isinstance(ack, Ack)} == {"southcell-dpi", "southcell-coast-sw"}
    scene.confirm("southcell-capital-sw")
    assert scene.obeyed() == [1]
    rules = len(compile_switch(NETWORK, library.catalogue(), BLACKOUT, "southcell-coast-sw").rules)
    assert [
        ack.standing.rules for ack in scene.told if isinstance(ack, Ack) and ack.switch == "southcell-coast-sw"
    ] == [rules]


def test_an_order_waits_for_switches_that_are_not_connected(scene: Scene) -> None:
    scene.domain.reconcile(1, BLACKOUT)
    assert scene.obeyed() == []
    scene.join()
    scene.confirm()
    assert scene.obeyed() == [1]


def test_the_first_order_claims_and_replaces_and_later_ones_only_change(scene: Scene) -> None:
    scene.join()
    scene.domain.reconcile(1, {})
    scene.confirm()
    scene.domain.reconcile(2, BLACKOUT)
    switch = scene.switches["southcell-coast-sw"]
    assert switch.sent == ["claim", "replace", "update"]
    assert switch.program is not None
    expected = compile_switch(NETWORK, library.catalogue(), BLACKOUT, "southcell-coast-sw")
    assert set(switch.program.rules) == set(expected.rules)


def test_a_confirmation_of_an_older_order_is_not_one_of_the_newer(scene: Scene) -> None:
    scene.join()
    scene.domain.reconcile(1, BLACKOUT)
    older = {name: switch.barrier for name, switch in scene.switches.items()}
    scene.domain.reconcile(2, {})
    for name, barrier in older.items():
        scene.domain.switch_confirmed(name, barrier)
    assert scene.obeyed() == []
    scene.confirm()
    assert scene.obeyed() == [2]


def test_a_switch_that_comes_back_is_replaced_whole(scene: Scene) -> None:
    scene.join()
    scene.domain.reconcile(1, BLACKOUT)
    scene.confirm()
    scene.domain.switch_left("southcell-coast-sw")
    fresh = FakeSwitch(itertools.count(100))
    scene.domain.switch_joined("southcell-coast-sw", fresh)
    assert fresh.sent == ["claim", "replace"]
    texts = [message.text for message in scene.told if isinstance(message, Notice)]
    assert texts == [
        "lost the switch southcell-coast-sw; it keeps the rules it has",
        "the switch southcell-coast-sw is back",
    ]
    assert Parted("southcell", "southcell-coast-sw") in scene.told, "so that what is measured meanwhile is doubted"


def test_a_refused_message_is_a_failure_and_no_confirmation_follows(scene: Scene) -> None:
    scene.join()
    scene.domain.reconcile(1, BLACKOUT)
    scene.domain.switch_refused("southcell-dpi", Refusal())
    scene.confirm()
    assert scene.obeyed() == []
    assert Failure("southcell", "the switch southcell-dpi refused a message: OFPET_X OFPXX_Y") in scene.told
    scene.domain.reconcile(2, {})
    assert scene.switches["southcell-dpi"].sent[-2:] == ["claim", "replace"]


def test_under_another_master_one_notice_is_reported_and_nothing_more_is_tried(scene: Scene) -> None:
    scene.join()
    scene.domain.reconcile(1, {})
    scene.confirm()
    scene.domain.relinquish(still_trying=True)
    scene.domain.on_box_message(DROP)
    for _ in range(2):
        scene.domain.switch_refused("southcell-dpi", Refusal(not_master=True))
    scene.domain.on_box_message(DROP)
    assert scene.switches["southcell-dpi"].sent.count("enforce") == 1
    assert sum(isinstance(message, Notice) for message in scene.told) == 1
    assert not any(isinstance(message, Failure) for message in scene.told)


def test_who_has_given_up_command_leaves_switches_that_come_back_alone(scene: Scene) -> None:
    scene.join()
    scene.domain.reconcile(1, {})
    scene.domain.relinquish(still_trying=True)
    fresh = FakeSwitch(itertools.count(100))
    scene.domain.switch_joined("southcell-dpi", fresh)
    scene.domain.on_box_message(DROP)
    assert fresh.sent == []


def test_a_role_asked_for_too_late_is_asked_for_again(scene: Scene) -> None:
    scene.join()
    scene.domain.reconcile(1, {})
    scene.domain.switch_refused("southcell-dpi", Refusal(stale=True))
    assert scene.switches["southcell-dpi"].sent == ["claim", "replace", "claim", "replace"]
    scene.confirm()
    assert scene.obeyed() == [1]


def test_an_order_with_rules_for_the_box_waits_until_old_verdicts_are_gone(scene: Scene) -> None:
    scene.join()
    scene.domain.box_joined(scene.box.append)
    scene.domain.reconcile(1, NAMED)
    scene.confirm()
    assert scene.obeyed() == []
    assert [(policy.serial, len(policy.rules)) for policy in scene.box] == [(1, 1)]
    scene.domain.on_box_message(DROP)
    scene.domain.on_box_message(Applied(1))
    assert scene.obeyed() == []
    scene.confirm("southcell-dpi")
    assert scene.obeyed() == [1]
    assert scene.switches["southcell-dpi"].enforced == []


def test_a_box_whose_rules_stay_is_left_alone_with_its_verdicts(scene: Scene) -> None:
    scene.join()
    scene.domain.box_joined(scene.box.append)
    scene.domain.reconcile(1, NAMED)
    scene.domain.on_box_message(Applied(1))
    scene.confirm()
    scene.domain.on_box_message(DROP)
    scene.domain.reconcile(2, {**NAMED, "more": BLACKOUT["blackout"]})
    assert len(scene.box) == 1
    assert len(scene.switches["southcell-dpi"].enforced) == 1


def test_rules_on_their_way_to_the_box_are_not_sent_twice(scene: Scene) -> None:
    scene.join()
    scene.domain.box_joined(scene.box.append)
    scene.domain.reconcile(1, NAMED)
    scene.domain.reconcile(2, NAMED)
    assert [policy.serial for policy in scene.box] == [1]
    scene.confirm()
    scene.domain.on_box_message(Applied(1))
    scene.confirm("southcell-dpi")
    assert scene.obeyed() == [2]


def test_a_box_that_comes_back_is_told_its_rules_again(scene: Scene) -> None:
    scene.join()
    scene.domain.box_joined(scene.box.append)
    scene.domain.reconcile(1, NAMED)
    scene.domain.box_left()
    scene.domain.box_joined(scene.box.append)
    assert [type(message) for message in scene.box] == [BoxPolicy, BoxPolicy]


def test_with_nothing_to_look_for_no_box_is_needed(scene: Scene) -> None:
    scene.join()
    scene.domain.reconcile(1, BLACKOUT)
    scene.confirm()
    assert scene.obeyed() == [1]


def test_the_word_of_a_box_that_is_no_box_is_a_failure(scene: Scene) -> None:
    scene.domain.on_box_message(Obeyed(1, "southcell"))
    assert isinstance(scene.told[0], Failure)


def bypassed(scene: Scene) -> bool:
    """Whether the DPI switch leaves the box out."""
    program = scene.switches["southcell-dpi"].program
    return program is not None and BYPASS in program.rules


def with_box(scene: Scene, policies: dict[str, Policy]) -> None:
    """A box at work under order 1, obeyed."""
    scene.join()
    scene.domain.box_joined(scene.box.append)
    scene.domain.reconcile(1, policies)
    scene.confirm()
    scene.domain.on_box_message(Applied(1))
    scene.confirm("southcell-dpi")
    assert scene.obeyed() == [1]


def test_a_box_that_comes_back_is_reported_by_name_one_that_an_order_waits_for_is_not(scene: Scene) -> None:
    with_box(scene, NAMED)
    assert [message for message in scene.told if isinstance(message, BoxJoined)] == []
    scene.domain.box_left()
    scene.domain.box_joined(scene.box.append)
    assert scene.told[-1] == BoxJoined("southcell", "southcell-box")


def notices(scene: Scene) -> str:
    return "\n".join(message.text for message in scene.told if isinstance(message, Notice))


def test_past_a_lost_box_that_fails_open_nothing_is_steered_until_it_is_back(scene: Scene) -> None:
    with_box(scene, NAMED)
    scene.domain.box_left()
    assert bypassed(scene)
    assert "lost the DPI box southcell-box; perfect fails open: they go past it" in notices(scene)
    scene.domain.box_joined(scene.box.append)
    assert not bypassed(scene)
    assert len(scene.box) == 2, "it is told its rules again"


def test_an_order_is_carried_out_without_a_lost_box(scene: Scene) -> None:
    with_box(scene, NAMED)
    scene.domain.box_left()
    scene.domain.reconcile(2, {**NAMED, "more": BLACKOUT["blackout"]})
    scene.confirm()
    assert scene.obeyed() == [1, 2]
    assert bypassed(scene)
    assert "carries out order 2 without its DPI box" in notices(scene)


def test_an_order_that_waits_for_a_box_goes_on_without_it_when_it_is_lost(scene: Scene) -> None:
    scene.join()
    scene.domain.box_joined(scene.box.append)
    scene.domain.reconcile(1, NAMED)
    scene.confirm()
    assert scene.obeyed() == []
    scene.domain.box_left()
    scene.confirm("southcell-dpi")
    assert scene.obeyed() == [1]


@pytest.mark.parametrize(("profile", "says"), [(CLOSED, "fails closed: they are lost"), (ON_PATH, "is on-path")])
def test_a_lost_box_that_fails_closed_or_is_on_path_changes_nothing_at_the_switch(profile: Profile, says: str) -> None:
    scene = Scene(profile)
    with_box(scene, NAMED)
    before = scene.switches["southcell-dpi"].program
    scene.domain.box_left()
    assert scene.switches["southcell-dpi"].program == before
    assert says in notices(scene)


def test_what_an_on_path_box_blocks_stays_with_it() -> None:
    scene = Scene(ON_PATH)
    with_box(scene, NAMED)
    scene.domain.on_box_message(DROP)
    assert scene.switches["southcell-dpi"].enforced == []


def test_a_box_is_told_the_time_again_only_if_its_rules_ask_for_it(scene: Scene) -> None:
    with_box(scene, NAMED)
    scene.domain.reconcile(2, NAMED, 3600.0)
    assert [policy.serial for policy in scene.box] == [1]
    rule = {"name": "evening", "when": {"hours": "18:00-23:00"}, "verdict": "drop"}
    evenings = {"evenings": Policy.model_validate({"title": "Evenings", "inspect": [rule], "source": "t"})}
    scene.domain.reconcile(3, evenings, 3600.0)
    scene.domain.reconcile(4, evenings, 7200.0)
    assert [(policy.serial, policy.local_time) for policy in scene.box[1:]] == [(3, 3600.0), (4, 7200.0)]


def test_a_boxs_counters_are_passed_on(scene: Scene) -> None:
    counters = Counters("southcell-box", {"injected": 1})
    scene.domain.on_box_message(counters)
    assert scene.told == [counters]


def test_an_order_that_takes_long_tells_how_far_it_has_got(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rules worked out and rules sent both count; what is done within a second has nothing to tell."""
    for step, tells in ((0.0, False), (0.4, True)):
        clock = itertools.count(100.0, step or 1e-9)
        monkeypatch.setattr("shutdownlab.control.domain.time", SimpleNamespace(monotonic=lambda c=clock: next(c)))
        scene = Scene()
        scene.domain.reconcile(2, BLACKOUT)
        scene.join()
        told = [message for message in scene.told if isinstance(message, Progress)]
        assert bool(told) is tells
    assert {(message.serial, message.where) for message in told} == {(2, "southcell")}
    assert [message.rules for message in told] == sorted({message.rules for message in told})
    assert told[-1].rules > max(len(switch.program.rules) for switch in scene.switches.values() if switch.program)
