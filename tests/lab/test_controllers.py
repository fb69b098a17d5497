"""Controllers and real Open vSwitch tables: switches hold what is ordered, and nothing goes wrong in silence."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cables import Cables
from fake_box import FakeBox
from switches import Switches, until

from shutdownlab import library
from shutdownlab.compiler.program import compile_operator, compile_switch
from shutdownlab.compiler.rules import PipelineTable
from shutdownlab.compiler.standing import altered
from shutdownlab.control.addresses import controller_addresses
from shutdownlab.control.processes import AuthorityClient, Confirmation, ControlError, Controllers, start_controllers
from shutdownlab.inspection.verdict import Action, Decision, Residual, Side
from shutdownlab.model.network import Network
from shutdownlab.model.policy import Policy
from shutdownlab.model.scenario import Mode
from shutdownlab.network.flow_statistics import standing
from shutdownlab.protocol.messages import Ack, Failure, Message, Notice, Obeyed, Standing

REPOSITORY = Path(__file__).parents[2]
BLACKOUT: dict[str, Any] = {
    "title": "Everything but the government, two ports and a bank",
    "block": "everything",
    "except": {"subscribers": ["government"], "ports": ["179", "udp/5060"], "sites": ["kaspi.kz"]},
    "source": "test",
}
THROTTLE: dict[str, Any] = {
    "title": "Mobile at 150 kbit/s",
    "throttle": "150kbit",
    "where": {"access": ["mobile"]},
    "source": "test",
}
GATEWAY: dict[str, Any] = {"title": "At the gateway", "block": {"protocols": ["quic"]}, "at": "gateway", "source": "t"}
WHATSAPP: dict[str, Any] = {"title": "A messenger, by name", "block": {"apps": ["whatsapp"]}, "source": "test"}
UNCOMPILABLE: dict[str, Any] = {"title": "?", "block": {"apps": ["no-such-app"]}, "by": "address", "source": "test"}


def policies(**given: dict[str, Any]) -> dict[str, Policy]:
    return {name: Policy.model_validate(value) for name, value in given.items()}


@dataclass
class Lab:
    """The small country's switches, controllers, and the line to the authority."""

    network: Network
    controllers: Controllers
    switches: Switches
    authority: AuthorityClient
    box: Callable[[str, int], FakeBox]
    heard: list[Message] = field(default_factory=list)

    def wrong(self, active: dict[str, Policy]) -> dict[str, str]:
        """How switches differ from what they should hold."""
        found = {}
        for owner in ("gateway", *self.network.topology.operators):
            for name, program in compile_operator(self.network, library.catalogue(), active, owner).items():
                if difference := self.switches.differences(name, program):
                    found[name] = difference
        return found

    def held(self) -> dict[str, Standing]:
        """What each switch says it holds."""
        return {node.name: standing(self.switches.management(node.name)) for node in self.switches.nodes}

    def verdicts(self, switch: str) -> list[str]:
        """What is in the table of verdicts, but for its miss."""
        flows = (
            *self.switches.flows(switch, PipelineTable.RESIDUAL),
            *self.switches.flows(switch, PipelineTable.VERDICTS),
        )
        return [flow for flow in flows if ",reg" in flow or ",xxreg" in flow]

    def roles(self, switch: str) -> dict[str, str]:
        """The OpenFlow role of each of a switch's controllers, by port."""
        found = {}
        for uuid in self.switches.vsctl("get", "bridge", self.switches.bridge(switch), "controller").split(","):
            one = uuid.strip("[] \n")
            target = self.switches.vsctl("get", "controller", one, "target").strip().strip('"')
            found[target.rpartition(":")[2]] = self.switches.vsctl("get", "controller", one, "role").strip()
        return found

    def port(self, name: str) -> str:
        return str(self.controllers.addresses.openflow[name][1])

    def hear(self, what: str, wanted: Callable[[Message], bool]) -> Message:
        """The first message of a kind that the authority tells outside orders."""
        end = time.monotonic() + 10
        while time.monotonic() < end:
            self.heard += self.authority.events(0.2)
            for message in self.heard:
                if wanted(message):
                    return message
        raise AssertionError(f"never heard {what}; heard {self.heard}")


