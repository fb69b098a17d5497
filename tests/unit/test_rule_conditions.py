"""Conditions of rules on answers, autonomous systems and clients' software, and those that must not hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import conditioned
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.all import DNS, DNSQR, DNSRR, UDP, Ether, IPv6, Raw
from scapy_traffic import TcpTraffic, datagram, http_request, inspected, question
from wire import Connection, client_hello, dns_query, engine, rule

import shutdownlab as sl
from shutdownlab.config.problems import BadInput
from shutdownlab.inspection.policy import load_policy
from shutdownlab.inspection.profile import shipped_profile
from shutdownlab.model.scenario import Outcome


def response(name: str, *records: tuple[str, str, str], ident: int = 1) -> bytes:
    """A resolver's: each record by its owner, its type and what it says."""
    first = [DNSRR(rrname=owner, type=kind, rdata=said) for owner, kind, said in records]
    return bytes(DNS(id=ident, qr=1, rd=1, ra=1, qd=DNSQR(qname=name), an=first))


def framed(*messages: bytes) -> bytes:
    return b"".join(len(message).to_bytes(2, "big") + message for message in messages)


FINE = response("fine.example", ("fine.example", "A", "203.0.113.1"))
BLOCKED = response("some.example", ("some.example", "A", "203.0.113.2"), ("some.example", "A", "198.51.100.7"))
BLOCKED_IPV6 = response("some.example", ("some.example", "AAAA", "2001:db8:1::7"))
CLOAKED = response(
    "metrics.fine.example",
    ("metrics.fine.example", "CNAME", "fine.tracker.example"),
    ("fine.tracker.example", "A", "203.0.113.1"),
)
ANSWERS = "[{name: it, when: {answer: [198.51.100.0/24, '2001:db8:1::/48']}, verdict: drop}]"
CNAMES = "[{name: it, when: {cname: [tracker.example]}, verdict: drop}]"


def told(tmp_path: Path, frames: list[Any], rules: str, more: str = "", profile: str = "perfect") -> list[object]:
    """The rule that each connection of a capture met, made at 22:13 UTC; `more`: further keys of the policy."""
    return [record["rule"] for record in inspected(tmp_path, frames, f"{rules}\n{more}", profile)]


@pytest.mark.parametrize(
    ("said", "rules", "expected"),
    [
        (BLOCKED, ANSWERS, "it"), (BLOCKED_IPV6, ANSWERS, "it"), (FINE, ANSWERS, None), (CLOAKED, ANSWERS, None),
        (CLOAKED, CNAMES, "it"), (BLOCKED, CNAMES, None),
        (response("a.example", ("a.example", "CNAME", "nottracker.example")), CNAMES, None),
        (response("tracker.example", ("tracker.example", "A", "203.0.113.1")), CNAMES, None),
    ],
    ids=range(8),
)  # fmt: skip
def test_a_response_is_met_by_what_it_answers_over_either_transport(
    tmp_path: Path, said: bytes, rules: str, expected: str | None
) -> None:
    asked = question("some.example")
    over_udp = [datagram(asked, 53), datagram(said, 53, client=False)]
    assert told(tmp_path, over_udp, rules) == [expected]
    whole = TcpTraffic(dport=53).says(framed(asked)).says(framed(said), client=False)
    assert told(tmp_path, whole.frames, rules) == [expected]
    in_parts = TcpTraffic(dport=53).says(framed(asked))
    in_parts.says(*[framed(said)[at : at + 9] for at in range(0, len(said) + 2, 9)], client=False)
    assert told(tmp_path, in_parts.frames, rules) == [expected]


def test_each_of_several_answers_on_a_connection_is_judged(tmp_path: Path) -> None:
    asked = framed(*(question(f"{number}.example", ident=number) for number in range(3)))
    several = TcpTraffic(dport=53).says(asked).says(framed(FINE, CLOAKED)[:70], client=False)
    several.says(framed(FINE, CLOAKED)[70:] + framed(BLOCKED), client=False)
    assert told(tmp_path, several.frames, ANSWERS) == ["it"]
    one_by_one = TcpTraffic(dport=53)
    for number, said in enumerate((FINE, CLOAKED, BLOCKED)):
        one_by_one.says(framed(question("some.example", ident=number))).says(framed(said), client=False)
    assert told(tmp_path, one_by_one.frames, ANSWERS) == ["it"]
    assert told(tmp_path, one_by_one.frames, CNAMES) == ["it"]


