"""Every message of a connection is judged, in whatever segments it comes, as long as the profile's budget lasts."""

from __future__ import annotations

from pathlib import Path

import pytest
from hpack import Encoder
from hypothesis import given
from hypothesis import strategies as st
from scapy.all import DNS, DNSRR, TCP, Ether
from scapy_traffic import TcpTraffic, datagram, http_request, inspected, question
from wire import Connection, engine, rule

BLOCKED = "[{name: it, when: {name_suffix: blocked.example}, verdict: drop}]"
PADDED = http_request("fine.example", more=b"X-Padding: " + b"x" * 300 + b"\r\n")


def post(body: bytes, headers: bytes) -> bytes:
    return b"POST / HTTP/1.1\r\nHost: fine.example\r\n" + headers + b"\r\n" + body


def dns(*names: str) -> bytes:
    messages = [question(name, ident=number) for number, name in enumerate(names, start=1)]
    return b"".join(len(message).to_bytes(2, "big") + message for message in messages)


def sip(host: str, body: bytes = b"") -> bytes:
    return b"INVITE sip:a@%s SIP/2.0\r\nContent-Length: %d\r\n\r\n%s" % (host.encode(), len(body), body)


def http2(*hosts: str) -> bytes:
    encoder, stream = Encoder(), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5)
    for number, host in enumerate(hosts):
        fields = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", host), ("x-a", "b" * 20)]
        block = encoder.encode(fields)
        stream += len(block).to_bytes(3, "big") + b"\x01\x05" + (2 * number + 1).to_bytes(4, "big") + block
    return stream


def unasked(opcode: int, more: bytes = b"", additional: int = 0) -> bytes:
    """A DNS message without a question."""
    message = b"\0\1" + bytes([opcode << 3]) + bytes(8) + bytes([additional]) + more
    return len(message).to_bytes(2, "big") + message


KEEPALIVE = b"\0\1\0\x08\0\0\x3a\x98\0\0\x3a\x98"
STREAMS = {
    "a second request": (80, http_request("fine.example") + http_request("blocked.example")),
    "a tenth request": (80, http_request("fine.example") * 9 + http_request("www.blocked.example")),
    "behind a body": (80, post(b"\xff" * 700, b"Content-Length: 700\r\n") + http_request("blocked.example")),
    "behind a body like a request": (
        80,
        post(PADDED, b"Content-Length: %d\r\n" % len(PADDED)) + http_request("blocked.example"),
    ),
    "behind chunks": (
        80,
        post(b"5;a=b\r\nGET /\r\n0\r\nT: x\r\n\r\n", b"Transfer-Encoding: chunked\r\n")
        + http_request("blocked.example"),
    ),
    "a second question": (53, dns("fine.example", "blocked.example")),
    "a fifth question": (53, dns(*["fine.example"] * 4, "www.blocked.example")),
    "a question behind a session's keep-alive": (53, unasked(6, KEEPALIVE) + dns("blocked.example")),
    "a question behind a message that asks nothing": (
        53,
        dns("fine.example") + unasked(0) + unasked(3) + dns("blocked.example"),
    ),
    "a request to a proxy behind another": (
        3128,
        b"GET http://fine.example/ HTTP/1.1\r\nHost: fine.example\r\n\r\nGET http://blocked.example/ HTTP/1.1\r\n\r\n",
    ),
    "an address of FTP's, asked of a proxy": (
        3128,
        http_request("fine.example") + b"GET ftp://me@blocked.example/a HTTP/1.1\r\nHost: fine.example\r\n\r\n",
    ),
    "a web socket's address, asked of a proxy": (
        3128,
        http_request("fine.example") + b"GET WS://blocked.example HTTP/1.1\r\nHost: fine.example\r\n\r\n",
    ),
    "a second call": (5060, sip("fine.example", b"v=0\r\n") + sip("blocked.example")),
    "a call behind empty lines": (5060, sip("fine.example") + b"\r\n\r\n" + sip("blocked.example")),
    "a call behind a length on its own line": (
        5060,
        sip("fine.example", b"v=0\r\n").replace(b"Length: ", b"Length:\r\n ") + sip("blocked.example"),
    ),
    "behind a body of a length told twice": (
        80,
        post(b"\xff" * 70, b"Content-Length: 70, 70\r\n") + http_request("blocked.example"),
    ),
    "a third stream of HTTP/2": (8080, http2("fine.example", "other.example", "blocked.example")),
}


