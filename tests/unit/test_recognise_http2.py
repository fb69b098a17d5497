"""HTTP/2 in clear: curl's own first flight, and header blocks put together and cut up in every legal way."""

from __future__ import annotations

import random

import pytest
from hpack import Encoder
from wire import Connection, engine, rule

from shutdownlab.inspection.recognition import Recognition, Tolerance, recognise_tcp

CURL = bytes.fromhex(
    "505249202a20485454502f322e300d0a0d0a534d0d0a0d0a00001204000000000000030000006400040200000000020000000000000408000000"
    "000001ff000100003001050000000182048a62b3d0649888ff3cc01f864192f1e3c2f1d072752c8b97c8e9ae82dc780f037a87aec3c65602b83f"
    "53032a2f2a"
)
"""`curl --http2-prior-knowledge -A probe/1.0 http://www.blocked.example:8080/politics?x=1` of 7.88."""

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = bytes(3) + b"\x04" + bytes(5)
END_STREAM, END_HEADERS, PADDED, PRIORITY = 0x01, 0x04, 0x08, 0x20
REQUEST = [(":method", "GET"), (":scheme", "http"), (":authority", "Blocked.Example."), (":path", "/a")]


def frame(kind: int, flags: int, payload: bytes, stream: int = 1) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def block(fields: list[tuple[str, str]] = REQUEST, huffman: bool = True) -> bytes:
    return Encoder().encode(fields, huffman=huffman)


def headers(flags: int = 0, payload: bytes | None = None) -> bytes:
    return PREFACE + SETTINGS + frame(1, END_STREAM | END_HEADERS | flags, block() if payload is None else payload)


def read(stream: bytes) -> Recognition:
    return recognise_tcp(stream, b"", 8080)


def test_curls_first_request_is_read_with_its_name() -> None:
    found = read(CURL)
    assert (found.protocol, found.host, found.method, found.more) == ("http2", "www.blocked.example", "GET", False)
    assert found.url == "http://www.blocked.example:8080/politics?x=1"
    assert found.user_agent == "probe/1.0"


@pytest.mark.parametrize("length", range(14, len(CURL)))
def test_it_waits_for_the_request_to_come_whole(length: int) -> None:
    found = read(CURL[:length])
    assert (found.protocol, found.host, found.more) == ("http2", None, True)


@pytest.mark.parametrize(
    "stream",
    [
        pytest.param(headers(), id="Huffman"),
        pytest.param(headers(payload=block(huffman=False)), id="plain"),
        pytest.param(headers(PRIORITY, bytes(5) + block()), id="with a priority"),
        pytest.param(headers(PADDED, b"\x07" + block() + bytes(7)), id="padded"),
        pytest.param(headers(PADDED | PRIORITY, b"\x07" + bytes(5) + block() + bytes(7)), id="padded, with a priority"),
        pytest.param(headers(payload=b"\x3f\xe1\x1f" + block()), id="after a table size update"),
        pytest.param(headers(payload=block([*REQUEST[:2], ("host", "blocked.example"), REQUEST[3]])), id="Host"),
        pytest.param(
            PREFACE + SETTINGS + frame(1, 0, block()[:3]) + frame(9, 0, block()[3:9]) + frame(9, 4, block()[9:]),
            id="continued twice",
        ),
        pytest.param(PREFACE + SETTINGS + frame(8, 0, bytes(4), 0) * 900 + headers()[33:], id="after other frames"),
    ],
)
def test_every_legal_form_of_the_first_request_is_read(stream: bytes) -> None:
    found = read(stream)
    assert (found.host, found.url, found.more) == ("blocked.example", "http://blocked.example/a", False)


@pytest.mark.parametrize(
    "stream",
    [
        pytest.param(headers(payload=b"\xff\xff\xff\xff\xff\x7f"), id="an index beyond the tables"),
        pytest.param(headers(payload=b"\x40\x85\xff\xff\xff\xff\xff\x00"), id="no Huffman code"),
        pytest.param(headers(PADDED, b"\xff"), id="padding beyond the frame"),
        pytest.param(PREFACE + SETTINGS + frame(1, 0, block()) + SETTINGS, id="no continuation"),
        pytest.param(PREFACE + SETTINGS + b"\xff\xff\xff\x01\x04\0\0\0\1", id="16 MiB of header fields"),
        pytest.param(headers(payload=b""), id="no field at all"),
    ],
)
def test_what_breaks_the_rules_has_no_name_and_is_not_waited_for(stream: bytes) -> None:
    found = read(stream)
    assert (found.protocol, found.host, found.more) == ("http2", None, False)


def test_mutated_requests_never_raise() -> None:
    rng = random.Random(7)
    for _ in range(3000):
        stream = bytearray(CURL)
        for _ in range(rng.randint(1, 4)):
            stream[rng.randrange(24, len(stream))] = rng.randrange(256)
        assert read(bytes(stream)).protocol == "http2"


def test_tolerances_for_names_hold_here_too() -> None:
    assert recognise_tcp(headers(), b"", 80, Tolerance(trailing_dot=False)).host == "blocked.example."
    assert recognise_tcp(CURL, b"", 80, Tolerance(http_port=False)).host == "www.blocked.example:8080"


def test_a_box_blocks_the_name_once_the_request_is_complete() -> None:
    connection = Connection(engine("perfect", rule("drop", name_suffix="blocked.example")), dport=8080)
    connection.open()
    assert connection.data(CURL[:90]).forward
    outcome = connection.data(CURL[90:])
    assert not outcome.forward
    assert outcome.decision is not None
    assert (outcome.decision.protocol, outcome.decision.host) == ("http2", "www.blocked.example")
