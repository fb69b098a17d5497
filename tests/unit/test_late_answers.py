"""Which questions a late resolver holds, how the resolver learns who asks, and how a client's patience goes by that."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

import dns.message
import pytest

import shutdownlab as sl
from shutdownlab.compiler.resolvers import held_names, lies_to, operators_late
from shutdownlab.library import load
from shutdownlab.measure.requests import over_its_lines, request_at, surroundings
from shutdownlab.results.cells import Cell
from shutdownlab.servers.late_answers import Held, proxied, ruleset
from shutdownlab.verifier.mechanisms import mechanism_of


def late(slow: str, **more: Any) -> dict[str, Any]:
    return {"title": "", "block": {"sites": ["bbc.com"]}, "by": "dns", "slow": slow, "source": "made up", **more}


def scenario(**policies: dict[str, Any]) -> dict[str, Any]:
    return {
        "format": 1,
        "name": "late",
        "title": "Late",
        "topology": "two-operators",
        "policies": policies,
        "probes": {
            "dns": {"test": "dns", "host": "www.bbc.com"},
            "other": {"test": "dns", "host": "www.wikipedia.org"},
            "page": {"test": "web", "url": "https://www.bbc.com/"},
        },
        "timeline": [{"phase": "now", "at": "2030-05-01T00:00Z", "title": "", "start": list(policies)}],
        "ends": "2030-05-02T00:00Z",
    }


def question(name: str) -> bytes:
    return dns.message.make_query(name, "A").to_wire()


def test_the_longest_domain_says_for_how_long_a_question_is_held_and_of_whom() -> None:
    held = Held()
    held.become({"100.64.0.0/24": {"bbc.com": 3.0, "www.bbc.com": 0.0}, "2001:db8::/64": {"com": 1.0}})
    assert held.seconds("100.64.0.7", question("bbc.com")) == 3.0
    assert held.seconds("100.64.0.7", question("News.BBC.com")) == 3.0
    assert held.seconds("100.64.0.7", question("a.www.bbc.com")) == 0.0
    assert held.seconds("100.64.0.7", question("notbbc.com")) == 0.0
    assert held.seconds("100.64.1.7", question("bbc.com")) == 0.0
    assert held.seconds("2001:db8::7", question("bbc.com")) == 1.0
    assert held.seconds("100.64.0.7", b"no question") == 0.0
    assert (held.questions, held.held) == (7, 3)


def test_the_resolver_is_told_who_asks_by_the_proxy_protocol() -> None:
    head = proxied(("100.64.0.7", 4660), ipaddress.ip_address("100.64.255.53"), 2)
    assert head[:12] == b"\r\n\r\n\x00\r\nQUIT\n"
    assert head[12:16] == b"\x21\x12\x00\x0c"  # version 2, on behalf of another; IPv4, datagrams; 12 octets
    assert head[16:] == socket.inet_aton("100.64.0.7") + socket.inet_aton("100.64.255.53") + b"\x12\x34\x00\x35"
    sixth = proxied(("2001:db8::7", 1), ipaddress.ip_address("2001:db8::53"), 1)
    assert sixth[12:16] == b"\x21\x21\x00\x24"
    assert len(sixth) == 16 + 36


def test_questions_are_led_to_it_of_whom_it_holds_some_and_of_nobody_once_it_holds_none() -> None:
    addresses = [ipaddress.ip_address("100.64.255.53"), ipaddress.ip_address("2001:db8::53")]
    rules = ruleset(addresses, [ipaddress.ip_network("100.64.0.0/24"), ipaddress.ip_network("2001:db8:1::/64")])
    assert rules.startswith("table inet late\ndelete table inet late\n")
    assert "ip saddr 100.64.0.0/24 ip daddr 100.64.255.53 udp dport 53 dnat ip to 100.64.255.53:5353" in rules
    assert "ip6 saddr 2001:db8:1::/64 ip6 daddr 2001:db8::53 tcp dport 53 dnat ip6 to [2001:db8::53]:5353" in rules
    assert rules.count("dnat") == 4
    assert ruleset(addresses, []) == "table inet late\ndelete table inet late\n"


def test_a_resolver_that_lies_of_a_longer_name_does_so_at_once() -> None:
    lying = late("3s") | {"block": {"sites": ["www.bbc.com"]}, "answer": "nxdomain"}
    del lying["slow"]
    loaded = load(scenario(late=late("3s", where={"operators": ["northnet"]}), lying=lying))
    north, south = (
        next(v for v in loaded.network.vantages if v.id.operator == name) for name in ("northnet", "southcell")
    )
    said = lies_to(north, loaded.apps, loaded.scenario.policies)
    assert held_names(said) == {"bbc.com": 3.0, "www.bbc.com": 0.0}
    assert held_names(lies_to(south, loaded.apps, loaded.scenario.policies)) == {}
    assert operators_late(loaded.network, loaded.scenario.policies.values()) == {"northnet"}


@pytest.mark.parametrize(
    ("slow", "timeout", "gives_up", "outcome"),
    [("3s", 1.2 + 2.5 * 3, 0.0, "ok"), ("9900ms", 1.2 + 2.5 * 9.9, 0.0, "ok"), ("10s", 1.2, 10.0, "blocked")],
)
def test_a_client_waits_for_what_is_late_and_gives_up_after_ten_seconds(
    slow: str, timeout: float, gives_up: float, outcome: str
) -> None:
    loaded = load(scenario(late=late(slow)))
    vantage = loaded.network.vantages[0]
    asked = {}
    for name, probe in loaded.scenario.probes.items():
        at = surroundings(loaded, Cell("now", vantage.id.operator, vantage, name, probe.families[0]))
        request = request_at(probe, name, at, "")
        asked[name] = over_its_lines(request, probe, at, lambda _: loaded.scenario.policies, loaded.apps)
    for name in ("dns", "page"):
        assert asked[name].timeout == pytest.approx(timeout)
        assert asked[name].gives_up == gives_up
    assert (asked["other"].timeout, asked["other"].gives_up) == (1.2, 0.0)
    found = {r.target: (r.outcome.value, r.failure) for r in sl.verify(loaded) if r.vantage == str(vantage.id)}
    failure = None if outcome == "ok" else "generic_timeout_error"
    assert found == {"dns": (outcome, failure), "page": (outcome, failure), "other": ("ok", None)}


def test_a_report_says_how_late_names_are_and_a_warning_why_nothing_fails() -> None:
    loaded = load(scenario(late=late("3s")))
    assert mechanism_of(loaded.scenario.policies["late"]) == "3s late by DNS"
    (warned,) = [each for each in sl.verify(loaded).warnings if "`late`" in each.text]
    assert warned.text == (
        "`late` changes nothing that is measured: clients wait for the late answer; only their records show it"
    )


def test_explain_names_the_policy_by_which_a_name_comes_too_late_and_none_where_it_comes_in_time() -> None:
    for slow, policies in (("30s", ["late"]), ("2s", [])):
        why = sl.explain(scenario(late=late(slow)), at="now", vantage="northnet/coast", target="page")
        assert [order.policy for order in why.elsewhere] == policies
        assert (why.verdict.outcome.value == "blocked") == bool(policies)
