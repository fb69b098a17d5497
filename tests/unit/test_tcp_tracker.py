"""Each field of validation, TCP model and budget: the same packets, two boxes that differ in that one field."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from wire import Connection, engine, http_get, rule

from shutdownlab.inspection.engine import Engine, Side
from shutdownlab.inspection.profile import Profile

BASE: dict[str, object] = {
    "format": 1,
    "name": "custom",
    "title": "for this test",
    "sources": ["none"],
    "tcp": {"reassembly": "full", "create": ["syn", "data"]},
}
REQUEST = http_get()


def box(**sections: object) -> Engine:
    merged = dict(BASE)
    for name, value in sections.items():
        old = merged.get(name)
        merged[name] = {**old, **value} if isinstance(old, dict) and isinstance(value, dict) else value
    return engine(Profile.model_validate(merged), rule("drop", name_suffix="blocked.example"))


def opened(**sections: object) -> Connection:
    connection = Connection(box(**sections), dport=80)
    connection.open()
    return connection


def blocked(connection: Connection) -> bool:
    return not connection.say("PA", REQUEST).forward


def plain(**sections: object) -> bool:
    return blocked(opened(**sections))


Speech = Callable[[Connection], bool]
"""Speaks a connection that is not open yet; True if it was blocked."""


def after(*steps: Callable[[Connection], object]) -> Speech:
    def run(connection: Connection) -> bool:
        connection.open()
        for step in steps:
            step(connection)
        return blocked(connection)

    return run


def bad_header_checksum(connection: Connection) -> bool:
    connection.open()
    frame = bytearray(connection.tcp("PA", REQUEST))
    frame[24] ^= 0xFF
    return not connection.send(bytes(frame)).forward


def no_ack_flag(connection: Connection) -> bool:
    connection.open()
    return not connection.say("P", REQUEST).forward


def low_ttl(connection: Connection) -> bool:
    connection.open()
    return not connection.say("PA", REQUEST, ttl=5).forward


def sent_early(connection: Connection) -> bool:
    return not connection.say("PA", REQUEST).forward


def after_the_syn_only(connection: Connection) -> bool:
    connection.say("S")
    connection.seq += 1
    connection.reply("SA")
    return not connection.say("P", REQUEST).forward


def syn_with_request(connection: Connection) -> bool:
    return not connection.say("S", REQUEST).forward


def urgent_byte(connection: Connection) -> bool:
    connection.open()
    at = REQUEST.index(b"blocked")
    load = REQUEST[: at + 2] + b"!" + REQUEST[at + 2 :]
    return not connection.say("PAU", load, urgent=at + 3).forward


def early_far(connection: Connection) -> bool:
    """The rest of the request comes 5,000 bytes early."""
    connection.open()
    filler = b"GET / HTTP/1.1\r\nX-Filler: " + b"x" * 5000 + b"\r\n"
    connection.say("PA", b"Host: blocked.example\r\n\r\n", seq=connection.seq + len(filler))
    return not connection.say("PA", filler).forward


def overlapping(connection: Connection) -> bool:
    """Out of order, first an innocent name, then the blocked one in its place."""
    connection.open()
    head, tail = REQUEST[:20], REQUEST[20:]
    decoy = tail.replace(b"blocked", b"harmles")
    connection.say("PA", decoy, seq=connection.seq + 20)
    connection.say("PA", tail, seq=connection.seq + 20)
    return not connection.say("PA", head).forward


def backwards(connection: Connection) -> bool:
    connection.open()
    first = connection.say("PA", REQUEST[20:], seq=connection.seq + 20)
    return not (connection.say("PA", REQUEST[:20]).forward and first.forward)


def second_syn(connection: Connection) -> bool:
    """Another SYN far away; the request goes on from the first."""
    connection.say("S")
    connection.say("S", seq=900_000)
    connection.seq += 1
    connection.reply("SA")
    connection.ack += 1
    connection.say("A")
    return not connection.say("PA", REQUEST).forward


def port_used_again(connection: Connection) -> bool:
    """Nobody answered the first SYN; the port's next connection begins anew."""
    connection.say("S", seq=3_000_000_000)
    connection.say("S", seq=3_000_000_000)
    return after()(connection)


