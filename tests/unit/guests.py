"""A country where foreigners roam: a mobile operator's guests, whose home is a network abroad."""

from __future__ import annotations

from typing import Any

from shutdownlab.config.document import parse
from shutdownlab.library import shipped

Json = dict[str, Any]
MADE_UP = {"title": "Made up", "source": "made up"}
GUESTS = {"where": {"access": ["roaming"]}}
TUNNEL = {"block": {"ports": ["udp/2152"]}}
POLICIES: dict[str, Json] = {
    "boxes": {"block": {"sites": ["bbc.com"]}, "action": "drop"},
    "resolvers": {"block": {"sites": ["bbc.com"]}, "by": "dns"},
    "addresses": {"block": {"addresses": ["91.198.174.0/24", "208.80.152.0/22"]}},
    "bank-closed": {"block": {"sites": ["kaspi.kz"]}, "action": "drop"},
    "own-alone": {"block": "everything", "where": {"not": {"access": ["roaming"]}}},
    "tunnels": {**TUNNEL, **GUESTS},
    "tunnels-at-gateway": {**TUNNEL, "at": "gateway"},
    "named": {"block": {"protocols": ["gtp"]}, "action": "drop"},
    "access": {"block": "everything"},
    "gateway": {"block": "everything", "at": "gateway"},
    "routes": {"withdraw": {}},
    "ipv6-alone": {"withdraw": {"family": "ipv6"}},
    "discarded": {"null_route": {}},
    "refused": {"block": "everything", "action": "reject", **GUESTS},
    "slow": {"degrade": {"delay": "300ms"}, **GUESTS},
    "cable": {"cut": {"links": ["transit-two to gateway"]}},
}
STOP_GUESTS = {"tunnels", "tunnels-at-gateway", "named", "access", "gateway", "routes", "discarded", "refused"}
"""The policies by which those who roam have nothing."""


def topology() -> Json:
    made = dict(parse(dict(shipped("topologies"))["two-operators"].read_bytes(), "two-operators").data)
    made["name"] = "guests"
    made["links"] = made["links"] | {"roaming": {"delay": "20ms", "loss": 0.001}}
    north = made["operators"]["northnet"]
    regions = {name: dict(groups) for name, groups in north["regions"].items()}
    regions["coast"]["guests"] = {"access": "roaming", "home": "transit-two"}
    south = made["operators"]["southcell"]
    capital = {"capital": {**south["regions"]["capital"], "guests": {"access": "roaming", "home": "transit-one"}}}
    made["operators"] = {
        "northnet": north | {"regions": regions},
        "southcell": south | {"regions": south["regions"] | capital},
    }
    return made


def scenario() -> Json:
    phases = list(POLICIES)
    return {
        "format": 1, "name": "guests", "title": "Guests", "topology": topology(),
        "profile": "perfect", "profiles": {"northnet": "naive"},
        "policies": {name: MADE_UP | policy for name, policy in POLICIES.items()},
        "probes": {
            "bbc": {"test": "web", "url": "https://www.bbc.com/", "families": ["ipv4", "ipv6"]},
            "wikipedia": {"test": "web", "url": "https://www.wikipedia.org/"},
            "bank": {"test": "web", "url": "https://kaspi.kz/"},
            "ping": {"test": "ping", "host": "8.8.8.8"},
        },
        "timeline": [
            {"phase": name, "at": f"2030-05-{1 + hour // 24:02}T{hour % 24:02}:00Z", "title": "", "start": [name],
             "stop": phases[:hour][-1:]}
            for hour, name in enumerate(phases)
        ],
        "ends": "2030-05-03T00:00Z",
    }  # fmt: skip