@pytest.mark.parametrize("name", STREAMS)
def test_a_message_behind_others_is_judged(tmp_path: Path, name: str) -> None:
    port, stream = STREAMS[name]
    cuts = [[stream], [stream[:30], stream[30:]], [stream[:-20], stream[-20:]]]
    cuts.append([stream[at : at + 100] for at in range(0, len(stream), 100)])
    for parts in cuts:
        [record] = inspected(tmp_path, TcpTraffic(dport=port).says(*parts).frames, BLOCKED)
        assert record["rule"] == "it"
        assert (record["host"] or "").endswith("blocked.example")
        [record] = inspected(tmp_path, TcpTraffic(dport=port).says(*parts).frames, BLOCKED.replace("blocked", "third"))
        assert record["verdict"] == "pass"


CHUNKED = b"Transfer-Encoding: chunked\r\n"
LONG = {
    "many chunks": post(b"".join([b"1000\r\n" + b"x" * 0x1000 + b"\r\n"] * 40) + b"0\r\n\r\n", CHUNKED),
    "one chunk": post(b"2bf20\r\n" + b"x" * 0x2BF20 + b"\r\n0;last\r\nTrailer: 1\r\n\r\n", CHUNKED),
    "chunks of a byte": post(b"1\r\nx\r\n" * 12_000 + b"0\r\n\r\n", CHUNKED),
    "chunks that end with line feeds": post(b"1000\n" + b"x" * 0x1000 + b"\n0\n\n", CHUNKED),
    "just less than is kept": post(b"\xff" * 65_400, b"Content-Length: 65400\r\n"),
}


@pytest.mark.parametrize("size", [1460, 9000, 65_000])
@pytest.mark.parametrize("name", LONG)
def test_a_request_behind_a_long_body_is_judged(tmp_path: Path, name: str, size: int) -> None:
    stream = LONG[name] + http_request("blocked.example")
    parts = [stream[at : at + size] for at in range(0, len(stream), size)]
    [record] = inspected(tmp_path, TcpTraffic().says(*parts).frames, BLOCKED)
    assert (record["host"], record["rule"]) == ("blocked.example", "it")
    [record] = inspected(tmp_path, TcpTraffic().says(*parts).frames, BLOCKED.replace("blocked", "third"))
    assert record["verdict"] == "pass"


@pytest.mark.parametrize("size", [1460, 9000, 65_000])
def test_a_stream_of_http2_behind_a_long_upload_is_judged(tmp_path: Path, size: int) -> None:
    encoder, stream = Encoder(), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5)
    for number, host in enumerate(["fine.example", "other.example", "blocked.example"]):
        fields = [(":method", "POST"), (":scheme", "http"), (":path", "/"), (":authority", host), ("x-a", "b" * 20)]
        block, last = encoder.encode(fields), (2 * number + 1).to_bytes(4, "big")
        stream += len(block).to_bytes(3, "big") + b"\x01\x04" + last + block
        stream += (b"\x00\x40\x00\x00\x00" + last + bytes(0x4000)) * 5 + (b"\0\0\4\x08\0" + bytes(8)) * 400
    parts = [stream[at : at + size] for at in range(0, len(stream), size)]
    [record] = inspected(tmp_path, TcpTraffic(dport=8080).says(*parts).frames, BLOCKED)
    assert (record["host"], record["rule"]) == ("blocked.example", "it")


