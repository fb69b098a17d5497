"""The engine end to end on real bytes: what it blocks, how it acts, what it reports."""

from __future__ import annotations

import random

import pytest
from wire import Connection, checksums_hold, client_hello, dns_query, engine, http_get, injected, rule

from shutdownlab.inspection.engine import Action, Side
from shutdownlab.inspection.forge import ip_packet

RESET = {"action": "reset", "to": "both"}


def test_a_blocked_server_name_is_dropped_and_reported_once() -> None:
    box = engine("perfect")
    connection = Connection(box)
    assert all(outcome.forward for outcome in connection.open())
    outcome = connection.data(client_hello("www.blocked.example"))
    assert not outcome.forward
    decision = outcome.decision
    assert decision is not None
    assert (decision.action, decision.rule, decision.host) == (Action.DROP, "rule", "www.blocked.example")
    assert (decision.src, decision.sport, decision.dst, decision.dport) == ("100.64.1.2", 40000, "192.0.2.10", 443)
    assert decision.opener is Side.INSIDE
    assert decision.protocol == "tls"
    later = connection.data(b"\x17\x03\x03\0\x10" + bytes(16))
    assert not later.forward
    assert later.decision is None
    assert not connection.answer(b"\x16\x03\x03\0\x02hi").forward


def test_another_server_name_passes_and_is_reported_so_that_it_can_leave_the_box() -> None:
    connection = Connection(engine("perfect"))
    connection.open()
    outcome = connection.data(client_hello("fine.example"))
    assert outcome.forward
    assert outcome.decision is not None
    assert outcome.decision.action is Action.PASS


def test_a_connection_that_no_rule_can_match_is_decided_on_its_first_packet() -> None:
    box = engine("perfect", rule("drop", name_suffix="blocked.example", subscriber="100.99.0.0/16"))
    first = Connection(box).say("S")
    assert first.decision is not None
    assert first.decision.action is Action.PASS


def test_a_reset_reaches_both_ends_with_numbers_they_accept_and_good_checksums() -> None:
    connection = Connection(engine("perfect", rule(RESET, name_suffix="blocked.example")))
    connection.open()
    hello = client_hello()
    outcome = connection.data(hello)
    assert not outcome.forward
    (to_client,) = injected(outcome, Side.INSIDE)
    (to_server,) = injected(outcome, Side.OUTSIDE)
    assert checksums_hold(to_client)
    assert checksums_hold(to_server)
    assert (to_client.src, to_client.sport, to_client.flags) == (connection.dst, 443, 0x14)
    assert (to_client.seq, to_client.ack) == (5001, 1001 + len(hello))
    assert (to_server.src, to_server.dport) == (connection.src, 443)
    assert to_server.seq == 1001, "the server has not seen the hello"
    assert to_client.frame[:12] == connection.tcp("A", back=True)[:12], (
        "link addresses as the server's frames have them"
    )


@pytest.mark.parametrize("to", ["client", "server"])
def test_a_reset_goes_only_where_its_directions_say(to: str) -> None:
    connection = Connection(engine("perfect", rule({"action": "reset", "to": to}, name_suffix="blocked.example")))
    connection.open()
    outcome = connection.data(client_hello())
    side = Side.INSIDE if to == "client" else Side.OUTSIDE
    assert [injection.towards for injection in outcome.inject] == [side]


def test_flags_ttl_window_ipid_and_count_of_a_reset_are_the_verdicts() -> None:
    verdict = {"action": "reset", "to": "client", "flags": "R", "ttl": 33, "window": 502, "ipid": 0, "count": 3}
    connection = Connection(engine("perfect", rule(verdict, name_suffix="blocked.example")))
    connection.open()
    resets = injected(connection.data(client_hello()), Side.INSIDE)
    assert len(resets) == 3
    assert {(packet.flags, packet.ttl, packet.window, packet.fragment_id) for packet in resets} == {(4, 33, 502, 0)}


def test_the_host_of_http_is_blocked_in_any_spelling() -> None:
    for host in ("blocked.example", "WWW.Blocked.EXAMPLE", "blocked.example:80"):
        connection = Connection(engine("perfect"), dport=80)
        connection.open()
        assert not connection.data(http_get(host)).forward, host


def test_a_later_request_on_a_kept_connection_is_judged_too() -> None:
    connection = Connection(engine("perfect"), dport=80)
    connection.open()
    assert connection.data(http_get("fine.example")).forward
    connection.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert not connection.data(http_get("blocked.example")).forward


@pytest.mark.parametrize("body", [bytes(range(200)), random.Random(1).randbytes(200), b"Z", b"", b"\xef" + bytes(199)])
def test_the_body_of_a_request_does_not_hide_the_next_request(body: bytes) -> None:
    connection = Connection(engine("perfect", rule("drop", name_suffix="blocked.example")), dport=80)
    connection.open()
    assert connection.data(b"POST / HTTP/1.1\r\nHost: fine.example\r\nContent-Length: %d\r\n\r\n" % len(body)).forward
    assert connection.data(body).forward
    connection.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc")
    assert not connection.data(http_get()).forward


