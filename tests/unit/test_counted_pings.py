"""Pings that a border router counts, client by client: what passes first, what is dropped then, and what is said."""

from __future__ import annotations

from typing import Any

import pytest

import shutdownlab as sl
from shutdownlab.compiler.counting import counts, ruleset
from shutdownlab.config.problems import BadInput
from shutdownlab.library import load
from shutdownlab.measure.requests import over_its_lines, request_at, surroundings
from shutdownlab.results.cells import Cell
from shutdownlab.verifier.explained import explanation_lines
from shutdownlab.verifier.mechanisms import mechanism_of

FEW = {"block": {"protocols": ["icmp"]}, "block_after": {"packets": 3, "within": "10s"}}
WHOLE = {"block": {"protocols": ["icmp"]}, "block_after": {"packets": 3, "within": "10s", "then": "client"}}
PINGS = {"test": "ping", "host": "8.8.8.8"}


def scenario(probes: dict[str, dict[str, Any]], **policies: dict[str, Any]) -> dict[str, Any]:
    """Two operators, and one phase with all these policies in force."""
    return {
        "format": 1,
        "name": "pings",
        "title": "Pings",
        "topology": "two-operators",
        "policies": {name: {"title": name, "source": "made up", **policy} for name, policy in policies.items()},
        "probes": probes,
        "timeline": [{"phase": "now", "at": "2030-05-01T00:00Z", "title": "", "start": list(policies)}],
        "ends": "2030-05-02T00:00Z",
    }


def found(made: dict[str, Any], who: str = "northnet/coast/ordinary") -> dict[tuple[str, str], str | None]:
    """What probes come out as at one vantage point, by name and family: a failure, or None."""
    return {(r.target, r.family.value): r.failure for r in sl.verify(made) if str(r.vantage) == who}


def test_as_many_pings_pass_as_the_policy_says_and_no_more() -> None:
    probes = {f"{count}": PINGS | {"count": count, "from": {"groups": [group]}} for count, group in ((3, "ordinary"),)}
    assert found(scenario(probes, few=FEW)) == {("3", "ipv4"): None}
    probes["3"]["count"] = 4
    assert found(scenario(probes, few=FEW)) == {("3", "ipv4"): "generic_timeout_error"}


def test_a_probe_that_needs_fewer_answers_than_it_sends_pings_is_content() -> None:
    assert found(scenario({"five": PINGS | {"count": 5, "answered": 3}}, few=FEW)) == {("five", "ipv4"): None}
    four = scenario({"five": PINGS | {"count": 5, "answered": 4}}, few=FEW)
    assert found(four) == {("five", "ipv4"): "generic_timeout_error"}


def test_each_address_family_is_counted_by_itself_and_whom_it_spares_not_at_all() -> None:
    both = {"five": {"test": "ping", "host": "www.bbc.com", "count": 5, "families": ["ipv4", "ipv6"]}}
    six = {"block": {"protocols": ["icmp6"]}, "block_after": {"packets": 3, "within": "10s"}}
    assert found(scenario(both, six=six)) == {("five", "ipv4"): None, ("five", "ipv6"): "generic_timeout_error"}
    spared = FEW | {"except": {"regions": ["coast"]}}
    assert set(found(scenario(both, few=spared)).values()) == {None}
    assert set(found(scenario(both, few=spared), "northnet/capital/ordinary").values()) == {"generic_timeout_error"}


def test_after_too_many_pings_the_client_is_blocked_or_pings_alone() -> None:
    probes = {"five": {"test": "ping", "host": "www.bbc.com", "count": 5, "answered": 2, "then": "tcp/443"}}
    assert found(scenario(probes, few=FEW)) == {("five", "ipv4"): None}
    assert found(scenario(probes, whole=WHOLE)) == {("five", "ipv4"): "generic_timeout_error"}
    probes["five"]["count"] = 3
    assert found(scenario(probes, whole=WHOLE)) == {("five", "ipv4"): None}