@pytest.fixture
def cables() -> Iterator[Cables]:
    with Cables() as cables:
        yield cables


@pytest.fixture
def lab(cables: Cables, tmp_path: Path) -> Iterator[Lab]:
    network = library.network("two-operators")
    netns = cables.netns()
    where = controller_addresses(network.topology.operators, "127.0.0.1")
    controllers = start_controllers(network, library.catalogue(), where, logs=tmp_path / "logs", netns=netns)
    boxes: list[FakeBox] = []

    def box(operator: str, controller: int) -> FakeBox:
        boxes.append(FakeBox(f"{operator}-box", where.of_box(operator)[controller], netns))
        return boxes[-1]

    try:
        with Switches(network, where, tmp_path, cables, netns) as switches:
            authority = AuthorityClient(controllers)
            authority.order("baseline", {})
            yield Lab(network, controllers, switches, authority, box)
            authority.close()
    finally:
        controllers.stop()


def told(confirmation: Confirmation, kind: type) -> list[Any]:
    return [message for message in confirmation if isinstance(message, kind)]


def decision(action: str, port: int = 40000, **more: Any) -> Decision:
    more.setdefault("flow_rule", "meter" if action == "throttle" else action)
    return Decision("100.64.1.10", port, "203.0.112.10", 443, 6, Side.INSIDE, Action(action), **more)


def test_switches_hold_exactly_what_the_compiler_says(lab: Lab) -> None:
    assert lab.wrong({}) == {}
    for active in (
        policies(blackout=BLACKOUT, throttle=THROTTLE),
        policies(throttle=THROTTLE, gateway=GATEWAY),
        policies(blackout=BLACKOUT, gateway=GATEWAY),
        {},
    ):
        lab.authority.order("next", active)
        assert lab.wrong(active) == {}
        assert lab.held() == lab.authority.held, "they say of themselves what the controllers say they ordered"


def test_every_switch_confirms_every_order_by_a_barrier(lab: Lab) -> None:
    active = policies(blackout=BLACKOUT)
    confirmation = lab.authority.order("blackout", active)
    acks = {ack.switch: ack.standing.rules for ack in told(confirmation, Ack)}
    assert acks == {
        node.name: len(compile_switch(lab.network, library.catalogue(), active, node.name).rules)
        for node in lab.switches.nodes
    }
    assert {obeyed.operator for obeyed in told(confirmation, Obeyed)} == {"gateway", "northnet", "southcell"}
    assert not told(confirmation, Failure)


def test_meters_come_and_go_with_the_policy_that_needs_them(lab: Lab) -> None:
    lab.authority.order("throttled", policies(throttle=THROTTLE))
    meters = lab.switches.ofctl("dump-meters", "southcell-capital-sw")
    assert meters.count("rate=150") == 2  # a direction each
    lab.authority.order("faster", policies(throttle={**THROTTLE, "throttle": "300kbit"}))
    meters = lab.switches.ofctl("dump-meters", "southcell-capital-sw")
    assert meters.count("rate=300") == 2
    assert "rate=150" not in meters
    lab.authority.order("free", {})
    assert "rate=" not in lab.switches.ofctl("dump-meters", "southcell-capital-sw")


@pytest.mark.parametrize("table", [table for table in PipelineTable if table is not PipelineTable.FORWARD])
def test_a_switch_tells_how_many_of_its_rules_have_been_confirmed_whatever_a_box_decides(
    lab: Lab, table: PipelineTable
) -> None:
    box, switch = lab.box("northnet", 0), "northnet-dpi"
    lab.authority.order("named", policies(blackout=BLACKOUT, named={**WHATSAPP, "where": {"operators": ["northnet"]}}))
    box.decide([decision("pass", 40001), decision("drop", 40002, residual=Residual("3-tuple", 90, True))])
    until("verdicts on the switch", lambda: len(lab.verdicts(switch)) == 2)
    assert lab.held() == lab.authority.held
    lab.switches.ofctl("del-flows", switch, "--strict", f"table={int(table)},priority=0")
    ordered, now = lab.authority.held[switch], lab.held()[switch]
    assert now.rules == ordered.rules - 1
    assert list(altered(ordered, now)) == [f"rules of the table {table.name}"]


