"""Rules on a connection's first packets: from whom, how long, how random, how soon."""

from __future__ import annotations

import random
from typing import Any

import pytest
from wire import Connection, client_hello, engine, rule

from shutdownlab.config.problems import BadInput
from shutdownlab.inspection.policy import load_policy

NOISE = random.Random(7).randbytes(4000)
PROFILES = ["perfect", "naive", "tspu-2025", "belarus-2020", "iran-2023", "gfw-http"]
"""In-path and on-path, which put segments together and which do not, which look at both ends and which do not."""


def asking(profile: str, *packets: dict[str, Any], **when: Any) -> Connection:
    """A connection to a box that drops, or resets, what has such packets first."""
    verdict = "drop" if profile in ("perfect", "tspu-2025", "iran-2023") else "reset"
    connection = Connection(engine(profile, rule(verdict, first_packets=list(packets), **when)), dport=8080)
    connection.open()
    return connection


def matched(*outcomes: Any) -> list[bool]:
    return [not outcome.forward or bool(outcome.inject) for outcome in outcomes]


TUNNEL = ({"from": "client", "size_at_least": 300}, {"from": "server", "size_at_most": 200}, {"from": "client"})


@pytest.mark.parametrize("profile", PROFILES)
def test_the_packet_that_completes_the_pattern_gives_the_connection_away(profile: str) -> None:
    connection = asking(profile, *TUNNEL)
    outcomes = [connection.data(NOISE[:400]), connection.answer(NOISE[:150]), connection.data(NOISE[:50])]
    assert matched(*outcomes) == [False, False, True]


@pytest.mark.parametrize("profile", PROFILES)
def test_a_server_that_speaks_last_completes_it_at_boxes_that_read_the_client_alone(profile: str) -> None:
    connection = asking(profile, {"size_at_most": 60}, {"from": "server", "size_at_least": 1000})
    assert matched(connection.data(NOISE[:50]), connection.answer(NOISE[:1200])) == [False, True]


@pytest.mark.parametrize(
    "sizes",
    [
        pytest.param([(True, 299), (False, 150), (True, 50)], id="too short"),
        pytest.param([(True, 400), (False, 201), (True, 50)], id="too long"),
        pytest.param([(False, 400), (False, 150), (True, 50)], id="from the other end"),
        pytest.param([(True, 400), (True, 150), (True, 50)], id="another one between"),
    ],
)
@pytest.mark.parametrize("profile", PROFILES)
def test_what_differs_in_one_packet_passes_for_good(profile: str, sizes: list[tuple[bool, int]]) -> None:
    connection = asking(profile, *TUNNEL)
    said = [(connection.data if ours else connection.answer)(NOISE[:size]) for ours, size in sizes]
    assert not any(matched(*said, *[connection.data(NOISE[:400]) for _ in range(4)]))


@pytest.mark.parametrize(
    ("payload", "high", "low"),
    [(NOISE[:1024], True, False), (bytes(1024), False, True), (b"GET / HTTP/1.1\r\n" * 20, False, False)],
)
def test_entropy_is_of_the_payload_in_bits_per_byte(payload: bytes, high: bool, low: bool) -> None:
    assert matched(asking("naive", {"entropy_at_least": 7.5}).data(payload)) == [high]
    assert matched(asking("naive", {"entropy_at_most": 1}).data(payload)) == [low]


@pytest.mark.parametrize(("seconds", "soon"), [(0.04, True), (0.06, False)])
def test_gaps_are_between_one_packet_and_the_next(seconds: float, soon: bool) -> None:
    for asked, found in [({"gap_at_most": "50ms"}, soon), ({"gap_at_least": "50ms"}, not soon)]:
        connection = asking("naive", {"gap_at_most": "0s"}, asked)
        connection.now = 100.0
        first = connection.data(NOISE[:30])
        connection.now += seconds
        assert matched(first, connection.answer(NOISE[:30])) == [False, found]


def test_an_offload_frame_is_the_packets_that_it_stands_for() -> None:
    pattern = ({"size_at_least": 500, "size_at_most": 500}, {"size_at_least": 500}, {"size_at_most": 200})
    for segment, found in [(500, True), (600, False), (0, False)]:
        connection = asking("perfect", *pattern)
        assert matched(connection.send(connection.tcp("PA", NOISE[:1200]), segment=segment)) == [found]


def test_datagrams_have_a_pattern_too() -> None:
    connection = Connection(
        engine("perfect", rule("drop", first_packets=[{"size_at_least": 1200}, {"from": "server"}]))
    )
    outcomes = [connection.udp(NOISE[:1200]), connection.udp(NOISE[:80], back=True)]
    assert matched(*outcomes) == [False, True]


def test_other_conditions_must_hold_besides() -> None:
    for host, found in [("blocked.example", True), ("fine.example", False)]:
        connection = asking("perfect", {"from": "client"}, {"from": "server"}, name_suffix="blocked.example")
        assert matched(connection.data(client_hello(host)), connection.answer(NOISE[:100])) == [False, found]


def test_a_span_that_no_packet_can_be_in_is_refused_with_its_line() -> None:
    text = """rules:
  - name: nothing
    when:
      first_packets:
        - {from: client, size_at_least: 900, size_at_most: 800}
        - {entropy_at_least: 9}
        - {from: middle}
    verdict: drop
"""
    with pytest.raises(BadInput) as caught:
        load_policy(text, "rules.yaml")
    told = str(caught.value)
    assert "rules.yaml:5" in told
    assert "`size_at_least` of at most `size_at_most`" in told
    assert "rules.yaml:6" in told
    assert "rules.yaml:7" in told
