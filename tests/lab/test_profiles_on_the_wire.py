"""Each profile's documented behaviour, on the wire: real packets, a real switch, the box between them."""

from __future__ import annotations

import os
import select
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

import pytest
from crossing import SERVER, Connection, Crossing
from payloads import RANDOM, dns_query, hello, http_get, in_records, quic_initial, with_extension
from switches import until

from shutdownlab.inspection.packet import decode
from shutdownlab.inspection.profile import Profile
from shutdownlab.model.box_checks import profile_named
from shutdownlab.system.packet_socket import Batch, open_wire

SHORT_S = 0.6
"""How long something is waited for that must not come."""

NAME = {"name_suffix": "blocked.example"}
Cross = Callable[..., Crossing]


@pytest.fixture
def cross(tmp_path: Path) -> Iterator[Cross]:
    with ExitStack() as stack:

        def make(profile: str | Profile, **delays: float) -> Crossing:
            return stack.enter_context(Crossing(tmp_path, profile, **delays))

        yield make


def silent(*sockets: socket.socket) -> bool:
    """Whether nothing comes to any of them."""
    return not select.select(sockets, [], [], SHORT_S)[0]


def reset(end: socket.socket) -> bool:
    try:
        while end.recv(65536):
            pass
    except ConnectionResetError:
        return True
    return False


def exchange(connection: Connection, asked: bytes = b"question", answered: bytes = b"answer") -> None:
    """Something goes there and back."""
    connection.client.sendall(asked)
    assert received(connection.server, len(asked)) == asked
    connection.server.sendall(answered)
    assert received(connection.client, len(answered)) == answered


