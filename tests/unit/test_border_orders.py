"""What border routers are ordered to do, and what is cut by order: how cells come out, and why they are said to."""

from __future__ import annotations

from typing import Any

import shutdownlab as sl
from shutdownlab.compiler.rejections import rejections, ruleset
from shutdownlab.library import load
from shutdownlab.model.scenario import Outcome
from shutdownlab.verifier.explained import explanation_lines

PROBES = {
    "www.bbc.com": {"test": "web", "url": "https://www.bbc.com/", "families": ["ipv4", "ipv6"]},
    "kaspi.kz": {"test": "web", "url": "https://kaspi.kz/"},
    "google-dns": {"test": "dns", "host": "www.bbc.com", "resolver": "8.8.8.8"},
    "ping": {"test": "ping", "host": "8.8.8.8"},
    "quic": {"test": "http3", "url": "https://www.youtube.com/"},
    "call": {"test": "call"},
}


def scenario(**policies: dict[str, Any]) -> dict[str, Any]:
    """Two operators, and one phase with all these policies in force."""
    titled = {name: {"title": name, "source": "made up", **policy} for name, policy in policies.items()}
    return {
        "format": 1,
        "name": "borders",
        "title": "Borders",
        "topology": "two-operators",
        "policies": titled,
        "probes": PROBES,
        "observations": {"routes": {"observer": "bgp"}},
        "timeline": [{"phase": "now", "at": "2030-05-01T00:00Z", "title": "", "start": list(policies)}],
        "ends": "2030-05-02T00:00Z",
    }


def found(made: dict[str, Any], who: str = "") -> dict[str, set[tuple[str, str | None]]]:
    """What probes come out as for all vantage points whose name begins so."""
    cells: dict[str, set[tuple[str, str | None]]] = {}
    for result in sl.verify(made):
        if result.region and str(result.vantage).startswith(who):
            cells.setdefault(result.target, set()).add((result.outcome.value, result.failure))
    return cells


def test_null_routed_prefixes_stay_announced_and_nothing_comes_back_from_abroad() -> None:
    made = scenario(dark={"null_route": {}})
    cells = found(made)
    assert cells["www.bbc.com"] == {("blocked", "generic_timeout_error")}
    assert cells["ping"] == {("blocked", "generic_timeout_error")}
    assert cells["kaspi.kz"] == cells["call"] == {("ok", None)}  # over the exchange, and at home
    assert {r.outcome for r in sl.verify(made) if r.target == "routes"} == {Outcome.OK}


def test_a_null_route_spares_the_addresses_that_it_names() -> None:
    made = scenario(dark={"null_route": {"spare": ["100.64.4.0/24"]}, "where": {"operators": ["northnet"]}})
    assert found(made, "northnet/coast")["ping"] == found(made, "southcell")["ping"] == {("ok", None)}
    assert found(made, "northnet/capital")["ping"] == {("blocked", "generic_timeout_error")}


def test_a_null_route_of_one_family_leaves_the_other() -> None:
    made = scenario(dark={"null_route": {"family": "ipv6"}})
    by_family = {(r.family.value, r.outcome.value) for r in sl.verify(made) if r.target == "www.bbc.com"}
    assert by_family == {("ipv4", "ok"), ("ipv6", "blocked")}


def test_rejected_packets_are_answered_at_once_and_the_others_pass() -> None:
    cells = found(scenario(no={"block": {"addresses": ["8.8.8.8"], "ports": ["udp/443"]}, "action": "reject"}))
    assert cells["google-dns"] == cells["ping"] == cells["quic"] == {("blocked", "host_unreachable")}
    assert cells["www.bbc.com"] == cells["kaspi.kz"] == {("ok", None)}