def test_inside_a_tunnel_that_a_proxy_opened_the_name_is_found() -> None:
    connection = Connection(engine("perfect", rule("drop", name_suffix="blocked.example")), dport=8080)
    connection.open()
    assert connection.data(b"CONNECT 192.0.2.99:443 HTTP/1.1\r\nHost: 192.0.2.99:443\r\n\r\n").forward
    connection.answer(b"HTTP/1.1 200 Connection established\r\n\r\n")
    assert not connection.data(client_hello()).forward


def test_a_refused_connection_that_is_tried_again_with_the_same_number_is_followed() -> None:
    connection = Connection(engine("perfect"))
    connection.say("S")
    connection.reply("RA", seq=0, ack=1001)
    connection.open()
    assert not connection.data(client_hello()).forward


def test_a_dns_question_is_answered_in_the_servers_place() -> None:
    connection = Connection(engine("perfect"), dport=53)
    outcome = connection.udp(dns_query())
    assert not outcome.forward
    (answer,) = injected(outcome, Side.INSIDE)
    assert answer.data[:2] == b"\x12\x34"
    assert answer.data[3] & 0x0F == 3
    assert (answer.sport, answer.dport) == (53, 40000)
    assert connection.udp(dns_query("fine.example")).forward, "each question by itself"
    assert not connection.udp(dns_query()).forward


def test_rules_are_tried_in_order_and_an_exception_first_saves() -> None:
    box = engine(
        "perfect",
        rule("pass", "government", name_suffix="blocked.example", subscriber="100.64.1.0/24"),
        rule("drop", "everyone", name_suffix="blocked.example"),
    )
    spared = Connection(box)
    spared.open()
    outcome = spared.data(client_hello())
    assert outcome.forward
    assert outcome.decision is not None
    assert outcome.decision.rule == "government"
    other = Connection(box, client=bytes((100, 64, 2, 2)))
    other.open()
    assert not other.data(client_hello()).forward
    assert box.counters["rules"] == {"government": 1, "everyone": 1}


@pytest.mark.parametrize(("profile", "decided"), [("perfect", False), ("gfw-tls", True), ("naive", True)])
def test_only_a_box_that_reads_answers_waits_for_the_certificate_of_a_hello_without_a_name(
    profile: str, decided: bool
) -> None:
    connection = Connection(engine(profile))
    connection.open()
    assert (connection.data(client_hello(None)).decision is not None) is decided


def test_an_address_rule_needs_no_payload() -> None:
    outcome = Connection(engine("perfect", rule("drop", address="192.0.2.0/24", port="tcp/443"))).say("S")
    assert not outcome.forward
    assert outcome.decision is not None


def test_the_kazakh_box_ignores_names_in_http_and_dns() -> None:
    connection = Connection(engine("kazakhstan-sni"), dport=80)
    connection.open()
    assert connection.data(http_get()).forward
    assert Connection(engine("kazakhstan-sni"), dport=53).udp(dns_query()).forward


def test_ipv6_is_blocked_and_reset_alike() -> None:
    client = bytes.fromhex("20010db8000000000000000000000001")
    server = bytes.fromhex("20010db8000000000000000000000002")
    connection = Connection(engine("perfect", rule(RESET, name_suffix="blocked.example")), client=client, server=server)
    connection.open()
    outcome = connection.data(client_hello())
    assert not outcome.forward
    for side in (Side.INSIDE, Side.OUTSIDE):
        (packet,) = injected(outcome, side)
        assert checksums_hold(packet)


def test_an_offload_frame_beyond_64_kib_is_taken_whole() -> None:
    connection = Connection(engine("perfect"), dport=80)
    connection.open()
    frame = bytearray(connection.tcp("PA", http_get(path="/" + "a" * 60000) + bytes(5000)))
    frame[16:18] = b"\0\0"
    assert not connection.send(bytes(frame), checksum_trusted=True).forward


def test_an_unfinished_checksum_is_believed_and_a_wrong_one_is_not() -> None:
    connection = Connection(engine("perfect"))
    connection.open()
    assert connection.say("PA", client_hello(), bad_checksum=True).forward
    assert (
        connection.send(connection.tcp("PA", client_hello(), bad_checksum=True), checksum_trusted=True).forward is False
    )


def test_pings_are_judged_by_address_in_the_box_and_never_reported() -> None:
    box = engine("perfect", rule("drop", address="192.0.2.10"))
    connection = Connection(box)
    for address, passes in [(connection.dst, False), (bytes((192, 0, 2, 11)), True)]:
        for _ in range(2):
            frame = connection.tcp("S")[:14] + ip_packet(connection.src, address, 1, b"\x08" + bytes(15), ttl=9, ipid=1)
            outcome = connection.send(frame)
            assert outcome.forward is passes
            assert outcome.decision is None
    assert box.counters["protocols"] == {"icmp": 2}


def test_frames_that_are_not_ip_pass() -> None:
    assert Connection(engine("perfect")).send(bytes(12) + b"\x08\x06" + bytes(28)).forward
