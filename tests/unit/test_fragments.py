"""IP fragments through boxes that reassemble, ignore, drop or hold them."""

from __future__ import annotations

import itertools

import pytest
from wire import Connection, client_hello, dns_query, engine, header_checksum, injected, packed

from shutdownlab.inspection.engine import Engine, FrameOutcome, Side
from shutdownlab.inspection.forge import udp_body
from shutdownlab.inspection.profile import Profile, shipped_profile


def fragments(frame: bytes, size: int = 24, ident: int = 77) -> list[bytes]:
    """An IPv4 frame cut into pieces of `size` payload bytes."""
    header, body = frame[14:34], frame[34 : 14 + int.from_bytes(frame[16:18], "big")]
    result = []
    for at in range(0, len(body), size):
        part = body[at : at + size]
        more = 0x2000 if at + size < len(body) else 0
        head = bytearray(header)
        head[2:4] = packed(20 + len(part), 2)
        head[4:6] = packed(ident, 2)
        head[6:8] = packed(more | at // 8, 2)
        head[10:12] = b"\0\0"
        head[10:12] = packed(header_checksum(bytes(head)), 2)
        result.append(frame[:14] + bytes(head) + part)
    return result


def opened(profile: str | Profile) -> Connection:
    connection = Connection(engine(profile))
    connection.open()
    return connection


def custom(**ip: object) -> Profile:
    base = shipped_profile("perfect").model_dump(by_alias=True, exclude_unset=True)
    return Profile.model_validate({**base, "name": "custom", "ip": ip})


def send_all(connection: Connection, frames: list[bytes]) -> list[FrameOutcome]:
    return [connection.send(frame) for frame in frames]


def test_a_fragmented_hello_is_seen_in_any_order_and_its_last_piece_stopped() -> None:
    for order in itertools.permutations(range(3)):
        connection = opened("perfect")
        frames = fragments(connection.tcp("PA", client_hello()), size=48)[:3]
        whole = fragments(connection.tcp("PA", client_hello()), size=48)
        assert len(whole) >= 3
        outcomes = send_all(connection, [frames[number] for number in order] + whole[3:])
        assert not outcomes[-1].forward
        assert all(outcome.forward for outcome in outcomes[:-1])


def test_a_box_that_ignores_fragments_is_evaded_by_them() -> None:
    connection = opened("kazakhstan-sni")
    assert all(outcome.forward for outcome in send_all(connection, fragments(connection.tcp("PA", client_hello()))))


def test_a_box_may_let_no_fragment_pass() -> None:
    connection = opened(custom(fragments="drop"))
    frames = fragments(connection.tcp("PA", client_hello("fine.example")))
    assert not any(outcome.forward for outcome in send_all(connection, frames))


@pytest.mark.parametrize(("overlap", "blocked"), [("first", False), ("last", True), ("discard", False)])
def test_overlapping_fragments_follow_the_boxs_policy(overlap: str, blocked: bool) -> None:
    connection = opened(custom(overlap=overlap))
    good = fragments(connection.tcp("PA", client_hello("blocked.example", extra=200)), size=64)
    decoy = fragments(connection.tcp("PA", client_hello("a-decoy.example", extra=200)), size=64)
    outcomes = send_all(connection, [good[0], decoy[1], good[1], *good[2:]])
    assert any(not outcome.forward for outcome in outcomes) is blocked


def test_tspu_holds_fragments_and_releases_them_together_uninspected() -> None:
    connection = opened("tspu-2022")
    frames = fragments(connection.tcp("PA", client_hello()), size=24)
    outcomes = send_all(connection, frames)
    assert [outcome.forward for outcome in outcomes] == [False] * (len(frames) - 1) + [True]
    assert [injection.frame for injection in outcomes[-1].inject] == frames[:-1]
    assert {injection.towards for injection in outcomes[-1].inject} == {Side.OUTSIDE}


@pytest.mark.parametrize(("count", "arrives"), [(45, True), (46, False)])
def test_tspu_gives_a_datagram_up_at_the_46th_fragment(count: int, arrives: bool) -> None:
    box = engine("tspu-2022")
    connection = Connection(box, dport=5000)
    body = udp_body(connection.src, connection.dst, 40000, 5000, bytes(8 * count - 8))
    from shutdownlab.inspection.forge import ip_packet

    frame = connection.tcp("A")[:14] + ip_packet(connection.src, connection.dst, 17, body, ttl=64, ipid=1)
    outcomes = send_all(connection, fragments(frame, size=8))
    assert len(outcomes) == count
    assert outcomes[-1].forward is arrives


def test_tspu_discards_a_datagram_with_a_duplicate_fragment() -> None:
    connection = opened("tspu-2022")
    frames = fragments(connection.tcp("PA", client_hello("fine.example")), size=48)
    outcomes = send_all(connection, [frames[0], frames[0], *frames[1:]])
    assert not any(outcome.forward for outcome in outcomes)


def test_a_datagram_times_out() -> None:
    connection = opened("perfect")
    frames = fragments(connection.tcp("PA", client_hello()), size=64)
    connection.send(frames[0])
    connection.now += 31
    assert all(outcome.forward for outcome in send_all(connection, frames[1:]))
    assert connection.engine.fragments.given_up == 1


def test_unfinished_datagrams_are_bounded() -> None:
    box: Engine = engine(custom(datagrams=10))
    connection = Connection(box)
    for ident in range(50):
        connection.send(fragments(connection.tcp("PA", client_hello()), ident=ident)[0])
    assert len(box.fragments.table) == 10


def test_ipv6_fragments_are_put_together() -> None:
    client = bytes.fromhex("20010db8") + bytes(11) + b"\1"
    server = bytes.fromhex("20010db8") + bytes(11) + b"\2"
    connection = Connection(engine("perfect"), client=client, server=server, dport=53)
    body = udp_body(client, server, 40000, 53, dns_query("www.blocked.example"))
    frames = []
    for at in range(0, len(body), 16):
        part = body[at : at + 16]
        head = bytes((17, 0)) + packed(at | (1 if at + 16 < len(body) else 0), 2) + packed(99, 4)
        packet = b"\x60\0\0\0" + packed(8 + len(part), 2) + bytes((44, 64)) + client + server + head + part
        frames.append(bytes(12) + b"\x86\xdd" + packet)
    outcomes = send_all(connection, frames)
    assert not outcomes[-1].forward
    assert injected(outcomes[-1], Side.INSIDE)[0].dport == 40000
