"""A key of a rule or a profile that nothing would heed is refused: the box would not be the one that was written."""

from __future__ import annotations

import pytest

from shutdownlab.config.problems import BadInput
from shutdownlab.inspection.policy import load_policy
from shutdownlab.inspection.profile import load_profile, shipped_profile
from shutdownlab.inspection.vocabulary import profile_names

PROFILE = "format: 1\nname: mine\ntitle: Mine\nsources: [me]\n"

RULES = [
    ("{}", "{action: pass, residual: {for: 60s}}", "`residual`"),
    ("{protocol: quic}", "{action: drop, residual: {for: 60s, action: reset}}", "resets for quic"),
    ("{port: udp/443}", "{action: drop, residual: {for: 60s, action: reset}}", "resets for a `port` of UDP"),
    ("{port: [udp/443, udp/80]}", "{action: reset}", "the action reset for a `port` of UDP"),
    ("{port: udp/80}", "{action: block-page}", "the action block-page"),
    ("{port: udp/443}", "{action: intercept}", "the action intercept"),
    ("{protocol: tls}", "{action: intercept, residual: {for: 5s}}", "`residual` that does the same"),
    ("{protocol: http}", "{action: block-page, status: 100}", "`status` 100"),
    ("{protocol: http}", "{action: block-page, status: 204}", "`status` 204"),
    ("{protocol: http}", "{action: redirect, status: 304, location: 'http://a.example/'}", "`status` 304"),
    ("{protocol: dns}", "{action: dns, answer_ttl: 5}", "`answer_ttl`"),
    ("{port: udp/443, protocol: tls}", "drop", "a `port` of udp"),
    ("{port: tcp/443, protocol: [quic, wireguard]}", "drop", "a `port` of tcp"),
]


@pytest.mark.parametrize(("when", "verdict", "found"), RULES)
def test_a_rule_of_which_a_part_can_have_no_effect_is_refused(when: str, verdict: str, found: str) -> None:
    with pytest.raises(BadInput) as raised:
        load_policy(f"format: 1\nrules:\n  - name: it\n    when: {when}\n    verdict: {verdict}\n", "policy.yaml")
    [problem] = raised.value.problems
    assert problem.line in (4, 5)
    assert found in problem.found


@pytest.mark.parametrize(
    ("when", "verdict"),
    [
        ("{protocol: tls}", "{action: drop, residual: {for: 60s, action: reset}}"),
        ("{port: [udp/443, tcp/443]}", "{action: reset}"),
        ("{port: 443, protocol: quic}", "drop"),
        ("{port: udp/53, protocol: dns}", "{action: dns, addresses: 192.0.2.1, answer_ttl: 5}"),
        ("{protocol: http}", "{action: block-page, status: 451}"),
        ("{protocol: http}", "{action: redirect, status: 307, location: 'http://a.example/'}"),
        ("{protocol: tls}", "{action: intercept, residual: {for: 5s, action: drop}}"),
    ],
)
def test_a_rule_whose_parts_all_have_an_effect_is_taken(when: str, verdict: str) -> None:
    text = f"format: 1\nrules: [{{name: it, when: {when}, verdict: {verdict}}}]\n"
    assert len(load_policy(text, "policy.yaml").rules) == 1


@pytest.mark.parametrize(
    ("when", "hint"),
    [
        ("{protocol: https}", "here that is 'tls'"),
        ("{protocol_except: [HTTP3]}", "here that is 'quic'"),
        ("{protocol: htpp}", "did you mean 'http'?"),
        ("{version: 1.3}", "TLS 1.3 is 772"),
        ("{version: 'TLS 1.3'}", "TLS 1.3 is 772"),
        ("{version: TLSv1.2}", "TLS 1.2 is 771"),
    ],
)
def test_what_has_another_name_here_is_refused_with_that_name(when: str, hint: str) -> None:
    with pytest.raises(BadInput, match=r"policy\.yaml:2") as raised:
        load_policy(f"format: 1\nrules: [{{name: it, when: {when}, verdict: drop}}]\n", "policy.yaml")
    assert hint in str(raised.value)