def test_a_question_goes_through_and_its_response_is_dropped() -> None:
    box = engine("perfect", rule("drop", answer="198.51.100.0/24"))
    here = Connection(box, dport=53)
    assert here.udp(dns_query()).forward
    assert not here.udp(BLOCKED, back=True).forward
    assert here.udp(FINE, back=True).forward, "the next response is one of its own"
    assert not here.udp(BLOCKED, back=True).forward


def test_a_rule_before_it_that_lets_a_name_pass_spares_its_answers_too() -> None:
    box = engine("perfect", rule("pass", name_suffix="some.example"), rule("drop", answer="198.51.100.0/24"))
    assert Connection(box, dport=53).udp(BLOCKED, back=True).forward
    other = response("other.example", ("other.example", "A", "198.51.100.7"))
    here = Connection(box, dport=53)
    assert here.udp(dns_query("other.example")).forward
    assert not here.udp(other, back=True).forward


def test_other_rules_are_about_questions_as_they_are_without_one_about_answers() -> None:
    box = engine("perfect", rule("drop", direction="inbound"), rule("drop", answer="198.51.100.0/24"))
    here = Connection(box, dport=53)
    assert here.udp(dns_query()).forward
    assert here.udp(FINE, back=True).forward


def test_a_box_that_does_not_assemble_sees_an_answer_that_is_whole_in_one_segment() -> None:
    profile = shipped_profile("perfect")
    single = profile.model_copy(update={"tcp": profile.tcp.model_copy(update={"reassembly": "none"})})
    here = Connection(engine(single, rule("drop", answer="198.51.100.0/24")), dport=53)
    here.open()
    assert here.data(framed(dns_query())).forward
    assert here.answer(framed(FINE)).forward
    assert not here.answer(framed(BLOCKED)).forward


AGENT = "[{name: it, when: {user_agent: 'Psiphon/3'}, verdict: reset}]"


@pytest.mark.parametrize(
    ("agent", "expected"),
    [("psiphon/3.1 (Android)", "it"), ("Mozilla/5.0 (PSIPHON/3)", "it"), ("Mozilla/5.0", None), ("", None)],
)
def test_a_client_is_known_by_its_user_agent_whatever_its_case(
    tmp_path: Path, agent: str, expected: str | None
) -> None:
    more = f"User-Agent: {agent}\r\n".encode() if agent else b""
    request = http_request("fine.example", more=more)
    assert told(tmp_path, TcpTraffic().says(request).frames, AGENT) == [expected]
    assert told(tmp_path, TcpTraffic().says(request[:40], request[40:]).frames, AGENT) == [expected]


def test_a_telephone_says_what_it_is_over_either_transport(tmp_path: Path) -> None:
    invite = (
        b"INVITE sip:a@b.example SIP/2.0\r\nVia: x\r\nuser-agent: Linphone/5.2 PSIPHON/3\r\nContent-Length: 0\r\n\r\n"
    )
    other = invite.replace(b"PSIPHON", b"none").replace(b": 0\r\n\r\n", b": 24\r\n\r\n\r\nuser-agent: psiphon/3.")
    for said, expected in ((invite, "it"), (other, None)):
        assert told(tmp_path, [datagram(said, 5060)], AGENT) == [expected]
        assert told(tmp_path, TcpTraffic(dport=5060).says(said).frames, AGENT) == [expected]
        assert told(tmp_path, TcpTraffic(dport=5060).says(said[:45], said[45:]).frames, AGENT) == [expected]


def test_ssh_says_what_its_client_is(tmp_path: Path) -> None:
    rules = "[{name: it, when: {user_agent: paramiko}, verdict: reset}]"
    spoken = TcpTraffic(dport=22).says(b"SSH-2.0-paramiko_3.4\r\n")
    assert told(tmp_path, spoken.frames, rules) == ["it"]
    assert told(tmp_path, TcpTraffic(dport=22).says(b"SSH-2.0-OpenSSH_9.6\r\n").frames, rules) == [None]


