"""A country whose subscribers are let through by favour, and layers of allowlists to let them through by."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]
PROBES = {
    "wikipedia": {"test": "web", "url": "https://www.wikipedia.org/", "families": ["ipv4", "ipv6"]},
    "bbc": {"test": "web", "url": "https://www.bbc.com/"},
    "bank": {"test": "web", "url": "https://kaspi.kz/"},
    "ssh": {"test": "tcp", "host": "bridge.example.net", "port": "tcp/179"},
    "ping": {"test": "ping", "host": "8.8.8.8"},
    "file": {"test": "throughput", "url": "https://www.wikipedia.org/bytes/1000000", "during": ["slow-but-for"]},
    "film": {"test": "throughput", "url": "https://www.bbc.com/bytes/1000000", "during": ["slow-but-for"]},
}
PRO = {"subscribers": ["pro"]}


def topology() -> Json:
    """Two operators; `one` has people, businesses and white SIM cards, and hosts a bank."""
    return {
        "format": 1, "name": "favours", "title": "", "country": "ZZ",
        "links": {"fixed": {"delay": "2ms"}, "mobile": {"delay": "5ms"}, "transit": {"delay": "5ms"}},
        "classes": {"pro": {"title": "Internet Pro", "share": 0.1}, "white": {"title": "White", "is": "government"}},
        "regions": {"capital": {"title": "Capital", "weight": 1}},
        "operators": {
            "one": {
                "title": "One", "asn": 64501, "subscribers": 2, "transit": ["world"],
                "prefixes": ["100.64.0.0/16", "2001:db8:64::/48"],
                "regions": {
                    "capital": {
                        "people": {"access": "mobile"},
                        "pro": {"class": "pro", "access": "mobile"},
                        "white": {"class": "white", "access": "mobile"},
                        "centre": {"class": "datacentre", "access": "fixed", "serves": ["kaspi"]},
                    }
                },
            },
            "two": {
                "title": "Two", "asn": 64502, "subscribers": 1, "transit": ["world"],
                "prefixes": ["100.65.0.0/16", "2001:db8:65::/48"],
                "regions": {"capital": {"people": {"access": "fixed"}, "pro": {"class": "pro", "access": "fixed"}}},
            },
        },
        "gateway": {"title": "Gateway"}, "exchange": {"title": "Exchange", "asn": 64599},
        "transits": {
            "world": {
                "title": "World", "asn": 64601, "prefixes": ["198.51.100.0/24", "2001:db8:71::/48"],
                "serves": ["wikipedia", "bbc", "google-dns", "bridge"],
            }
        },
    }  # fmt: skip


LAYERS: dict[str, Json] = {
    "sites-of-some": {"block": "everything", "allow": [{"who": PRO, "sites": ["wikipedia.org"]}]},
    "ports-of-addresses": {
        "block": "everything", "allow": [{"addresses": ["8.8.8.8"], "protocols": ["icmp"]}, {"ports": ["tcp/179"]}],
    },
    "white-passes": {"block": "everything", "allow": [{"who": {"subscribers": ["white"]}}]},
    "one-address": {  # of the people of one: theirs is the tenth of their network
        "block": "everything", "at": "gateway",
        "allow": [{"inside": ["100.64.1.10"], "sites": ["bbc.com"]}, {"inside": ["100.64.2.99"], "apps": ["bbc"]}],
    },
    "names": {
        "block": {"protocols": ["tls", "http"]}, "action": "drop", "where": {"operators": ["one"]},
        "allow": [{"who": PRO, "sites": ["bbc.com"]}, {"who": {"subscribers": ["white"]}, "apps": ["wikipedia"]}],
    },
    "names-of-addresses": {
        "block": {"protocols": ["tls"]}, "action": "drop",
        "allow": [{"addresses": ["151.101.0.0/16"], "sites": ["bbc.com", "wikipedia.org"]}],
    },
    "slow-but-for": {"throttle": "256kbit", "allow": [{"who": PRO, "sites": ["wikipedia.org"]}]},
    "bank-for-pro": {"block": "everything", "allow": [{"who": PRO, "apps": ["kaspi"]}]},
}  # fmt: skip
"""By phase, the policy that is in force."""


def scenario() -> Json:
    made_up = {"title": "", "source": "made up"}
    phases = list(LAYERS)
    return {
        "format": 1, "name": "layered", "title": "Layered", "topology": topology(), "probes": PROBES,
        "policies": {name: made_up | policy for name, policy in LAYERS.items()},
        "timeline": [
            {"phase": name, "at": f"2030-01-01T{hour:02}:00Z", "title": "", "start": [name], "stop": phases[:hour][-1:]}
            for hour, name in enumerate(phases)
        ],
        "ends": "2030-01-02T00:00Z",
    }  # fmt: skip
