"""Published evasions against the profiles of the boxes they were found on: what works there must work here.

The table of client-side strategies is the one the Geneva project publishes with its measured success rates in China,
Kazakhstan and India (Bock et al., CCS 2019); the server-side ones are those of Bock et al., SIGCOMM 2020. A strategy
counts as working from 80 %, as failing up to 3 %.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from wire import Connection, client_hello, engine, http_get

CHINA, KAZAKHSTAN, INDIA = "gfw-http", "kazakhstan-http", "india-http"
JUNK = b"\x8b\x04\xd9\x7f\xa0\xc3\x11\xee" * 5
MD5 = b"\x01\x01\x13\x12" + bytes(16)
UTO = b"\x01\x01\x1c\x04\x80\x0f" + b"\x01\x01"
TIMESTAMPS_WSCALE = b"\x01\x01\x08\x0a" + bytes(8) + b"\x03\x03\xff\x01"
REQUEST = http_get()

Strategy = Callable[[Connection], bool]
"""Speaks one connection, and says whether the censor acted."""


def acted(*outcomes: object) -> bool:
    return any(outcome.inject or not outcome.forward for outcome in outcomes)  # type: ignore[attr-defined]


def plain(connection: Connection) -> bool:
    return acted(*connection.open(), connection.say("PA", REQUEST))


def decoy_first(**fields: object) -> Strategy:
    """`duplicate(decoy,)` of the request: the decoy goes first."""

    def run(connection: Connection) -> bool:
        data = fields.get("data", REQUEST)
        rest = {key: value for key, value in fields.items() if key not in ("data", "flags")}
        connection.open()
        first = connection.say(str(fields.get("flags", "PA")), data, **rest)  # type: ignore[arg-type]
        return acted(first, connection.say("PA", REQUEST))

    return run


def after_the_ack(flags: str, **fields: object) -> Strategy:
    """`[TCP:flags:A]-duplicate(,tampered)`: right after the handshake's last ACK."""

    def run(connection: Connection) -> bool:
        connection.open()
        connection.say(flags, **fields)
        return acted(connection.say("PA", REQUEST))

    return run


def pieces(*cuts: int, order: tuple[int, ...] | None = None, bad_ack_seq: bool = False) -> Strategy:
    """The request in segments cut at `cuts`, sent in `order`; optionally the handshake's ACK has a false number."""

    def run(connection: Connection) -> bool:
        connection.say("S")
        connection.seq += 1
        connection.reply("SA")
        connection.ack += 1
        connection.say("A", seq=0x5EED5EED if bad_ack_seq else connection.seq)
        edges = [0, *cuts, len(REQUEST)]
        parts = [(edges[i], REQUEST[edges[i] : edges[i + 1]]) for i in range(len(edges) - 1)]
        numbers = order or tuple(range(len(parts)))
        base = connection.seq
        return acted(*[connection.say("PA", parts[i][1], seq=base + parts[i][0]) for i in numbers])

    return run


def syn_with_load(connection: Connection) -> bool:
    connection.say("S")
    connection.say("S", JUNK)
    connection.seq += 1
    connection.reply("SA")
    connection.ack += 1
    connection.say("A")
    return acted(connection.say("PA", REQUEST))


def turnaround(connection: Connection) -> bool:
    connection.say("SA", ack=0)
    return plain(connection)


def with_option(connection: Connection) -> bool:
    connection.open()
    return acted(connection.say("PA", REQUEST, options=UTO))


