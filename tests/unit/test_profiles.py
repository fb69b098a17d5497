"""The documented behaviour of each measured box, in packets."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from quic_initials import crypto, hello, seal
from wire import ECH, ESNI, Connection, client_hello, dns_query, engine, http_get, injected, rule

from shutdownlab.config.problems import BadInput
from shutdownlab.inspection.engine import Action, Side
from shutdownlab.inspection.profile import load_profile, shipped_profile
from shutdownlab.inspection.vocabulary import profile_names

NAMED = [
    "kazakhstan-http",
    "kazakhstan-sni",
    "kazakhstan-mitm-2019",
    "tspu-2022",
    "tspu-2025",
    "twitter-throttle-2021",
    "gfw-http",
    "gfw-tls",
    "gfw-esni",
    "gfw-fet",
    "gfw-quic",
    "india-http",
    "india-sni",
    "iran-protocol-filter",
    "iran-2023",
    "belarus-2020",
    "turkmenistan-dns",
    "naive",
    "perfect",
]
RANDOM = bytes.fromhex("8b04d97fa0c311ee5d2c94e1b3760fa8c95e12d74b8f30e6a1957c2bd84ef063")


def opened(profile: str, *, hello: bool = True, **fields: object) -> Connection:
    connection = Connection(engine(profile), **fields)  # type: ignore[arg-type]
    connection.open()
    if hello:
        connection.data(client_hello())
    return connection


def test_every_profile_ships_and_names_its_sources() -> None:
    assert set(profile_names()) == set(NAMED)
    for name in NAMED:
        profile = shipped_profile(name)
        assert profile.name == name
        assert profile.sources
        assert profile.title


def test_an_unknown_profile_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(BadInput, match="did you mean 'gfw-http'"):
        shipped_profile("gfw-htp")


def test_every_mistake_of_a_profile_is_reported_with_its_line() -> None:
    text = "format: 1\nname: x\ntitle: y\nsources: [z]\nplacement: beside\nprotocols: [tlss]\ntcp: {reasembly: none}\n"
    with pytest.raises(BadInput) as caught:
        load_profile(text, "box.yaml")
    told = str(caught.value)
    assert "box.yaml:5: placement" in told
    assert "box.yaml:6: protocols[0]" in told
    assert "did you mean 'tls'" in told
    assert "box.yaml:7: tcp.reasembly" in told
    assert "did you mean 'reassembly'" in told


def test_a_profiles_own_rules_name_what_there_is() -> None:
    head = "format: 1\nname: x\ntitle: y\nsources: [z]\n"
    with pytest.raises(BadInput) as caught:
        load_profile(head + "rules:\n  - {name: a, when: {protocol: tlss, app: sygnal}, verdict: block}\n", "box.yaml")
    assert [(problem.line, problem.hint) for problem in caught.value.problems] == [
        (6, "did you mean 'signal'?"),
        (6, "did you mean 'tls'?"),
    ]


# -- Kazakhstan --------------------------------------------------------------------------------------------------------


def test_kazakhstan_drops_both_ways_after_the_hello_and_each_packet_starts_the_120_s_anew() -> None:
    connection = opened("kazakhstan-sni")
    for now in (100.0, 219.0, 338.0):
        connection.now = now
        assert not connection.say("A").forward
        assert not connection.reply("A").forward
    connection.now = 459.0
    assert connection.say("S", seq=99).forward


def test_kazakhstan_needs_no_handshake_and_no_checksum() -> None:
    connection = Connection(engine("kazakhstan-sni"))
    assert not connection.say("PA", client_hello(), bad_checksum=True, ttl=2).forward


def test_neither_fin_nor_rst_ends_what_kazakhstan_knows() -> None:
    connection = Connection(engine("kazakhstan-sni"))
    connection.open()
    connection.say("FA")
    connection.say("R")
    assert not connection.data(client_hello()).forward


@pytest.mark.parametrize("side", [Side.INSIDE, Side.OUTSIDE])
def test_kazakhstan_blocks_connections_opened_from_either_side(side: Side) -> None:
    connection = Connection(engine("kazakhstan-sni"), opener=side)
    connection.open()
    assert not connection.data(client_hello()).forward


def test_a_hello_over_two_segments_gets_past_kazakhstan_and_an_offload_frame_is_two_segments() -> None:
    connection = opened("kazakhstan-sni", hello=False)
    hello = client_hello("blocked.example")
    assert connection.send(connection.tcp("PA", hello), segment=60).forward
    again = opened("kazakhstan-sni", hello=False)
    assert not again.send(again.tcp("PA", hello), segment=1460).forward


# -- Russia ------------------------------------------------------------------------------------------------------------


def test_tspu_acts_only_on_connections_opened_inside() -> None:
    connection = Connection(engine("tspu-2022"), opener=Side.OUTSIDE)
    connection.open()
    connection.data(client_hello())
    assert connection.answer(b"x" * 100).replacement is None


def test_a_split_handshake_makes_tspu_take_the_server_for_the_opener() -> None:
    connection = Connection(engine("tspu-2022"))
    connection.say("S")
    connection.reply("S")
    connection.seq += 1
    connection.say("SA", seq=1000)
    connection.ack += 1
    connection.reply("A")
    connection.data(client_hello())
    assert connection.answer(b"x" * 100).replacement is None


def test_tspu_forgets_a_rewritten_connection_after_75_s_of_silence() -> None:
    connection = opened("tspu-2022")
    assert connection.answer(b"x").replacement is not None
    connection.now = 76.0
    assert connection.answer(b"x").replacement is None


def quic_initial(version: int, size: int, name: str = "fine.example") -> bytes:
    """The first datagram of aioquic's client."""
    from aioquic.quic.configuration import QuicConfiguration
    from aioquic.quic.connection import QuicConnection

    settings = QuicConfiguration(server_name=name, alpn_protocols=["h3"], original_version=version)
    settings.supported_versions = [version]
    client = QuicConnection(configuration=settings)
    client.connect(("192.0.2.10", 443), now=0.0)
    return client.datagrams_to_send(now=0.0)[0][0][:size]


