"""Policies: every condition, in Python and in YAML, and every mistake told with its line."""

from __future__ import annotations

import pytest
from wire import ECH, ESNI, Connection, client_hello, dns_query, engine, http_get, rule

from shutdownlab.config.problems import BadInput
from shutdownlab.inspection.engine import Engine
from shutdownlab.inspection.policy import load_policy
from shutdownlab.inspection.profile import shipped_profile


def passes(payload: bytes, **when: object) -> bool:
    connection = Connection(engine("perfect", rule("drop", **when)))
    return all(outcome.forward for outcome in connection.open()) and connection.data(payload).forward


HELLO = client_hello("www.kaspi.kz")
GET = http_get("news.example", "/politics/Protest?x=1")


@pytest.mark.parametrize(
    ("payload", "when", "blocked"),
    [
        (HELLO, {"name_exact": "www.kaspi.kz"}, True),
        (HELLO, {"name_exact": "kaspi.kz"}, False),
        (HELLO, {"name_suffix": "kaspi.kz"}, True),
        (HELLO, {"name_suffix": "KASPI.kz."}, True),
        (HELLO, {"name_suffix": "aspi.kz"}, False),
        (HELLO, {"name_contains": "aspi"}, True),
        (HELLO, {"name_regex": r"^www\..*\.kz$"}, True),
        (HELLO, {"name_regex": r"^kaspi"}, False),
        (HELLO, {"name_exact": ["a.example", "b.example"], "name_suffix": "kz"}, True),
        (client_hello("xn--80ak6aa92e.com"), {"name_suffix": "\u0430\u0440\u0440\u04cf\u0435.com"}, True),
        (GET, {"url_contains": "/politics/"}, True),
        (GET, {"url_regex": r"http://news\.example/.*x=\d"}, True),
        (GET, {"url_contains": "/sport/"}, False),
        (GET, {"keyword": "protest"}, True),
        (GET, {"keyword": "absent"}, False),
        (HELLO, {"address": "192.0.2.0/24"}, True),
        (HELLO, {"address": "192.0.3.0/24"}, False),
        (HELLO, {"port": "tcp/400-500"}, True),
        (HELLO, {"port": "udp/443"}, False),
        (HELLO, {"protocol": "tls"}, True),
        (HELLO, {"protocol": ["http", "dns"]}, False),
        (GET, {"protocol_except": ["tls"]}, True),
        (HELLO, {"protocol_except": ["tls"]}, False),
        (HELLO, {"ech": True}, False),
        (HELLO, {"ech": False}, True),
        (HELLO, {"esni": True}, False),
        (HELLO, {"esni": False}, True),
        (client_hello("a.example", encrypted=ECH), {"ech": True}, True),
        (client_hello("a.example", encrypted=ECH), {"esni": True}, False),
        (client_hello(None, encrypted=ESNI), {"esni": True}, True),
        (client_hello(None, encrypted=ESNI), {"ech": True}, False),
        (client_hello(None, encrypted=ESNI), {"ech": False, "esni": True, "app": "whatsapp"}, False),
        (HELLO, {"opener": "inside"}, True),
        (HELLO, {"opener": "outside"}, False),
        (HELLO, {"direction": "outbound", "protocol": "tls"}, True),
        (HELLO, {"direction": "inbound", "protocol": "tls"}, False),
        (HELLO, {"subscriber": "100.64.0.0/10"}, True),
        (HELLO, {"subscriber": "192.0.2.0/24"}, False),
        (HELLO, {"probability": 0.0}, False),
        (HELLO, {"name_suffix": "kaspi.kz", "port": 80}, False),
        (client_hello("e1.whatsapp.net"), {"app": "whatsapp"}, True),
        (HELLO, {"app": "whatsapp"}, False),
    ],
)
def test_each_condition_holds_where_it_should(payload: bytes, when: dict[str, object], blocked: bool) -> None:
    assert passes(payload, **when) is not blocked


def test_a_fingerprint_is_matched_whole_or_by_its_first_part() -> None:
    from shutdownlab.inspection.recognition import recognise_tcp

    ja4 = recognise_tcp(HELLO, b"", 443).ja4
    assert ja4 is not None
    assert not passes(HELLO, ja4=ja4)
    assert not passes(HELLO, ja4=ja4.split("_")[0])
    assert passes(HELLO, ja4="t13d0000h2")


def test_a_question_type_is_matched() -> None:
    box = engine("perfect", rule("drop", qtype="AAAA"))
    assert not Connection(box, dport=53).udp(dns_query(qtype=28)).forward
    assert Connection(box, dport=53).udp(dns_query(qtype=1)).forward


def test_a_keyword_is_found_across_packets_and_in_the_answer() -> None:
    connection = Connection(engine("perfect", rule("drop", keyword="falun")), dport=8000)
    connection.open()
    assert connection.data(b"\x01\x02some fa").forward
    assert not connection.data(b"lun thing").forward
    other = Connection(engine("perfect", rule("drop", keyword="falun")), dport=8000)
    other.open()
    assert other.data(b"\x01\x02 question").forward
    assert not other.answer(b"it is FALUN").forward


def test_hours_are_local_and_may_run_over_midnight() -> None:
    rules = (rule("drop", hours="22:00-06:00"),)
    for hour, blocked in [(15, False), (16, True), (20, True), (0, False), (23, True)]:
        box = engine("perfect", *rules, utc_offset="+06:00")
        assert Connection(box, now=hour * 3600.0).say("S").forward is not blocked


