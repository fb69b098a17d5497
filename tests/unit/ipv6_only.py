"""A country of two operators, of which the mobile one's lines carry IPv6 alone: NAT64, DNS64 and 464XLAT."""

from __future__ import annotations

from typing import Any

from shutdownlab.config.document import parse
from shutdownlab.library import shipped

Json = dict[str, Any]
MADE_UP = {"title": "Made up", "source": "made up"}
SOUTH = {"where": {"operators": ["southcell"]}}
INNER, SHARED = "100.65.1.10", "100.65.1.3"
STANDING = "2001:db8:65:0:64:ff9b:"
"""By which southcell's lines have IPv4 addresses."""
DROP = {"action": "drop"}
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
    made = dict(parse(dict(shipped("topologies"))["two-operators"].read_bytes(), "two-operators").data)
    made["name"] = "ipv6-only"
    made["operators"] = made["operators"] | {"southcell": made["operators"]["southcell"] | {"nat64": ["mobile"]}}
    return made


def scenario() -> Json:
    phases = list(POLICIES)
    return {
        "format": 1, "name": "ipv6-only", "title": "Lines of IPv6 alone", "topology": topology(),
        "policies": {name: MADE_UP | policy for name, policy in POLICIES.items()},
        "probes": {
            "bbc": {"test": "web", "url": "https://www.bbc.com/", "families": ["ipv4", "ipv6"]},
            "whatsapp": {"test": "app", "app": "whatsapp"},
            "http3": {"test": "http3", "url": "https://www.youtube.com/"},
            "bank": {"test": "web", "url": "https://kaspi.kz/", "families": ["ipv4", "ipv6"]},
            "ping": {"test": "ping", "host": "8.8.8.8"},
            "dns": {"test": "dns", "host": "www.bbc.com", "resolver": "8.8.8.8"},
            "call": {"test": "call", "families": ["ipv4", "ipv6"]},
        },
        "timeline": [
            {"phase": "baseline", "at": "2030-05-01T00:00Z", "title": ""},
            *(
                {
                    "phase": name, "at": f"2030-05-01T{hour:02}:00Z", "title": "", "start": [name],
                    "stop": phases[: hour - 1][-1:],
                }
                for hour, name in enumerate(phases, 1)
            ),
        ],
        "ends": "2030-05-02T00:00Z",
    }  # fmt: skip