def test_a_rule_that_stays_keeps_its_counters(lab: Lab) -> None:
    def age() -> float:
        flows = lab.switches.ofctl("dump-flows", "northnet-coast-sw", "table=0,arp")
        return float(flows.partition("duration=")[2].partition("s")[0])

    before = age()
    lab.authority.order("blackout", policies(blackout=BLACKOUT))
    assert age() >= before > 0


def test_an_operator_obeys_after_its_delay(lab: Lab) -> None:
    active = policies(blackout=BLACKOUT)
    confirmation = lab.authority.order("blackout", active, delays={"southcell": 0.5})
    obeyed = [message.operator for message in told(confirmation, Obeyed)]
    assert obeyed[-1] == "southcell"
    assert confirmation.seconds >= 0.5
    assert lab.wrong(active) == {}


def test_until_its_delay_is_over_an_operator_does_nothing(lab: Lab) -> None:
    active = policies(blackout=BLACKOUT)
    with pytest.raises(ControlError, match=r"southcell \(southcell-dpi, southcell-capital-sw, southcell-coast-sw\)"):
        lab.authority.order("blackout", active, delays={"southcell": 60}, deadline_s=-59)
    wrong = lab.wrong(active)
    assert {name.partition("-")[0] for name in wrong} == {"southcell"}


def test_a_newer_order_takes_the_place_of_one_not_yet_obeyed(lab: Lab) -> None:
    late = 0.6
    begin = time.monotonic()
    with pytest.raises(ControlError):
        lab.authority.order("blackout", policies(blackout=BLACKOUT), delays={"southcell": late}, deadline_s=0.1 - late)
    lab.authority.order("restored", {})
    threading.Event().wait(begin + late + 0.2 - time.monotonic())  # until it would have been obeyed
    lab.authority.order("still restored", {})
    assert lab.wrong({}) == {}


def test_in_direct_mode_the_authority_is_master_and_operators_are_slaves(lab: Lab) -> None:
    active = policies(blackout=BLACKOUT, gateway=GATEWAY)
    confirmation = lab.authority.order("blackout", active, Mode.DIRECT)
    assert lab.wrong(active) == {}
    assert {obeyed.operator for obeyed in told(confirmation, Obeyed)} == {"gateway", "northnet", "southcell"}
    roles = {lab.port("northnet"): "slave", lab.port("authority"): "master"}
    until("the roles (Open vSwitch tells them every 5 s)", lambda: lab.roles("northnet-dpi") == roles, deadline_s=15)


def test_after_direct_command_the_operators_are_masters_again(lab: Lab) -> None:
    box = lab.box("northnet", 0)
    lab.authority.order("blackout", policies(blackout=BLACKOUT), Mode.DIRECT)
    active = policies(throttle=THROTTLE)
    lab.authority.order("throttled", active, Mode.OPERATORS)
    assert lab.wrong(active) == {}
    box.decide([decision("drop")])
    until("verdicts on the switch", lambda: len(lab.verdicts("northnet-dpi")) == 1)


def test_a_flow_mod_of_an_operator_without_command_is_refused_and_reported(lab: Lab) -> None:
    box = lab.box("northnet", 0)
    lab.heard += lab.authority.order("direct", {}, Mode.DIRECT).messages  # it may have had something to say by then
    box.decide([decision("drop")])
    notice = lab.hear("a refusal", lambda message: isinstance(message, Notice) and "OFPBRC_IS_SLAVE" in message.text)
    assert isinstance(notice, Notice)
    assert notice.where == "northnet"
    assert "northnet-dpi" in notice.text
    assert lab.wrong({}) == {}