def test_a_router_that_resets_refuses_tcp_and_rejects_the_rest() -> None:
    cells = found(
        scenario(
            no={
                "block": {"ports": ["443"]},
                "action": "reject",
                "reject_with": "tcp-reset",
                "except": {"apps": ["kaspi"]},
            }
        )
    )
    assert cells["www.bbc.com"] == {("blocked", "connection_refused")}
    assert cells["quic"] == {("blocked", "host_unreachable")}
    assert cells["kaspi.kz"] == {("ok", None)}


def test_rejecting_everything_leaves_the_telephone_and_whom_it_spares() -> None:
    made = scenario(no={"block": "everything", "action": "reject", "except": {"regions": ["coast"]}})
    assert found(made, "northnet/capital/ordinary")["www.bbc.com"] == {("blocked", "host_unreachable")}
    assert found(made)["call"] == found(made, "southcell/coast")["www.bbc.com"] == {("ok", None)}


def test_a_rejection_that_another_policy_keeps_from_coming_back_is_silence() -> None:
    one_way = {"block": "everything", "direction": "inbound"}
    cells = found(scenario(inwards=one_way, no={"block": {"addresses": ["8.8.8.8"]}, "action": "reject"}))
    assert cells["ping"] == {("blocked", "generic_timeout_error")}


def test_an_explanation_names_the_router_that_rejects_and_what_would_let_it_through() -> None:
    made = scenario(no={"block": {"addresses": ["8.8.8.8"]}, "action": "reject"})
    text = "\n".join(explanation_lines(sl.explain(made, at="now", vantage="northnet/coast", target="ping")))
    assert "✗ northnet-border      border:  rejects it for no" in text
    assert "answers ICMP: communication administratively prohibited" in text
    assert "Policy no: no [made up]" in text
    assert "To let it through: except: {regions: [coast]} in no" in text


def test_a_routers_rules_leave_controls_and_telephones_alone_and_end_with_the_order() -> None:
    loaded = load(scenario(no={"block": {"ports": ["tcp/80-81"]}, "action": "reject", "where": {"regions": ["coast"]}}))
    rejected = rejections(loaded.network, loaded.apps, loaded.scenario.policies, "northnet")
    rules = ruleset(rejected)
    assert "    ip saddr 100.64.4.0/24 jump p0" in rules
    assert "    tcp dport 80-81 reject with icmpx type admin-prohibited" in rules
    control = next(a for a in rejected[0].controls if a.version == 4)
    assert rules.index(f"ip saddr {control}/32 return") < rules.index("tcp dport 80-81")
    assert ruleset(()) == "table inet orders\ndelete table inet orders\n"


def test_cables_power_and_masts_that_are_off_by_order_are_down_and_no_block() -> None:
    cable = found(scenario(cable={"cut": {"links": ["northnet to northnet/coast"]}}), "northnet")
    assert cable["ping"] == {("ok", None), ("down", "order: cable")}
    power = scenario(power={"power_off": {"regions": ["coast"]}})
    assert found(power, "southcell/coast")["ping"] == {("down", "order: power")}
    masts = scenario(masts={"switch_off": {"regions": ["coast"]}})
    assert found(masts, "southcell/coast")["ping"] == {("down", "order: masts")}
    assert found(masts, "northnet")["ping"] == found(masts, "southcell/capital")["ping"] == {("ok", None)}


def test_an_explanation_names_the_order_that_broke_something_and_its_line() -> None:
    made = scenario(masts={"switch_off": {"regions": ["coast"]}})
    told = list(explanation_lines(sl.explain(made, at="now", vantage="southcell/coast", target="ping")))
    assert told[1].startswith("  Order masts: masts [made up]")


def test_a_block_beside_a_cable_that_is_cut_elsewhere_stays_a_block() -> None:
    cable = {"cut": {"links": ["northnet to northnet/coast"]}}
    made = scenario(cable=cable, no={"block": {"addresses": ["8.8.8.8"]}, "action": "reject"})
    assert found(made, "southcell")["ping"] == {("blocked", "host_unreachable")}
    assert found(made, "northnet/coast")["ping"] == {("down", "order: cable")}
