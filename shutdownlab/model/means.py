"""Which way, by which means, with what effect and where a policy is carried out. Pure."""

from __future__ import annotations

from enum import StrEnum


class Direction(StrEnum):
    """Which packets suffer, seen from the subscriber: `outbound` leaves for the Internet, `inbound` comes from it."""

    BOTH = "both"
    INBOUND = "inbound"
    OUTBOUND = "outbound"


class Means(StrEnum):
    """How apps, sites and protocols are told apart: by DPI boxes, which read packets, by addresses, or (`dns`) by
    operators' own resolvers, which lie about names."""

    DPI = "dpi"
    ADDRESS = "address"
    DNS = "dns"


class BlockAction(StrEnum):
    """What happens to what is blocked. By `profile`: whatever the DPI box's own does to what it blocks (switches drop).

    Or it is dropped silently, or answered with TCP resets (by DPI boxes only), or rejected: the operator's border
    router answers what subscribers send, as `reject_with` says.
    """

    PROFILE = "profile"
    DROP = "drop"
    RESET = "reset"
    REJECT = "reject"


class Point(StrEnum):
    """Which switches enforce it: the operators', or (`gateway`) the gateways', which have foreign traffic only."""

    ACCESS = "access"
    GATEWAY = "gateway"