@pytest.mark.parametrize("size", [1500, 30, 7])
def test_http2_that_a_request_upgraded_to_is_judged_stream_by_stream(tmp_path: Path, size: int) -> None:
    stream = http2("fine.example", "blocked.example")
    traffic = TcpTraffic().says(http_request("fine.example", more=b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"))
    traffic.says(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n", client=False)
    traffic.says(*[stream[at : at + size] for at in range(0, len(stream), size)])
    [record] = inspected(tmp_path, traffic.frames, BLOCKED)
    assert record["rule"] == "it"


@given(st.sampled_from(sorted(STREAMS)), st.lists(st.integers(1, 1500), max_size=12))
def test_however_a_stream_is_cut_the_same_is_decided(name: str, places: list[int]) -> None:
    port, stream = STREAMS[name]
    connection = Connection(engine("perfect", rule("drop", name_suffix="blocked.example")), dport=port)
    connection.open()
    ends = sorted({place % len(stream) for place in places} | {len(stream)} - {0})
    passed = [connection.data(stream[start:end]).forward for start, end in zip([0, *ends], ends, strict=False) if end]
    assert passed[-1] is False


def test_a_request_inside_a_body_is_none(tmp_path: Path) -> None:
    hidden = http_request("blocked.example")
    sent = post(hidden, b"Content-Length: %d\r\n" % len(hidden))
    for parts in ([sent], [sent[: -len(hidden)], hidden]):
        [record] = inspected(tmp_path, TcpTraffic().says(*parts, http_request("fine.example")).frames, BLOCKED)
        assert record["verdict"] == "pass"


def test_a_long_body_is_passed_over_to_the_next_request(tmp_path: Path) -> None:
    traffic = TcpTraffic().says(post(b"", b"Content-Length: 150000\r\n"))
    traffic.says(*[b"\x01" * 1000] * 149, b"\x01" * 1000 + http_request("blocked.example"))
    [record] = inspected(tmp_path, traffic.frames, BLOCKED)
    assert record["rule"] == "it"


def test_the_budget_ends_it(tmp_path: Path) -> None:
    traffic = TcpTraffic().says(*[http_request("fine.example")] * 256, http_request("blocked.example"))
    assert inspected(tmp_path, traffic.frames, BLOCKED)[0]["verdict"] == "pass"
    traffic = TcpTraffic().says(*[http_request("fine.example")] * 255, http_request("blocked.example"))
    assert inspected(tmp_path, traffic.frames, BLOCKED)[0]["rule"] == "it"


def test_an_earlier_rule_that_still_waits_gives_way_when_the_message_ends(tmp_path: Path) -> None:
    rules = "[{name: word, when: {keyword: falun}, verdict: drop}, " + BLOCKED[1:]
    traffic = TcpTraffic().says(http_request("blocked.example") + http_request("fine.example"))
    assert inspected(tmp_path, traffic.frames, rules)[0]["rule"] == "it"
    traffic = TcpTraffic().says(http_request("fine.example")).says(b"HTTP/1.1 200 OK\r\n\r\nfalun", client=False)
    assert inspected(tmp_path, traffic.frames, rules)[0]["rule"] == "word"


def test_a_box_that_stops_at_the_first_request_still_does(tmp_path: Path) -> None:
    traffic = TcpTraffic().says(http_request("fine.example") + http_request("blocked.example"))
    assert inspected(tmp_path, traffic.frames, BLOCKED, "kazakhstan-http")[0]["verdict"] == "pass"


@pytest.mark.parametrize(("port", "message"), [(53, question("blocked.example")), (5060, sip("blocked.example"))])
def test_one_verdict_goes_on_over_all_of_a_flows_messages_that_get_it(port: int, message: bytes) -> None:
    def forwarded(count: int, verdict: dict[str, object]) -> list[bool]:
        connection = Connection(engine("perfect", rule(verdict, name_suffix="blocked.example")), dport=port)
        return [connection.udp(message).forward for _ in range(count)]

    bucket = 1500 // (len(message) + 28)
    passed = forwarded(bucket + 5, {"action": "throttle", "rate": "1kbit", "burst": 1500})
    assert passed == [True] * bucket + [False] * 5
    assert forwarded(5, {"action": "drop", "after_packets": 2}) == [True, True, True, False, False]
    assert forwarded(3, {"action": "drop", "forward_trigger": True}) == [True, False, False]


def test_the_true_answer_does_not_follow_the_forged_one() -> None:
    box = engine("perfect", rule({"action": "dns", "addresses": ["192.0.2.99"]}, name_suffix="blocked.example"))
    connection = Connection(box, dport=53)
    asked = question("blocked.example")
    answer = bytes(DNS(id=1, qr=1, qd=DNS(asked).qd, an=DNSRR(rrname="blocked.example", rdata="203.0.113.9")))
    for _ in range(2):
        outcome = connection.udp(asked)
        assert (outcome.forward, len(outcome.inject)) == (False, 1)
        assert not connection.udp(answer, back=True).forward


def test_each_datagram_of_sip_is_judged(tmp_path: Path) -> None:
    frames = [datagram(sip("fine.example"), 5060), datagram(sip("blocked.example"), 5060)]
    assert inspected(tmp_path, frames, BLOCKED)[0]["rule"] == "it"


ALLOWED = """[
  {name: ok, when: {name_suffix: fine.example}, verdict: pass},
  {name: it, when: {protocol: [http, http2, dns, sip, tls]}, verdict: drop}]"""


@pytest.mark.parametrize("name", STREAMS)
def test_a_message_that_is_let_pass_does_not_open_its_connection_for_others(tmp_path: Path, name: str) -> None:
    port, stream = STREAMS[name]
    stream = stream.replace(b"other.example", b"a.fine.example") if b"HTTP" not in stream else stream
    for parts in ([stream], [stream[:30], stream[30:]], [stream[:-20], stream[-20:]]):
        [record] = inspected(tmp_path, TcpTraffic(dport=port).says(*parts).frames, ALLOWED)
        assert (record["verdict"], record["rule"]) == ("drop", "it")


def test_a_connection_all_of_whose_messages_are_let_pass_is_let_pass_by_their_rule(tmp_path: Path) -> None:
    for port, stream in ((80, http_request("fine.example") * 3), (53, dns("fine.example", "a.fine.example"))):
        [record] = inspected(tmp_path, TcpTraffic(dport=port).says(stream).frames, ALLOWED)
        assert (record["host"], record["verdict"], record["rule"]) == ("fine.example", "pass", "ok") or port == 53
        assert (record["verdict"], record["rule"]) == ("pass", "ok")
    asked = [datagram(question(name), 53) for name in ("fine.example", "a.fine.example")]
    assert inspected(tmp_path, asked, ALLOWED)[0]["rule"] == "ok"


def test_a_question_that_is_let_pass_leaves_its_connection_in_the_boxs_sight() -> None:
    box = engine(
        "perfect", rule("pass", "ok", name_suffix="fine.example"), rule("drop", "it", protocol=["dns", "http"])
    )
    connection = Connection(box, dport=53)
    outcome = connection.udp(question("fine.example"))
    assert outcome.forward
    assert outcome.decision is not None
    assert (outcome.decision.rule, outcome.decision.flow_rule) == ("ok", None)
    assert not connection.udp(question("blocked.example")).forward
    assert connection.udp(question("fine.example")).forward
    connection = Connection(box, dport=80)
    connection.open()
    decision = connection.data(http_request("fine.example")).decision
    assert decision is not None
    assert (decision.rule, decision.action, decision.flow_rule) == ("ok", "pass", None)
    assert connection.data(http_request("fine.example")).decision is None
    outcome = connection.data(http_request("blocked.example"))
    assert not outcome.forward
    assert outcome.decision is not None
    assert (outcome.decision.rule, outcome.decision.flow_rule) == ("it", "drop")


def test_what_is_let_pass_to_a_proxy_does_not_open_what_is_said_behind_it(tmp_path: Path) -> None:
    traffic = TcpTraffic(dport=8080).says(b"CONNECT fine.example:80 HTTP/1.1\r\n\r\n")
    traffic.says(b"HTTP/1.1 200 OK\r\n\r\n", client=False).says(http_request("blocked.example"))
    assert inspected(tmp_path, traffic.frames, ALLOWED)[0]["rule"] == "it"


def test_a_box_that_reads_one_message_lets_the_others_pass_too(tmp_path: Path) -> None:
    traffic = TcpTraffic().says(http_request("fine.example") + http_request("blocked.example"))
    [record] = inspected(tmp_path, traffic.frames, ALLOWED, "kazakhstan-http")
    assert (record["verdict"], record["rule"]) == ("pass", "ok")


def test_the_forged_answer_is_to_the_question_that_was_blocked() -> None:
    box = engine("perfect", rule({"action": "dns", "addresses": ["192.0.2.99"]}, name_suffix="blocked.example"))
    connection = Connection(box, dport=53)
    connection.open()
    outcome = connection.data(dns("fine.example", "blocked.example"))
    [injection] = outcome.inject
    answer = DNS(bytes(Ether(injection.frame)[TCP].payload)[2:])
    assert (answer.id, answer.qd[0].qname, answer.an[0].rdata) == (2, b"blocked.example.", "192.0.2.99")
    assert isinstance(answer.an[0], DNSRR)
