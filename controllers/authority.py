"""The authority's controller: receives the country's orders and has them carried out.

    python -m shutdownlab.control.manager controllers/authority.py --name authority --topology FILE

The gateways are its own. In mode `operators` it passes the order on, and each operator obeys after its own delay. In
mode `direct` it takes the OpenFlow MASTER role on the operators' switches, which makes the operators' controllers
SLAVE, and carries the order out itself. It reports the results to the sender of the command.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import Any

from shutdownlab.control.app import SwitchApp
from shutdownlab.control.link import MessageLink, listen
from shutdownlab.control.openflow import Refusal, Switch
from shutdownlab.model.scenario import Mode
from shutdownlab.protocol.messages import (
    Command,
    Counters,
    CountersRequest,
    Failure,
    Hello,
    Message,
    Notice,
    Obeyed,
    Ready,
)


class Authority(SwitchApp):
    """The app of the authority's controller."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        topology = self.settings.network.topology
        self.gateways = {name: self.settings.domain(name, self.tell) for name in topology.all_gateways}
        self.operators = {name: self.settings.domain(name, self.tell) for name in topology.operators}
        self.domains = self.gateways | self.operators
        self.links: dict[str, MessageLink | None] = {}  # by operator, to its controller; None: disconnected
        self.boxes: dict[MessageLink, str] = {}  # operators, by the link to their box
        self.command: Command | None = None
        self.obedient: set[str] = set()  # operators that have obeyed it
        self.commander: MessageLink | None = None
        self.untold: deque[Message] = deque(maxlen=1000)  # messages while there is no commander

    def start(self) -> None:
        listen(
            self.settings.addresses.authority,
            lambda link, message: self.call(self.on_message, link, message),
            lambda link, why: self.call(self.ended, link, why),
        )
        for gateway in self.gateways.values():
            self.call(gateway.reconcile, 0, {})
        super().start()

    def tell(self, message: Message) -> None:
        """Reports a message to the commander, or keeps it until there is one."""
        if isinstance(message, Obeyed) and self.command and message.serial == self.command.order.serial:
            self.obedient.add(message.operator)
        if self.commander is None:
            self.untold.append(message)
        else:
            self.commander.send(message)

    def on_message(self, link: MessageLink, message: Message) -> None:
        """Handles a message; a peer is identified by its first one."""
        match message:
            case Command():
                self.commander = link
                while self.untold:
                    link.send(self.untold.popleft())
                self.carry_out(message)
            case CountersRequest() if link is self.commander:
                self.count(message)
            case Ready(where=operator) if operator in self.operators:
                self.operator_joined(operator, link)
            case Hello(box=box) if box in {domain.box for domain in self.operators.values()}:
                operator = self.settings.network.nodes[box].owner
                self.boxes[link] = operator
                self.operators[operator].box_joined(link.send)
            case _ if link in self.boxes:
                self.operators[self.boxes[link]].on_box_message(message)
            case _ if link in self.links.values():
                self.tell(message)
            case _:
                self.tell(Failure("authority", f"a stranger is connected, and said {message}"))
                link.close()

    def carry_out(self, command: Command) -> None:
        """Carries out a command: on the gateways at once; on the operators' switches itself or by their controllers."""
        order = command.order
        self.command, self.obedient = command, set()
        for gateway in self.gateways.values():
            gateway.reconcile(order.serial, order.policies)
        for operator, link in self.links.items():
            if link is not None:
                link.send(command.for_operator(operator))
            elif order.mode is Mode.OPERATORS:
                self.tell(Failure(operator, f"has no controller to obey order {order.serial}"))
        for domain in self.operators.values():
            if order.mode is Mode.DIRECT:
                domain.reconcile(order.serial, order.policies, order.local_time)
            else:
                domain.relinquish()

    def count(self, request: CountersRequest) -> None:
        """Requests counters from all boxes; for a box that is not connected, reports empty ones."""
        links = {operator: link for link, operator in self.boxes.items()}
        for operator, domain in self.operators.items():
            if operator in links:
                links[operator].send(request)
            elif domain.box is not None:
                self.tell(Counters(domain.box, {}))

    def operator_joined(self, operator: str, link: MessageLink) -> None:
        """Handles an operator's controller that connects, late or again, and sends it the order in force."""
        if operator in self.links:
            self.tell(Notice(operator, "its controller is back"))
        self.links[operator] = link
        if self.command is not None:
            link.send(replace(self.command.for_operator(operator), delay_s=0.0))

    def ended(self, link: MessageLink, why: str) -> None:
        """Handles a commander, controller or box that has disconnected; Open vSwitch keeps the rules."""
        if link is self.commander:
            self.commander = None
        elif link in self.boxes:
            self.operators[self.boxes.pop(link)].box_left()
        for operator, theirs in self.links.items():
            if theirs is link:
                self.links[operator] = None
                self.tell(Notice(operator, f"lost its controller ({why}); its switches keep the rules they have"))
                order = self.command.order if self.command else None
                if order and order.mode is Mode.OPERATORS and operator not in self.obedient:
                    self.tell(Failure(operator, f"its controller is gone before it obeyed order {order.serial}"))

    # --- switches --------------------------------------------------------------------------------------------------

    def switch_joined(self, name: str, switch: Switch) -> None:
        self.domains[self.settings.network.nodes[name].owner].switch_joined(name, switch)

    def switch_left(self, name: str) -> None:
        self.domains[self.settings.network.nodes[name].owner].switch_left(name)

    def switch_confirmed(self, name: str, barrier: int) -> None:
        self.domains[self.settings.network.nodes[name].owner].switch_confirmed(name, barrier)

    def switch_refused(self, name: str, refusal: Refusal) -> None:
        self.domains[self.settings.network.nodes[name].owner].switch_refused(name, refusal)
