"""What border routers reject and count of subscribers' outgoing packets, while some policies are in force. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from ipaddress import ip_address, ip_network
from typing import TypeVar

from shutdownlab.compiler.counting import Counted, counts
from shutdownlab.compiler.rejections import AtBorder, Rejected, rejections
from shutdownlab.compiler.traffic import Traffic
from shutdownlab.config.addresses import Address
from shutdownlab.config.numbers import TCP, UDP
from shutdownlab.inspection.apps import App
from shutdownlab.model.network import Network
from shutdownlab.model.policy import Policy
from shutdownlab.verifier.packets import FiveTuple
from shutdownlab.verifier.ways import Way

_Order = TypeVar("_Order", bound=AtBorder)


class BorderOrders:
    """The reject and count rules of every operator's border router.

    active: returns the policies that an operator carries out, by name.
    """

    def __init__(
        self, network: Network, apps: Mapping[str, App], active: Callable[[str], Mapping[str, Policy]]
    ) -> None:
        self.network, self.apps, self.active = network, apps, active
        self._rejections: dict[str, tuple[Rejected, ...]] = {}
        self._counts: dict[str, tuple[Counted, ...]] = {}

    def rejections(self, operator: str) -> tuple[Rejected, ...]:
        """Returns the traffic that an operator's border router rejects."""
        if operator not in self._rejections:
            self._rejections[operator] = rejections(self.network, self.apps, self.active(operator), operator)
        return self._rejections[operator]

    def counts(self, operator: str) -> tuple[Counted, ...]:
        """Returns the traffic that an operator's border router counts."""
        if operator not in self._counts:
            self._counts[operator] = counts(self.network, self.apps, self.active(operator), operator)
        return self._counts[operator]

    def rejected(self, way: Way, stream: FiveTuple, by_client: bool) -> Rejected | None:
        """Returns the rule by which a packet is rejected, or None."""
        return self._first(self.rejections, way, stream, by_client, lambda each, *packet: each.meets(*packet))

    def counted(self, way: Way, stream: FiveTuple) -> Counted | None:
        """Returns the rule by which a client's packet is counted, or None."""
        return self._first(self.counts, way, stream, True, lambda each, *packet: each.meets(*packet))

    def catching(self, way: Way, stream: FiveTuple) -> Counted | None:
        """Returns the rule by which a client's packet is dropped once the client has exceeded its count, or None."""
        return self._first(self.counts, way, stream, True, lambda each, *packet: each.catches(*packet))

    def _first(
        self, orders: Callable[[str], Iterable[_Order]], way: Way, stream: FiveTuple, by_client: bool,
        meets: Callable[[_Order, Address, Traffic], bool],
    ) -> _Order | None:  # fmt: skip
        """Returns the first rule that matches a packet; None if none does, or no subscriber sends it to the border."""
        sender = self.network.nodes[way.nodes[0]]
        if sender.vantage is None or len(way.nodes) == 1 or not (given := orders(sender.owner)):
            return None
        ends = [(stream.client, stream.client_port), (stream.server, stream.server_port)]
        (source, _), (target, port) = ends if by_client else reversed(ends)
        ports = (port, port) if stream.proto in (TCP, UDP) else None
        packet = Traffic(stream.proto, ports, ip_network(target), ip_network(source))
        return next((each for each in given if meets(each, ip_address(source), packet)), None)
