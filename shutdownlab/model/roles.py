"""The roles of nodes in the network."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    SUBSCRIBER = "subscriber"
    RESOLVER = "resolver"
    TELEPHONE = "telephone"
    CONTROL = "control"
    """An operator's control subscriber: beside its border router, where no policy applies to it."""
    BORDER = "border"
    TRANSIT = "transit"
    SERVERS = "servers"
    ROUTE_SERVER = "route-server"
    OBSERVATORY = "observatory"
    """Where outsiders observe the country from, abroad; only in an observed network (`model.observatory`)."""
    DPI_BOX = "dpi-box"
    ACCESS_SWITCH = "access-switch"
    DPI_SWITCH = "dpi-switch"
    GATEWAY_SWITCH = "gateway-switch"
    EXCHANGE_SWITCH = "exchange-switch"

    @property
    def is_openflow(self) -> bool:
        return self in _OPENFLOW


_OPENFLOW = frozenset({Role.ACCESS_SWITCH, Role.DPI_SWITCH, Role.GATEWAY_SWITCH})
