"""What the box does to a connection: every verdict, with every field of it, in real packets."""

from __future__ import annotations

import pytest
from wire import (
    Connection,
    checksums_hold,
    client_hello,
    dns_query,
    engine,
    http_get,
    injected,
    rule,
)

from shutdownlab.inspection.engine import Action, Engine, Side
from shutdownlab.inspection.forge import ip_packet
from shutdownlab.inspection.packet import decode

NAME = {"name_suffix": "blocked.example"}


def box(verdict: str | dict[str, object], profile: str = "perfect", **when: object) -> Engine:
    return engine(profile, rule(verdict, **{**NAME, **when}))


def triggered(verdict: str | dict[str, object], profile: str = "perfect", **fields: object) -> Connection:
    """A connection whose hello has just been seen."""
    connection = Connection(box(verdict, profile), **fields)  # type: ignore[arg-type]
    connection.open()
    connection.data(client_hello())
    return connection


# -- drop --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("directions", "up", "down"), [("both", False, False), ("client", False, True), ("server", True, False)]
)
def test_drop_takes_the_packets_of_the_directions_it_names(directions: str, up: bool, down: bool) -> None:
    connection = Connection(box({"action": "drop", "directions": directions}))
    connection.open()
    assert connection.data(client_hello()).forward is up
    assert connection.say("A").forward is up
    assert connection.reply("A").forward is down


def test_drop_may_let_the_trigger_go_on() -> None:
    connection = Connection(box({"action": "drop", "forward_trigger": True}))
    connection.open()
    assert connection.data(client_hello()).forward
    assert not connection.reply("A").forward


def test_drop_may_set_in_only_after_some_packets() -> None:
    connection = triggered({"action": "drop", "after_packets": 6})
    assert [connection.reply("A").forward for _ in range(8)] == [True] * 6 + [False] * 2


def test_a_new_connection_from_the_same_port_is_judged_anew_once_the_old_one_passed() -> None:
    engine_ = box("drop")
    first = Connection(engine_)
    first.open()
    assert first.data(client_hello("fine.example")).forward
    second = Connection(engine_, isn=777_000)
    second.open()
    assert not second.data(client_hello()).forward


# -- reset -------------------------------------------------------------------------------------------------------------


def test_a_retransmission_is_reset_again_and_nothing_else_passes() -> None:
    connection = triggered({"action": "reset", "to": "both"})
    again = connection.say("PA", client_hello(), seq=1001)
    assert not again.forward
    assert len(again.inject) == 2
    assert not connection.reply("A").forward
    assert connection.say("R").forward, "the ends may close"


def test_an_on_path_box_lets_everything_pass_and_counts_its_resets_accordingly() -> None:
    connection = Connection(engine("belarus-2020"))
    connection.open()
    hello = client_hello()
    outcome = connection.data(hello)
    assert outcome.forward
    (to_server,) = injected(outcome, Side.OUTSIDE)
    assert to_server.seq == 1001 + len(hello), "the server has the hello by then"


def test_resets_may_be_sent_with_steps_in_their_numbers() -> None:
    connection = Connection(box({"action": "reset", "to": "client", "count": 3, "seq_steps": [0, 1460, 4380]}))
    connection.open()
    resets = injected(connection.data(client_hello()), Side.INSIDE)
    assert [packet.seq - 5001 for packet in resets] == [0, 1460, 4380]


def test_a_reset_carries_the_ttl_of_whom_it_pretends_to_be() -> None:
    connection = Connection(box({"action": "reset", "to": "client"}))
    connection.say("S")
    connection.seq += 1
    connection.reply("SA", ttl=53)
    connection.ack += 1
    connection.say("A")
    (reset,) = injected(connection.data(client_hello()), Side.INSIDE)
    assert reset.ttl == 53


def test_a_syn_that_an_address_rule_resets_is_acknowledged_as_a_syn() -> None:
    outcome = Connection(engine("perfect", rule({"action": "reset", "to": "client"}, address="192.0.2.10"))).say("S")
    (reset,) = injected(outcome, Side.INSIDE)
    assert (reset.seq, reset.ack, reset.flags) == (0, 1001, 0x14)