SYSTEMS = "asns: {64500: [192.0.2.0/24], 64501: [198.51.100.0/24, '2001:db8::/32']}\n"


@pytest.mark.parametrize(("number", "expected"), [("64500", "it"), ("[64501, 64500]", "it"), ("64501", None)])
def test_an_autonomous_system_is_the_addresses_that_it_announces(
    tmp_path: Path, number: str, expected: str | None
) -> None:
    rules = f"[{{name: it, when: {{asn: {number}}}, verdict: drop}}]"
    assert told(tmp_path, TcpTraffic().says(b"x").frames, rules, SYSTEMS) == [expected]


def test_an_autonomous_system_has_addresses_of_both_families(tmp_path: Path) -> None:
    rules = "[{name: it, when: {asn: 64501}, verdict: drop}]"
    sent = Ether() / IPv6(src="2001:db8:ffff::1", dst="2001:db8::1") / UDP(sport=5000, dport=9) / Raw(b"x" * 40)
    assert told(tmp_path, [sent], rules, SYSTEMS) == ["it"]
    elsewhere = Ether() / IPv6(src="2001:db8::1", dst="2001:dead::1") / UDP(sport=5000, dport=9) / Raw(b"x" * 40)
    assert told(tmp_path, [elsewhere], rules, SYSTEMS) == [None]


@pytest.mark.parametrize(
    ("when", "tls", "http", "ssh"),
    [
        ("not: {name_suffix: fine.example}", None, None, "it"),
        ("not: {protocol: tls}", None, "it", "it"),
        ("not: {protocol: tls, name_suffix: fine.example}", None, "it", "it"),
        ("protocol: [tls, ssh], not: {name_suffix: fine.example}", None, None, "it"),
        ("not: {port: tcp/443}", None, "it", "it"),
        ("not: {address: 192.0.2.0/24}", None, None, None),
        ("not: {address: 192.0.2.0/24, name_suffix: other.example}", "it", "it", "it"),
        ("not: {user_agent: curl}", "it", None, "it"),
        ("not: {hours: '00:00-12:00'}", "it", "it", "it"),
        ("not: {hours: '12:00-00:00'}", None, None, None),
        ("not: {asn: 64500}", None, None, None),
        ("not: {asn: 64501}", "it", "it", "it"),
    ],
)
def test_what_stands_in_not_must_not_all_hold(
    tmp_path: Path, when: str, tls: str | None, http: str | None, ssh: str | None
) -> None:
    rules = f"[{{name: it, when: {{{when}}}, verdict: drop}}]"
    for expected, traffic in (
        (tls, TcpTraffic(dport=443).says(client_hello("www.fine.example"))),
        (http, TcpTraffic().says(http_request("fine.example", more=b"User-Agent: curl/8.5.0\r\n"))),
        (ssh, TcpTraffic(dport=22).says(b"SSH-2.0-OpenSSH_9.6\r\n")),
    ):
        assert told(tmp_path, traffic.frames, rules, SYSTEMS) == [expected], when


def test_a_name_that_may_still_come_is_waited_for_and_holds_once_it_cannot() -> None:
    box = engine("perfect", rule("drop", protocol="tls", **{"not": {"name_suffix": "fine.example"}}))
    here = Connection(box)
    here.open()
    assert here.data(client_hello(None)).forward, "the server's certificate may have one"
    assert not here.answer(bytes.fromhex("160303004a020000460303") + bytes(70)).forward, "TLS 1.3 hides it"


@given(st.lists(st.integers(1, 60), min_size=1, max_size=4))
def test_not_waits_until_it_is_known_whatever_the_segments(cuts: list[int]) -> None:
    """Cut anywhere, a name that is spared is spared, and another blocked once it is whole."""
    for name, spared in (("www.fine.example", True), ("www.other.example", False)):
        box = engine("perfect", rule("drop", protocol="tls", **{"not": {"name_suffix": "fine.example"}}))
        here, hello, at = Connection(box), client_hello(name), 0
        here.open()
        forwarded = []
        for cut in [*cuts, len(hello)]:
            if part := hello[at : at + cut]:
                forwarded.append(here.data(part).forward)
            at += cut
        assert all(forwarded) is spared


