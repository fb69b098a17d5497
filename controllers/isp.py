"""An operator's controller: carries out the authority's orders on the operator's own switches, after its own delay.

    python -m shutdownlab.control.manager controllers/isp.py --name kcell --topology FILE

Switches connect by OpenFlow 1.3, and the controller claims the MASTER role on them. The operator's DPI box reports its
decisions; each becomes flow rules, so that the connection bypasses the box from then on, unless only the box can
enforce the decision. The authority's orders come over TCP, one JSON line each. The compiler computes the switches'
rules as data; this app only installs them, and confirms an order once every switch has answered a barrier.
"""

from __future__ import annotations

from typing import Any

from shutdownlab.control.app import SwitchApp
from shutdownlab.control.link import MessageLink, Uplink, listen
from shutdownlab.control.openflow import Refusal, Switch
from shutdownlab.model.scenario import Mode
from shutdownlab.protocol.messages import Failure, Hello, Message, Notice, Order, Ready


class Isp(SwitchApp):
    """The app of one operator's controller."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.operator = self.settings.name
        self.domain = self.settings.domain(self.operator, self.tell)
        self.latest = 0  # serial of the newest order received
        self.commands = True  # False while the authority commands the switches itself
        self.box: MessageLink | None = None

    def start(self) -> None:
        """Starts without an order: no policy is in force, and switches only forward."""
        addresses = self.settings.addresses
        self.authority = Uplink(
            addresses.authority,
            Ready(self.operator),
            self.in_app_thread(self.on_order_message),
            self.in_app_thread(self.authority_left),
        )
        listen(
            addresses.boxes[self.operator], self.in_app_thread(self.on_box_message), self.in_app_thread(self.box_left)
        )
        self.call(self.domain.reconcile, 0, {})
        super().start()

    def in_app_thread(self, handler: Any) -> Any:
        """Wraps `handler` so that a connection's thread can call it and it runs in the app's own thread."""
        return lambda *happened: self.call(handler, *happened)

    def tell(self, message: Message) -> None:
        """Reports a message to the authority."""
        self.authority.send(message)

    # --- orders ----------------------------------------------------------------------------------------------------

    def on_order_message(self, _: MessageLink, order: Message) -> None:
        """Handles an order: it is obeyed after this operator's delay, unless a newer one has come by then."""
        if not isinstance(order, Order):
            self.tell(Failure(self.operator, f"the authority said what is no order: {order}"))
            return
        self.latest = order.serial
        if order.mode is Mode.DIRECT:
            if self.commands:
                self.tell(Notice(self.operator, f"leaves its switches to the authority from order {order.serial} on"))
            self.commands = False
            self.domain.relinquish(still_trying=True)
        elif order.delay_s > 0:
            self.call_after(order.delay_s, self.obey, order)
        else:
            self.obey(order)

    def obey(self, order: Order) -> None:
        """Brings switches and box to the order's policies. `Ack` and `Obeyed` are sent as they confirm."""
        if order.serial == self.latest:
            self.commands = True
            if order.departures:
                self.tell(Notice(self.operator, f"does not do as order {order.serial} says: {order.departures}"))
            self.domain.reconcile(order.serial, order.obeyed, order.local_time)

    def authority_left(self, _: MessageLink, why: str) -> None:
        """Handles the loss of the authority: without orders, everything stays as it is."""
        self.tell(Notice(self.operator, f"lost the authority ({why}); everything stays as it is"))

    # --- switches --------------------------------------------------------------------------------------------------

    def switch_joined(self, name: str, switch: Switch) -> None:
        """Claims a switch that has connected, and replaces its tables by the rules it must have."""
        self.domain.switch_joined(name, switch)

    def switch_left(self, name: str) -> None:
        self.domain.switch_left(name)

    def switch_confirmed(self, name: str, barrier: int) -> None:
        self.domain.switch_confirmed(name, barrier)

    def switch_refused(self, name: str, refusal: Refusal) -> None:
        self.domain.switch_refused(name, refusal)

    # --- the DPI box -----------------------------------------------------------------------------------------------

    def on_box_message(self, link: MessageLink, message: Message) -> None:
        """Handles the box's messages: first its name, then its decisions, which become flow rules at once."""
        if isinstance(message, Hello):
            self.box = link
            self.domain.box_joined(link.send)
        elif link is self.box:
            self.domain.on_box_message(message)
        else:
            link.close()

    def box_left(self, link: MessageLink, _: str) -> None:
        if link is self.box:
            self.box = None
            self.domain.box_left()
