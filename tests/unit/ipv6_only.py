"""A country of two operators, of which the mobile one's lines carry IPv6 alone: NAT64, DNS64 and 464XLAT."""

from __future__ import annotations

import behind
from behind import DROP, INNER, SHARED, SOUTH, Json

STANDING = "2001:db8:65:0:64:ff9b:"
"""By which southcell's lines have IPv4 addresses."""
POLICIES: dict[str, Json] = {
    "prefix": {"block": {"addresses": ["8.8.8.0/24"]}} | SOUTH,
    "standing": {"block": {"addresses": [f"{STANDING}808:800/120"]}} | SOUTH,
    "ports": {"block": {"ports": ["tcp/443"]}} | SOUTH,
    "echoes": {"block": {"protocols": ["icmp"]}} | SOUTH,
    "gateway-inner": {"block": "everything", "at": "gateway", "allow": [{"inside": [INNER]}]} | SOUTH,
    "gateway-shared": {"block": "everything", "at": "gateway", "allow": [{"inside": [SHARED]}]} | SOUTH,
    "access-inner": {"block": "everything", "allow": [{"inside": [INNER]}]} | SOUTH,
    "allowed": {"block": "everything", "except": {"sites": ["kaspi.kz"], "addresses": ["8.8.8.8"]}} | SOUTH,
    "silent": {"block": {"voice": True}} | SOUTH,
    "box-shared": {
        "inspect": [{"name": "one", "when": {"subscriber": [SHARED], "app": ["whatsapp"]}, "verdict": DROP}]
    },
    "reset": {"block": {"sites": ["bbc.com"]}, "action": "reset"} | SOUTH,
    "rejected": {"block": {"addresses": ["8.8.8.8"]}, "action": "reject"} | SOUTH,
    "discarded": {"null_route": {"spare": [f"{INNER}/32"]}} | SOUTH,
    "withdrawn": {"withdraw": {"from": "abroad"}} | SOUTH,
}  # fmt: skip


def topology() -> Json:
    return behind.topology("ipv6-only", "nat64")


def scenario() -> Json:
    return behind.played(topology(), "Lines of IPv6 alone", POLICIES, families=["ipv4", "ipv6"])