def test_what_hangs_on_which_of_a_clients_probes_came_first_is_not_decided() -> None:
    probes = {
        "two": PINGS | {"count": 2},
        "more": PINGS | {"count": 4},
        "page": {"test": "web", "url": "https://www.bbc.com/"},
    }
    told = found(scenario(probes, whole=WHOLE))
    first = "whether the same client has sent other pings before"
    assert told["two", "ipv4"] == told["page", "ipv4"] == f"undecided: ok or blocked (generic_timeout_error): {first}"
    assert told["more", "ipv4"] == "generic_timeout_error"  # by itself
    assert found(scenario(probes, few=FEW))["page", "ipv4"] is None
    elsewhere = probes | {"more": PINGS | {"count": 4, "from": {"operators": ["southcell"]}}}
    assert set(found(scenario(elsewhere, whole=WHOLE)).values()) == {None}


def test_pings_of_another_phase_are_forgotten() -> None:
    made = scenario({"two": PINGS | {"count": 2}, "three": PINGS | {"count": 3, "during": ["then"]}}, few=FEW)
    made["timeline"].append({"phase": "then", "at": "2030-05-01T06:00Z", "title": ""})
    outcomes = {(r.phase, r.target): r.outcome.value for r in sl.verify(made) if r.operator == "northnet"}
    assert outcomes == {("now", "two"): "ok", ("then", "two"): "unknown", ("then", "three"): "unknown"}


def test_an_explanation_names_the_router_that_counts() -> None:
    made = scenario({"five": PINGS | {"count": 5}}, few=FEW)
    text = "\n".join(explanation_lines(sl.explain(made, at="now", vantage="northnet/coast", target="five")))
    assert "✗ northnet-border      border:  drops it" in text
    assert "its client's pings, after 3 packets in 10 s" in text
    assert "Policy few: few [made up]" in text
    assert "The server: answered the first ones; the rest never arrived" in text


def test_a_router_counts_echo_requests_of_each_client_but_not_controls() -> None:
    loaded = load(scenario({"ping": PINGS}, whole=WHOLE | {"where": {"regions": ["coast"]}}))
    counted = counts(loaded.network, loaded.apps, loaded.scenario.policies, "northnet")
    rules = ruleset(counted)
    assert "  set sent0v4 { type ipv4_addr; flags dynamic,timeout; timeout 10000ms; size 65535; }" in rules
    limit = "limit rate over 1/day burst 3 packets"
    assert f"icmp type echo-request add @sent0v4 {{ ip saddr {limit} }} add @caught0v4 {{ ip saddr }} drop" in rules
    assert "icmpv6 type echo-request add @sent0v6" in rules
    control = next(a for a in counted[0].controls if a.version == 4)
    assert rules.index(f"ip saddr {control}/32 return") < rules.index("ip saddr @caught0v4 drop")
    assert "100.64.0.0" not in rules.partition("chain forward")[2]  # the capital's
    assert ruleset(()) == "table inet counts\ndelete table inet counts\n"
    assert mechanism_of(loaded.scenario.policies["whole"]) == "blocked by protocol, after 3 packets in 10 s"


def test_another_try_of_a_ping_waits_until_the_first_is_counted_no_more() -> None:
    loaded = load(
        scenario({"five": PINGS | {"count": 5}, "page": {"test": "tcp", "host": "8.8.8.8", "port": 53}}, few=FEW)
    )
    vantage = loaded.network.vantages[0]
    rests = {}
    for name, probe in loaded.scenario.probes.items():
        at = surroundings(loaded, Cell("now", vantage.id.operator, vantage, name, probe.families[0]))
        request = request_at(probe, name, at, "")
        rests[name] = over_its_lines(request, probe, at, lambda _: loaded.scenario.policies, loaded.apps).rests
    assert rests == {"five": 10.0, "page": 0.0}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"count": 2, "answered": 3}, "probes.ping.answered: found 3; expected at most `count`, 2"),
        ({"then": "udp/53"}, "probes.ping.then: found udp/53; expected a port of TCP, such as tcp/443"),
        ({"count": 0}, "probes.ping.count"),
    ],
)
def test_a_ping_that_cannot_come_out_well_is_refused(asked: dict[str, Any], expected: str) -> None:
    with pytest.raises(BadInput) as refused:
        load(scenario({"ping": PINGS | asked}))
    assert expected in str(refused.value)
