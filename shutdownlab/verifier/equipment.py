"""The switches and DPI boxes of the model, with their compiled programs. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from ipaddress import ip_address

from shutdownlab.compiler.boxes import compile_box
from shutdownlab.compiler.lines import LineQuality, line_of
from shutdownlab.compiler.program import compile_switch
from shutdownlab.compiler.resolvers import Lies, lies_to
from shutdownlab.config.prefix_table import PrefixTable
from shutdownlab.inspection.catalogue import AppCatalogue
from shutdownlab.inspection.engine import Side
from shutdownlab.library import Shutdown
from shutdownlab.model.faults import NO_DAMAGE, Damage
from shutdownlab.model.network import Node, Role
from shutdownlab.model.policy import Point, Policy
from shutdownlab.model.topology import Vantage, VantageId
from shutdownlab.verifier.borders import BorderOrders
from shutdownlab.verifier.box import Box
from shutdownlab.verifier.classes import prefixes_named
from shutdownlab.verifier.remembering import may_remember
from shutdownlab.verifier.switch import Fate, PaperSwitch
from shutdownlab.verifier.ways import Crossing, Ways

_BOX_SIDES = {"box-inside": Side.INSIDE, "box-outside": Side.OUTSIDE}


@dataclass(frozen=True, slots=True)
class SwitchStep:
    """What happens to a packet at one switch, as far as its headers decide.

    box: the operator whose DPI box it is steered to; "" if to none.
    side: the side of the box on which it arrives.
    """

    crossing: Crossing
    fate: Fate
    box: str = ""
    side: Side = Side.INSIDE


def step_at(node: Node, crossing: Crossing, fate: Fate) -> SwitchStep:
    """Returns the step for a packet with this fate at a node's switch."""
    if node.role is Role.DPI_SWITCH:
        purposes = {port.number: port.purpose for port in node.ports.values()}
        for number in fate.outputs:
            if purposes[number] in _BOX_SIDES:
                return SwitchStep(crossing, fate, node.owner, _BOX_SIDES[purposes[number]])
    return SwitchStep(crossing, fate)


class DataPlane:
    """The country's switches and DPI boxes, with their programs in all phases.

    Programs are compiled when a packet first needs them, and shared between phases with the same policies.
    """

    def __init__(self, shutdown: Shutdown, catalogue: AppCatalogue) -> None:
        self.shutdown, self.catalogue = shutdown, catalogue
        self.ways = Ways(shutdown.network)
        self.counting = any(policy.block_after for policy in shutdown.scenario.policies.values())
        self._ways = {NO_DAMAGE: self.ways}
        self.steps: dict[tuple[object, ...], tuple[SwitchStep, ...]] = {}
        """Cache of the steps of all packets followed so far, by the path's switches and the packet's headers."""
        self.at_switch: dict[tuple[object, ...], SwitchStep] = {}
        """Cache of single steps, by switch and headers."""
        self._addresses: dict[tuple[str, int], str] = {}
        self._unlike: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._switches: dict[tuple[str, ...], PaperSwitch] = {}
        self._boxes: dict[tuple[str, ...], Box] = {}
        self._named = PrefixTable(prefixes_named(shutdown))
        self.may_remember = may_remember(shutdown)
        """Whether any box may create residual blocks that affect other connections."""
        vantages = shutdown.network.vantages
        self._vantages: dict[str, list[Vantage]] = {name: [] for name in shutdown.topology.all_gateways}
        for vantage in vantages:
            operator, region, _ = vantage.id
            self._vantages[vantage.gateway].append(vantage)
            self._vantages.setdefault(operator, []).append(vantage)
            self._vantages.setdefault(f"{operator}/{region}", []).append(vantage)

    def ways_with(self, damage: Damage) -> Ways:
        """Returns the paths through the country under the given damage."""
        if damage not in self._ways:
            self._ways[damage] = Ways(self.shutdown.network, damage, first=len(self._ways) << 32)
        return self._ways[damage]

    def address_of(self, node: str, version: int) -> str:
        """Returns a host's first address of an IP version."""
        key = node, version
        if key not in self._addresses:
            self._addresses[key] = str(self.shutdown.network.nodes[node].address(version))
        return self._addresses[key]

    def unlike(self, addresses: tuple[str, ...]) -> tuple[str, ...]:
        """Returns one address of each kind: kinds are on different hosts, or in different prefixes that rules name."""
        if addresses not in self._unlike:
            found: dict[object, str] = {}
            for text in addresses:
                address, host = ip_address(text), self.ways.host_of(text)
                within = tuple(self._named.around_address(address))
                found.setdefault((host and host.name, within), text)
            self._unlike[addresses] = tuple(found.values())
        return self._unlike[addresses]

    def switch(self, name: str, active: Mapping[str, Policy]) -> PaperSwitch:
        """Returns a switch with its program while the `active` policies are in force."""
        node = self.shutdown.network.nodes[name]
        concerning = self._concerning(node, active)
        key = (name, *self._versions(concerning))
        if key not in self._switches:
            profile = self.shutdown.profiles.get(node.owner)
            on_path = profile is not None and profile.placement == "on-path"
            program = compile_switch(self.shutdown.network, self.shutdown.apps, concerning, name, on_path=on_path)
            self._switches[key] = PaperSwitch(program)
        return self._switches[key]

    def _versions(self, policies: Mapping[str, Policy]) -> Iterator[str]:
        """Yields the names of policies; if an operator applies one differently, with its exceptions."""
        known = self.shutdown.scenario.policies
        for name, policy in policies.items():
            yield name if known.get(name, policy) is policy else f"{name} but for {policy.except_}"

    def _concerning(self, node: Node, active: Mapping[str, Policy]) -> dict[str, Policy]:
        """Returns the policies that a switch has rules for."""
        point: Point | None = None
        match node.role:
            case Role.ACCESS_SWITCH:
                own = next(port.purpose for port in node.ports.values() if port.purpose != "uplink")
                vantages, point = self._vantages["/".join(own.split("/")[:2])], Point.ACCESS
            case Role.GATEWAY_SWITCH:
                vantages, point = self._vantages[node.owner], Point.GATEWAY
            case _:
                vantages = self._vantages[node.owner]
        return {
            name: policy
            for name, policy in active.items()
            if (policy.needs_boxes if point is None else policy.at is point) and any(map(policy.concerns, vantages))
        }

    def box(self, operator: str, active: Mapping[str, Policy]) -> Box:
        """Returns an operator's DPI box while the `active` policies are in force."""
        for_box = {name: policy for name, policy in active.items() if policy.needs_boxes}
        key = (operator, *self._versions(for_box))
        if key not in self._boxes:
            rules = compile_box(self.shutdown.network, for_box, operator)
            self._boxes[key] = Box(operator, self.shutdown.profiles[operator], rules, self.catalogue)
        return self._boxes[key]


