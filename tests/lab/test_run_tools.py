"""Circumvention tools, each with real packets: it works where nothing is blocked and where something else is, and does
not where a policy is about it."""

from __future__ import annotations

import json
from pathlib import Path

from invocation import Json, invoke, small

TOPOLOGY: Json = {
    "format": 1,
    "name": "one-operator",
    "title": "An operator, a region, a transit",
    "country": "ZZ",
    "links": {"fixed": {"delay": "2ms"}, "transit": {"delay": "5ms"}},
    "regions": {"capital": {"title": "Capital", "weight": 1}},
    "operators": {
        "northnet": {
            "title": "Northnet",
            "asn": 64501,
            "subscribers": 1,
            "prefixes": ["100.64.0.0/16", "2001:db8:64::/48"],
            "transit": ["transit-one"],
            "regions": {"capital": {"ordinary": {"access": "fixed"}}},
        }
    },
    "gateway": {"title": "National gateway"},
    "exchange": {"title": "Domestic exchange", "asn": 64599},
    "transits": {
        "transit-one": {
            "title": "Transit One",
            "asn": 64601,
            "prefixes": ["198.51.100.0/24", "2001:db8:71::/48"],
            "serves": ["telegram", "bbc"],
        }
    },
}

BLOCKED: dict[str, Json] = {
    "ssh": {"block": {"protocols": ["ssh"]}, "by": "dpi"},
    "shadowsocks": {"block": {"protocols": ["fet"]}, "by": "dpi"},
    "wireguard": {"block": {"protocols": ["wireguard"]}, "by": "dpi"},
    "openvpn": {"block": {"protocols": ["openvpn"]}, "by": "dpi"},
    "dot": {"block": {"ports": ["tcp/853"]}},
    "doh": {"block": {"sites": ["doh.tools.example"]}, "by": "dpi"},
    "doq": {"block": {"ports": ["udp/853"]}},
}
"""What blocks each tool, in a phase named after it, and no other tool."""


def scenario_of(place: Path, **more: Json) -> Path:
    """A scenario with a phase for each of these policies, which expects what should come of it; `more` tools."""
    (place / "country.yaml").write_text(json.dumps(TOPOLOGY))

    def change(scenario: Json) -> None:
        against = {f"against-{tool}": BLOCKED[tool] | {"title": f"Against {tool}"} for tool in BLOCKED}
        policies = {"elsewhere": {"title": "Telegram", "block": {"apps": ["telegram"]}}, **against}
        timeline: list[Json] = []
        for hour, phase in enumerate(["baseline", *policies]):
            expect: list[Json] = [{"tools": "all", "outcome": "ok", "source": "FACT"}]
            if phase in against:
                tool = phase.removeprefix("against-")
                expect.append({"tools": [tool], "outcome": "blocked", "source": "FACT"})
            start = [phase] if phase in policies else []
            stop = timeline[-1]["start"] if timeline else []
            at = f"2030-05-01T{hour:02}:00Z"
            step = {"phase": phase, "at": at, "title": phase, "stop": stop, "start": start, "expect": expect}
            timeline.append(step)
        scenario |= {
            "topology": "country.yaml",
            "policies": {name: policy | {"source": "FACT"} for name, policy in policies.items()},
            "probes": {"bbc": {"test": "web", "url": "https://www.bbc.com/"}},
            "tools": {tool: {"test": tool} for tool in BLOCKED} | more,
            "timeline": timeline,
            "ends": "2030-05-02T08:00Z",
        }

    return small(place, change)


def test_every_tool_works_until_a_policy_is_about_it_and_no_longer_than_that(tmp_path: Path) -> None:
    done = invoke(tmp_path, "matrix", scenario_of(tmp_path), "--out", "run", "--format", "json")
    found = json.loads(done.output[done.output.index("\n{") :])
    assert not found["left_out"]
    shares = {(cell["phase"], cell["tool"]): cell["share"] for cell in found["cells"]}
    phases = ["baseline", "elsewhere", *(f"against-{tool}" for tool in BLOCKED)]
    assert shares == {(p, tool): 0.0 if p == f"against-{tool}" else 1.0 for p in phases for tool in BLOCKED}
    assert done.code == 0, done.output
    costs = {cell["tool"]: cell for cell in found["cells"] if cell["phase"] == "baseline"}
    assert all(cost["connect_ms"] > 5 for cost in costs.values()), "a round trip at least"
    speeds = {tool for tool, cost in costs.items() if (cost["kbits_per_second"] or 0) > 100}
    assert speeds == set(BLOCKED) - {"dot", "doh", "doq"}
    for record in map(json.loads, (tmp_path / "run" / "measurements.jsonl").read_text().splitlines()):
        if record["test_keys"].get("failure"):
            proven = {control["name"] for control in record["test_keys"]["x_control"] if control["failure"] is None}
            assert any(name.startswith("server of ") for name in proven), "the same tool worked from where no policy is"