def out_of_window_reset(connection: Connection) -> bool:
    return after(lambda c: c.say("R", seq=c.seq + 200_000))(connection)


def in_window_reset(connection: Connection) -> bool:
    return after(lambda c: c.say("R", seq=c.seq + 500))(connection)


def exact_reset(connection: Connection) -> bool:
    return after(lambda c: c.say("R"))(connection)


def server_reset(connection: Connection) -> bool:
    return after(lambda c: c.reply("R"))(connection)


def one_fin(connection: Connection) -> bool:
    return after(lambda c: c.say("FA"))(connection)


def two_fins(connection: Connection) -> bool:
    return after(lambda c: c.say("FA"), lambda c: c.reply("FA"))(connection)


def late(packets: int) -> Speech:
    """The request follows other payloads of no known kind, 16 bytes each."""

    def run(connection: Connection) -> bool:
        connection.open()
        for number in range(packets):
            connection.data(b"\x01\x02" + bytes((number,)) + b"................")
        return blocked(connection)

    return run


def in_pieces(connection: Connection) -> bool:
    connection.open()
    outcomes = [connection.data(REQUEST[at : at + 4]) for at in range(0, len(REQUEST), 4)]
    return not all(outcome.forward for outcome in outcomes)


def cut_short(connection: Connection) -> bool:
    """The beginning of the request alone, then all of it."""
    connection.open()
    connection.say("PA", REQUEST[:12])
    return blocked(connection)


def with_mss(connection: Connection) -> bool:
    connection.open()
    return not connection.say("PA", REQUEST, options=b"\x02\x04\x05\xb4").forward


SYN_ONLY = {"create": ["syn"]}
NO_STREAM: dict[str, object] = {"tcp": {"reassembly": "none"}}
CASES: list[tuple[str, Speech, dict[str, object], dict[str, object]]] = [
    # what it is, the connection, a box that blocks it, a box that does not
    ("ip_checksum", bad_header_checksum, {}, {"validate": {"ip_checksum": True}}),
    ("ack_flag", no_ack_flag, {}, {"validate": {"ack_flag": True}}),
    ("ttl_at_least", low_ttl, {}, {"validate": {"ttl_at_least": 6}}),
    ("ttl_drop_at_most", low_ttl, {"validate": {"ttl_drop_at_most": 59}}, {"validate": {"ttl_drop_at_most": 58}}),
    (
        "reset out of window",
        out_of_window_reset,
        {"validate": {"sequence": "window"}, "tcp": SYN_ONLY},
        {"tcp": SYN_ONLY},
    ),
    ("reset in window", in_window_reset, {"validate": {"sequence": "exact"}}, {"validate": {"sequence": "window"}}),
    ("rst", exact_reset, {"tcp": {"rst": "ignore"}}, {"tcp": SYN_ONLY}),
    ("rst resync", exact_reset, {"tcp": {**SYN_ONLY, "rst": "resync"}}, {"tcp": SYN_ONLY}),
    ("server_rst", server_reset, {"tcp": {**SYN_ONLY, "server_rst": "ignore"}}, {"tcp": SYN_ONLY}),
    ("fin", one_fin, {"tcp": {"fin": "close"}}, {"tcp": {"fin": "teardown"}}),
    ("fin close", two_fins, {"tcp": {**SYN_ONLY, "fin": "ignore"}}, {"tcp": {**SYN_ONLY, "fin": "teardown"}}),
    ("reassembly", backwards, {}, {"tcp": {"reassembly": "in-order"}}),
    ("reassembly none", in_pieces, {"tcp": {"reassembly": "in-order"}}, {"tcp": {"reassembly": "none"}}),
    ("overlap", overlapping, {"tcp": {"overlap": "last"}}, {"tcp": {"overlap": "first"}}),
    ("min_segment", in_pieces, {"tcp": {"min_segment": 4}}, {"tcp": {"min_segment": 5}}),
    ("gap", early_far, {"tcp": {"gap": 6000}}, {"tcp": {"gap": 4000}}),
    ("urgent", urgent_byte, {"tcp": {"urgent": "skip"}}, {"tcp": {"urgent": "inline"}}),
    ("create", sent_early, {"tcp": {"create": "any"}}, {"tcp": {"create": "syn"}}),
    ("handshake", after_the_syn_only, {"tcp": {"handshake": "syn"}}, {"tcp": {"handshake": "full"}}),
    ("handshake none", sent_early, {"tcp": {"handshake": "none"}}, {"tcp": {"handshake": "syn"}}),
    ("syn_payload", syn_with_request, {"tcp": {"syn_payload": "inspect"}}, {"tcp": {"syn_payload": "ignore"}}),
    ("second_syn", second_syn, {"tcp": {"second_syn": "resync"}}, {"tcp": {"second_syn": "restart"}}),
    ("second_syn answered", port_used_again, {"tcp": {"second_syn": "answered"}}, {"tcp": {"second_syn": "ignore"}}),
    ("first_syn answered", second_syn, {"tcp": {"second_syn": "answered"}}, {"tcp": {"second_syn": "restart"}}),
    (
        "budget of packets",
        late(3),
        {"tcp": {"reassembly": "none"}},
        {"tcp": {"reassembly": "none"}, "budget": {"packets": 3}},
    ),
    ("budget of bytes", in_pieces, {"budget": {"bytes": 64}}, {"budget": {"bytes": 24}}),
    (
        "give_up_unrecognised",
        late(1),
        {"tcp": {"reassembly": "none"}},
        {"tcp": {"reassembly": "none"}, "budget": {"give_up_unrecognised": True}},
    ),
    ("give_up_unfinished", cut_short, NO_STREAM, {**NO_STREAM, "budget": {"give_up_unfinished": True}}),
    ("options_known", with_mss, {"validate": {"options_known": [0, 1, 2]}}, {"validate": {"options_known": [0, 1]}}),
    ("protocols", after(), {"protocols": ["http"]}, {"protocols": ["tls"]}),
    ("ports", after(), {"ports": {"http": "tcp/80"}}, {"ports": {"http": "tcp/8080"}}),
    ("opener", after(), {"opener": "inside"}, {"opener": "outside"}),
    ("inspect", after(), {"inspect": "client"}, {"inspect": "server"}),
    ("only_direction", after(), {"only_direction": "outbound"}, {"only_direction": "inbound"}),
]


