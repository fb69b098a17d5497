"""Wires between real interfaces: what is read, what is written, and that offload survives the way through."""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cables import Cables

from shutdownlab.system.netns import inside
from shutdownlab.system.packet_socket import Batch, PacketSocket, open_wire
from shutdownlab.system.vnet_header import HEADER

BROADCAST = b"\xff" * 6
SENDER = b"\x02\0\0\0\0\1"
KIND = 0x88B5  # IEEE 802: local experimental


def frame(payload: bytes, tag: int | None = None) -> bytes:
    vlan = b"" if tag is None else struct.pack("!HH", 0x8100, tag)
    return BROADCAST + SENDER + vlan + struct.pack("!H", KIND) + payload.ljust(46, b"\0")


def wait_readable(wire: PacketSocket) -> None:
    assert select.select([wire], [], [], 5)[0], f"nothing came to {wire.ifname} within 5 s"


def read_ours(wire: PacketSocket, count: int) -> list[bytes]:
    """Read until `count` frames of `KIND` have come (an interface that comes up says things of its own)."""
    batch, found = Batch(8), list[bytes]()
    while len(found) < count:
        wait_readable(wire)
        read = [batch.frame(i) for i in range(batch.read(wire))]
        found += [data for data in read if struct.pack("!H", KIND) in (data[12:14], data[16:18])]
    return found


@pytest.fixture
def cables() -> Iterator[Cables]:
    with Cables() as cables:
        yield cables


@pytest.fixture
def pair(cables: Cables) -> Iterator[tuple[PacketSocket, PacketSocket, Path]]:
    """Two wires, the ends of one veth pair in two namespaces, and the second's namespace."""
    here, there = cables.netns(), cables.netns()
    cables.veth(here, "a", there, "b")
    a, b = open_wire(here, "a"), open_wire(there, "b")
    yield a, b, there
    a.close()
    b.close()


def test_a_frame_arrives_as_it_was_sent(pair: tuple[PacketSocket, PacketSocket, Path]) -> None:
    a, b, _ = pair
    sent = [frame(bytes([i]) * 50 * (i + 1)) for i in range(20)]
    for one in sent:
        a.send_frame(one)
    assert read_ours(b, 20) == sent
    assert a.sent == 20
    assert b.dropped() == 0


def test_a_wire_does_not_read_what_it_wrote(pair: tuple[PacketSocket, PacketSocket, Path]) -> None:
    a, b, _ = pair
    a.send_frame(frame(b"out"))
    b.send_frame(frame(b"in"))
    assert [data[14:16] for data in read_ours(a, 1)] == [b"in"]
    batch = Batch()
    assert all(b"out" not in batch.frame(i) for i in range(batch.read(a)))


def test_a_batch_passes_frames_on_unchanged_and_leaves_out_what_it_should(cables: Cables) -> None:
    left, middle, right = cables.netns(), cables.netns(), cables.netns()
    cables.veth(left, "a", middle, "b")
    cables.veth(middle, "c", right, "d")
    a, b, c, d = (open_wire(ns, name) for ns, name in ((left, "a"), (middle, "b"), (middle, "c"), (right, "d")))
    batch = Batch(64)
    time_up = time.monotonic() + 5
    sent = [frame(bytes([i]) * 60) for i in range(10)]
    for one in sent:
        a.send_frame(one)
    passed = 0
    while passed < 10:
        assert time.monotonic() < time_up, f"{passed} of 10 frames within 5 s"
        count = batch.read(b)
        for i in range(count):
            if batch.frame(i) in sent:
                passed += 1
                if passed % 2:
                    batch.forward(c, i, i + 1)
    assert read_ours(d, 5) == sent[::2]
    for wire in (a, b, c, d):
        wire.close()


def test_a_vlan_tag_survives_reading_and_forwarding(cables: Cables) -> None:
    left, middle, right = cables.netns(), cables.netns(), cables.netns()
    cables.veth(left, "a", middle, "b")
    cables.veth(middle, "c", right, "d")
    a, b, c, d = (open_wire(ns, name) for ns, name in ((left, "a"), (middle, "b"), (middle, "c"), (right, "d")))
    tagged, plain = frame(b"tagged", tag=0x6123), frame(b"plain")
    a.send_frame(tagged)
    a.send_frame(plain)
    batch, passed = Batch(), 0
    while passed < 2:
        wait_readable(b)
        count = batch.read(b)
        passed += sum(batch.frame(i) in (tagged, plain) for i in range(count))
        batch.forward(c, 0, count)
    assert read_ours(d, 2) == [tagged, plain]
    for wire in (a, b, c, d):
        wire.close()


