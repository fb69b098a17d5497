"""A country with an operator of each kind: without IPv6, with both, and with lines of IPv6 alone."""

from __future__ import annotations

from typing import Any

from behind import MADE_UP, Json, in_turn

OLD = {"where": {"operators": ["oldnet"]}}
BOTH = ["ipv4", "ipv6"]
POLICIES: dict[str, Json] = {
    "ipv6-withdrawn": {"withdraw": {"family": "ipv6"}},
    "ipv6-discarded": {"null_route": {"family": "ipv6", "spare": ["2001:db8:65:1::a"]}},
    "messenger": {"block": {"apps": ["whatsapp"]}},
    "by-address": {"block": {"addresses": ["8.8.8.0/24", "2001:4860:4860::/48"]}, "at": "gateway"},
    "boxes": {"block": {"sites": ["bbc.com"]}, "action": "reset"},
    "rejected": {"block": {"apps": ["wikipedia"]}, "by": "address", "action": "reject"},
    "allowed": {"block": "everything", "allow": [{"who": {"subscribers": ["ordinary"]}, "sites": ["kaspi.kz"]}]},
    "lies": {"block": {"sites": ["bbc.com"]}, "by": "dns", "answer": "nxdomain"},
    "silent": {"block": {"voice": True}} | OLD,
    "hijacked": {"hijack": {"prefix": "2001:db8:66::/48", "by": "bothnet"}},
    "old-withdrawn": {"withdraw": {"from": "abroad"}} | OLD,
}  # fmt: skip


def topology() -> Json:
    def operator(asn: int, **more: Any) -> Json:
        return {"title": f"Operator {asn}", "asn": asn, "subscribers": 1, **more}

    fixed = {"access": "fixed"}
    return {
        "format": 1, "name": "three-kinds", "title": "An operator of each kind", "country": "ZZ",
        "links": {
            "fixed": {"delay": "2ms"}, "mobile": {"delay": "5ms"}, "roaming": {"delay": "5ms"},
            "transit": {"delay": "5ms"},
        },
        "regions": {"valley": {"title": "Valley", "weight": 0.5}, "hills": {"title": "Hills", "weight": 0.5}},
        "operators": {
            "oldnet": operator(
                64501, prefixes=["100.64.0.0/16"], transit=["transit-one"], cgnat=["mobile"],
                regions={
                    "valley": {
                        "ordinary": fixed,
                        "datacentre": fixed | {"class": "datacentre", "serves": ["kaspi"], "anycast": ["google-dns"]},
                    },
                    "hills": {
                        "ordinary": fixed, "phones": {"access": "mobile"},
                        "visitors": {"access": "roaming", "home": "transit-two"},
                    },
                },
            ),
            "bothnet": operator(
                64502, prefixes=["100.65.0.0/16", "2001:db8:65::/48"], transit=["oldnet", "transit-two"],
                exchange=False, regions={"valley": {"ordinary": fixed}, "hills": {"ordinary": fixed}},
            ),
            "newcell": operator(
                64503, prefixes=["100.66.0.0/16", "2001:db8:66::/48"], transit=["transit-one"], nat64=["mobile"],
                regions={"valley": {"ordinary": {"access": "mobile"}}},
            ),
        },
        "gateway": {"title": "National gateway"},
        "exchange": {"title": "Domestic exchange", "asn": 64599},
        "transits": {
            "transit-one": {
                "title": "Transit One", "asn": 64601, "prefixes": ["198.51.100.0/24", "2001:db8:71::/48"],
                "serves": ["whatsapp", "wikipedia", "google-dns"],
            },
            "transit-two": {
                "title": "Transit Two", "asn": 64602, "prefixes": ["203.0.113.0/24", "2001:db8:72::/48"],
                "serves": ["bbc", "youtube"],
            },
        },
    }  # fmt: skip


def scenario(policies: dict[str, Json] = POLICIES) -> Json:
    """A phase for each policy, after a quiet one."""
    at_home = {"from": {"not": {"access": ["roaming"]}}}
    return {
        "format": 1, "name": "three-kinds", "title": "An operator of each kind", "topology": topology(),
        "policies": {name: MADE_UP | policy for name, policy in policies.items()},
        "probes": {
            "bbc": {"test": "web", "url": "https://www.bbc.com/", "families": BOTH},
            "wikipedia": {"test": "web", "url": "https://www.wikipedia.org/", "families": BOTH},
            "whatsapp": {"test": "app", "app": "whatsapp", "families": BOTH} | at_home,
            "bank": {"test": "web", "url": "https://kaspi.kz/"},
            "ping": {"test": "ping", "host": "dns.google", "families": BOTH},
            "dns": {"test": "dns", "host": "www.bbc.com", "resolver": "8.8.8.8"},
            "call": {"test": "call", "families": BOTH} | at_home,
        },
        "observations": {"routes": {"observer": "bgp", "families": BOTH}},
        "timeline": in_turn(policies),
        "ends": "2030-05-02T00:00Z",
    }  # fmt: skip