def received(end: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = end.recv(count - len(data))
        assert part, f"closed after {len(data)} of {count} bytes"
        data += part
    return data


def throughput(connection: Connection, seconds: float) -> float:
    """What the client gets of all that the server can send, kbit/s."""
    ends = connection.client, connection.server
    for end in ends:
        end.setblocking(False)
    begin, got, chunk = time.monotonic(), 0, bytes(1 << 16)
    while (left := begin + seconds - time.monotonic()) > 0:
        readable, writable, _ = select.select([ends[0]], [ends[1]], [], left)
        if writable:
            ends[1].send(chunk)
        if readable:
            got += len(ends[0].recv(1 << 20))
    return got * 8 / 1000 / (time.monotonic() - begin)


def abort(connection: Connection) -> None:
    """Close without a further word but a reset."""
    for end in (connection.client, connection.server):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        end.close()


# -- Kazakhstan --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [4, 6])
def test_kazakhstan_lets_tcp_connect_and_the_connection_goes_dead_both_ways_after_the_name(
    cross: Cross, version: Literal[4, 6]
) -> None:
    crossing = cross("kazakhstan-sni")
    crossing.block(sites=["blocked.example"])
    blocked = crossing.connect(version=version)
    blocked.client.sendall(hello("www.blocked.example"))
    until("a rule at the switch", lambda: len(crossing.verdicts()) == 1)
    assert all("idle_timeout=120" in rule and "actions=drop" in rule for rule in crossing.verdicts())
    blocked.server.sendall(b"x" * 1000)
    assert silent(blocked.client, blocked.server)
    exchange(crossing.connect(version=version), hello("www.other.example"))


def refused(crossing: Crossing, port: int) -> bool:
    """Whether a SYN from this port of the subscriber's gets no answer."""
    listener = crossing.listener(443)
    client = crossing.end(socket.SOCK_STREAM)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.bind((crossing.subscriber[4], port))
    client.settimeout(SHORT_S)
    try:
        client.connect(listener.getsockname())
    except TimeoutError:
        return True
    finally:
        client.close()
        listener.close()
    return False


def test_a_residual_block_of_kazakhstans_kind_lasts_as_long_as_packets_come_and_lapses_after_silence(
    cross: Cross,
) -> None:
    """The profile's 120 seconds as two; that it says 120, and the switch too, is tested elsewhere."""
    crossing = cross("kazakhstan-sni")
    residual = {"key": "4-tuple", "for": "2s", "refreshed": True}
    crossing.inspect({"name": "short", "when": NAME, "verdict": {"action": "drop", "residual": residual}})
    blocked = crossing.connect(client_port=40001)
    blocked.client.sendall(hello("www.blocked.example"))
    until("the switch enforces it", lambda: len(crossing.verdicts()) == 1)
    abort(blocked)
    until_s = time.monotonic() + 5.0
    while time.monotonic() < until_s:
        assert refused(crossing, 40001), "each packet starts the time anew"
    assert not refused(crossing, 40002), "other ports of the subscriber's are free"
    threading.Event().wait(4.0)  # silence is what is tested; Open vSwitch looks for idle rules about every second
    assert not refused(crossing, 40001)


def in_two(connection: Connection, asked: bytes) -> None:
    """Send it in two segments, the second once the first has arrived; then the server answers."""
    for part in (asked[:20], asked[20:]):
        connection.client.sendall(part)
        assert received(connection.server, len(part)) == part
    connection.server.sendall(b"answer")
    assert received(connection.client, 6) == b"answer"


@pytest.mark.thorough
def test_kazakhstans_http_box_kills_the_connection_by_host_but_reads_single_packets_and_only_the_first(
    cross: Cross,
) -> None:
    crossing = cross("kazakhstan-http")
    crossing.block(sites=["blocked.example"])
    blocked = crossing.connect(80)
    blocked.client.sendall(http_get())
    until("a rule at the switch", lambda: len(crossing.verdicts()) == 1)
    assert all("idle_timeout=120" in rule and "actions=drop" in rule for rule in crossing.verdicts())
    blocked.server.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    assert silent(blocked.client, blocked.server)
    in_two(crossing.connect(80), http_get())
    decoyed = crossing.connect(80)
    exchange(decoyed, b"no request at all")
    exchange(decoyed, http_get())


# -- for teaching ------------------------------------------------------------------------------------------------------


def test_the_naive_box_resets_both_ends_by_any_packet_with_the_name_and_by_no_other(cross: Cross) -> None:
    crossing = cross("naive")
    crossing.block(sites=["blocked.example"])
    in_two(crossing.connect(), hello("www.blocked.example"))
    patient = crossing.connect()
    for _ in range(20):
        exchange(patient, RANDOM)
    patient.client.sendall(hello("www.blocked.example"))
    assert reset(patient.client)
    assert reset(patient.server)


def test_the_perfect_box_reads_the_name_out_of_two_segments_and_lets_the_second_not_through(cross: Cross) -> None:
    crossing = cross("perfect")
    crossing.block(sites=["blocked.example"])
    blocked = crossing.connect()
    first, second = hello("www.blocked.example")[:20], hello("www.blocked.example")[20:]
    blocked.client.sendall(first)
    assert received(blocked.server, len(first)) == first
    blocked.client.sendall(second)
    until("a rule at the switch", lambda: len(crossing.verdicts()) == 1)
    assert silent(blocked.client, blocked.server)


# -- Russia ------------------------------------------------------------------------------------------------------------


@pytest.mark.thorough
def test_the_2021_throttle_leaves_130_to_150_kbit_and_only_for_connections_opened_inside(cross: Cross) -> None:
    crossing = cross("twitter-throttle-2021")
    crossing.inspect()  # by its nature: t.co anywhere in the name
    throttled = crossing.connect()
    exchange(throttled, hello("abs.twimg.com"))
    rate = throughput(throttled, 12.0)
    assert 130 <= rate <= 150, rate
    opened_outside = crossing.connect(from_outside=True)
    exchange(opened_outside, hello("abs.twimg.com"))
    assert throughput(opened_outside, 1.0) > 10_000


def test_tspu_turns_the_servers_answers_into_resets_but_not_those_to_a_client_outside(cross: Cross) -> None:
    crossing = cross("tspu-2022")
    crossing.block(sites=["blocked.example"])
    inside = crossing.connect()
    greeting = hello("www.blocked.example")
    inside.client.sendall(greeting)
    assert received(inside.server, len(greeting)) == greeting, "the ClientHello itself goes through"
    inside.server.sendall(b"ServerHello")
    assert reset(inside.client)
    exchange(crossing.connect(from_outside=True), greeting)


@pytest.mark.parametrize(("size", "port", "passes"), [(1200, 443, False), (1000, 443, True), (1200, 8443, True)])
def test_tspu_drops_quic_version_1_by_the_shape_of_its_first_datagram(
    cross: Cross, size: int, port: int, passes: bool
) -> None:
    crossing = cross("tspu-2022")
    crossing.inspect()
    server = crossing.end(socket.SOCK_DGRAM, outside=True)
    server.bind((SERVER[4], port))
    client = crossing.end(socket.SOCK_DGRAM)
    client.sendto(quic_initial(1, size), server.getsockname())
    assert silent(server) is not passes


def test_a_download_freezes_after_its_cap_as_in_russia_in_2025(cross: Cross) -> None:
    crossing = cross("tspu-2022")
    verdict = {"action": "freeze", "cap_bytes": 16384, "directions": "server"}
    crossing.inspect({"name": "foreign hosting", "when": {"address": "203.0.113.0/24"}, "verdict": verdict})
    connection = crossing.connect()
    connection.client.sendall(b"GET")
    assert received(connection.server, 3) == b"GET"
    connection.server.setblocking(False)
    connection.server.send(bytes(400_000))
    got = 0
    while select.select([connection.client], [], [], SHORT_S)[0]:
        got += len(connection.client.recv(1 << 16))
    assert 8_000 <= got <= 16_384


# -- China -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("profile", "asked"), [("gfw-tls", hello("www.blocked.example")), ("gfw-http", http_get())])
def test_the_gfw_resets_both_ends_from_beside_the_path_and_goes_on_doing_so(
    cross: Cross, profile: str, asked: bytes
) -> None:
    crossing = cross(profile, far_ms=10)
    crossing.block(sites=["blocked.example"])
    blocked = crossing.connect()
    blocked.client.sendall(asked)
    assert reset(blocked.client)
    assert reset(blocked.server)
    counters = crossing.counters()
    assert counters["injected"] >= 6
    assert counters["held_back"] == 0
    assert crossing.verdicts() == [], "no switch stops it"
    with pytest.raises(ConnectionError):  # residual: the client's next connection to the port
        exchange(crossing.connect())
    exchange(crossing.connect(8443))


def test_what_the_gfw_does_not_mind_stops_being_copied(cross: Cross) -> None:
    crossing = cross("gfw-tls")
    crossing.block(sites=["blocked.example"])
    spared = crossing.connect()
    exchange(spared, hello("www.other.example"))
    until("a rule that spares the box", lambda: len(crossing.verdicts()) == 1)
    seen = crossing.counters()["inside"]["received"]
    for _ in range(10):
        exchange(spared)
    assert crossing.counters()["inside"]["received"] == seen


def test_a_hello_cut_into_records_gets_past_the_gfw(cross: Cross) -> None:
    crossing = cross("gfw-tls")
    crossing.block(sites=["blocked.example"])
    exchange(crossing.connect(), in_records(hello("www.blocked.example"), 64))
    assert crossing.counters()["injected"] == 0


def test_an_encrypted_server_name_loses_the_clients_packets_alone_and_ech_passes(cross: Cross) -> None:
    crossing = cross("gfw-esni")
    crossing.inspect()  # by its nature
    exchange(crossing.connect(8443), with_extension(hello("www.other.example"), 0xFE0D))
    blocked = crossing.connect(443)
    blocked.client.sendall(with_extension(hello("www.other.example"), 0xFFCE))
    assert silent(blocked.server)
    blocked.server.sendall(b"still heard")
    assert received(blocked.client, 11) == b"still heard"
    until("a rule for the 3-tuple", lambda: any("hard_timeout=180" in rule for rule in crossing.verdicts()))
    assert refused_at(crossing, 443)


def test_fully_encrypted_traffic_loses_the_clients_packets_alone(cross: Cross) -> None:
    crossing = cross("gfw-fet")
    crossing.inspect({"name": "all of it", "when": {"fully_encrypted": True}, "verdict": "block"})
    blocked = crossing.connect(8388)
    blocked.client.sendall(RANDOM)
    assert silent(blocked.server)
    blocked.server.sendall(b"still heard")
    assert received(blocked.client, 11) == b"still heard"
    until("a rule for the 3-tuple", lambda: any("hard_timeout=180" in rule for rule in crossing.verdicts()))
    assert refused_at(crossing, 8388)
    exchange(crossing.connect(8389), b"GET / HTTP/1.1\r\n\r\n")


def refused_at(crossing: Crossing, port: int) -> bool:
    """Whether the server's port can be connected to."""
    listener = crossing.listener(port)
    client = crossing.end(socket.SOCK_STREAM)
    client.settimeout(SHORT_S)
    try:
        client.connect(listener.getsockname())
    except TimeoutError:
        return True
    return False


# -- others ------------------------------------------------------------------------------------------------------------


def test_indias_block_page_comes_from_beside_the_path_ahead_of_the_server(cross: Cross) -> None:
    crossing = cross("india-http", far_ms=20)
    crossing.block(sites=["blocked.example"])
    blocked = crossing.connect(80)
    blocked.client.sendall(http_get())
    assert b"blocked as per order" in blocked.client.recv(65536)
    assert reset(blocked.server)
    exchange(crossing.connect(8080), http_get())


def test_of_page_and_server_the_faster_one_is_believed(cross: Cross) -> None:
    crossing = cross("india-http", box_ms=40)
    crossing.block(sites=["blocked.example"])
    connection = crossing.connect(80)
    connection.client.sendall(http_get())
    assert received(connection.server, len(http_get())) == http_get()
    connection.server.sendall(b"HTTP/1.1 200 OK\r\n\r\ntrue")
    assert connection.client.recv(65536).endswith(b"true")
    until("the box has injected", lambda: crossing.counters()["injected"] > 0)


@pytest.mark.parametrize("outside", [False, True])
@pytest.mark.parametrize(("delays", "winner"), [({"near_ms": 30, "far_ms": 30}, "forged"), ({"box_ms": 30}, "true")])
def test_turkmenistans_forged_answer_races_the_true_one_whichever_way_the_question_travels(
    cross: Cross, outside: bool, delays: dict[str, float], winner: str
) -> None:
    crossing = cross("turkmenistan-dns", **delays)
    crossing.block(sites=["blocked.example"])
    server = crossing.end(socket.SOCK_DGRAM, outside=not outside)
    server.bind((crossing.subscriber[4] if outside else SERVER[4], 53))
    client = crossing.end(socket.SOCK_DGRAM, outside=outside)
    client.sendto(dns_query(), server.getsockname())
    _, asker = server.recvfrom(2000)
    server.sendto(b"the true answer", asker)
    answers = [client.recv(2000), client.recv(2000)]
    kinds = ["forged" if answer.endswith(b"\x7f\0\0\1") else "true" for answer in answers]
    assert kinds[0] == winner
    assert set(kinds) == {"forged", "true"}


def test_belarus_resets_bear_its_window_and_ip_id(cross: Cross) -> None:
    crossing = cross("belarus-2020", far_ms=10)
    crossing.block(sites=["blocked.example"])
    wire = open_wire(crossing.near, "client")
    blocked = crossing.connect()
    blocked.client.sendall(hello("www.blocked.example"))
    assert reset(blocked.client)
    assert reset(blocked.server)
    batch, found = Batch(), []
    while count := batch.read(wire):
        found += [decode(bytes(batch.frame(i))) for i in range(count)]
    wire.close()
    assert [(p.window, p.fragment_id) for p in found if p.flags & 0x04 and p.sport == 443] == [(502, 0)]


def test_irans_filter_drops_the_client_of_what_is_neither_dns_http_nor_tls_on_their_ports(cross: Cross) -> None:
    crossing = cross("iran-protocol-filter")
    crossing.inspect()
    odd = crossing.connect(443)
    for part in (b"\x01\x02\x03\x04 odd", b"and odder"):
        odd.client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        odd.client.sendall(part)
    until("it is dropped", lambda: bool(crossing.verdicts()))
    odd.server.sendall(b"heard")
    assert received(odd.client, 5) == b"heard"
    select.select([odd.server], [], [], SHORT_S)
    odd.client.sendall(b"unheard")
    assert b"unheard" not in drained(odd.server)
    exchange(crossing.connect(443), hello("www.other.example"))
    exchange(crossing.connect(8443), b"\x01\x02\x03\x04 odd")


def drained(end: socket.socket) -> bytes:
    data = b""
    while select.select([end], [], [], SHORT_S)[0]:
        data += end.recv(65536)
    return data


# -- verdicts in rules -------------------------------------------------------------------------------------------------


def test_a_dns_answer_can_replace_the_true_one(cross: Cross) -> None:
    crossing = cross("perfect")
    crossing.inspect({"name": "dns", "when": NAME, "verdict": {"action": "dns", "addresses": "198.51.100.99"}})
    server = crossing.end(socket.SOCK_DGRAM, outside=True)
    server.bind((SERVER[4], 53))
    client = crossing.end(socket.SOCK_DGRAM)
    client.sendto(dns_query(), server.getsockname())
    assert client.recv(2000).endswith(socket.inet_aton("198.51.100.99"))
    assert silent(server)
    client.sendto(dns_query("other.example"), server.getsockname())
    assert server.recv(2000) == dns_query("other.example")


def test_an_in_path_redirect_takes_the_servers_place(cross: Cross) -> None:
    crossing = cross("perfect")
    verdict = {"action": "redirect", "location": "http://blocked.kz/"}
    crossing.inspect({"name": "page", "when": {"url_contains": "/forbidden"}, "verdict": verdict})
    connection = crossing.connect(80)
    connection.client.sendall(http_get("other.example", "/forbidden/page"))
    assert b"Location: http://blocked.kz/" in connection.client.recv(65536)
    exchange(crossing.connect(80), http_get("other.example", "/allowed"))


def test_rules_for_hours_go_by_the_clocks_of_the_scenario(cross: Cross) -> None:
    crossing = cross("perfect")
    rule = {"name": "evening", "when": {**NAME, "hours": "18:00-23:00"}, "verdict": "reset"}
    crossing.inspect(rule, local_time=12 * 3600.0)
    exchange(crossing.connect(), hello("www.blocked.example"))
    crossing.inspect(rule, local_time=20 * 3600.0)
    blocked = crossing.connect()
    blocked.client.sendall(hello("www.blocked.example"))
    assert reset(blocked.client)


def test_a_protocol_can_be_blocked_by_what_it_looks_like(cross: Cross) -> None:
    crossing = cross("perfect")
    crossing.block(protocols=["ssh"])
    blocked = crossing.connect(443)
    blocked.client.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
    assert silent(blocked.server)
    exchange(crossing.connect(443), hello("www.other.example"))


# -- a box that is lost ------------------------------------------------------------------------------------------------


def test_past_a_killed_box_that_fails_open_traffic_goes_on_and_a_new_box_inspects_again(cross: Cross) -> None:
    crossing = cross("perfect")
    crossing.block(sites=["blocked.example"])
    os.kill(crossing.box.pid, signal.SIGKILL)
    until("it is noticed", lambda: "fails open" in crossing.notices())
    exchange(crossing.connect(), hello("www.blocked.example"))
    applied = len(crossing.applied)
    crossing.start_box()
    until("the new box has its rules", lambda: len(crossing.applied) > applied)
    blocked = crossing.connect()
    blocked.client.sendall(hello("www.blocked.example"))
    assert silent(blocked.server)


def test_a_killed_box_that_fails_closed_takes_what_it_should_see_with_it(cross: Cross) -> None:
    perfect = profile_named("perfect")
    closed = perfect.model_copy(
        update={"name": "closed", "table": perfect.table.model_copy(update={"overload": "closed"})}
    )
    crossing = cross(closed)
    crossing.block(sites=["blocked.example"])
    os.kill(crossing.box.pid, signal.SIGKILL)
    until("it is noticed", lambda: "fails closed" in crossing.notices())
    assert refused_at(crossing, 443)


def test_a_killed_on_path_box_changes_nothing_but_that_nobody_is_reset(cross: Cross) -> None:
    crossing = cross("gfw-tls")
    crossing.block(sites=["blocked.example"])
    os.kill(crossing.box.pid, signal.SIGKILL)
    until("it is noticed", lambda: "on-path" in crossing.notices())
    exchange(crossing.connect(), hello("www.blocked.example"))