HALVES = [
    b"\5\3\0\1\2\5\1\0",
    b"\4\1\0\x50\1\2\3\4me",
    b"PROXY TCP4 1.2.3.4",
    b"INVITE sip:a",
    b"PRI * HTTP/2.0\r",
    b"\x13BitTorrent pro",
]
"""Beginnings of what neither of Kazakhstan's boxes reads."""


@pytest.mark.parametrize(
    "decoy",
    [
        *(b"no request at all", b"hello there", b"NOOP of nothing\r\n", b"a1 half a command", b"<stream:of no", RANDOM),
        *HALVES,
        client_hello("fine.example")[:60],
    ],
)
def test_kazakhstans_http_box_reads_nothing_after_a_payload_that_is_no_request(decoy: bytes) -> None:
    box = engine("kazakhstan-http", rule("drop", name_suffix="blocked.example"))
    for before, passes in (((), False), ((decoy,), True)):
        connection = Connection(box, dport=80, sport=40_000 + len(before))
        connection.open()
        for payload in before:
            assert connection.data(payload).forward
        assert connection.data(http_get("blocked.example")).forward is passes


@pytest.mark.parametrize("profile", ["kazakhstan-sni", "kazakhstan-mitm-2019"])
@pytest.mark.parametrize("decoy", [*HALVES, b"GET / HTTP/1.1\r\nHo", b"GET /index"])
def test_kazakhstans_tls_boxes_read_nothing_after_a_payload_that_is_no_hello(profile: str, decoy: bytes) -> None:
    connection = Connection(engine(profile, rule("drop", name_suffix="blocked.example")))
    connection.open()
    assert connection.data(decoy).forward
    assert connection.data(client_hello("blocked.example")).forward


def test_russias_throttle_ends_at_a_long_payload_that_only_begins_like_what_it_does_not_read() -> None:
    for length, passes in ((100, False), (101, True)):
        box = engine("twitter-throttle-2021", rule("drop", name_suffix="blocked.example"))
        connection = Connection(box)
        connection.open()
        assert connection.data(b"INVITE sip:".ljust(length, b"a")).forward
        assert connection.data(client_hello("blocked.example")).forward is passes