UNHEEDED = [
    ("protocols: [tls]\nports: {http: 80}", "`http`"),
    ("protocols: [http]\nblock: {quic: drop}", "`quic`"),
    ("protocols: [tls]\nparse: {http_folding: false}", "`http_folding`"),
    ("protocols: [http]\nparse: {quic_datagrams: 1}", "`quic_datagrams`"),
    ("tcp: {reassembly: none, overlap: last}", "`overlap`"),
    ("tcp: {reassembly: arrival, urgent: skip}", "`urgent`"),
    ("tcp: {reassembly: in-order, gap: 5}", "`gap`"),
    ("tcp: {reassembly: none, min_segment: 5}", "`min_segment`"),
    ("tcp: {resync_probability: 0.5}", "`resync_probability`"),
    ("tcp: {rst: ignore, rst_teardown: {handshake: 0.5}}", "`rst_teardown`"),
    ("tcp: {server_rst_probability: 0.5}", "`server_rst_probability`"),
    ("tcp: {fin: ignore, fin_probability: 0.5}", "`fin_probability`"),
    ("tcp: {create: data, handshake: full}", "`handshake`"),
    ("tcp: {create: []}", "no packet that makes the box track a connection"),
    ("tcp: {roles: false}\ninspect: client", "`tcp: {roles: false}`"),
    ("ip: {fragments: ignore, overlap: last}", "`overlap`"),
    ("ip: {fragments: drop, timeout: 5s}", "`timeout`"),
    ("placement: on-path\nip: {hold: true}", "`hold`"),
    ("placement: on-path\nip: {fragments: drop}", "`fragments: drop`"),
    ("placement: on-path\nblock: {tls: {action: freeze, cap_bytes: 5}}", "freeze"),
    ("placement: on-path\nblock: {quic: drop, tls: {action: freeze, cap_bytes: 5}}", "freeze"),
    ("placement: on-path\nrules: [{name: it, when: {protocol: http}, verdict: drop}]", "drop"),
    ("budget: {give_up_unrecognised: true, give_up_unrecognised_over: 100}", "`give_up_unrecognised_over`"),
    ("budget: {packets: 3, least: 10}", "10"),
    ("block: {default: {action: block}}", "`block` itself"),
    ("block: {http: {action: dns}}", "the action dns for http"),
    ("block: {quic: {action: reset}}", "the action reset for quic"),
]


@pytest.mark.parametrize(("text", "found"), UNHEEDED)
def test_a_key_of_a_profile_that_the_box_would_ignore_is_refused(text: str, found: str) -> None:
    with pytest.raises(BadInput) as raised:
        load_profile(PROFILE + text, "mine.yaml")
    [problem] = raised.value.problems
    assert problem.line >= 5
    assert found in problem.found


@pytest.mark.parametrize(
    "text",
    [
        "protocols: [doh]\nblock: {tls: drop}\nports: {doh: 443}\nparse: {tls_records: false}",
        "tcp: {reassembly: in-order, overlap: last, urgent: skip, min_segment: 5}",
        "tcp: {server_rst: resync, resync_probability: 0.5, server_rst_probability: 0.4}",
        "tcp: {create: any, handshake: full, rst_teardown: {handshake: 0.5}, fin_probability: 0.5}",
        "ip: {fragments: ignore, hold: true, max_fragments: 45}",
        "placement: on-path\nblock: {tls: {action: reset}}\nip: {overlap: last}",
        "budget: {packets: [5, 12], least: 10}",
        "budget: {packets: 0, least: 10}",
    ],
)
def test_a_profile_whose_keys_all_have_an_effect_is_taken(text: str) -> None:
    assert load_profile(PROFILE + text, "mine.yaml").name == "mine"


@pytest.mark.parametrize("name", profile_names())
def test_every_key_of_the_profiles_that_ship_is_heeded(name: str) -> None:
    assert shipped_profile(name).name == name