def test_what_a_box_decides_becomes_rules(lab: Lab) -> None:
    box = lab.box("northnet", 0)
    lab.authority.order("named", policies(named={**WHATSAPP, "where": {"operators": ["northnet"]}}))
    assert [rule.name for rule in box.policies[-1].rules] == ["named"]
    residual = Residual("3-tuple", 90, True)
    box.decide([decision("pass", 40001), decision("drop", 40002, residual=residual), decision("drop", flow_rule=None)])
    until("verdicts on the switch", lambda: len(lab.verdicts("northnet-dpi")) == 2)
    residual_block, passed = lab.verdicts("northnet-dpi")
    assert all(part in residual_block for part in ("table=4", "idle_timeout=90", "reg9=0x1bb", "actions=drop"))
    assert "reg8" not in residual_block, "any port of the client's"
    assert all(part in passed for part in ("table=5", "idle_timeout=60", f"reg8={40001:#x}", "goto_table:7"))


def test_throttled_connections_have_meters_of_their_own(lab: Lab) -> None:
    box = lab.box("northnet", 0)
    lab.authority.order("named", policies(named={**WHATSAPP, "where": {"operators": ["northnet"]}}))
    box.decide([decision("throttle", 40001, rate_up_kbit=100, rate_down_kbit=200)])
    box.decide([decision("throttle", 40002, rate_up_kbit=100, rate_down_kbit=200)])
    until("verdicts on the switch", lambda: len(lab.verdicts("northnet-dpi")) == 4)
    meters = lab.switches.ofctl("dump-meters", "northnet-dpi")
    assert meters.count("rate=100") == meters.count("rate=200") == 2
    assert all("meter:" in flow for flow in lab.verdicts("northnet-dpi"))


def test_new_rules_for_a_box_undo_what_it_decided_by_older_ones(lab: Lab) -> None:
    box = lab.box("northnet", 0)
    named = {**WHATSAPP, "where": {"operators": ["northnet"]}}
    lab.authority.order("named", policies(named=named))
    box.decide([decision("drop")])
    until("verdicts on the switch", lambda: len(lab.verdicts("northnet-dpi")) == 1)
    lab.authority.order("the same and more", policies(named=named, gateway=GATEWAY))
    assert len(lab.verdicts("northnet-dpi")) == 1
    lab.authority.order("restored", {})
    assert lab.wrong({}) == {}


def test_in_direct_mode_the_box_is_the_authoritys(lab: Lab) -> None:
    operators, authoritys = lab.box("northnet", 0), lab.box("northnet", 1)
    active = policies(named={**WHATSAPP, "where": {"operators": ["northnet"]}})
    lab.authority.order("named", active, Mode.DIRECT)
    assert [rule.name for rule in authoritys.policies[-1].rules] == ["named"]
    authoritys.decide([decision("drop")])
    until("verdicts on the switch", lambda: len(lab.verdicts("northnet-dpi")) == 1)
    lab.authority.order("the operators again", active)
    assert [rule.name for rule in operators.policies[-1].rules] == ["named"]
    assert lab.wrong(active) == {}


def test_thousands_of_decisions_are_rules_within_seconds(lab: Lab) -> None:
    box = lab.box("northnet", 0)
    lab.authority.order("named", policies(named={**WHATSAPP, "where": {"operators": ["northnet"]}}))
    for first in range(10_000, 12_000, 50):
        box.decide([decision("drop", port) for port in range(first, first + 50)])
    counted = ("dump-aggregate", "northnet-dpi", f"table={int(PipelineTable.VERDICTS)},ip")
    until("2,000 verdicts", lambda: "flow_count=2000" in lab.switches.ofctl(*counted), deadline_s=10)


def test_an_order_that_needs_a_box_waits_for_it(lab: Lab) -> None:
    active = policies(named={**WHATSAPP, "where": {"operators": ["northnet"]}})
    with pytest.raises(ControlError, match=r"northnet \(its DPI box\)"):
        lab.authority.order("named", active, deadline_s=0.5)
    lab.box("northnet", 0)
    lab.authority.order("named", active)