@pytest.mark.parametrize(
    ("fields", "version", "size", "blocked"),
    [
        ({}, 1, 1200, True),
        ({}, 1, 1001, True),
        ({}, 1, 1000, False),
        ({}, 0x6B3343CF, 1200, False),
        ({"dport": 8443}, 1, 1200, False),
        ({"opener": Side.OUTSIDE}, 1, 1200, False),
    ],
)
def test_tspu_drops_quic_version_1_by_its_shape(
    fields: dict[str, object], version: int, size: int, blocked: bool
) -> None:
    connection = Connection(engine("tspu-2022"), **fields)  # type: ignore[arg-type]
    assert connection.udp(quic_initial(version, size)).forward is not blocked
    connection.now = 419.0
    assert connection.udp(b"anything", back=True).forward is not blocked
    connection.now = 840.0
    assert connection.udp(b"anything").forward


HETZNER = bytes((5, 9, 1, 1))


def hosted(payload: bytes, *, server: bytes = HETZNER, opener: Side = Side.INSIDE) -> int:
    """Bytes that come of a download after `payload`, in pieces of 1,024."""
    connection = Connection(engine("tspu-2025"), server=server, opener=opener, dport=443)
    connection.open()
    connection.data(payload)
    return sum(1024 for _ in range(40) if connection.answer(bytes(1024)).forward)


@pytest.mark.parametrize("payload", [client_hello("fine.example"), http_get("fine.example"), RANDOM])
def test_tspu_of_2025_freezes_foreign_hosting_after_16_kib_whatever_is_spoken(payload: bytes) -> None:
    assert hosted(payload) == 16384


