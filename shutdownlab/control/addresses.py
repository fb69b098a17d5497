"""The addresses at which controllers listen on the management network."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from shutdownlab.model.address_plan import MANAGEMENT

Address = tuple[str, int]
"""IP address and TCP port."""

AUTHORITY = "authority"


@dataclass(frozen=True, slots=True)
class ControllerAddresses:
    """The addresses of all controllers. `openflow` and `boxes` are by controller: an operator, or the authority.

    An operator's switch connects to its operator's controller and the authority's; the gateway only to the authority's.
    The authority serves the run, operators and boxes on one port.
    """

    openflow: dict[str, Address]
    boxes: dict[str, Address]

    @property
    def authority(self) -> Address:
        """The address at which the authority listens for the run, the operators and the boxes."""
        return self.boxes[AUTHORITY]

    def of_switch(self, owner: str) -> tuple[Address, ...]:
        """Returns the controllers of a switch of `owner` (an operator, or the gateway)."""
        return tuple(self.openflow[name] for name in (owner, AUTHORITY) if name in self.openflow)

    def of_box(self, operator: str) -> tuple[Address, ...]:
        """Returns the controllers of an operator's DPI box."""
        return self.boxes[operator], self.authority


def controller_addresses(
    operators: Iterable[str], host: str = str(next(MANAGEMENT.hosts())), first_port: int = 6653
) -> ControllerAddresses:
    """Assigns the authority and each operator two ports of `host`, from `first_port` (OpenFlow's own) on."""
    names = [AUTHORITY, *operators]
    openflow = {name: (host, first_port + 2 * index) for index, name in enumerate(names)}
    boxes = {name: (host, first_port + 2 * index + 1) for index, name in enumerate(names)}
    return ControllerAddresses(openflow, boxes)