def test_what_drops_all_but_some_answers_leaves_questions_alone() -> None:
    box = engine("perfect", rule("drop", **{"not": {"answer": "203.0.113.0/24"}}))
    here = Connection(box, dport=53)
    assert here.udp(dns_query()).forward
    assert here.udp(FINE, back=True).forward
    only = response("some.example", ("some.example", "A", "198.51.100.7"))
    assert not here.udp(only, back=True).forward
    assert Connection(box, dport=443).udp(b"\x40" + bytes(60)).forward, "it is about answers alone"


def test_mistakes_in_these_conditions_are_reported_with_what_is_expected() -> None:
    lines = {
        "asn: 64500": "unknown autonomous system 64500; expected one of 64501",
        "asn: 0": "found 0; expected at least 1",
        "asn: AS64501": "hint: without AS before it",
        "not: {}": "found none; expected at least one condition",
        "not: {not: {port: tcp/443}}": "found `not` in `not`",
        "not: {direction: inbound}": "expected conditions other than `direction`",
        "not: {probability: 0.5}": "expected conditions other than `probability`",
        "not: {name_suffix: []}": "found an empty list; expected at least one",
        "protocol: tls, not: {protocol: [tls, http]}": "which no connection can match",
        "name_suffix: a.example, not: {name_suffix: [a.example, b.example]}": "which no connection can match",
        "protocol: tls, cname: a.example": "`cname` together with `protocol: tls`",
        "not: {protocol: htpp}": "did you mean 'http'?",
        "not: {subscriber_class: nobody}": "unknown subscriber class 'nobody'",
        "user_agent: Müller": "in ASCII",
        "port: []": "found an empty list",
    }
    rules = "".join(f"  - {{name: r{n}, when: {{{when}}}, verdict: drop}}\n" for n, when in enumerate(lines))
    with pytest.raises(BadInput) as caught:
        load_policy(f"format: 1\nasns: {{64501: [198.51.100.0/24]}}\nrules:\n{rules}", "it.yaml")
    problems = [str(problem) for problem in caught.value.problems]
    for number, expected in enumerate(lines.values()):
        assert any(f"it.yaml:{number + 4}:" in each and expected in each for each in problems), expected
    assert len(problems) == len(lines)


@pytest.mark.parametrize(
    ("asked", "spared", "is_met"),
    [
        ("name_exact: a.example", "name_suffix: example", False),
        ("name_exact: [a.example, b.other]", "name_suffix: example", True),
        ("name_suffix: a.example", "name_suffix: [b.other, example]", False),
        ("name_suffix: example", "name_suffix: a.example", True),
        ("name_suffix: badexample", "name_suffix: example", True),
        ("name_suffix: example", "name_exact: example", True),
        ("name_suffix: a.example", "name_contains: EXAM", False),
        ("name_contains: vpnbook", "name_contains: vpn", False),
        ("name_contains: vpn", "name_contains: vpnbook", True),
        ("name_regex: vpn", "name_contains: vpn", True),
        ("url_contains: /search?q=", "url_contains: /search", False),
        ("user_agent: curl/8", "user_agent: [wget, CURL]", False),
        ("user_agent: curl", "user_agent: curl/8", True),
        ("keyword: freedom", "keyword: free", False),
        ("cname: a.cdn.example", "cname: cdn.example", False),
        ("address: 10.1.0.0/16", "address: 10.0.0.0/8", False),
        ("address: 10.0.0.0/8", "address: 10.1.0.0/16", True),
        ("address: 2001:db8::/32", "address: 10.0.0.0/8", True),
        ("subscriber: [10.1.0.0/16, 10.9.0.1]", "subscriber: 10.0.0.0/8", False),
        ("answer: 192.0.2.7", "answer: 192.0.2.0/24", False),
        ("port: tcp/443", "port: 1-1000", False),
        ("port: 443", "port: tcp/443", True),
        ("port: [udp/53, 80-90]", "port: [53, 80-100]", False),
        ("ja4: t13d1516h2_8daaf6152771_e5627efa2ab1", "ja4: t13d1516h2_8daaf6152771", False),
        ("ja4: t13d1516h2_8daaf6152771", "ja4: t13d1516h2_8daaf6152771_e5627efa2ab1", True),
        ("length_at_least: 100", "length_at_least: 50", False),
        ("length_at_least: 50", "length_at_least: 100", True),
        ("ech: true", "ech: false", True),
        ("name_exact: a.example, port: 443", "name_suffix: example, port: 80", True),
    ],
)
def test_a_rule_that_spares_all_it_asks_for_is_refused_and_one_that_leaves_something_is_not(
    asked: str, spared: str, is_met: bool
) -> None:
    text = f"format: 1\nrules: [{{name: it, when: {{{asked}, not: {{{spared}}}}}, verdict: drop}}]"
    if is_met:
        load_policy(text, "it.yaml")
        return
    with pytest.raises(
        BadInput, match="a `not` that excludes all that the other conditions match, which no connection can match"
    ):
        load_policy(text, "it.yaml")