def test_tspu_of_2025_freezes_neither_ssh_nor_other_hosts_nor_who_comes_from_outside() -> None:
    assert hosted(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n") == 40 * 1024
    assert hosted(client_hello("fine.example"), server=bytes((192, 0, 2, 10))) == 40 * 1024
    assert hosted(client_hello("fine.example"), opener=Side.OUTSIDE) == 40 * 1024


@pytest.mark.parametrize(("cut", "blocked"), [(1, False), (2, False), (3, True), (5, True), (60, True), (93, True)])
def test_tspu_of_2025_joins_segments_but_for_a_first_one_of_two_bytes(cut: int, blocked: bool) -> None:
    connection = opened("tspu-2025", hello=False)
    hello = client_hello()
    connection.data(hello[:cut])
    connection.data(hello[cut:])
    answer = connection.answer(b"x" * 100)
    assert (answer.replacement is not None) is blocked


@pytest.mark.parametrize("port", [443, 10000])
@pytest.mark.parametrize(("name", "blocked"), [("blocked.example", True), ("fine.example", False)])
def test_tspu_of_2025_reads_names_in_quic_on_any_port(port: int, name: str, blocked: bool) -> None:
    connection = Connection(engine("tspu-2025"), dport=port)
    assert connection.udp(quic_initial(1, 1200, name)).forward is not blocked
    connection.now = 419.0
    assert connection.udp(b"anything", back=True).forward is not blocked


@pytest.mark.parametrize(
    ("name", "encrypted", "dropped"),
    [("cloudflare-ech.com", ECH, True), ("cloudflare-ech.com", 0, False), ("fine.example", ECH, False)],
)
def test_tspu_drops_ech_to_cloudflare(name: str, encrypted: int, dropped: bool) -> None:
    connection = opened("tspu-2025", hello=False)
    assert connection.data(client_hello(name, encrypted=encrypted)).forward is not dropped


def test_the_2021_throttle_hits_the_substring_and_leaves_130_to_150_kbit() -> None:
    connection = Connection(engine("twitter-throttle-2021", rule("pass", address="203.0.113.0/24")))
    connection.open()
    outcome = connection.data(client_hello("www.reddit.com"))
    assert outcome.decision is not None
    assert outcome.decision.action is Action.THROTTLE
    passed = 0
    for step in range(4000):
        connection.now = step * 0.01
        passed += 1340 * connection.send(connection.tcp("A", bytes(1300), back=True), back=True).forward
    assert 130 <= passed * 8 / 1000 / 40 <= 150


def test_the_2021_throttle_needs_an_opener_inside_but_takes_a_hello_from_either_end() -> None:
    spare = rule("pass", address="203.0.113.0/24")
    outside = Connection(engine("twitter-throttle-2021", spare), opener=Side.OUTSIDE)
    outside.open()
    decision = outside.data(client_hello("twitter.com")).decision
    assert decision is None or decision.action is Action.PASS
    inside = Connection(engine("twitter-throttle-2021", spare))
    inside.open()
    decision = inside.answer(client_hello("twitter.com")).decision
    assert decision is not None
    assert decision.action is Action.THROTTLE


@pytest.mark.parametrize(("size", "looks_on"), [(101, False), (99, True)])
def test_the_2021_throttle_gives_up_over_a_large_unknown_payload(size: int, looks_on: bool) -> None:
    connection = Connection(engine("twitter-throttle-2021", rule("pass", address="203.0.113.0/24")))
    connection.open()
    connection.data(bytes(size))
    decision = connection.data(client_hello("twitter.com")).decision
    assert (decision is not None and decision.action is Action.THROTTLE) is looks_on


@pytest.mark.parametrize(("idle", "throttled"), [(599.0, True), (601.0, False)])
def test_the_2021_throttle_forgets_a_connection_that_is_idle_for_ten_minutes(idle: float, throttled: bool) -> None:
    connection = Connection(engine("twitter-throttle-2021", rule("pass", address="203.0.113.0/24")))
    connection.open()
    connection.now = idle
    decision = connection.data(client_hello("twitter.com")).decision
    assert (decision is not None and decision.action is Action.THROTTLE) is throttled


def test_the_2021_throttle_has_a_bucket_for_each_direction() -> None:
    connection = Connection(engine("twitter-throttle-2021", rule("pass", address="203.0.113.0/24")))
    connection.open()
    connection.data(client_hello("twitter.com"))
    while connection.send(connection.tcp("A", bytes(1300), back=True), back=True).forward:
        pass
    assert connection.send(connection.tcp("A", bytes(1300))).forward


@pytest.mark.parametrize(("idle", "acted"), [(59.0, True), (61.0, False)])
def test_tspu_forgets_a_syn_that_nobody_answered_after_60_s(idle: float, acted: bool) -> None:
    """And then takes whoever speaks first for the opener: here the server."""
    connection = Connection(engine("tspu-2022"), sport=40000, dport=50000)
    connection.say("S")
    connection.seq += 1
    connection.now = idle
    connection.answer(b"hello")
    connection.data(client_hello())
    assert (connection.answer(b"x").replacement is not None) is acted


@pytest.mark.parametrize(("seconds", "stays"), [(419.0, True), (421.0, False)])
def test_tspus_second_way_lets_six_packets_through_and_then_none_for_420_s(seconds: float, stays: bool) -> None:
    residual = {"key": "4-tuple", "for": "420s", "refreshed": True}
    verdict: dict[str, object] = {"action": "drop", "after_packets": 6, "residual": residual}
    connection = Connection(engine("tspu-2022", rule(verdict, name_suffix="blocked.example")))
    connection.open()
    assert connection.data(client_hello("blocked.example")).forward
    assert [connection.say("A").forward for _ in range(8)] == [True] * 6 + [False] * 2
    connection.now = seconds
    assert connection.say("A").forward is not stays


# -- China -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", ["gfw-http", "gfw-tls"])
def test_the_gfw_resets_both_ends_three_times_and_stops_nothing(profile: str) -> None:
    connection = opened(profile, hello=False, dport=8080)
    outcome = connection.data(http_get() if profile == "gfw-http" else client_hello())
    assert outcome.forward
    assert len(injected(outcome, Side.INSIDE)) == len(injected(outcome, Side.OUTSIDE)) == 3


@pytest.mark.parametrize(("profile", "seconds"), [("gfw-http", 90), ("gfw-tls", 60)])
def test_the_gfws_penalty_is_for_the_3_tuple_and_not_refreshed(profile: str, seconds: int) -> None:
    connection = opened(profile, hello=False)
    connection.data(http_get() if profile == "gfw-http" else client_hello())
    other = Connection(connection.engine, sport=1234, now=seconds - 1.0)
    assert other.say("S").inject
    late = Connection(connection.engine, sport=1235, now=seconds + 1.0)
    assert not late.say("S").inject


def esni() -> bytes:
    return client_hello(None, encrypted=ESNI)


def test_an_encrypted_server_name_loses_the_clients_packets_for_180_s_on_the_3_tuple() -> None:
    connection = opened("gfw-esni", hello=False, dport=8443)
    outcome = connection.data(esni())
    assert not outcome.forward
    assert not outcome.inject, "nothing is injected"
    for flags in ("A", "FA", "R"):
        assert not connection.say(flags).forward
    assert connection.reply("A").forward
    assert not Connection(connection.engine, sport=4321, dport=8443, now=179.0).say("S").forward
    assert Connection(connection.engine, sport=4322, dport=8443, now=181.0).say("S").forward


@pytest.mark.parametrize("payload", [client_hello("fine.example"), client_hello("fine.example", encrypted=ECH)])
def test_china_lets_other_hellos_pass_those_of_ech_too(payload: bytes) -> None:
    assert opened("gfw-esni", hello=False).data(payload).forward
    assert not opened("gfw-tls", hello=False).data(payload).inject


def test_an_encrypted_server_name_counts_only_after_a_complete_handshake() -> None:
    connection = Connection(engine("gfw-esni"))
    assert connection.say("PA", esni()).forward
    connection = Connection(engine("gfw-esni"))
    connection.say("S")
    connection.seq += 1
    assert connection.say("PA", esni()).forward


def test_chinas_quic_box_loses_what_the_client_sends_to_that_port_for_180_s() -> None:
    connection = Connection(engine("gfw-quic"), sport=55000, dport=443)
    outcome = connection.udp(quic_initial(1, 1200, "blocked.example"))
    assert outcome.forward, "the Initial itself arrives"
    assert not outcome.inject, "nothing is injected"
    assert connection.udp(b"an answer", back=True).forward
    assert not connection.udp(b"more").forward
    assert not Connection(connection.engine, sport=55001, dport=443, now=179.0).udp(b"anything").forward
    assert Connection(connection.engine, sport=55002, dport=444, now=179.0).udp(b"anything").forward
    assert Connection(connection.engine, sport=55003, dport=443, now=181.0).udp(b"anything").forward
    other_name = Connection(engine("gfw-quic"))
    other_name.udp(quic_initial(1, 1200))
    assert other_name.udp(b"more").forward


def test_chinas_quic_box_is_triggered_from_inside_alone() -> None:
    from_outside = Connection(engine("gfw-quic"), opener=Side.OUTSIDE, dport=443)
    from_outside.udp(quic_initial(1, 1200, "blocked.example"))
    assert from_outside.udp(b"more").forward


@pytest.mark.parametrize(("silence", "passes"), [(1.0, True), (59.0, True), (61.0, False)])
def test_a_datagram_of_anything_hides_a_name_in_quic_from_china_for_60_s(silence: float, passes: bool) -> None:
    connection = Connection(engine("gfw-quic"), dport=443)
    assert connection.udp(bytes(14)).forward
    connection.now = silence
    connection.udp(quic_initial(1, 1200, "blocked.example"))
    assert connection.udp(b"more").forward is passes


def test_a_hello_in_two_datagrams_gets_past_china() -> None:
    message = hello(b"blocked.example", extra=1200)
    connection = Connection(engine("gfw-quic"), dport=443)
    for number, (start, end) in enumerate(((0, 60), (60, len(message)))):
        assert connection.udp(seal(crypto(start, message[start:end]), number)).forward
    assert connection.udp(b"more").forward
    whole = Connection(engine("gfw-quic"), dport=443)
    whole.udp(seal(crypto(0, message)))
    assert not whole.udp(b"more").forward


def third_syn(connection: Connection) -> None:
    connection.say("S")
    connection.say("S")
    connection.say("S", seq=0x5EED5EED)
    connection.seq += 1
    connection.reply("SA")
    connection.ack += 1
    connection.say("A")


def turnaround(connection: Connection) -> None:
    connection.say("SA", ack=0)
    connection.open()


def fin_syn(connection: Connection) -> None:
    connection.open()
    connection.say("FS")


def false_reset(connection: Connection) -> None:
    connection.open()
    connection.say("R", seq=0x0BAD0BAD, bad_checksum=True)


def decoy(connection: Connection) -> None:
    connection.open()
    connection.say("PA", RANDOM, bad_checksum=True)


@pytest.mark.parametrize("evade", [third_syn, turnaround, fin_syn, false_reset, decoy])
def test_the_published_strategies_for_encrypted_server_names_evade(evade: Callable[[Connection], None]) -> None:
    connection = Connection(engine("gfw-esni"))
    evade(connection)
    assert connection.data(esni()).forward


@pytest.mark.parametrize(("size", "passes"), [(4, True), (5, False)])
def test_a_first_segment_of_four_bytes_hides_an_encrypted_server_name(size: int, passes: bool) -> None:
    connection = opened("gfw-esni", hello=False)
    outcomes = [connection.data(esni()[:size]), connection.data(esni()[size:])]
    assert all(outcome.forward for outcome in outcomes) is passes


def certain_fet() -> Connection:
    connection = Connection(engine("gfw-fet", rule("block", fully_encrypted=True)))
    connection.open()
    return connection


def test_fully_encrypted_traffic_loses_the_clients_packets_for_180_s_on_the_3_tuple() -> None:
    connection = certain_fet()
    assert not connection.data(RANDOM * 4).forward
    assert not connection.say("A").forward
    assert connection.reply("A").forward
    other = Connection(connection.engine, sport=4321, now=179.0)
    assert not other.say("S").forward
    assert Connection(connection.engine, sport=4322, now=181.0).say("S").forward


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(bytes(100), id="few bits"),
        pytest.param(b"\xff" * 100, id="many bits"),
        pytest.param(b"abcdef" + RANDOM * 3, id="printable start"),
        pytest.param(RANDOM[:20] + b"a" * 30 + RANDOM[:20], id="printable run"),
        pytest.param(b"\x16\x03\x01" + RANDOM * 2, id="TLS"),
        pytest.param(b"GET " + RANDOM * 2, id="HTTP"),
    ],
)
def test_the_rules_exemptions_pass_and_only_the_first_payload_counts(payload: bytes) -> None:
    connection = certain_fet()
    assert connection.data(payload).forward
    assert connection.data(RANDOM * 4).forward


