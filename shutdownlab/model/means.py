"""The verb, direction, means, action and place of a policy. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

ROUTING: Final = ("withdraw", "null_route", "announce", "hijack", "leak")
"""The verbs about routes, which border routers and BGP carry out."""
BREAKING: Final = ("cut", "power_off", "switch_off")
"""The verbs that take equipment out of service."""
VERBS: Final = ("block", "throttle", "degrade", "inspect", *ROUTING, *BREAKING)
"""The verbs of a policy; each policy has exactly one."""


class Direction(StrEnum):
    """Which packets are affected, as seen from the subscriber: `outbound` to the Internet, `inbound` from it."""

    BOTH = "both"
    INBOUND = "inbound"
    OUTBOUND = "outbound"


class Means(StrEnum):
    """How apps, sites and protocols are recognised: by DPI boxes, which read packets, by addresses, or (`dns`) by
    operators' own resolvers, which lie about names."""

    DPI = "dpi"
    ADDRESS = "address"
    DNS = "dns"


class BlockAction(StrEnum):
    """What happens to blocked traffic. `profile`: whatever the DPI box's profile does to blocked traffic (switches drop
    it).

    Or it is dropped silently, or answered with TCP resets (by DPI boxes only), or rejected: the operator's border
    router answers what subscribers send, as `reject_with` says.
    """

    PROFILE = "profile"
    DROP = "drop"
    RESET = "reset"
    REJECT = "reject"


class Point(StrEnum):
    """Which switches enforce it: the operators', or (`gateway`) the gateways', which carry foreign traffic only."""

    ACCESS = "access"
    GATEWAY = "gateway"