class ModelledCountry:
    """The country while some policies are in force and something may be broken.

    active: returns the policies that an owner's switches and DPI box have rules for (an operator, or `gateway`).
    local_time: the DPI boxes' clock, in seconds since 1970, local time.
    """

    def __init__(
        self,
        equipment: DataPlane,
        active: Callable[[str], Mapping[str, Policy]],
        local_time: float,
        damage: Damage = NO_DAMAGE,
    ) -> None:
        self.equipment, self.active, self.local_time, self.damage = equipment, active, local_time, damage
        self.shutdown, self.ways = equipment.shutdown, equipment.ways_with(damage)
        self.network = equipment.shutdown.network
        self._switches: dict[str, PaperSwitch] = {}
        self._boxes: dict[str, Box] = {}
        self._lies: dict[VantageId, Lies] = {}
        self._lines: dict[VantageId, LineQuality] = {}
        self.borders = BorderOrders(self.network, self.shutdown.apps, active)

    def switch(self, name: str) -> PaperSwitch:
        """Returns a switch with its program."""
        if name not in self._switches:
            self._switches[name] = self.equipment.switch(name, self.active(self.network.nodes[name].owner))
        return self._switches[name]

    def box(self, operator: str) -> Box:
        """Returns an operator's DPI box."""
        if operator not in self._boxes:
            self._boxes[operator] = self.equipment.box(operator, self.active(operator))
        return self._boxes[operator]

    @cached_property
    def remembering(self) -> dict[str, str]:
        """The operators whose DPI box may create residual blocks for other connections, by the box's switch."""
        if not self.equipment.may_remember:
            return {}
        switches = [node for node in self.network.nodes.values() if node.role is Role.DPI_SWITCH]
        return {node.name: node.owner for node in switches if self.box(node.owner).remembers}

    def lies_to(self, vantage: Vantage) -> Lies:
        """Returns what a subscriber group's resolver answers falsely or late."""
        if vantage.id not in self._lies:
            self._lies[vantage.id] = lies_to(vantage, self.shutdown.apps, self.active(vantage.id.operator))
        return self._lies[vantage.id]

    def line_of(self, vantage: Vantage) -> LineQuality:
        """Returns the quality of a subscriber group's line."""
        if vantage.id not in self._lines:
            kind = self.network.topology.links.get(vantage.access.value)
            self._lines[vantage.id] = line_of(kind, vantage, self.active(vantage.id.operator))
        return self._lines[vantage.id]

    def knows(self, policy: str) -> bool:
        """Whether any operator or gateway has rules for a policy of this name."""
        return any(
            policy in self.active(owner)
            for owner in (*self.network.topology.all_gateways, *self.network.topology.operators)
        )

    def is_broken(self, operator: str) -> bool:
        """Whether a fault keeps an operator's DPI box from processing packets."""
        box = self.network.one(Role.DPI_BOX, operator).name
        return box in self.damage.boxes or box in self.damage.mute_boxes