def test_a_probability_is_drawn_once_for_a_connection_and_repeats_with_the_seed() -> None:
    def outcomes(seed: int) -> list[bool]:
        box = engine("perfect", rule("drop", probability=0.5, name_suffix="kaspi.kz"), seed=seed)
        result = []
        for number in range(200):
            connection = Connection(box, sport=1000 + number)
            connection.open()
            result.append(connection.data(HELLO).forward)
        return result

    assert outcomes(1) == outcomes(1) != outcomes(2)
    assert 70 < sum(outcomes(1)) < 130


def test_subscriber_classes_are_the_policys() -> None:
    text = """
format: 1
classes: {government: [100.64.1.0/24]}
rules:
  - {name: spared, when: {subscriber_class: government}, verdict: pass}
  - {name: all, when: {name_suffix: kaspi.kz}, verdict: drop}
"""
    for last, forwarded in [((100, 64, 1, 9), True), ((100, 64, 2, 9), False)]:
        connection = Connection(Engine(load_policy(text, "p.yaml"), shipped_profile("perfect")), client=bytes(last))
        connection.open()
        assert connection.data(HELLO).forward is forwarded


def test_an_earlier_rule_that_is_still_open_holds_back_a_later_one() -> None:
    box = engine("perfect", rule("pass", "first", name_suffix="kaspi.kz"), rule("drop", "second", address="192.0.2.10"))
    connection = Connection(box)
    assert connection.say("S").forward
    assert connection.data(client_hello("other.example")).forward is False


def test_a_whole_policy_reads_from_yaml() -> None:
    policy = load_policy(
        """
format: 1
name: everything
profile: tspu-2022
inside: [100.64.0.0/10, 2001:db8::/32]
utc_offset: "+05:00"
rules:
  - name: slow
    when: {app: [youtube], hours: 08:00-23:00, probability: 0.9}
    verdict: {action: throttle, rate_down: 128kbit, burst: 20000}
  - name: page
    when: {name_suffix: example.org, protocol: http}
    verdict: {action: redirect, location: "http://blocked.kz/", window: 100, ipid: copy, ttl: 60}
  - name: silence
    when: {ja4: t13d1516h2_8daaf6152771_e5627efa2ab1}
    verdict: {action: reset, to: server, flags: R, count: 2, residual: {key: 3-tuple, for: 3min, refreshed: true}}
""",
        "policy.yaml",
    )
    assert [item.name for item in policy.rules] == ["slow", "page", "silence"]
    assert policy.rules[0].verdict.rate_down == 128
    assert policy.rules[2].verdict.residual is not None
    assert policy.rules[2].verdict.residual.seconds == 180


BAD = {
    "unknown key": (
        "rules:\n  - {name: a, when: {nam: x}, verdict: drop}\n",
        ":2: rules[0].when.nam",
        "unknown key 'nam'",
    ),
    "unknown action": (
        "rules:\n  - {name: a, verdict: block-it}\n",
        ":2: rules[0].verdict",
        "one of block-page, dns, drop",
    ),
    "no rate": ("rules:\n  - {name: a, verdict: throttle}\n", ":2: rules[0].verdict", "add rate"),
    "bad prefix": ("rules:\n  - {name: a, when: {address: 10.0.0.1/8}, verdict: drop}\n", "address", "prefix"),
    "bad port": ("rules:\n  - {name: a, when: {port: 70000}, verdict: drop}\n", "port", "1 to 65535"),
    "bad regex": ('rules:\n  - {name: a, when: {name_regex: "a(?=b)"}, verdict: drop}\n', "name_regex", "RE2"),
    "bad hours": ('rules:\n  - {name: a, when: {hours: "25:00-1"}, verdict: drop}\n', "hours", "08:00-20:00"),
    "bad flags": ("rules:\n  - {name: a, verdict: {action: reset, flags: RX}}\n", "flags", "letters of FSRPAUEC"),
    "bad probability": (
        "rules:\n  - {name: a, when: {probability: 2}, verdict: drop}\n",
        "probability",
        "at most 1",
    ),
    "unknown class": (
        "rules:\n  - {name: a, when: {subscriber_class: gov}, verdict: drop}\n",
        ":2",
        "unknown subscriber class 'gov'",
    ),
    "twice": (
        "rules:\n  - {name: a, verdict: drop}\n  - {name: a, verdict: drop}\n",
        ":3: rules[1].name",
        "first: line 2",
    ),
    "empty": ("", ":1", "an empty file"),
    "binary": ("\0\1\2", "", "a binary file"),
    "list": ("- a\n", ":1", "a YAML mapping"),
}


@pytest.mark.parametrize("name", BAD)
def test_each_mistake_is_reported_with_place_and_remedy(name: str) -> None:
    text, place, remedy = BAD[name]
    with pytest.raises(BadInput) as caught:
        load_policy(text, "policy.yaml")
    told = str(caught.value)
    assert told.startswith("policy.yaml")
    assert place in told
    assert remedy in told


def test_all_mistakes_come_at_once() -> None:
    text = "rules:\n  - {name: a, when: {nam: x, app: whatsap}, verdict: drop}\n"
    text += "  - {name: b, when: {protocol: tsl}, verdict: {action: reset, ttl: 300}}\nx: 1\n"
    with pytest.raises(BadInput) as caught:
        load_policy(text, "policy.yaml")
    assert len(caught.value.problems) == 5


def test_apps_are_those_of_the_catalogue_in_use() -> None:
    text = "rules:\n  - {name: a, when: {app: ours}, verdict: drop}\n"
    assert load_policy(text, "policy.yaml", ["ours"]).rules[0].when.app == ("ours",)
    with pytest.raises(BadInput, match="unknown app 'ours'"):
        load_policy(text, "policy.yaml")