def test_killing_a_controller_leaves_its_rules_and_is_reported(lab: Lab) -> None:
    active = policies(blackout=BLACKOUT)
    lab.authority.order("blackout", active)
    os.kill(lab.controllers.processes["southcell"].pid, signal.SIGKILL)
    notice = lab.hear("of the loss", lambda message: isinstance(message, Notice) and message.where == "southcell")
    assert isinstance(notice, Notice)
    assert "lost its controller" in notice.text
    assert lab.wrong(active) == {}
    with pytest.raises(ControlError, match="southcell: has no controller"):
        lab.authority.order("restored", {})
    assert any("southcell" in sentence for sentence in lab.controllers.died())
    assert {name.partition("-")[0] for name in lab.wrong({})} == {"southcell"}
    lab.authority.order("restored by force", {}, Mode.DIRECT)
    assert lab.wrong({}) == {}


def test_an_operator_that_does_not_do_as_ordered_goes_on_so_when_the_authority_is_reached_again(lab: Lab) -> None:
    lab.authority.order("blackout", policies(blackout=BLACKOUT), otherwise={"southcell": {}})
    there = lab.controllers.processes["southcell"].pid
    host, port = lab.controllers.addresses.authority
    ss = ("nsenter", f"--net={lab.controllers.netns}", "ss", "-Htnp")
    lines = [line.split() for line in lab.switches.run(*ss, "dst", f"{host}:{port}").splitlines()]
    (own,) = (line[3] for line in lines if f"pid={there}," in line[-1])
    lab.switches.run(*ss, "--kill", "src", own)
    lab.hear("of the return", lambda message: isinstance(message, Notice) and "controller is back" in message.text)
    lab.hear("of the order", lambda message: isinstance(message, Obeyed) and message.operator == "southcell")
    ordered = {name.partition("-")[0] for name in lab.wrong({})}
    assert ordered == {"northnet"}, "southcell has none of the rules"


def test_a_controller_that_dies_with_an_order_to_obey_fails_the_order(lab: Lab) -> None:
    os.kill(lab.controllers.processes["southcell"].pid, signal.SIGSTOP)
    threading.Timer(0.3, os.kill, (lab.controllers.processes["southcell"].pid, signal.SIGKILL)).start()
    with pytest.raises(ControlError, match="southcell: its controller is gone before it obeyed"):
        lab.authority.order("blackout", policies(blackout=BLACKOUT))


def test_killing_the_authority_leaves_everything_standing(lab: Lab) -> None:
    active = policies(blackout=BLACKOUT)
    lab.authority.order("blackout", active)
    os.kill(lab.controllers.processes["authority"].pid, signal.SIGKILL)
    with pytest.raises(ControlError, match="authority"):
        lab.authority.order("restored", {})
    assert lab.wrong(active) == {}


def test_an_exception_in_a_controller_fails_the_order_loudly_and_ends_nothing(lab: Lab) -> None:
    broken = policies(broken={**UNCOMPILABLE, "where": {"operators": ["southcell"]}})
    began = time.monotonic()
    with pytest.raises(ControlError, match=r"(?s)southcell: .*Traceback.*KeyError.*no-such-app") as complaint:
        lab.authority.order("broken", broken)
    said = re.search(r"within ([\d.]+) s", str(complaint.value))
    assert said, complaint.value
    assert float(said[1]) == pytest.approx(time.monotonic() - began, abs=5), (
        "what was waited, not the 30 s that could be"
    )
    active = policies(blackout=BLACKOUT)
    lab.authority.order("blackout", active)
    assert lab.wrong(active) == {}


def test_a_switch_that_starts_anew_is_given_its_rules_again(lab: Lab) -> None:
    active = policies(blackout=BLACKOUT, throttle=THROTTLE)
    lab.authority.order("blackout", active)
    lab.switches.restart_vswitchd()
    until("all rules again", lambda: lab.wrong(active) == {})
    lost = lab.hear("of the loss", lambda message: isinstance(message, Notice) and "lost the switch" in message.text)
    assert isinstance(lost, Notice)
    lab.hear("of the return", lambda message: isinstance(message, Notice) and "is back" in message.text)