def test_a_forged_answer_cannot_take_the_place_of_one_that_has_come() -> None:
    forged = "{action: dns, rcode: NXDOMAIN}"
    with pytest.raises(BadInput, match="the action dns for a DNS response"):
        load_policy(f"format: 1\nrules: [{{name: it, when: {{answer: 192.0.2.1}}, verdict: {forged}}}]", "it.yaml")


BLOCKED_IN = {
    "answers": {"ask-bbc", "ask-bbc-uk"},
    "answers-but-for-a-name": {"ask-bbc"},
    "one-network": {"bbc"},
    "one-network-but-for-a-name": {"wikipedia"},
    "all-but-pro": {"wikipedia", "wikipedia-plain", "ask-wikipedia"},
    "all-but-a-network": {"bbc"},
    "browsers": {"wikipedia-plain"},
}


def test_in_a_country_they_are_about_its_own_networks_and_classes() -> None:
    blocked: dict[str, set[str]] = {phase: set() for phase in conditioned.RULES}
    for row in sl.verify(conditioned.scenario()):
        if row.outcome is Outcome.BLOCKED:
            blocked[row.phase].add(row.target)
            assert row.phase != "all-but-pro" or row.class_ != "pro"
    assert blocked == BLOCKED_IN


def test_a_network_that_the_country_does_not_have_is_refused_with_those_it_has() -> None:
    made = conditioned.scenario()
    made["policies"]["one-network"]["inspect"][0]["when"]["asn"] = 64999
    with pytest.raises(BadInput, match="unknown autonomous system 64999; expected one of 64501, 64601, 64602"):
        sl.load(made)


@pytest.mark.parametrize(
    ("profile", "verdict", "expected"),
    [
        ("kazakhstan-http", "drop", "where `answer` matches nothing"),
        ("turkmenistan-dns", "block", "cannot remove"),
    ],
)
def test_a_box_that_never_meets_an_answer_is_warned_of(profile: str, verdict: str, expected: str) -> None:
    made = conditioned.scenario() | {"profile": profile, "name": "warned"}
    made["policies"] = {
        name: policy | {"inspect": [rule | {"verdict": verdict} for rule in policy["inspect"]]}
        for name, policy in made["policies"].items()
        if name == "answers"
    }
    made["timeline"] = made["timeline"][:1]
    warnings = [str(each) for each in sl.load(made).idle]
    assert any(expected in each for each in warnings), warnings


@pytest.mark.parametrize("place", ["where", "from", "during", "who", "probes"])
def test_an_empty_list_that_would_mean_everybody_is_refused(place: str) -> None:
    made = conditioned.scenario()
    if place == "where":
        made["policies"]["answers"]["where"] = {"operators": []}
    elif place in {"from", "during"}:
        made["probes"]["bbc"][place] = {"regions": []} if place == "from" else []
    else:
        about = {"who": {"access": []}} if place == "who" else {"probes": []}
        made["timeline"][0]["expect"] = [{**about, "outcome": "ok", "source": "made up"}]
    with pytest.raises(BadInput, match="found an empty list; expected at least one") as caught:
        sl.load(made)
    assert len(caught.value.problems) == 1
