"""A country whose DPI boxes go by answers, autonomous systems and clients' software, and by what must not hold."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

Json = dict[str, Any]
SPARED = "bbc.co.uk"
PROBES = {
    "bbc": {"test": "web", "url": "https://www.bbc.com/"},
    "wikipedia": {"test": "web", "url": "https://www.wikipedia.org/", "families": ["ipv4", "ipv6"]},
    "wikipedia-plain": {"test": "web", "url": "http://www.wikipedia.org/"},
    "bank": {"test": "web", "url": "https://kaspi.kz/"},
    "ask-bbc": {"test": "dns", "host": "www.bbc.com", "resolver": "8.8.8.8"},
    "ask-bbc-uk": {"test": "dns", "host": f"www.{SPARED}", "resolver": "8.8.8.8"},
    "ask-wikipedia": {"test": "dns", "host": "www.wikipedia.org", "resolver": "8.8.8.8"},
}
WORLD, CLOUD = 64601, 64602


def topology() -> Json:
    """One operator with two kinds of subscribers, and two networks abroad."""
    served = {"world": ["wikipedia", "google-dns"], "cloud": ["bbc"]}
    return {
        "format": 1, "name": "conditioned", "title": "", "country": "ZZ",
        "links": {"fixed": {"delay": "2ms"}, "mobile": {"delay": "5ms"}, "transit": {"delay": "5ms"}},
        "classes": {"pro": {"title": "Internet Pro", "share": 0.1}},
        "regions": {"capital": {"title": "Capital", "weight": 1}},
        "operators": {
            "one": {
                "title": "One", "asn": 64501, "subscribers": 2, "transit": list(served),
                "prefixes": ["100.64.0.0/16", "2001:db8:64::/48"],
                "regions": {
                    "capital": {
                        "people": {"access": "mobile"},
                        "pro": {"class": "pro", "access": "mobile"},
                        "centre": {"class": "datacentre", "access": "fixed", "serves": ["kaspi"]},
                    }
                },
            }
        },
        "gateway": {"title": "Gateway"}, "exchange": {"title": "Exchange", "asn": 64599},
        "transits": {
            name: {
                "title": name, "asn": WORLD + number, "serves": apps,
                "prefixes": [f"198.51.{100 + number}.0/24", f"2001:db8:7{number}::/48"],
            }
            for number, (name, apps) in enumerate(served.items())
        },
    }  # fmt: skip


RULES: dict[str, list[Json]] = {
    "answers": [{"when": {"answer": "151.101.0.0/16"}, "verdict": "drop"}],
    "answers-but-for-a-name": [
        {"when": {"name_suffix": SPARED, "answer": "0.0.0.0/0"}, "verdict": "pass"},
        {"when": {"answer": "151.101.0.0/16"}, "verdict": "drop"},
    ],
    "one-network": [{"when": {"asn": CLOUD, "port": "tcp/443"}, "verdict": "reset"}],
    "one-network-but-for-a-name": [
        {"when": {"asn": [WORLD, CLOUD], "protocol": "tls", "not": {"name_suffix": "bbc.com"}}, "verdict": "drop"}
    ],
    "all-but-pro": [{"when": {"name_suffix": "wikipedia.org", "not": {"subscriber_class": "pro"}}, "verdict": "reset"}],
    "all-but-a-network": [{"when": {"protocol": "tls", "not": {"asn": WORLD}}, "verdict": "drop"}],
    "browsers": [{"when": {"user_agent": "Mozilla"}, "verdict": "reset"}],
}
"""By phase, what is looked for in it."""


def scenario() -> Json:
    """As plain data."""
    phases = list(RULES)
    return deepcopy({
        "format": 1, "name": "conditioned", "title": "Conditioned", "topology": topology(), "probes": PROBES,
        "profile": "perfect",
        "policies": {
            name: {
                "title": "", "source": "made up",
                "inspect": [{"name": f"rule-{number}", **rule} for number, rule in enumerate(rules)],
            }
            for name, rules in RULES.items()
        },
        "timeline": [
            {"phase": name, "at": f"2030-01-01T{hour:02}:00Z", "title": "", "start": [name], "stop": phases[:hour][-1:]}
            for hour, name in enumerate(phases)
        ],
        "ends": "2030-01-02T00:00Z",
    })  # fmt: skip
