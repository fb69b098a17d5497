"""A country with two operators on the ground, and one whose subscribers have dishes."""

from __future__ import annotations

from typing import Any

from shutdownlab.config.document import parse
from shutdownlab.library import shipped

Json = dict[str, Any]
MADE_UP = {"title": "Made up", "source": "made up"}
POLICIES: dict[str, Json] = {
    "access": {"block": "everything"},
    "gateway": {"block": "everything", "at": "gateway"},
    "boxes": {"block": {"sites": ["bbc.com"]}, "action": "drop"},
    "resolvers": {"block": {"sites": ["bbc.com"]}, "by": "dns"},
    "routes": {"withdraw": {}},
    "discarded": {"null_route": {}},
    "hijacked": {"hijack": {"prefix": "91.198.174.0/24", "by": "northnet"}},
    "jammed": {"degrade": {"delay": "300ms"}, "where": {"access": ["satellite"]}},
    "ground-off": {"cut": {"links": ["dishes to transit-two"]}},
    "gateway-dark": {"cut": {"links": ["northnet to gateway", "transit-one to gateway", "transit-two to gateway"]}},
}


def topology() -> Json:
    made = dict(parse(dict(shipped("topologies"))["two-operators"].read_bytes(), "two-operators").data)
    made["name"] = "above"
    made["links"] = made["links"] | {"satellite": {"delay": "20ms", "loss": 0.001}}
    made["operators"] = made["operators"] | {
        "dishes": {
            "title": "Dishes", "asn": 64510, "subscribers": 0.1, "transit": ["transit-two"], "exchange": False,
            "prefixes": ["100.66.0.0/16", "2001:db8:66::/48"],
            "regions": {"coast": {"ordinary": {"access": "satellite"}}},
        }
    }  # fmt: skip
    return made


def scenario() -> Json:
    phases = list(POLICIES)
    return {
        "format": 1, "name": "above", "title": "Above", "topology": topology(),
        "policies": {name: MADE_UP | policy for name, policy in POLICIES.items()},
        "probes": {
            "bbc": {"test": "web", "url": "https://www.bbc.com/", "families": ["ipv4", "ipv6"]},
            "wikipedia": {"test": "web", "url": "https://www.wikipedia.org/"},
            "bank": {"test": "web", "url": "https://kaspi.kz/"},
            "ping": {"test": "ping", "host": "8.8.8.8"},
        },
        "observations": {"routes": {"observer": "bgp"}},
        "timeline": [
            {"phase": name, "at": f"2030-05-01T{hour:02}:00Z", "title": "", "start": [name], "stop": phases[:hour][-1:]}
            for hour, name in enumerate(phases)
        ],
        "ends": "2030-05-02T00:00Z",
    }  # fmt: skip