@pytest.mark.parametrize(("speech", "seeing", "blind"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_the_field_makes_the_difference(speech: Speech, seeing: dict[str, object], blind: dict[str, object]) -> None:
    assert speech(Connection(box(**seeing), dport=80))
    assert not speech(Connection(box(**blind), dport=80))


def test_nothing_but_the_direction_of_the_payload_counts_for_only_direction() -> None:
    connection = Connection(box(only_direction="inbound"), dport=80, opener=Side.OUTSIDE)
    connection.open()
    assert blocked(connection)


def test_a_budget_may_be_drawn_for_each_connection() -> None:
    machine = box(tcp={"reassembly": "none"}, budget={"packets": [1, 6]})
    seen = set()
    for number in range(60):
        connection = Connection(machine, sport=2000 + number, dport=80)
        seen.add(late(3)(connection))
    assert seen == {True, False}


def test_datagrams_are_looked_at_within_their_budget() -> None:
    for datagrams in (2, 4):
        connection = Connection(box(budget={"datagrams": datagrams}), dport=5300)
        decided = [connection.udp(b"\x80\x08 may be rtp ...").decision is not None for _ in range(5)]
        assert decided.index(True) == datagrams - 1


def test_a_stream_may_be_read_in_the_order_of_arrival_whatever_its_numbers() -> None:
    connection = opened(tcp={"reassembly": "arrival"})
    assert connection.say("PA", REQUEST[:20], seq=77).forward
    assert not connection.say("PA", REQUEST[20:], seq=3).forward


def test_state_that_was_torn_down_may_come_back_with_data() -> None:
    connection = opened(tcp={"create": ["syn", "data"]}, validate={"sequence": "none"})
    connection.say("R")
    assert blocked(connection)
    other = opened(tcp={"create": ["syn"]})
    other.say("R")
    assert not blocked(other)


def test_every_box_blocks_the_plain_request() -> None:
    assert plain()


def test_the_perfect_box_sees_what_is_said_on_a_port_whose_last_connection_nobody_answered() -> None:
    assert port_used_again(Connection(engine("perfect"), dport=80))