def test_about_a_quarter_of_fully_encrypted_connections_were_hit() -> None:
    box = engine("gfw-fet", rule("pass", "spared", address="203.0.113.0/24"))
    hit = 0
    for number in range(600):
        connection = Connection(box, sport=2000 + number, server=bytes((198, 51, number // 250, number % 250)))
        connection.open()
        hit += not connection.data(RANDOM * 4).forward
    assert 0.2 < hit / 600 < 0.33


# -- others ------------------------------------------------------------------------------------------------------------


def test_india_answers_on_port_80_only_with_its_own_ip_id() -> None:
    connection = opened("india-http", hello=False, dport=80)
    outcome = connection.data(http_get())
    assert outcome.forward
    page = injected(outcome, Side.INSIDE)[0]
    assert page.data.startswith(b"HTTP/1.1 200 ")
    assert page.fragment_id == 242
    other = opened("india-http", hello=False, dport=8080)
    assert not other.data(http_get()).inject


def test_an_innocent_request_first_does_not_end_what_india_looks_at() -> None:
    connection = opened("india-http", hello=False, dport=80)
    for _ in range(20):
        assert not connection.data(http_get("fine.example")).inject
        assert not connection.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").inject
    assert connection.data(http_get()).inject


NOP, TIMESTAMPS, END = b"\x01", b"\x08\x0a" + bytes(8), b"\0"


@pytest.mark.parametrize(
    ("options", "seen"),
    [
        pytest.param(b"", True, id="none"),
        pytest.param(NOP * 2 + TIMESTAMPS, True, id="timestamps, as Linux sends them"),
        pytest.param(NOP * 3 + END, True, id="end"),
        pytest.param(NOP * 3 + END + b"\x1c\x04\x80\x0f", True, id="user timeout behind the end"),
        pytest.param(b"\x1c\x04\x80\x0f", False, id="user timeout"),
        pytest.param(NOP * 2 + b"\x13\x12" + bytes(16), False, id="MD5"),
        pytest.param(b"\x02\x04\x05\xb4", False, id="MSS"),
        pytest.param(NOP * 2 + TIMESTAMPS + NOP + b"\x03\x03\x07", False, id="window scale behind timestamps"),
        pytest.param(NOP * 2 + b"\x05\x0a" + bytes(8), False, id="SACK"),
        pytest.param(b"\xfd\x04\x12\x34", False, id="an experiment's"),
    ],
)
def test_india_sees_packets_with_the_options_that_it_expects_and_no_other(options: bytes, seen: bool) -> None:
    connection = opened("india-http", hello=False, dport=80)
    assert bool(connection.say("PA", http_get(), options=options).inject) is seen


def test_airtel_resets_tls_by_the_name_at_the_client_and_lets_http_pass() -> None:
    connection = opened("india-sni", hello=False)
    outcome = connection.data(client_hello())
    assert outcome.forward
    (reset,) = injected(outcome, Side.INSIDE)
    assert reset.flags == 0x14
    assert not injected(outcome, Side.OUTSIDE)
    assert not Connection(connection.engine, sport=4321).say("S").inject, "nothing is left for other connections"
    assert not opened("india-sni", hello=False, dport=80).data(http_get()).inject
    assert not opened("india-http", hello=False).data(client_hello()).inject


def test_belarus_resets_tls_with_its_window_and_ip_id() -> None:
    connection = opened("belarus-2020", hello=False)
    for side in (Side.INSIDE, Side.OUTSIDE):
        (reset,) = injected(connection.say("PA", client_hello()), side)
        assert (reset.flags, reset.window, reset.fragment_id) == (0x14, 502, 0)


@pytest.mark.parametrize("side", [Side.INSIDE, Side.OUTSIDE])
def test_turkmenistan_injects_whichever_way_the_question_travels(side: Side) -> None:
    outcome = Connection(engine("turkmenistan-dns"), dport=53, opener=side).udp(dns_query())
    assert outcome.forward
    (answer,) = injected(outcome, side)
    assert answer.data.endswith(b"\x7f\0\0\1")
    assert (answer.ttl, answer.fragment_id) == (128, 30000)


def test_turkmenistan_resets_every_packet_of_the_4_tuple_for_30_s() -> None:
    connection = opened("turkmenistan-dns", hello=False)
    for side in (Side.INSIDE, Side.OUTSIDE):
        (reset,) = injected(connection.say("PA", client_hello()), side)
        assert (reset.flags, reset.ttl, reset.fragment_id) == (0x04, 128, 30000)
    connection.now = 29.0
    assert connection.say("A").inject
    connection.now = 31.0
    assert not connection.say("A").inject


def test_iran_lets_a_dropped_client_back_after_60_s() -> None:
    connection = Connection(engine("iran-protocol-filter"))
    connection.open()
    for _ in range(2):
        connection.data(b"\x01\x02\x03\x04 odd")
    connection.now = 59.0
    assert not connection.say("A").forward
    connection.now = 61.0
    assert connection.say("A").forward


@pytest.mark.parametrize("side", [Side.INSIDE, Side.OUTSIDE])
def test_iran_answers_a_request_with_its_page_whichever_way_it_travels(side: Side) -> None:
    connection = Connection(engine("iran-2023"), dport=80, opener=side)
    connection.open()
    outcome = connection.data(http_get())
    assert not outcome.forward
    page = injected(outcome, side)[0]
    assert page.data.startswith(b"HTTP/1.1 403 Forbidden\r\n")
    assert b'<iframe src="http://10.10.34.36/?type=Invalid Keyword&policy=MainPolicy "' in page.data
    (reset,) = injected(outcome, side.other)
    assert reset.flags == 0x14


@pytest.mark.parametrize("size", [1, 10, 40])
def test_iran_joins_segments(size: int) -> None:
    connection = opened("iran-2023", hello=False)
    hello = client_hello()[: 64 * size]
    outcomes = [connection.data(hello[at : at + size]) for at in range(0, len(hello), size)]
    assert any(outcome.inject for outcome in outcomes) is (64 * size >= len(client_hello()))


@pytest.mark.parametrize("left", [1, 30])
def test_a_hello_in_two_tls_records_gets_past_iran_even_if_a_single_byte_is_in_the_second(left: int) -> None:
    hello = client_hello()[5:]
    records = [hello[:-left], hello[-left:]]
    payload = b"".join(b"\x16\x03\x01" + len(part).to_bytes(2, "big") + part for part in records)
    assert not opened("iran-2023", hello=False).data(payload).inject
    assert opened("iran-2023", hello=False).data(client_hello()).inject


def test_irans_two_boxes_block_apart() -> None:
    """What is none of the three protocols is the filter's matter, a name the other's."""
    spare = rule("pass", address="203.0.113.0/24")
    for box, payload in [(engine("iran-2023"), RANDOM), (engine("iran-protocol-filter", spare), client_hello())]:
        connection = Connection(box)
        connection.open()
        assert all(connection.data(payload).forward for _ in range(3))


def test_the_naive_box_sees_a_whole_request_and_nothing_else() -> None:
    connection = opened("naive", hello=False, dport=80)
    assert connection.say("PA", http_get(), bad_checksum=True).inject
    split = opened("naive", hello=False, dport=80)
    assert not split.data(http_get()[:20]).inject
    assert not split.data(http_get()[20:]).inject
    # Ptacek and Newsham's other half: it also believes what the server never accepts.


@pytest.mark.parametrize("size", [1448, 60_000])
def test_the_naive_box_never_loses_interest_in_a_random_stream(size: int) -> None:
    connection = opened("naive", hello=False, dport=5201)
    rng = random.Random(1)
    for _ in range(3_000_000 // size):
        assert connection.data(rng.randbytes(size)).decision is None
    assert connection.data(client_hello()).inject


# -- tables ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overload", "passes", "counter"), [("open", True, "overload_open"), ("closed", False, "overload_closed")]
)
def test_a_full_table_fails_as_the_profile_says_and_is_counted(overload: str, passes: bool, counter: str) -> None:
    base = shipped_profile("perfect").model_dump(by_alias=True, exclude_unset=True)
    table = {"flows": 10, "overload": overload, "syn_timeout": "60s"}
    from shutdownlab.inspection.profile import Profile

    box = engine(Profile.model_validate({**base, "table": table}))
    for number in range(10):
        Connection(box, sport=1000 + number).say("S")
    late = Connection(box, sport=3000)
    assert late.say("S").forward is passes
    assert box.counters[counter] == 1
    later = Connection(box, sport=3001, now=61.0)
    assert later.say("S").forward, "half-open connections have timed out"
    assert box.counters[counter] == 1


BOX = """
format: 1
name: ours
title: A box of our own
sources: [our measurements]
placement: PLACEMENT
table: {flows: 2, overload: closed, established_timeout: 5min}
"""


@pytest.mark.parametrize(("placement", "passes"), [("in-path", False), ("on-path", True)])
def test_a_box_of_ones_own_that_fails_closed_cuts_new_connections_only_in_path(placement: str, passes: bool) -> None:
    box = engine(load_profile(BOX.replace("PLACEMENT", placement), "ours.yaml"))
    kept = [Connection(box, sport=1000 + number) for number in range(2)]
    for connection in kept:
        connection.open()
    late = Connection(box, sport=3000)
    assert late.say("S").forward is passes
    assert kept[0].data(http_get("fine.example")).forward, "what it follows goes on"
    assert (box.counters["overload_closed"], box.counters["overload_open"]) == (1, 0)
    late.now = 301.0
    assert late.say("S").forward, "there is room again"


def test_every_shipped_box_fails_open() -> None:
    assert {shipped_profile(name).table.overload for name in profile_names()} == {"open"}


def test_idle_connections_are_forgotten_and_swept() -> None:
    connection = opened("kazakhstan-sni", hello=False)
    assert connection.engine.expire(10.0) == 0
    assert connection.engine.expire(131.0) == 1
    assert connection.engine.counters["flows"] == 0