def test_an_unfinished_checksum_is_trusted_and_distinguished_from_a_finished_one(
    pair: tuple[PacketSocket, PacketSocket, Path], cables: Cables
) -> None:
    a, b, there = pair
    cables.address(there, "b", "10.1.1.2/24")
    cables.run(there, "ip", "neigh", "add", "10.1.1.1", "lladdr", "02:00:00:00:00:01", "dev", "b")
    with inside(there):
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.sendto(b"x" * 100, ("10.1.1.1", 9))
    b.send_frame(frame(b"complete"))
    batch, trusted = Batch(), dict[bool, bool]()
    while len(trusted) < 2:
        wait_readable(a)
        for i in range(batch.read(a)):
            data = batch.frame(i)
            if b"x" * 100 in data or b"complete" in data:
                trusted[b"complete" in data] = batch.load(i)[1]
                assert batch.raw(i)[HEADER:] == data
    assert trusted == {False: True, True: False}
    udp.close()


def test_a_frame_longer_than_the_mtu_is_refused_and_counted(pair: tuple[PacketSocket, PacketSocket, Path]) -> None:
    a, b, _ = pair
    a.send_frame(frame(b"x" * 3000))
    a.send_frame(frame(b"short"))
    assert [data[14:19] for data in read_ours(b, 1)] == [b"short"]
    assert (a.refused, a.sent) == (1, 1)


def test_one_refused_frame_of_a_batch_does_not_stop_the_others(cables: Cables) -> None:
    left, middle, right = cables.netns(), cables.netns(), cables.netns()
    cables.veth(left, "a", middle, "b")
    cables.veth(middle, "c", right, "d")
    for netns, name in ((left, "a"), (middle, "b")):
        cables.run(netns, "ip", "link", "set", "dev", name, "mtu", "4000")
    a, b, c, d = (open_wire(ns, name) for ns, name in ((left, "a"), (middle, "b"), (middle, "c"), (right, "d")))
    for payload in (b"first", b"x" * 3000, b"last"):
        a.send_frame(frame(payload))
    batch, read = Batch(), 0
    while read < 3:
        wait_readable(b)
        count = batch.read(b)
        read += sum(batch.frame(i)[12:14] == struct.pack("!H", KIND) for i in range(count))
        batch.forward(c, 0, count)
    assert [data[14:18] for data in read_ours(d, 2)] == [b"firs", b"last"]
    assert c.refused == 1
    for wire in (a, b, c, d):
        wire.close()


def test_a_wire_that_goes_down_is_no_error_and_works_again(
    pair: tuple[PacketSocket, PacketSocket, Path], cables: Cables
) -> None:
    a, b, there = pair
    cables.run(there, "ip", "link", "set", "dev", "b", "down")
    batch = Batch()
    while b.read_errors == 0:
        wait_readable(b)
        batch.read(b)
    a.send_frame(frame(b"lost"))
    cables.run(there, "ip", "link", "set", "dev", "b", "up")
    a.send_frame(frame(b"found"))
    assert [data[14:19] for data in read_ours(b, 1)] == [b"found"]


def test_a_missing_interface_is_named_with_its_namespace(cables: Cables) -> None:
    netns = cables.netns()
    with pytest.raises(OSError, match=rf"cannot open nonesuch in {netns}: no interface with this name"):
        open_wire(netns, "nonesuch")


def test_a_missing_namespace_is_named() -> None:
    with pytest.raises(OSError, match="cannot open a in /run/netns/nonesuch"):
        open_wire(Path("/run/netns/nonesuch"), "a")


def test_opening_a_wire_leaves_the_caller_where_it_was(cables: Cables) -> None:
    before = Path("/proc/thread-self/ns/net").readlink()
    netns = cables.netns()
    cables.veth(netns, "a", netns, "b")
    open_wire(netns, "a").close()
    assert Path("/proc/thread-self/ns/net").readlink() == before


def test_an_interface_with_a_wire_says_nothing_of_its_own(
    pair: tuple[PacketSocket, PacketSocket, Path], cables: Cables
) -> None:
    _, _, there = pair
    assert "inet6" not in cables.run(there, "ip", "address", "show", "dev", "b")
