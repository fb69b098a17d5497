"""How a scenario becomes the one that `shutdownlab matrix` plays. No privileges."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

import shutdownlab as sl
from shutdownlab.model.scenario import Outcome
from shutdownlab.model.tool import Tool
from shutdownlab.runner.matrix import arranged, known_tools, missing_programs, with_tools

FIRST = Path(__file__).parents[2] / "scenarios/first-shutdown.yaml"


def test_tools_take_the_place_of_probes_and_each_gets_a_server_abroad() -> None:
    shutdown = sl.load("kazakhstan-2022")
    known = known_tools(shutdown.scenario)
    play = arranged(shutdown, {name: known[name] for name in ("ssh", "obfs4-179")})
    assert set(play.scenario.probes) == {"ssh", "obfs4-179"}
    assert not play.scenario.observations
    assert play.scenario.policies == shutdown.scenario.policies
    for name, tool in play.scenario.probes.items():
        assert isinstance(tool, Tool)
        hosted = play.network.hosted_as(tool.host or "")
        assert hosted is not None, name
        assert not hosted.domestic
        assert [str(service) for service in hosted.services] == list(tool.services)
    assert [str(s) for s in play.network.hosted_as("obfs4-179.tools.example").services] == ["obfs4/179"]  # type: ignore[union-attr]


def test_only_expectations_that_name_tools_are_about_them() -> None:
    shutdown = sl.load("kazakhstan-2022")
    known = known_tools(shutdown.scenario)
    play = arranged(shutdown, {name: known[name] for name in ("ssh", "obfs4-3785")})
    vantage = next(v for v in play.network.vantages if str(v.id) == "kcell/almaty/ordinary")
    choices = shutdown.scenario.default_choices()
    found = {
        tool: play.scenario.expected(play.scenario.phase("blackout"), choices, vantage, tool)
        for tool in ("ssh", "obfs4-3785")
    }
    assert {tool: each and (each.outcome, each.source) for tool, each in found.items()} == {
        "ssh": (Outcome.BLOCKED, "CF, NB, RA"),
        "obfs4-3785": (Outcome.OK, "N99"),
    }
    assert play.scenario.expected(play.scenario.phase("baseline"), choices, vantage, "ssh") is None
    assert shutdown.scenario.expected(shutdown.scenario.phase("blackout"), choices, vantage, "ssh") != found["ssh"]


def test_of_the_phases_only_the_first_and_those_asked_for_are_played_with_their_policies_in_force() -> None:
    shutdown = sl.load("kazakhstan-2022")
    scenario = shutdown.scenario
    choices = scenario.default_choices()
    asked = ["messengers", "blackout-3", "stable"]
    play = arranged(shutdown, {"ssh": known_tools(scenario)["ssh"]}, asked)
    assert [phase.phase for phase in play.scenario.timeline] == ["baseline", *asked]
    for phase in asked:
        assert set(play.scenario.active(phase, choices)) == set(scenario.active(phase, choices))
    assert arranged(shutdown, {}).scenario.timeline[4].start == scenario.timeline[4].start


def test_programs_that_are_not_installed_are_named_with_their_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutdownlab.runner.matrix._SBIN", "/nowhere")
    monkeypatch.setenv("PATH", "/nowhere")
    shutdown = sl.load("first-shutdown")
    known = known_tools(shutdown.scenario)
    assert missing_programs(known["shadowsocks"]) == {
        "ss-local": "shadowsocks-libev",
        "ss-server": "shadowsocks-libev",
    }
    with pytest.raises(sl.MachineCannot) as raised:
        sl.matrix(shutdown, tools=["ssh", "shadowsocks"])
    assert (
        "shadowsocks: ss-local and ss-server not installed: sudo apt-get install shadowsocks-libev" in raised.value.why
    )


def test_a_scenario_that_brings_a_program_as_a_tool_needs_trust_for_a_matrix_alone() -> None:
    shutdown = sl.load("first-shutdown")
    own = {"mine": {"test": "command", "command": ["curl", "https://www.bbc.com/"]}}
    scenario = sl.load({**_plain(shutdown), "tools": own})
    assert not scenario.programs
    play = arranged(scenario, {"mine": scenario.scenario.tools["mine"]})
    assert [(program.what, program.command[0]) for program in play.programs] == [("the tool mine", "curl")]


def _plain(shutdown: sl.Shutdown) -> dict[str, object]:
    assert shutdown.document is not None
    return dict(shutdown.document.data)


def verified(scenario: str | dict[str, Any], tools: str) -> dict[tuple[str, str, str], tuple[str, str | None]]:
    """Outcome and failure by phase, vantage point and tool."""
    results = sl.verify(with_tools(sl.load(scenario), [tools]))
    return {(r.phase, r.vantage, r.target): (r.outcome.value, r.failure) for r in results}


def test_the_flagships_bridges_are_verified_to_work_through_the_blackout_and_every_other_tool_to_fail() -> None:
    found = sl.verify(with_tools(sl.load("kazakhstan-2022"), ["all"]))
    assert found.unmet == []
    through = {r.target for r in found if r.phase == "blackout" and r.outcome.got_through}
    assert through == {"obfs4-179", "obfs4-3785"}
    undecided = {r.target for r in found if not r.outcome.is_measured}
    assert undecided == {"geneva"}  # what becomes of changed packets is nothing that the model has


def test_a_tool_is_found_by_what_a_box_sees_of_it_and_a_random_stream_by_nothing() -> None:
    made = yaml.safe_load(FIRST.read_text())
    names = {"ssh": "protocol: ssh", "wg": "protocol: wireguard", "front": "name_suffix: tools.example"}
    rules = [f"{{name: {name}, when: {{{when}}}, verdict: drop}}" for name, when in names.items()]
    made["policies"]["whatsapp-reset"] = {
        "title": "Tools", "source": "EXAMPLE", "where": {"operators": ["northnet"]},
        "inspect": [yaml.safe_load(rule) for rule in rules],
    }  # fmt: skip
    found = verified(made, "all")
    seen = {tool: found["messenger", "northnet/coast/ordinary", tool][0] for _, _, tool in found}
    blocked = {tool for tool, outcome in seen.items() if outcome == "blocked"}
    assert blocked == {"ssh", "wireguard", "fronting", "meek", "doh", "dot", "doq"}
    assert seen["shadowsocks"] == seen["obfs4"] == seen["tor"] == seen["openvpn"] == "ok"
    assert found["messenger", "southcell/coast/ordinary", "ssh"] == ("ok", None)


def test_the_shape_of_a_tools_packets_is_undecided() -> None:
    made = yaml.safe_load(FIRST.read_text())
    rule = {"name": "random", "when": {"first_packets": [{"entropy_at_least": 7.0}]}, "verdict": "drop"}
    made["policies"]["whatsapp-reset"] = {"title": "Random", "source": "EXAMPLE", "inspect": [rule]}
    outcome, why = verified(made, "shadowsocks")["messenger", "northnet/coast/ordinary", "shadowsocks"]
    assert outcome == "unknown"
    assert why is not None
    assert why.startswith("undecided: how long, how random")
