"""Whatever rules look for either means what its author meant, or is refused with what to write instead."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import TypeAdapter
from scapy_traffic import TcpTraffic, datagram, http_request, inspected, question

import shutdownlab as sl
from shutdownlab import library
from shutdownlab.config.addresses import address, network
from shutdownlab.config.domains import Domain, Host, HostName, Url
from shutdownlab.config.problems import BadInput
from shutdownlab.config.scalars import Hours, UtcOffset
from shutdownlab.config.wording import Expected, on_one_line
from shutdownlab.inspection.apps import load_apps
from shutdownlab.inspection.policy import load_policy
from shutdownlab.inspection.profile import load_profile
from shutdownlab.inspection.recognisers.names import host_name
from shutdownlab.model.policy import Policy

PATH = b"/\xd0\xbf\xd0\xbe\xd0\xb8\xd1\x81\xd0\xba"  # /поиск, as bytes of UTF-8


def is_met(folder: Path, when: str, request: bytes, profile: str = "perfect") -> bool:
    traffic = TcpTraffic().says(request)
    [record] = inspected(folder, traffic.frames, f"[{{name: it, when: {when}, verdict: drop}}]", profile)
    return record["rule"] == "it"


@pytest.mark.parametrize(
    ("when", "host"),
    [
        ("{name_suffix: '*.kaspi.kz'}", "www.kaspi.kz"),
        ("{name_suffix: '.Kaspi.KZ.'}", "kaspi.kz"),
        ("{name_suffix: '*.рф'}", "xn--e1afmkfd.xn--p1ai"),
        ("{name_suffix: ПРИМЕР.РФ}", "www.xn--e1afmkfd.xn--p1ai"),
        ("{name_suffix: пример。рф}", "xn--e1afmkfd.xn--p1ai"),
        ("{name_exact: пример.рф}", "XN--E1AFMKFD.XN--P1AI"),
        ("{name_exact: 2001:DB8::1}", "[2001:db8::1]"),
        ("{name_contains: Приме}", "xn--e1afmkfd.xn--p1ai"),
        ("{name_contains: e1afm}", "xn--e1afmkfd.xn--p1ai"),
        ("{name_contains: KASPI}", "www.kaspi.kz"),
        ("{name_regex: '^при.*\\.рф$'}", "xn--e1afmkfd.xn--p1ai"),
        ("{name_regex: '^WWW\\.Kaspi'}", "www.kaspi.kz"),
        ("{name_suffix: faß.de}", "xn--fa-hia.de"),
        ("{name_suffix: ☃.net}", "xn--n3h.net"),
    ],
)
def test_a_name_in_a_rule_means_what_its_author_meant(tmp_path: Path, when: str, host: str) -> None:
    assert is_met(tmp_path, when, http_request(host))
    assert not is_met(tmp_path, when, http_request("other.example"))


def test_sharp_s_is_a_letter_of_its_own(tmp_path: Path) -> None:
    assert not is_met(tmp_path, "{name_suffix: faß.de}", http_request("fass.de"))
    assert host_name("faß.de".encode()) == "xn--fa-hia.de"


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (b"a\xff" * 127, "a\\xff" * 127),
        (b"\xff" * 255, "\\xff" * 255),
        (b"a" + b"\xff" * 254, "a" + "\\xff" * 254),
        (b"a" + b"\xff" * 255, None),
        (b"a" + b"\x01" * 254, "a" + "\\x01" * 254),
        (b"a" + b"\x01" * 255, None),
        (("ж" * 64 + " ").encode() * 9, None),
    ],
)
def test_a_name_is_as_long_as_255_escaped_bytes_and_no_longer(raw: bytes, name: str | None) -> None:
    assert host_name(raw) == name


@pytest.mark.parametrize(
    ("when", "request_"),
    [
        ("{url_contains: /поиск}", http_request("a.example", PATH)),
        ("{url_contains: /поиск}", http_request("a.example", "/%D0%BF%D0%BE%D0%B8%D1%81%D0%BA")),
        ("{url_contains: '/a b'}", http_request("a.example", "/a%20b")),
        ("{url_contains: 'http://ПРИМЕР.рф/'}", http_request("xn--e1afmkfd.xn--p1ai")),
        ("{url_contains: 'http://A.Example:80/x'}", http_request("a.example", "/x")),
        ("{url_contains: 'a.example:80/x'}", http_request("a.example", "/x")),
        ("{url_contains: /Sport/}", http_request("a.example", "/sport/")),
        ("{url_regex: '^http://A\\.example/П'}", http_request("a.example", "/%D0%BF")),
        ("{url_regex: '^ftp://a/'}", b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("{keyword: СВОБОДА}", http_request("a.example", more="X: СВОБОДА\r\n".encode())),
        ("{keyword: свобода}", http_request("a.example", more="X: свобода\r\n".encode())),
        ("{keyword: Falun}", http_request("a.example", more=b"X: fALUN\r\n")),
    ],
)
def test_a_url_or_keyword_in_a_rule_means_what_its_author_meant(tmp_path: Path, when: str, request_: bytes) -> None:
    assert is_met(tmp_path, when, request_)
    assert not is_met(tmp_path, when, http_request("other.example", "/other"))


@pytest.mark.parametrize("written", ["HTTPS", "https", "TYPE65", "type65", "'65'", "65"])
def test_a_query_type_is_given_by_name_or_number(tmp_path: Path, written: str) -> None:
    rules = f"[{{name: it, when: {{qtype: {written}}}, verdict: drop}}]"
    asked = [datagram(question("a.example", kind), 53, 5000 + kind) for kind in (1, 65)]
    assert [record["rule"] for record in inspected(tmp_path, asked, rules)] == [None, "it"]


def test_a_number_without_a_name_is_a_query_type_too(tmp_path: Path) -> None:
    rules = "[{name: it, when: {qtype: 65400}, verdict: drop}]"
    [record] = inspected(tmp_path, [datagram(question("a.example", 65400), 53)], rules)
    assert record["rule"] == "it"


@pytest.mark.parametrize(
    ("when", "says"),
    [
        ("{qtype: HTPS}", "did you mean 'HTTPS'?"),
        ("{qtype: 65536}", "a DNS record type"),
        ("{qtype: 0}", "a DNS record type"),
        ("{name_exact: '*.kaspi.kz'}", "`sites` and other keys for whole domains"),
        ("{name_suffix: 'https://kaspi.kz'}", "without https://"),
        ("{name_exact: 'kaspi.kz:443'}", "without a port"),
        ("{name_suffix: ''}", "a domain name"),
        ("{name_suffix: -ф.kz}", "no client could look that up"),
        ("{name_contains: '*.kaspi.kz'}", "`name_suffix`"),
        ("{name_contains: kaspi.kz/pay}", "`url_contains`"),
        ("{name_contains: 'kas pi'}", "letters, digits, hyphens and dots"),
        ("{name_regex: '^https://kaspi'}", "`url_regex`"),
        ("{name_regex: 'kaspi\\.kz/pay'}", "`url_regex`"),
        ("{name_regex: '^\\*\\.kaspi\\.kz$'}", "none of which has '*' in it"),
        ("{name_regex: '(kaspi|me@kaspi)\\.kz'}", "none of which has '@' in it"),
        ("{name_regex: 'kas pi'}", "none of which has ' ' in it"),
        ("{name_regex: 'a{1,3}, b'}", "none of which has ',' in it"),
        ("{name_regex: '(?-i)^KASPI'}", "leave (?-i) out"),
        ("{name_regex: '^www\\.(?-i:[A-Z]+)\\.kz$'}", "leave (?-i) out"),
        ("{name_regex: '(?-i)ПРИМЕР'}", "leave (?-i) out"),
        ("{name_regex: 'kaspi\\s'}", "none of which matches '\\\\s'"),
        ("{name_regex: 'kaspi\\x2fpay'}", "none of which matches"),
        ("{name_regex: 'kaspi\\.kz[/?]'}", "`url_regex`"),
        ("{name_regex: 'kaspi$\\.kz'}", "$ where it ends"),
        ("{name_regex: '\\.kz^kaspi'}", "^ is where the name begins"),
        ("{name_regex: 'tengri|(a$|b$)c'}", "matches '(a$|b$)c'"),
        ("{name_regex: '(www|\\.^)kaspi'}", "^ is where the name begins"),
        ("{name_regex: '(?:^a){2,}'}", "^ is where the name begins"),
        ("{name_exact: 1.10}", "a domain name"),
        ("{name_exact: 192.168.001.001}", "no top-level domain is a number"),
        ("{name_suffix: 12345}", "no top-level domain is a number"),
        ("{name_suffix: [kaspi.kz, 1.2.3]}", "no top-level domain is a number"),
        ("{name_suffix: '2001:db8::1'}", "that is an address"),
        ("{name_suffix: ..kaspi.kz}", "at most one before the first"),
        ("{name_suffix: '*.*.kaspi.kz'}", "write kaspi.kz, without *"),
        ("{name_suffix: 'kaspi.*'}", "* stands only for all names below one"),
        ("{name_suffix: 'kaspi.kz, tengri.kz'}", "several names are a list: [kaspi.kz, tengri.kz]"),
        ("{url_contains: 'https://kaspi.kz/'}", "use `name_suffix` for the host name"),
        ("{url_contains: 'WSS://kaspi.kz/'}", "URLs inside TLS"),
        ("{url_contains: 'ws://kaspi.kz/'}", "write http://"),
        ("{url_regex: '^https://kaspi'}", "TLS, which no box sees"),
        ("{url_regex: '^https:\\/\\/kaspi'}", "TLS, which no box sees"),
        ("{url_regex: '(?i)^https://kaspi'}", "TLS, which no box sees"),
        ("{url_regex: '^(?:https)://kaspi'}", "TLS, which no box sees"),
        ("{url_regex: '^https:'}", "TLS, which no box sees"),
        ("{url_regex: '^http[s]://kaspi'}", "TLS, which no box sees"),
        ("{url_regex: '^http://a/|^https://a/'}", "TLS, which no box sees"),
        ("{url_regex: '^(www\\.)?kaspi'}", "they are like http://"),
        ("{url_regex: '^(?:git|gopher)://'}", "they are like http://"),
        ("{url_regex: '^http://kaspi\\.kz$'}", "at least a / after the name"),
        ("{url_regex: '^http://kaspi\\.kz:80/'}", "without :80"),
        ("{url_regex: '^http://me:pw@kaspi'}", "they are like http://"),
        ("{url_regex: '(?-i)^HTTP://'}", "they are like http://"),
        ("{url_regex: '/news#top$'}", "what follows #"),
        ("{url_regex: '^/news'}", "leave ^ out to find a path"),
        ("{url_contains: 'http://kaspi.kz/*'}", "leave * out"),
        ("{url_contains: 'GET /news'}", "`keyword`"),
        ("{url_contains: '/news HTTP/1.1'}", "`keyword`"),
        ("{url_contains: 'OPTIONS http://kaspi.kz/'}", "`keyword`"),
        ("{url_contains: 'User-Agent: curl'}", "`keyword`"),
        ("{url_regex: '^DELETE /news'}", "`keyword`"),
        ("{url_regex: '/news HTTP/1\\.1$'}", "`keyword`"),
        ("{url_contains: '/news#top'}", "what follows #"),
        ("{url_contains: 'http://*.kaspi.kz/pay'}", "write '.kaspi.kz/pay'"),
        ("{url_contains: 'http://kaspi kz/'}", "such as http://kaspi.kz/path"),
        ("{url_contains: 'http://kaspi.kz:99999/'}", "ports are 1 to 65535"),
        ("{url_contains: 'http://me:pw@kaspi.kz/'}", "without a user's name"),
        ("{user_agent: 'curl*'}", "leave * out"),
        ("{user_agent: 'User-Agent: curl'}", "without the name of the header"),
        ("{version: 0x0a0a}", "GREASE"),
        ("{version: [772, 13]}", "TLS 1.3 is 772"),
        ("{version: 0}", "TLS 1.3 is 772"),
        ("{cname: 192.0.2.1}", "`answer`"),
        ("{url_contains: ''}", "a part of a URL"),
        ("{keyword: ''}", "a keyword of at most"),
        ("{keyword: 007}", "in quotes"),
        ("{ja4: 579ccef312d18482fc42e2b822ca2430}", "that is JA3"),
        ("{ja4: t13d1516h2_8daaf6152771_}", "a JA4 such as"),
        ("{address: '::ffff:192.0.2.1'}", "write 192.0.2.1/32"),
        ("{address: 10.1.2.3/8}", "write 10.0.0.0/8, or 10.1.2.3 for the address alone"),
        ("{asn: 4294967295}", "at most 4294967294"),
        ("{keyword: 'Host: kaspi.kz\\r\\n'}", "only in double quotes"),
        ("{keyword: '\\x13BitTorrent'}", "only in double quotes"),
        ("{ja4: d13d1516h2, protocol: tls}", "`ja4` together with `protocol`"),
        ("{version: 772, ja4: q13d0310h3}", "`ja4` together with `version`"),
        ("{version: 0x1a2a3a4a}", "GREASE"),
        ("{ja4: q13d0310h3, port: tcp/443}", "`ja4` together with `port`"),
        ("{ja4: t13d1516h2, port: udp/443}", "`ja4` together with `port`"),
        ("{version: 772, port: udp/443}", "`version` together with `port`"),
        ("{version: 1, port: tcp/443}", "`version` together with `port`"),
        ("{version: 0xfefd, protocol: tls}", "`version` together with `protocol`"),
        ("{name_suffix: kaspi.kz, protocol: [gtp, unknown]}", "with `protocol: tls`"),
        ("{protocol: wireguard, port: tcp/51820}", "a `port` of tcp together with `protocol: wireguard`"),
        ("{length_at_least: 65536, port: udp/443}", "for UDP"),
        ("{length_at_least: 65536, protocol: [quic, wireguard]}", "for UDP"),
        ("{hours: '08:00-08:00'}", "leave `hours` out"),
        ("{qtype: A, protocol: tls}", "which no connection can match"),
        ("{url_contains: /x, protocol: tls}", "which no connection can match"),
        ("{protocol: tls, protocol_except: tls}", "which no connection can match"),
        ("{name_suffix: kaspi.kz, protocol: [ssh, wireguard]}", "with `protocol: tls`"),
        ("{ech: true, protocol: http}", "which no connection can match"),
        ("{ja4: t13d1516h2_8daaf6152771_e5627efa2ab1, protocol: dns}", "which no connection can match"),
        ("{version: 772, protocol: quic}", "a version of QUIC, such as 1"),
        ("{qtype: A, ja4: t13d1516h2}", "`qtype` together with `ja4`"),
        ("{qtype: A, protocol_except: dns}", "`qtype` together with `protocol_except`"),
        ("{answer: 192.0.2.1, url_contains: /x}", "`answer` together with `url_contains`"),
        ("{cname: kaspi.kz, version: 772}", "`cname` together with `version`"),
        ("{url_regex: x, ech: true}", "`url_regex` together with `ech`"),
        ("{user_agent: curl, qtype: A}", "`user_agent`"),
        ("{url_contains: /x, protocol_except: [http, http2, sip]}", "`protocol_except`"),
        ("{ja4: q13d0310h3, protocol: tls}", "`ja4` together with `protocol`"),
        ("{ja4: t13d1516h2, protocol: quic}", "`ja4` together with `protocol`"),
        ("{version: 0x6b3343cf, protocol: tls}", "`version` together with `protocol`"),
        ("{ja4: [q13d0310h3, t13d1516h2], url_contains: /x}", "`url_contains` together with `ja4`"),
        ("{answer: '2001:db8::1', qtype: A}", "AAAA for IPv6"),
        ("{answer: [192.0.2.1, 198.51.100.0/24], qtype: AAAA}", "A for IPv4"),
        ("{not: {qtype: A, esni: true}}", "`qtype` together with `esni`"),
        ("{address: 192.0.2.0/24, subscriber: '2001:db8::/32'}", "of different IP versions"),
        ("{first_packets: [{from: client, gap_at_least: 1s}]}", "which has no gap before it"),
        ("{first_packets: [{size_at_most: 100, entropy_at_least: 7.9}]}", "100 bytes, which have at most 6.64"),
    ],
)
def test_what_no_packet_could_match_is_refused_with_its_line_and_what_to_write(when: str, says: str) -> None:
    with pytest.raises(BadInput) as refused:
        load_policy(f"format: 1\nrules:\n  - name: it\n    when: {when}\n    verdict: drop\n", "policy.yaml")
    [problem] = refused.value.problems
    assert problem.line == 4
    assert says in str(problem)


@pytest.mark.parametrize(
    "when",
    [
        "{name_suffix: kaspi.kz, protocol: [ssh, tls]}",
        "{ech: false, protocol: http}",
        "{name_regex: ['^(?P<a>k)aspi[^/ ,]{1,3}\\.kz$', '\\x2d\\pL(?:a|b)+?', '[[:alpha:]/]x', '(?i)a_b:', '[]/]']}",
        "{url_regex: ['^http://[^/]*kaspi', '^http://kaspi\\.kz(:8080)?/.*[A-Z]$', '^\\w+:', '^tel:', 'kaspi$']}",
        "{url_regex: ['^https?://kaspi', '/https://'], url_contains: 'http://kaspi.kz/?u=https://x/'}",
        "{name_suffix: [192.0.2.1, xn--p1acf, web3, 4.kz], name_exact: ['2001:db8::1', a.b.c2]}",
        "{length_at_least: 65536, protocol: [quic, tls]}",
        "{keyword: ['a\\nb', 'C:\\windows']}",
        "{ja4: d13d1516h2, port: udp/5000, version: 0xfefd}",
        "{url_contains: /x, port: [udp/5060]}",
        "{user_agent: curl, port: [udp/443, tcp/80]}",
        "{url_contains: ['http://[2001:DB8::1]:81/', 'http://192.0.2.1:8080/', '://', 'sip:a@b.example']}",
        "{version: [2, 256, 768, 772, 0xfefd]}",
        "{version: [772, 1], protocol: quic}",
        "{ja4: [q13d0310h3, t13d1516h2], protocol: [tls, quic], name_suffix: kaspi.kz, ech: false}",
        "{user_agent: gQUIC, ja4: q13d0310h3}",
        "{answer: [192.0.2.1, '2001:db8::1'], qtype: AAAA}",
        "{answer: 192.0.2.1, qtype: [AAAA, HTTPS]}",
        "{qtype: A, protocol_except: [tls, quic], fully_encrypted: false}",
        "{version: [1, 772], protocol_except: quic}",
        "{address: [192.0.2.0/24, '2001:db8::/32'], subscriber: '2001:db8::/32'}",
        "{first_packets: [{from: client}, {gap_at_least: 1s}]}",
        "{first_packets: [{size_at_most: 256, entropy_at_least: 8}]}",
    ],
)
def test_what_some_connection_meets_is_taken(when: str) -> None:
    rule = f"format: 1\nrules:\n  - name: it\n    when: {when}\n    verdict: drop\n"
    assert len(load_policy(rule, "policy.yaml").rules) == 1


@pytest.mark.parametrize("action", ["reset", "block-page", "dns", "intercept"])
def test_an_action_that_cannot_be_done_to_a_protocol_is_refused(action: str) -> None:
    with pytest.raises(BadInput, match=f"the action {action} for quic"):
        load_policy(f"rules: [{{name: it, when: {{protocol: quic}}, verdict: {action}}}]", "policy.yaml")


@pytest.mark.parametrize("protocol", ["quic", "wireguard"])
def test_only_protocols_over_tcp_are_reset(protocol: str) -> None:
    order = {"title": "t", "source": "s", "action": "reset"}
    with pytest.raises(ValueError, match="only protocols over TCP"):
        Policy.model_validate(order | {"block": {"protocols": [protocol, "tls"]}})
    assert Policy.model_validate(order | {"block": {"protocols": ["tls", "openvpn"]}}).targets.protocols


@pytest.mark.parametrize("kind", [UtcOffset, Hours])
@pytest.mark.parametrize("value", [3, True, 21600, "3", "6h", None])
def test_a_number_without_its_unit_is_refused(kind: Any, value: Any) -> None:
    with pytest.raises(ValueError, match="such as"):
        TypeAdapter(kind).validate_python(value)


def test_every_place_that_takes_a_domain_takes_the_same_spellings() -> None:
    spellings = ["bbc.com", ".bbc.com", "*.BBC.com", "пример.рф", "*.пример.рф."]
    meant = ("bbc.com", "bbc.com", "bbc.com", "xn--e1afmkfd.xn--p1ai", "xn--e1afmkfd.xn--p1ai")
    order = {"title": "t", "source": "s", "block": {"sites": spellings}, "except": {"sites": spellings}}
    policy = Policy.model_validate(order)
    assert policy.targets.sites == policy.except_.sites == meant
    when = load_policy({"rules": [{"name": "a", "when": {"name_suffix": spellings}, "verdict": "drop"}]}, "").rules[0]  # type: ignore[arg-type]
    assert when.when.name_suffix == meant
    assert tuple(map(TypeAdapter(Domain).validate_python, spellings)) == meant


def test_hosts_are_spelt_one_way_too() -> None:
    assert TypeAdapter(HostName).validate_python("Пример.РФ.") == "xn--e1afmkfd.xn--p1ai"
    assert TypeAdapter(Host).validate_python("2001:DB8:0::1") == "2001:db8::1"
    assert TypeAdapter(Url).validate_python("https://Пример.рф:8443/?q=1") == "https://xn--e1afmkfd.xn--p1ai:8443/?q=1"


@pytest.mark.parametrize("reads", [address, network])
def test_an_ipv4_address_inside_an_ipv6_one_is_refused(reads: Any) -> None:
    with pytest.raises(Expected) as refused:
        reads("::ffff:192.0.2.1")
    assert "no packet has such an address: write 192.0.2.1" in refused.value.hint


def test_evenings_may_end_at_24_oclock() -> None:
    adapter = TypeAdapter[Any](Hours)
    assert adapter.validate_python("18:00-24:00") == adapter.validate_python("18:00-00:00")


def test_a_keyword_is_looked_for_in_what_the_box_parses_alone(tmp_path: Path) -> None:
    said = http_request("a.example", more=b"X: falun\r\n")
    assert is_met(tmp_path, "{keyword: falun}", said, "gfw-http")
    assert not is_met(tmp_path, "{keyword: falun}", b"\x16\x03\x01falun" + said, "gfw-http")
    assert not is_met(tmp_path, "{keyword: falun}", b"SSH-2.0-falun\r\n", "gfw-http")
    assert is_met(tmp_path, "{keyword: falun}", b"SSH-2.0-falun\r\n")


_NAMED = {"name": "n", "when": {"name_suffix": "bbc.com"}, "verdict": "reset"}
IDLE: dict[str, dict[str, Any]] = {
    "no phase starts it": {"never": {"block": {"sites": ["bbc.com"]}}},
    "it spares every subscriber": {
        "used": {"block": {"sites": ["bbc.com"]}, "except": {"access": ["fixed", "mobile"]}}
    },
    "do not see queries to an operator's own resolver": {
        "used": {"inspect": [{"name": "q", "when": {"qtype": "A"}, "verdict": "reset"}]}
    },
    "outside http": {"used": {"inspect": [{"name": "k", "when": {"keyword": "falun"}, "verdict": "reset"}]}},
    "`ja4` matches nothing": {"used": {"inspect": [{"name": "j", "when": {"ja4": "t13d1516h2"}, "verdict": "reset"}]}},
    "begins within 03:00-03:01": {
        "used": {"inspect": [{"name": "h", "when": {"hours": "03:00-03:01"}, "verdict": "reset"}]}
    },
    "has an address in 192.0.2.0/24": {
        "used": {"inspect": [{"name": "s", "when": {"subscriber": "192.0.2.0/24"}, "verdict": "reset"}]}
    },
    "it spares everything that the policy is about": {
        "used": {
            "block": {"ports": [443], "sites": ["www.bbc.com"]},
            "except": {"ports": ["1-500"], "sites": ["bbc.com"]},
        }
    },
    "serves any of these names": {"used": {"block": {"sites": ["bbc.example", "wikpedia.org"]}}},
    "no probe asks for one": {
        "used": {"inspect": [{"name": "n", "when": {"name_exact": "a.www.bbc.com"}, "verdict": "reset"}]}
    },
    "has any of these addresses": {"used": {"block": {"addresses": ["10.0.0.0/8", "2001:db8:ffff::/48"]}}},
    "loopback, link-local, multicast": {"used": {"block": {"addresses": ["127.0.0.1", "224.0.0.0/4", "fe80::/10"]}}},
    "it is loopback": {"used": {"inspect": [{"name": "n", "when": {"address": "::1"}, "verdict": "reset"}]}},
    "takes ports and final dots off": {
        "used": {"inspect": [{"name": "p", "when": {"name_contains": "bbc.com:443"}, "verdict": "reset"}]}
    },
    "final dots off the names": {
        "used": {"inspect": [{"name": "p", "when": {"name_regex": [r"bbc\.com\.$", "com:80"]}, "verdict": "reset"}]}
    },
    "serves any of these apps": {"used": {"block": {"apps": ["viber"]}, "by": "address"}},
    "adds no delay and no loss": {"used": {"degrade": {"delay": "0ms", "jitter": "0s"}}},
    "at most 30mbit anyway": {
        "used": {"degrade": {"rate": {"down": "200mbit", "up": "30mbit"}}, "where": {"access": ["mobile"]}}
    },
    "carry at most 30mbit": {"used": {"throttle": "30mbit", "where": {"access": ["mobile"]}}},
    "the rule n above it": {"used": {"inspect": [_NAMED, {**_NAMED, "name": "again"}]}},
}
FELT = [
    {"inspect": [_NAMED]},
    {"block": {"ports": [443, 80]}, "except": {"ports": ["tcp/443"]}},
    {"block": {"sites": ["bbc.com"]}, "except": {"sites": ["www.bbc.com"]}},
    {"block": {"apps": ["whatsapp"], "voice": True}, "by": "address", "except": {"apps": ["whatsapp"]}},
    {"block": {"sites": ["bbc.com"], "sms": True}, "by": "address", "except": {"sites": ["bbc.com"]}},
    {"throttle": "30mbit"},
    {"degrade": {"rate": {"down": "200mbit", "up": "1mbit"}}, "where": {"access": ["mobile"]}},
    {"degrade": {"rate": {"down": "200mbit"}, "loss": 0.01}},
    {"degrade": {"generation": "4G", "delay": "0s"}, "where": {"access": ["mobile"]}},
    {"block": {"apps": ["viber", "whatsapp"]}, "by": "address"},
    {"block": {"apps": ["viber"], "sites": ["bbc.com"]}, "by": "address"},
    {"block": {"addresses": ["0.0.0.0/0"]}},
    {"block": {"addresses": ["10.0.0.0/8"], "ports": [443]}},
    {"block": {"sites": ["wikpedia.org", "com"]}},
    {"inspect": [{"name": "n", "when": {"name_contains": ["com.", "2001:db8"]}, "verdict": "reset"}]},
    {"inspect": [{"name": "n", "when": {"name_regex": [r"com\.?$", "(:443)?$", "[.:]"]}, "verdict": "reset"}]},
    {"inspect": [{"name": "n", "when": {"name_suffix": "x.example", "name_contains": "bbc"}, "verdict": "reset"}]},
    {"inspect": [{**_NAMED, "when": {"name_suffix": "bbc.com", "probability": 0.5}}, {**_NAMED, "name": "again"}]},
]


@pytest.mark.parametrize("reason", IDLE)
def test_a_policy_that_can_have_no_effect_is_reported_with_the_reason(reason: str) -> None:
    assert [reason in each for each in idle_of(IDLE[reason])] == [True]


def test_policies_of_a_scenario_that_is_varied_and_that_no_phase_starts_any_more_are_reported_in_one_line(
    tmp_path: Path,
) -> None:
    base = {"title": "t", "source": "EXAMPLE", "block": {"sites": ["bbc.com"]}}
    phase = {"phase": "dark", "at": "2030-05-02T12:00Z", "title": "Dark", "start": ["blackout"]}
    probes = {"speed": {"during": ["dark"]}}
    mine = {"extends": "first-shutdown", "name": "mine", "timeline": [phase], "probes": probes}
    mine["policies"] = {"own": base}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(mine, sort_keys=False))
    own, inherited = (str(each).removeprefix(f"{tmp_path}/") for each in sl.load(tmp_path / "mine.yaml").idle)
    assert own.endswith("policies.own: no effect: no phase starts it")
    names = "whatsapp-reset, whatsapp-dropped, mobile-throttled, coast-one-way, allowlist"
    reason = rf"no phase of this timeline starts these policies of \S*first-shutdown.yaml: {names}"
    assert re.fullmatch(rf"mine.yaml:3: policies: no effect: {reason}", inherited)


@pytest.mark.parametrize("policy", FELT)
def test_a_policy_that_can_have_an_effect_is_not(policy: dict[str, Any]) -> None:
    assert idle_of({"used": policy}) == []


@pytest.mark.parametrize("key", ["block", "inspect"])
def test_a_tunnel_that_boxes_look_into_is_not_what_they_find(key: str) -> None:
    rule = {"name": "tunnels", "when": {"protocol": "gtp"}, "verdict": "drop"}
    policy = {"block": {"block": {"protocols": ["gtp"]}}, "inspect": {"inspect": [rule]}}[key]
    (reason,) = idle_of({"used": policy}, profile="perfect")
    assert "northnet's box, perfect, looks into GTP-U tunnels" in reason
    assert idle_of({"used": policy}, profile="naive") == []


def idle_of(given: dict[str, Any], *, profile: str = "gfw-http") -> list[str]:
    """What is told of these policies, of which the one called `used` is in force."""
    policies = {name: {"title": "t", "source": "s", **policy} for name, policy in given.items()}
    scenario = {
        "format": 1,
        "name": "idle",
        "title": "Idle",
        "topology": "two-operators",
        "profile": profile,
        "policies": policies,
        "probes": {
            "bbc": {"test": "web", "url": "http://www.bbc.com/"},
            "name": {"test": "dns", "host": "www.bbc.com"},
        },
        "timeline": [
            {"phase": "before", "at": "2022-01-05T10:00Z", "title": "Before"},
            {
                "phase": "during",
                "at": "2022-01-05T12:00Z",
                "title": "During",
                "start": [p for p in policies if p == "used"],
            },
        ],
        "ends": "2022-01-06T00:00Z",
    }
    return [str(each) for each in library.load(scenario).idle]


def test_a_title_is_one_line_however_it_is_written() -> None:
    topology = yaml.safe_load((Path(__file__).parents[1] / "golden" / "valid-topology.yaml").read_text())
    topology["operators"]["northnet"]["title"] = "North\nnet  of\tthe north\n"
    assert sl.library.topology(topology).operators["northnet"].title == "North net of the north"


def test_what_people_call_something_may_be_written_in_any_script() -> None:
    """Persian parts letters by a character without width, and Sinhala joins some by another; neither moves any."""
    topology = yaml.safe_load((Path(__file__).parents[1] / "golden" / "valid-topology.yaml").read_text())
    for title in ("شبکه\u200cی شمال", "ශ්\u200dරී ලංකා"):
        topology["operators"]["northnet"]["title"] = title
        assert sl.library.topology(topology).operators["northnet"].title == on_one_line(title) == title
    topology["operators"]["northnet"]["title"] = "turned \u202e round"
    with pytest.raises(BadInput, match="letters that can be seen"):
        sl.library.topology(topology)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("ports: {quic: [tcp/443]}", "tcp ports alone for quic"),
        ("ports: {tls: [udp/443, udp/8443]}", "udp ports alone for tls"),
        ("block: {default: {action: drop, residual: {for: 0s}}}", "expected more than 0"),
    ],
)
def test_what_a_box_would_never_meet_is_refused_in_its_profile(given: str, says: str) -> None:
    profile = f"format: 1\nname: mine\ntitle: Mine\nsources: made up\n{given}\n"
    with pytest.raises(BadInput) as refused:
        load_profile(profile, "box.yaml")
    [problem] = refused.value.problems
    assert (problem.line, says in str(problem)) == (5, True)
    assert load_profile(profile.replace(given, "ports: {quic: 443, tls: [tcp/443], dns: [udp/53]}"), "box.yaml")


@pytest.mark.parametrize(
    ("endpoint", "says"),
    [
        ("{names: [shop.kz], ports: [https/443, tls/443]}", "which both listen on tcp/443"),
        ("{names: [shop.kz], ports: [h3/443, https/443, openvpn/443]}", "which both listen on udp/443"),
        ("{ports: [https/443]}", "an endpoint without either"),
    ],
)
def test_an_endpoint_that_no_server_could_be_is_refused(endpoint: str, says: str) -> None:
    apps = f"format: 1\napps:\n  shop:\n    title: Shop\n    endpoints:\n      - {endpoint}\n"
    with pytest.raises(BadInput) as refused:
        load_apps(apps.encode(), "apps.yaml")
    [problem] = refused.value.problems
    assert (problem.line, says in str(problem)) == (6, True)
    fits = "{names: [shop.kz], ports: [https/443, h3/443, http/80, dns/53]}"
    assert load_apps(apps.replace(endpoint, fits).encode(), "apps.yaml")