CLIENT_SIDE: dict[str, tuple[Strategy, str]] = {
    "dataofs 10, bad checksum": (decoy_first(offset=10, bad_checksum=True), "CK"),
    "dataofs 10, low TTL": (decoy_first(offset=10, ttl=10), "CK"),
    "dataofs 10, corrupt ack": (decoy_first(offset=10, ack=0x77777777), "CK"),
    "wscale, dataofs 8": (decoy_first(options=TIMESTAMPS_WSCALE, offset=8), "CK"),
    "corrupt load, bad checksum": (decoy_first(data=JUNK, bad_checksum=True), "CK"),
    "corrupt load, low TTL": (decoy_first(data=JUNK * 4, ttl=8), "CK"),
    "corrupt load, corrupt ack": (decoy_first(data=JUNK * 4, ack=0x77777777), "CK"),
    "SYN with load": (syn_with_load, "K"),
    "IP length 64": (decoy_first(cut=64), "I"),
    "RST, bad checksum": (after_the_ack("R", bad_checksum=True), "C"),
    "RST, low TTL": (after_the_ack("R", ttl=10), "C"),
    "RST, MD5": (after_the_ack("R", options=MD5), "C"),
    "RST/ACK, bad checksum": (after_the_ack("RA", bad_checksum=True), "C"),
    "RST/ACK, low TTL": (after_the_ack("RA", ttl=10), "C"),
    "FRAPUE, bad checksum": (after_the_ack("FRAPUE", bad_checksum=True), "C"),
    "FREAC, low TTL": (after_the_ack("FREAC", ttl=10), "C"),
    "FRAPU, MD5": (after_the_ack("FRAPU", options=MD5), "C"),
    "two pieces backwards, corrupt ACK": (pieces(8, order=(1, 0), bad_ack_seq=True), "CKI"),
    "three pieces, at 8 and 12": (pieces(8, 12), "CKI"),
    "two halves": (pieces(len(REQUEST) // 2), "KI"),
    "SYN/ACK first": (turnaround, "K"),
    "UTO option": (with_option, "I"),
}


@pytest.mark.parametrize("profile", [CHINA, KAZAKHSTAN, INDIA])
def test_a_plain_request_is_censored(profile: str) -> None:
    assert plain(Connection(engine(profile), dport=80))


@pytest.mark.parametrize("name", CLIENT_SIDE)
@pytest.mark.parametrize(("profile", "letter"), [(CHINA, "C"), (KAZAKHSTAN, "K"), (INDIA, "I")])
def test_client_side_strategies_work_exactly_where_geneva_found_them_to(name: str, profile: str, letter: str) -> None:
    strategy, works_in = CLIENT_SIDE[name]
    censored = strategy(Connection(engine(profile), dport=80))
    assert censored is not (letter in works_in)


@pytest.mark.parametrize("name", [name for name in CLIENT_SIDE if name != "wscale, dataofs 8"])
def test_no_strategy_gets_past_the_perfect_box_that_the_server_would_understand(name: str) -> None:
    """Left out is the decoy that is valid TCP, which the server would take as well."""
    assert CLIENT_SIDE[name][0](Connection(engine("perfect"), dport=80))


# -- the server's side -------------------------------------------------------------------------------------------------


def server_says(*frames: tuple[str, bytes], client_replies: tuple[str, int, int] | None = None) -> Strategy:
    """Instead of the plain SYN/ACK the server sends `frames`; the client replies `(flags, seq, ack)` relative to its
    ISN and the server's, then completes the handshake and asks."""

    def run(connection: Connection) -> bool:
        isn, server_isn = connection.seq, connection.ack
        connection.say("S")
        for flags, load in frames:
            ack = isn + 1 if flags != "SA!" else 0x0BAD0BAD
            connection.reply(flags.rstrip("!"), load, seq=server_isn, ack=ack)
        if client_replies is not None:
            flags, seq, ack = client_replies
            connection.say(flags, seq=isn + seq, ack=server_isn + ack)
        connection.seq, connection.ack = isn + 1, server_isn + 1
        connection.say("A")
        return acted(connection.say("PA", REQUEST))

    return run


BENIGN = b"GET / HTTP1."
SERVER_SIDE: dict[str, tuple[Strategy, str]] = {
    "1 simultaneous open, injected RST": (server_says(("R", b""), ("S", b""), client_replies=("SA", 0, 1)), CHINA),
    "2 simultaneous open, injected load": (server_says(("S", b""), ("S", JUNK), client_replies=("SA", 0, 1)), CHINA),
    "5 corrupt ack, injected load": (
        server_says(("SA!", b""), ("A", JUNK), ("SA", b""), client_replies=("R", 0x0BAD0000, 0)),
        CHINA,
    ),
    "7 injected RST, induced RST": (
        server_says(("R", b""), ("SA!", b""), ("SA", b""), client_replies=("R", 0x0BAD0000, 0)),
        CHINA,
    ),
    "9 triple load": (server_says(("SA", JUNK), ("SA", JUNK), ("SA", JUNK)), KAZAKHSTAN),
    "10 double GET": (server_says(("SA", BENIGN), ("SA", BENIGN)), KAZAKHSTAN),
    "11 null flags": (server_says(("", b""), ("SA", b"")), KAZAKHSTAN),
}


@pytest.mark.parametrize("name", SERVER_SIDE)
def test_server_side_strategies_evade_the_box_they_were_found_on(name: str) -> None:
    strategy, profile = SERVER_SIDE[name]
    assert not strategy(Connection(engine(profile), dport=80))


@pytest.mark.parametrize("name", ["9 triple load", "10 double GET", "11 null flags"])
def test_the_kazakh_server_side_strategies_do_not_evade_china(name: str) -> None:
    assert SERVER_SIDE[name][0](Connection(engine(CHINA), dport=80))


def test_a_single_load_on_the_syn_ack_does_not_yet_evade_kazakhstan() -> None:
    assert server_says(("SA", JUNK))(Connection(engine(KAZAKHSTAN), dport=80))


@pytest.mark.parametrize("profile", [KAZAKHSTAN, INDIA, "iran-protocol-filter"])
def test_window_reduction_evades_boxes_that_do_not_reassemble(profile: str) -> None:
    """Strategy 8: a small window makes the client segment its own request."""
    connection = Connection(engine(profile), dport=80)
    connection.open()
    assert not acted(*[connection.data(REQUEST[at : at + 10]) for at in range(0, len(REQUEST), 10)])


# -- encrypted names in China ------------------------------------------------------------------------------------------


def test_fin_and_syn_together_put_the_gfw_one_byte_off() -> None:
    connection = Connection(engine("gfw-tls"))
    connection.open()
    connection.say("FS")
    assert not acted(connection.say("PA", client_hello()))
    again = Connection(engine("gfw-tls"))
    again.open()
    again.say("FS")
    assert acted(again.say("PA", client_hello(), seq=again.seq + 1)), "it follows the wrong number"


def test_a_reset_that_a_corrupt_syn_ack_induces_tears_down_the_gfws_state() -> None:
    connection = Connection(engine("gfw-tls"))
    connection.say("S")
    connection.seq += 1
    connection.reply("SA", ack=0x0BAD0BAD)
    connection.say("R", seq=0x0BAD0BAD)
    connection.reply("SA")
    connection.ack += 1
    connection.say("A")
    assert not acted(connection.say("PA", client_hello()))


# -- Iran's protocol filter --------------------------------------------------------------------------------------------

ODD = b"\x01\x02\x03\x04 not a protocol at all"


def iranian(dport: int = 443) -> Connection:
    return Connection(engine("iran-protocol-filter"), dport=dport)


def test_iran_drops_the_client_after_two_odd_payloads_and_lets_the_server_speak() -> None:
    connection = iranian()
    connection.open()
    assert not acted(connection.data(ODD))
    assert acted(connection.data(ODD))
    assert acted(connection.say("A"))
    assert not acted(connection.answer(b"hello"))


def test_iran_does_not_care_on_which_of_the_ports_the_three_protocols_are() -> None:
    for dport, payload in [(53, http_get("a.example")), (443, http_get("a.example")), (80, client_hello("a.example"))]:
        connection = iranian(dport)
        connection.open()
        assert not acted(connection.data(payload), connection.data(ODD), connection.data(ODD))
    other = iranian(8080)
    other.open()
    assert not acted(other.data(ODD), other.data(ODD), other.data(ODD))


def test_two_fins_before_the_handshake_evade_iran() -> None:
    connection = iranian()
    connection.say("F")
    connection.say("F")
    connection.open()
    assert not acted(connection.data(ODD), connection.data(ODD), connection.data(ODD))


def test_nine_acks_in_the_handshake_evade_iran_and_eight_do_not() -> None:
    for copies, evades in [(8, True), (7, False)]:
        connection = iranian()
        connection.open()
        for _ in range(copies):
            connection.say("A")
        assert acted(connection.data(ODD), connection.data(ODD)) is not evades


def test_an_injected_fingerprint_evades_iran_whatever_its_checksum() -> None:
    connection = iranian()
    connection.open()
    connection.say("PA", b"GET / HTTP/1.1\r\n\r\n", bad_checksum=True)
    assert not acted(connection.data(ODD), connection.data(ODD))