def test_tspu_turns_the_servers_packets_into_resets() -> None:
    connection = triggered("block", "tspu-2022")
    outcome = connection.answer(b"\x16\x03\x03" + bytes(200))
    assert outcome.forward
    assert outcome.replacement is not None
    packet = decode(outcome.replacement)
    assert (packet.flags, packet.data, packet.seq, packet.src) == (0x14, b"", 5001, connection.dst)
    assert checksums_hold(packet)
    assert connection.say("A").replacement is None, "the client's own packets go on"


# -- DNS ---------------------------------------------------------------------------------------------------------------


def ask(verdict: dict[str, object], query: bytes, dport: int = 53) -> tuple[bool, bytes | None]:
    outcome = Connection(engine("perfect", rule({"action": "dns", **verdict}, **NAME)), dport=dport).udp(query)
    answers = injected(outcome, Side.INSIDE)
    return outcome.forward, answers[0].data if answers else None


def test_dns_answers_carry_an_address_of_the_asked_family() -> None:
    verdict: dict[str, object] = {"addresses": ["10.10.34.36", "2001:db8::1"], "answer_ttl": 60}
    forward, answer = ask(verdict, dns_query(qtype=1))
    assert not forward
    assert answer is not None
    assert answer[6:8] == b"\0\1"
    assert answer.endswith(b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x0a\x0a\x22\x24")
    answer = ask(verdict, dns_query(qtype=28))[1]
    assert answer is not None
    assert answer.endswith(b"\0\x10\x20\x01\x0d\xb8" + bytes(11) + b"\1")


def test_an_empty_answer_has_no_records_and_no_error() -> None:
    answer = ask({}, dns_query())[1]
    assert answer is not None
    assert (answer[3] & 0x0F, answer[6:8]) == (0, b"\0\0")


@pytest.mark.parametrize(("name", "code"), [("NXDOMAIN", 3), ("SERVFAIL", 2), ("REFUSED", 5)])
def test_errors_are_answered_as_told(name: str, code: int) -> None:
    answer = ask({"rcode": name}, dns_query())[1]
    assert answer is not None
    assert answer[3] & 0x0F == code


def test_a_racing_answer_lets_the_query_go_on() -> None:
    forward, answer = ask({"race": True, "addresses": "127.0.0.1"}, dns_query())
    assert forward
    assert answer is not None


def test_dns_over_tcp_is_answered_in_the_stream() -> None:
    connection = Connection(engine("perfect", rule({"action": "dns", "rcode": "NXDOMAIN"}, **NAME)), dport=53)
    connection.open()
    query = dns_query()
    outcome = connection.data(len(query).to_bytes(2, "big") + query)
    (answer,) = injected(outcome, Side.INSIDE)
    assert int.from_bytes(answer.data[:2], "big") == len(answer.data) - 2
    assert answer.data[5] & 0x0F == 3
    assert checksums_hold(answer)


def test_a_dns_query_may_simply_be_lost() -> None:
    outcome = Connection(box("drop"), dport=53).udp(dns_query())
    assert (outcome.forward, outcome.inject) == (False, ())
    assert outcome.decision is not None
    assert outcome.decision.flow_rule is None, "the next question from this port may be harmless"


# -- HTTP --------------------------------------------------------------------------------------------------------------


def test_a_block_page_is_a_whole_response_that_closes_the_connection() -> None:
    verdict = {"action": "block-page", "status": 451, "body": "x" * 3000}
    connection = Connection(box(verdict), dport=80)
    connection.open()
    request = http_get()
    outcome = connection.data(request)
    assert not outcome.forward
    pages = injected(outcome, Side.INSIDE)
    assert all(checksums_hold(page) for page in pages)
    text = b"".join(page.data for page in pages)
    assert text.startswith(b"HTTP/1.1 451 ")
    assert b"Content-Length: 3000\r\n" in text
    assert text.endswith(b"x" * 100)
    assert [page.flags & 1 for page in pages] == [0] * (len(pages) - 1) + [1]
    assert pages[0].seq == 5001
    assert pages[1].seq == 5001 + len(pages[0].data)
    assert pages[0].ack == 1001 + len(request)
    (reset,) = injected(outcome, Side.OUTSIDE)
    assert reset.flags & 4


def test_a_redirect_names_its_location() -> None:
    connection = Connection(engine("belarus-2020"), dport=80)
    connection.open()
    page = injected(connection.data(http_get()), Side.INSIDE)[0]
    assert page.data.startswith(b"HTTP/1.1 302 ")
    assert b"\r\nLocation: http://82.209.230.23/\r\n" in page.data
    assert (page.window, page.fragment_id) == (32678, 1)


# -- throttle and freeze -----------------------------------------------------------------------------------------------


def carried(connection: Connection, seconds: float, *, back: bool) -> float:
    """kbit/s that pass when ten times as much is sent."""
    passed = 0
    record = b"\x17\x03\x03\x05\x14" + bytes(1300)
    steps = int(seconds * 140)
    for _ in range(steps):
        connection.now += seconds / steps
        frame = connection.tcp("PA", record, back=back)
        if connection.send(frame, back=back).forward:
            passed += len(frame) - 14
    return passed * 8 / 1000 / seconds


@pytest.mark.parametrize("back", [False, True])
def test_throttling_polices_each_direction_by_its_own_bucket(back: bool) -> None:
    connection = triggered({"action": "throttle", "rate_up": "100kbit", "rate_down": "200kbit", "burst": 3000})
    assert carried(connection, 20, back=back) == pytest.approx(200 if back else 100, rel=0.05)
    other = carried(connection, 20, back=not back)
    assert other == pytest.approx(100 if back else 200, rel=0.05), "the other direction has not paid for it"


def test_a_direction_without_a_rate_is_not_throttled() -> None:
    connection = triggered({"action": "throttle", "rate_down": "100kbit"})
    assert carried(connection, 5, back=False) > 1000


def test_the_decision_tells_the_rates_for_a_meter() -> None:
    connection = Connection(box({"action": "throttle", "rate": "150kbit"}))
    connection.open()
    decision = connection.data(client_hello()).decision
    assert decision is not None
    assert (decision.rate_up_kbit, decision.rate_down_kbit) == (150, 150)


def test_a_connection_freezes_after_its_bytes() -> None:
    connection = triggered({"action": "freeze", "cap_bytes": 16384, "directions": "server"})
    passed = 0
    for _ in range(30):
        if connection.answer(bytes(1000)).forward:
            passed += 1000
    assert passed == 16000
    assert not connection.say("A").forward, "frozen both ways"


def test_interception_is_reported_and_left_to_the_proxy() -> None:
    connection = Connection(engine("kazakhstan-mitm-2019"))
    connection.open()
    outcome = connection.data(client_hello())
    assert outcome.forward
    assert outcome.decision is not None
    assert outcome.decision.action is Action.INTERCEPT


def test_who_uses_the_port_of_an_intercepted_connection_again_is_intercepted_again() -> None:
    """The first has ended at the proxy: the engine sees nothing of that."""
    box = engine("kazakhstan-mitm-2019")
    first = Connection(box)
    first.open()
    assert first.data(client_hello()).decision is not None
    first.say("S", seq=1000)
    assert first.data(client_hello()).decision is None, "the same SYN once more begins nothing"
    again = Connection(box, isn=900_000, server_isn=700_000)
    again.open()
    decided = again.data(client_hello()).decision
    assert decided is not None and decided.action is Action.INTERCEPT
    other = Connection(box, isn=1_800_000, server_isn=1_700_000)
    other.open()
    passed = other.data(client_hello("fine.example")).decision
    assert passed is None or passed.action is Action.PASS


# -- residual ----------------------------------------------------------------------------------------------------------

KEYED = {"key": "4-tuple", "for": "100s", "refreshed": False}


def test_a_residual_block_lapses_after_its_time() -> None:
    connection = triggered({"action": "drop", "residual": KEYED})
    for now in (1.0, 50.0, 99.0):
        connection.now = now
        assert not connection.say("A").forward
    connection.now = 101.0
    assert connection.say("S", seq=9000).forward


def test_a_refreshed_one_lapses_that_long_after_the_last_packet() -> None:
    connection = triggered({"action": "drop", "residual": {**KEYED, "refreshed": True}})
    for now in (99.0, 198.0, 297.0):
        connection.now = now
        assert not connection.reply("A").forward
    connection.now = 398.0
    assert connection.say("S", seq=9000).forward


def test_a_4_tuple_leaves_other_ports_alone_and_a_3_tuple_does_not() -> None:
    for key, blocked in [("4-tuple", False), ("3-tuple", True)]:
        connection = triggered({"action": "drop", "residual": {**KEYED, "key": key}})
        other = Connection(connection.engine, sport=40001)
        outcome = other.say("S")
        assert outcome.forward is not blocked
        assert Connection(connection.engine, sport=40002, dport=80).say("S").forward, "another server port"
        if blocked:
            assert outcome.decision is not None
            assert outcome.decision.action is Action.DROP


def test_a_2_tuple_takes_all_that_two_addresses_send_each_other_and_no_third() -> None:
    connection = triggered({"action": "drop", "residual": {**KEYED, "key": "2-tuple"}})
    assert not Connection(connection.engine, sport=40002, dport=80).say("S").forward, "another server port"
    echo, stranger = (
        connection.tcp("S")[:14] + ip_packet(connection.src, to, 1, b"\x08\0\xf7\xff" + bytes(4), ttl=64, ipid=1)
        for to in (connection.dst, bytes((203, 0, 113, 99)))
    )
    assert not connection.engine.process(echo, Side.INSIDE, 1.0).forward
    assert connection.engine.process(stranger, Side.INSIDE, 1.0).forward
    assert connection.engine.process(echo, Side.INSIDE, 101.0).forward, "its time is over"


def test_what_is_blocked_as_the_profile_does_may_stay_blocked_as_the_policy_says() -> None:
    connection = triggered({"action": "block", "residual": {**KEYED, "key": "3-tuple"}}, "kazakhstan-sni")
    assert not Connection(connection.engine, sport=40001).say("S").forward
    assert Connection(triggered("block", "kazakhstan-sni").engine, sport=40001).say("S").forward


@pytest.mark.parametrize(("directions", "up", "down"), [("client", False, True), ("server", True, False)])
def test_a_residual_block_may_be_one_way(directions: str, up: bool, down: bool) -> None:
    connection = triggered({"action": "drop", "residual": {**KEYED, "directions": directions}})
    assert connection.say("A").forward is up
    assert connection.reply("A").forward is down


def test_a_residual_may_act_otherwise_than_the_verdict() -> None:
    connection = Connection(box({"action": "drop", "residual": {**KEYED, "action": "reset"}}))
    connection.open()
    decision = connection.data(client_hello()).decision
    assert decision is not None
    assert decision.flow_rule is None, "a switch can drop, but it cannot reset"
    assert injected(connection.say("A"), Side.INSIDE)[0].flags & 4


@pytest.mark.parametrize(("refreshed", "seconds"), [(False, 40.0), (True, 100.0)])
def test_of_a_connection_met_later_the_controller_is_told_what_is_left_of_the_time(
    refreshed: bool, seconds: float
) -> None:
    """Or each one would prolong at the switch what no packet prolongs."""
    residual = {**KEYED, "key": "3-tuple", "refreshed": refreshed}
    connection = triggered({"action": "drop", "residual": residual})
    other = Connection(connection.engine, sport=40001)
    other.now = connection.now + 60.0
    decision = other.say("S").decision
    assert decision is not None
    assert decision.residual is not None
    assert decision.residual.seconds == pytest.approx(seconds)


def test_residual_resets_hit_new_connections_of_the_3_tuple() -> None:
    connection = triggered("block", "gfw-tls")
    other = Connection(connection.engine, sport=50123)
    assert injected(other.say("S"), Side.INSIDE)
    other.now = 61.0
    assert not other.say("S", seq=1).inject


def test_the_decision_tells_the_controller_of_the_residual() -> None:
    connection = Connection(box({"action": "drop", "residual": KEYED}))
    connection.open()
    decision = connection.data(client_hello()).decision
    assert decision is not None
    assert decision.residual is not None
    assert (decision.residual.key, decision.residual.seconds, decision.residual.refreshed) == ("4-tuple", 100.0, False)
    assert decision.flow_rule is not None