def test_ctrl_c_is_nothing_to_the_controllers_of_a_run(lab: Lab) -> None:
    """It reaches all of a terminal's processes, and the run has them end in order."""
    for controller in lab.controllers.processes.values():
        os.kill(controller.pid, signal.SIGINT)
    active = policies(blackout=BLACKOUT)
    lab.authority.order("blackout", active)
    until("all rules", lambda: lab.wrong(active) == {})
    for controller in lab.controllers.processes.values():
        os.kill(controller.pid, 0)  # raises where there is none any more


def start_by_hand(python: str, netns: Path, name: str, **environment: str) -> subprocess.Popen[str]:
    app = REPOSITORY / "controllers" / ("authority.py" if name == "authority" else "isp.py")
    argv = [python, "-W", "ignore", "-m", "shutdownlab.control.manager", app, "--name", name]
    argv += ["--topology", "two-operators"]
    pipe = subprocess.PIPE
    # From elsewhere: in the repository's directory Python would find the packages, but not those mapped into them.
    inside = ["nsenter", f"--net={netns}", *map(str, argv)]
    return subprocess.Popen(inside, stderr=pipe, text=True, env=os.environ | environment, cwd="/")


def test_a_controller_started_by_hand_ends_at_once_on_ctrl_c_and_on_sigterm(cables: Cables) -> None:
    netns = cables.netns()
    for sent in (signal.SIGINT, signal.SIGTERM):
        process = start_by_hand(sys.executable, netns, "northnet")
        assert process.stderr is not None
        assert "switches at 127.0.0.1:6655" in process.stderr.readline()
        process.send_signal(sent)
        assert process.wait(60) == 0


def test_a_controller_started_by_hand_for_nobody_says_who_there_is(cables: Cables) -> None:
    process = start_by_hand(sys.executable, cables.netns(), "nobody")
    _, complaint = process.communicate(timeout=60)
    assert process.returncode == 2
    assert complaint == "--name: found nobody; expected authority or one of northnet, southcell\n"


@pytest.mark.thorough
def test_the_same_apps_run_under_ryu(environment: Callable[[str], Path], cables: Cables, tmp_path: Path) -> None:
    python = str(environment("ryu"))
    network = library.network("two-operators")
    netns = cables.netns()
    where = controller_addresses(network.topology.operators, "127.0.0.1")
    names = ("authority", *network.topology.operators)
    processes = [start_by_hand(python, netns, name, SHUTDOWNLAB_OPENFLOW="ryu") for name in names]
    try:
        for process in processes:
            assert process.stderr is not None
            line = process.stderr.readline()
            assert "switches at" in line, line + process.stderr.read()
        with Switches(network, where, tmp_path, cables, netns) as switches:
            controllers = Controllers(network, where, netns, {})
            authority = AuthorityClient(controllers)
            authority.order("baseline", {})
            box = FakeBox("northnet-box", where.of_box("northnet")[0], netns)
            lab = Lab(network, controllers, switches, authority, lambda *_: box)
            active = policies(blackout=BLACKOUT, throttle=THROTTLE, gateway=GATEWAY)
            authority.order("blackout", active, delays={"southcell": 0.2})
            assert lab.wrong(active) == {}
            authority.order("direct", policies(blackout=BLACKOUT), Mode.DIRECT)
            assert lab.wrong(policies(blackout=BLACKOUT)) == {}
            authority.order("named", policies(named={**WHATSAPP, "where": {"operators": ["northnet"]}}))
            box.decide([decision("drop")])
            until("verdicts on the switch", lambda: len(lab.verdicts("northnet-dpi")) == 1)
            active = policies(named={**WHATSAPP, "where": {"operators": ["northnet"]}})
            differences = switches.differences(
                "northnet-dpi", compile_switch(network, library.catalogue(), active, "northnet-dpi")
            )
            assert differences.count("\n") == 1, (
                "but for the verdict it has Ryu's rules, registers and all: " + differences
            )
            broken = policies(broken={**UNCOMPILABLE, "where": {"operators": ["southcell"]}})
            with pytest.raises(ControlError, match="KeyError"):
                authority.order("broken", broken)
    finally:
        for process in processes:
            process.send_signal(signal.SIGTERM)
        assert [process.wait(60) for process in processes] == [0, 0, 0]
