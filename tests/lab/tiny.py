"""The smallest of countries, for tests in which it does not matter: built in half of the time of `two-operators`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from invocation import Json


def country(*operators: str, serves: Iterable[str] = ("telegram", "bbc")) -> Json:
    """Of one region, `capital`, and one transit, with these apps abroad; its operators have a fixed line each."""
    return {
        "format": 1,
        "name": "tiny",
        "title": "Operators of one region and one transit",
        "country": "ZZ",
        "links": {"fixed": {"delay": "2ms"}, "transit": {"delay": "5ms"}},
        "regions": {"capital": {"title": "Capital", "weight": 1}},
        "operators": {
            name: {
                "title": name.title(),
                "asn": 64501 + number,
                "subscribers": 1,
                "prefixes": [f"100.{64 + number}.0.0/16", f"2001:db8:{64 + number}::/48"],
                "transit": ["transit-one"],
                "regions": {"capital": {"ordinary": {"access": "fixed"}}},
            }
            for number, name in enumerate(operators)
        },
        "gateway": {"title": "National gateway"},
        "exchange": {"title": "Domestic exchange", "asn": 64599},
        "transits": {
            "transit-one": {
                "title": "Transit One",
                "asn": 64601,
                "prefixes": ["198.51.100.0/24", "2001:db8:71::/48"],
                "serves": list(serves),
            }
        },
    }


def written(place: Path, *operators: str, serves: Iterable[str] = ("telegram", "bbc")) -> Path:
    """Such a country as a file in `place`."""
    path = place / "tiny.yaml"
    path.write_text(json.dumps(country(*operators, serves=serves)))
    return path
