"""Circumvention tools, each with real packets: it works where nothing is blocked and where something else is, and does
not where a policy is about it."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import outside
import pytest
import tiny
from invocation import Json, invoke, small

import shutdownlab as sl
from shutdownlab.results.events import Begun, Built, Event

OPERATORS = ("northnet", "southcell", "westline")


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
"""Policies, and the tools that each is about: all others go on working."""
IN_FORCE: dict[str, dict[str, str]] = {
    "baseline": {},
    "patience": {"northnet": "protocols", "southcell": "names", "westline": "forgotten-port"},
    "afterwards": {"northnet": "something-else", "southcell": "resolvers"},
}
"""By phase and operator. Where Tor is blocked its clients wait for half a minute: here, at all operators at once."""


def blocked(phase: str, operator: str) -> set[str]:
    """The tools that the operator's policy of a phase is about."""
    policy = IN_FORCE[phase].get(operator)
    return POLICIES[policy][1] if policy else set()


def scenario_of(place: Path) -> Path:
    """A scenario that expects what should come of the policies in force; an obfs4 bridge is at port 179."""
    tiny.written(place, *OPERATORS)

    def change(scenario: Json) -> None:
        timeline: list[Json] = []
        for hour, (phase, policies) in enumerate(IN_FORCE.items()):
            expect: list[Json] = [{"tools": "all", "outcome": "ok", "source": "FACT"}]
            for operator in OPERATORS:
                if tools := sorted(blocked(phase, operator)):
                    who = {"operators": [operator]}
                    expect.append({"who": who, "tools": tools, "outcome": "blocked", "source": "FACT"})
            stop = timeline[-1]["start"] if timeline else []
            at = f"2030-05-01T{hour:02}:00Z"
            start = list(policies.values())
            timeline.append({"phase": phase, "at": at, "title": phase, "stop": stop, "start": start, "expect": expect})
        scenario |= {
            "topology": "tiny.yaml",
            "policies": {
                name: {"title": name, "source": "FACT", "where": {"operators": [operator]}} | POLICIES[name][0]
                for policies in IN_FORCE.values()
                for operator, name in policies.items()
            },
            "probes": {"bbc": {"test": "web", "url": "https://www.bbc.com/"}},
            "tools": {tool: {"test": tool} for tool in TOOLS} | {"obfs4-179": {"test": "obfs4", "port": "tcp/179"}},
            "timeline": timeline,
            "ends": "2030-05-02T08:00Z",
        }

    return small(place, change)


@pytest.mark.thorough
def test_every_tool_works_until_a_policy_is_about_it_and_again_afterwards(tmp_path: Path) -> None:
    assert {name for policies in IN_FORCE.values() for name in policies.values()} == set(POLICIES)
    done = invoke(tmp_path, "matrix", scenario_of(tmp_path), "--out", "run", "--format", "json", longest=600)
    found = json.loads(done.output[done.output.index("\n{") :])
    assert not found["left_out"]
    shares = {(cell["phase"], cell["operator"], cell["tool"]): cell["share"] for cell in found["cells"]}
    places = [(phase, operator) for phase in IN_FORCE for operator in OPERATORS]
    used = (*TOOLS, "obfs4-179")
    assert shares == {(*place, tool): float(tool not in blocked(*place)) for place in places for tool in used}
    assert done.code == 0, done.output
    costs = [cell for cell in found["cells"] if cell["phase"] == "baseline"]
    assert all(cost["connect_ms"] > 5 for cost in costs), "a round trip at least"
    assert all((cost["kbits_per_second"] or 0) > 100 for cost in costs if cost["tool"] not in {"dot", "doh", "doq"})
    with (tmp_path / "run" / "results.csv").open(newline="") as file:
        well = [row for row in csv.DictReader(file) if row["outcome"] == "ok"]
    once = {row["target"] for row in well if row["tries"] == "1"}
    assert once and not once & RANDOM, "what looks like noise may get past a box once by chance"
    for record in map(json.loads, (tmp_path / "run" / "measurements.jsonl").read_text().splitlines()):
        if record["test_keys"].get("failure"):
            proven = {each["name"] for each in record["test_keys"]["x_control"] if each["failure"] is None}
            looked_up = {each["name"] for each in record["test_keys"]["x_control"] if "resolver" in each["name"]}
            assert looked_up or any(name.startswith("server of ") for name in proven), "it worked where no policy is"


def test_a_name_that_is_no_tool_is_told_with_those_that_are(tmp_path: Path) -> None:
    done = invoke(tmp_path, "matrix", scenario_of(tmp_path), "--tools", "shadowsocks,gopher")
    assert done.code == 2
    assert "--tools: found unknown tool 'gopher'; expected one of doh," in done.output.replace("\n", " ")


@pytest.mark.thorough
@pytest.mark.parametrize("faulty", [1, 2])
def test_a_tool_of_which_a_fault_hides_whether_it_works_is_asked_again_in_another_country(
    tmp_path: Path, faulty: int
) -> None:
    """The node of its server is cut off as soon as one country, or two in a row, is built."""
    tiny.written(tmp_path, "northnet")

    def change(scenario: Json) -> None:
        probes = {"bbc": {"test": "web", "url": "https://www.bbc.com/"}}
        scenario.update(topology="tiny.yaml", probes=probes, policies={}, timeline=scenario["timeline"][:1])

    scenario = small(tmp_path, change)
    runs: list[str] = []

    def listen(event: Event) -> None:
        if isinstance(event, Begun):
            runs.append(event.run)
        elif isinstance(event, Built) and len(runs) <= faulty:
            for server in (pid for pid in outside.descendants(os.getpid()) if outside.names(pid) == "nginx"):
                outside.cut_off(server)

    if faulty == 1:
        found = sl.matrix(scenario, tmp_path / "run", tools=["ssh"], at=["baseline"], on_event=listen)
        assert [result.outcome for result in found.results] == ["ok"]
        assert (found.exit_code, dict(found.left_out)) == (0, {})
    else:
        with pytest.raises(sl.RunFailed, match="run-again") as failed:
            sl.matrix(scenario, tmp_path / "run", tools=["ssh"], at=["baseline"], on_event=listen)
        assert failed.value.run.status == "self-check failed"
    assert runs == ["run", "run-again"]


SPLIT, TWICE = "[TCP:flags:PA]-fragment{tcp:8:True}-|", "[TCP:flags:PA]-duplicate-|"


@pytest.mark.thorough
def test_a_geneva_strategy_gets_past_a_box_that_does_not_reassemble_and_no_other(tmp_path: Path) -> None:
    """Northnet's box, `kazakhstan-sni`, reads the first packet alone; a packet that is there twice is still read."""
    operators = ("northnet", "southcell")
    tiny.written(tmp_path, *operators)
    sites = ["split.tools.example", "twice.tools.example"]

    def change(scenario: Json) -> None:
        scenario |= {
            "topology": "tiny.yaml",
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
    well = {(operator, "baseline", tool): 1.0 for operator in operators for tool in ("split", "twice")}
    assert shares == well | {
        ("northnet", "blackout", "split"): 1.0,
        ("northnet", "blackout", "twice"): 0.0,
        ("southcell", "blackout", "split"): 0.0,
        ("southcell", "blackout", "twice"): 0.0,
    }
