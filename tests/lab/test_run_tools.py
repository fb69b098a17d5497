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

TOOLS = (
    "doh", "doq", "dot", "fronting", "geneva", "meek", "obfs4", "openvpn", "shadowsocks", "ssh", "tor", "wireguard"
)  # fmt: skip
RANDOM = {"shadowsocks", "obfs4", "obfs4-179"}
FRONTED = {"doh", "meek", "fronting", "geneva"}
POLICIES: dict[str, tuple[Json, set[str]]] = {
    "something-else": (
        {
            "block": {
                "apps": ["telegram"],
                "sites": ["page.tools.example", "hidden.meek.tools.example", "hidden.fronting.tools.example"],
            },
            "by": "dpi",
        },
        set(),
    ),
    "protocols": (
        {"block": {"protocols": ["ssh", "fet", "wireguard", "openvpn", "tor"]}, "by": "dpi"},
        {"ssh", "wireguard", "openvpn", "tor", *RANDOM},
    ),
    "names": ({"block": {"sites": [f"{tool}.tools.example" for tool in sorted(FRONTED)]}, "by": "dpi"}, FRONTED),
    "resolvers": ({"block": {"ports": [853]}}, {"dot", "doq"}),
    "forgotten-port": ({"block": "everything", "except": {"ports": [179]}}, {*TOOLS}),
}
"""Policies, each in a phase of its name, and the tools that it is about: all others go on working."""


def scenario_of(place: Path) -> Path:
    """A scenario with a phase for each policy, which expects what should come of it; an obfs4 bridge is at port 179."""
    (place / "country.yaml").write_text(json.dumps(TOPOLOGY))

    def change(scenario: Json) -> None:
        timeline: list[Json] = []
        for hour, phase in enumerate(["baseline", *POLICIES]):
            expect: list[Json] = [{"tools": "all", "outcome": "ok", "source": "FACT"}]
            if blocked := POLICIES[phase][1] if phase in POLICIES else set():
                expect.append({"tools": sorted(blocked), "outcome": "blocked", "source": "FACT"})
            start = [phase] if phase in POLICIES else []
            stop = timeline[-1]["start"] if timeline else []
            at = f"2030-05-01T{hour:02}:00Z"
            step = {"phase": phase, "at": at, "title": phase, "stop": stop, "start": start, "expect": expect}
            timeline.append(step)
        scenario |= {
            "topology": "country.yaml",
            "policies": {name: {"title": name, "source": "FACT"} | policy for name, (policy, _) in POLICIES.items()},
            "probes": {"bbc": {"test": "web", "url": "https://www.bbc.com/"}},
            "tools": {tool: {"test": tool} for tool in TOOLS} | {"obfs4-179": {"test": "obfs4", "port": "tcp/179"}},
            "timeline": timeline,
            "ends": "2030-05-02T08:00Z",
        }

    return small(place, change)


def test_every_tool_works_until_a_policy_is_about_it_and_again_afterwards(tmp_path: Path) -> None:
    done = invoke(tmp_path, "matrix", scenario_of(tmp_path), "--out", "run", "--format", "json", longest=600)
    found = json.loads(done.output[done.output.index("\n{") :])
    assert not found["left_out"]
    shares = {(cell["phase"], cell["tool"]): cell["share"] for cell in found["cells"]}
    blocked = {"baseline": set[str]()} | {phase: tools for phase, (_, tools) in POLICIES.items()}
    used = (*TOOLS, "obfs4-179")
    assert shares == {(phase, tool): float(tool not in tools) for phase, tools in blocked.items() for tool in used}
    assert done.code == 0, done.output
    costs = {cell["tool"]: cell for cell in found["cells"] if cell["phase"] == "baseline"}
    assert all(cost["connect_ms"] > 5 for cost in costs.values()), "a round trip at least"
    assert all((costs[tool]["kbits_per_second"] or 0) > 100 for tool in set(costs) - {"dot", "doh", "doq"})
    for record in map(json.loads, (tmp_path / "run" / "measurements.jsonl").read_text().splitlines()):
        if record["test_keys"].get("failure"):
            proven = {each["name"] for each in record["test_keys"]["x_control"] if each["failure"] is None}
            looked_up = {each["name"] for each in record["test_keys"]["x_control"] if "resolver" in each["name"]}
            assert looked_up or any(name.startswith("server of ") for name in proven), "it worked where no policy is"


def test_a_name_that_is_no_tool_is_told_with_those_that_are(tmp_path: Path) -> None:
    done = invoke(tmp_path, "matrix", scenario_of(tmp_path), "--tools", "shadowsocks,gopher")
    assert done.code == 2
    assert "--tools: found unknown tool 'gopher'; expected one of doh," in done.output.replace("\n", " ")


SPLIT, TWICE = "[TCP:flags:PA]-fragment{tcp:8:True}-|", "[TCP:flags:PA]-duplicate-|"


def test_a_geneva_strategy_gets_past_a_box_that_does_not_reassemble_and_no_other(tmp_path: Path) -> None:
    """Northnet's box, `kazakhstan-sni`, reads the first packet alone; a packet that is there twice is still read."""
    second = TOPOLOGY["operators"]["northnet"] | {
        "title": "Southcell", "asn": 64502, "prefixes": ["100.65.0.0/16", "2001:db8:65::/48"],
    }  # fmt: skip
    topology = TOPOLOGY | {"operators": TOPOLOGY["operators"] | {"southcell": second}}
    (tmp_path / "country.yaml").write_text(json.dumps(topology))
    sites = ["split.tools.example", "twice.tools.example"]

    def change(scenario: Json) -> None:
        scenario |= {
            "topology": "country.yaml",
            "profile": "perfect",
            "profiles": {"northnet": "kazakhstan-sni"},
            "policies": {
                "named": {"title": "By name", "block": {"sites": sites}, "by": "dpi", "source": "FACT"},
            },
            "probes": {"bbc": {"test": "web", "url": "https://www.bbc.com/"}},
            "tools": {
                "split": {"test": "geneva", "strategy": SPLIT},
                "twice": {"test": "geneva", "strategy": TWICE},
            },
        }
        baseline, named, _ = scenario["timeline"]
        scenario["timeline"] = [baseline | {"expect": []}, named | {"start": ["named"], "expect": []}]

    path = small(tmp_path, change)
    done = invoke(tmp_path, "matrix", path, "--tools", "split,twice", "--out", "run", "--format", "json")
    assert done.code == 0, done.output
    cells = json.loads(done.output[done.output.index("\n{") :])["cells"]
    shares = {(cell["operator"], cell["phase"], cell["tool"]): cell["share"] for cell in cells}
    well = {(operator, "baseline", tool): 1.0 for operator in topology["operators"] for tool in ("split", "twice")}
    assert shares == well | {
        ("northnet", "blackout", "split"): 1.0,
        ("northnet", "blackout", "twice"): 0.0,
        ("southcell", "blackout", "split"): 0.0,
        ("southcell", "blackout", "twice"): 0.0,
    }
