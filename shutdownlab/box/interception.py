"""Interception as the DPI box sees it: which connections its TLS proxy has taken, and which frames are whose.

What such a connection's ends send goes to the proxy, and what the proxy sends goes to the end it is for, under the
Ethernet addresses that the connection's own frames bear. Until it is known whose the connection is, its ClientHello is
held, all segments of it: the server must not have seen a part of it if the proxy is to send one of its own.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from shutdownlab.box.tls_proxy import (
    ADDRESS,
    LINK,
    LONGEST_HELLO,
    Handover,
    HandoverReply,
    ProxyTrouble,
    is_unfinished,
    start_proxy,
)
from shutdownlab.config.numbers import TCP
from shutdownlab.inspection.forge import tcp_as_receiver
from shutdownlab.inspection.packet import ACK, FIN, RST, SYN, Packet, decode
from shutdownlab.inspection.stream import Stream
from shutdownlab.inspection.verdict import Side
from shutdownlab.system.packet_socket import Batch, PacketSocket, open_wire
from shutdownlab.system.tcp_repair import Offer, Place, read_offer
from shutdownlab.system.vnet_header import HEADER, NO_OFFLOAD

Key = tuple[bytes, int, bytes, int]
"""A connection: its client's address and port, and its server's."""

_KEPT: Final = 65536
"""Connections remembered of each kind; the oldest give way."""

_TIMESTAMP: Final = 8
_TTL: Final = 64
_FRAMES: Final = 256
"""Of a ClientHello in more pieces than this, nothing more is held."""


@dataclass(slots=True)
class _Opened:
    """What the handshake said, and what of the client's hello is held. `side`: where the client is."""

    side: Side
    first: int
    client: Offer
    server: Offer | None = None
    hello: Stream = field(default_factory=lambda: Stream(LONGEST_HELLO, keep_last=False))
    frames: list[bytes] = field(default_factory=list)


@dataclass(slots=True)
class _Held:
    """A connection that the proxy has been asked about."""

    key: Key
    side: Side
    frames: list[bytes]


class Interception:
    """One box's. `send` writes a raw frame out of the box's side."""

    def __init__(
        self,
        name: str,
        netns: Path | None,
        trusted: Path | None,
        root: Path | None,
        send: Callable[[Side, bytes], None],
        complain: Callable[[str], None],
    ) -> None:
        """Start the proxy (see `start_proxy`) and plug it in; raises ForkedError and OSError.

        complain: told what kept the proxy from its work that is nobody's but this machine's.
        """
        self._send, self._complain = send, complain
        self._proxy = start_proxy(name, netns, trusted, root)
        self.wire: PacketSocket = open_wire(netns, LINK)
        self._opened: OrderedDict[Key, _Opened] = OrderedDict()
        self._taken: OrderedDict[Key, Side] = OrderedDict()
        self._held: dict[int, _Held] = {}
        self._asked: dict[Key, int] = {}
        self._missed: OrderedDict[Key, str] = OrderedDict()
        """Connections that the proxy could not take though it should, and why; until their servers answer."""
        self._macs: OrderedDict[tuple[bytes, bytes], tuple[Side, bytes, bytes]] = OrderedDict()
        self._batch = Batch()
        self._latest: tuple[bytes, Packet] = (b"", decode(b""))
        self._number = 0
        self.counters = {"intercepted": 0, "not_intercepted": 0}

    @property
    def descriptors(self) -> tuple[int, int]:
        """What to call `on_readable` for when it is."""
        return self.wire.fd, self._proxy.fileno()

    def on_readable(self, descriptor: int) -> None:
        """Frames of the proxy's, or its answer about a connection; raises ConnectionError when it has ended."""
        if descriptor == self.wire.fd:
            self._frames()
        else:
            for reply in self._proxy.replies():
                if isinstance(reply, ProxyTrouble):
                    self._complain(f"its TLS proxy failed, and did not intercept as it should: {reply.trouble}")
                else:
                    self._replied(reply)

    def claims(self, raw: bytes, side: Side) -> bool:
        """Whether a frame that came in is the proxy's, or held for it; then it has been seen to."""
        packet = self._packet(raw)
        if packet.proto != TCP or packet.problem is not None or packet.is_fragment:
            return False
        key, from_client = self._key(packet)
        begins = packet.flags & (SYN | ACK) == SYN
        if key in self._taken and not (begins and from_client):
            self._taken.move_to_end(key)
            self._give(raw)
            return True
        if from_client and key in self._asked:
            frames = self._held[self._asked[key]].frames
            if (packet.data_length or packet.flags & (RST | FIN)) and raw not in frames:
                frames.append(raw)
            return True
        if packet.data_length and self._missed and (why := self._missed.pop(_back(packet), "")):
            self._complain(f"its TLS proxy did not intercept a connection that its server has answered: {why}")
        if begins:
            self._missed.pop(key, None)
            self._taken.pop(key, None)  # its client uses the port again: the proxy knows nothing of this one
        if packet.flags & SYN:
            self._note(packet, side)
        return False

    def holds(self, raw: bytes, side: Side) -> bool:
        """Keep a frame, on whose connection nothing is decided, as a part of a ClientHello of which more must come.

        The last part is not kept: with it what was held goes on its way, unless `begin` takes all of it first.
        """
        packet = self._packet(raw)
        if packet.proto != TCP or packet.problem is not None or packet.is_fragment:
            return False
        opened = self._opened.get((packet.src, packet.sport, packet.dst, packet.dport))
        if opened is None or opened.server is None:
            return False
        if packet.flags & (RST | FIN) or not packet.data_length:
            if packet.flags & (RST | FIN):
                self._let_go(opened)
            return False
        hello = opened.hello
        if not hello.known:
            hello.start(opened.first + 1)
        if not opened.frames and hello.at:
            return False  # its hello, if it was one, has passed
        grew = hello.full(packet.seq, packet.data, packet.data_length, LONGEST_HELLO)
        if len(opened.frames) >= _FRAMES or (hello.data and not is_unfinished(hello.data)):
            self._let_go(opened)
            return False
        if not grew and hello.distance(packet.seq) < 0:
            self._acknowledge(packet, opened)
        else:
            opened.frames.append(raw)
        return True

    def _acknowledge(self, packet: Packet, opened: _Opened) -> None:
        """In the server's name: a client that repeats what is held sends no more before it has been heard."""
        assert opened.server is not None
        window = 0xFFFF >> (opened.server.scale or 0)
        frame = tcp_as_receiver(packet, packet.ack, opened.hello.next_seq, ACK, ttl=_TTL, window=window, ipid=0)
        self._send(opened.side, NO_OFFLOAD + frame)

    def lets_go(self, raw: bytes) -> None:
        """The connection is decided otherwise: what is held of it goes on its way."""
        packet = self._packet(raw)
        opened = self._opened.get((packet.src, packet.sport, packet.dst, packet.dport))
        if opened is not None:
            self._let_go(opened)

    def _let_go(self, opened: _Opened) -> None:
        for raw in opened.frames:
            self._send(opened.side.other, raw)
        opened.frames = []

    def begin(self, raw: bytes, side: Side, host: str) -> bool:
        """Hand the connection over whose ClientHello this is (what has come of it, with what is held).

        False where it cannot be: it goes on as it is.
        """
        packet = self._packet(raw)
        key = (packet.src, packet.sport, packet.dst, packet.dport)
        opened = self._opened.get(key)
        if opened is None or opened.server is None or not self._is_whole(opened, packet):
            self.counters["not_intercepted"] += 1
            if opened is not None:
                self._let_go(opened)
            return False
        self._number += 1
        self._held[self._number] = _Held(key, side, [*opened.frames, raw])
        opened.frames = []
        self._asked[key] = self._number
        _remember(self._macs, (packet.src, packet.dst), (side, packet.frame[0:6], packet.frame[6:12]))
        client, server = (str(ip_address(packet.src)), packet.sport), (str(ip_address(packet.dst)), packet.dport)
        times = packet.option(_TIMESTAMP) or bytes(8)
        sent, echoed = int.from_bytes(times[:4], "big"), int.from_bytes(times[4:8], "big")
        first = (opened.first + 1) & 0xFFFFFFFF
        as_server = Place(server, client, packet.ack, first, echoed, opened.server, opened.client)
        as_client = Place(client, server, first, packet.ack, sent, opened.client, opened.server)
        self._proxy.hand_over(Handover(self._number, host, as_server, as_client))
        return True

    @staticmethod
    def _is_whole(opened: _Opened, packet: Packet) -> bool:
        """Whether nothing of the client's has gone to the server yet."""
        return bool(opened.frames) or packet.seq == (opened.first + 1) & 0xFFFFFFFF

    def _replied(self, reply: HandoverReply) -> None:
        """The proxy has made up its mind about a connection: what was held goes to it, or on its way."""
        held = self._held.pop(reply.number)
        del self._asked[held.key]
        self._opened.pop(held.key, None)
        if reply.taken:
            self.counters["intercepted"] += 1
            _remember(self._taken, held.key, held.side)
            for raw in held.frames:
                self._give(raw)
        else:
            self.counters["not_intercepted"] += 1
            if not reply.left_alone:  # where the server answers nobody, that is no fault, and no way through
                _remember(self._missed, held.key, reply.why)
            for raw in held.frames:
                self._send(held.side.other, raw)

    def _frames(self) -> None:
        """What the proxy sends goes out of the side where the end is that it is for."""
        batch = self._batch
        for i in range(batch.read(self.wire)):
            raw = batch.raw(i)
            packet = decode(raw[HEADER:])
            if packet.proto != TCP or packet.problem is not None:
                continue
            way = self._macs.get((packet.src, packet.dst))
            if way is not None:  # in the client's name
                side, onwards, own = way
                key = (packet.src, packet.sport, packet.dst, packet.dport)
                if key not in self._taken and key not in self._asked:
                    _remember(self._taken, key, side)  # a connection of the proxy's own, to see the certificate
                self._send(side.other, raw[:HEADER] + onwards + own + raw[HEADER + 12 :])
                continue
            way = self._macs.get((packet.dst, packet.src))
            if way is not None:
                side, onwards, own = way
                self._send(side, raw[:HEADER] + own + onwards + raw[HEADER + 12 :])

    def _give(self, raw: bytes) -> None:
        self.wire.send(raw[:HEADER] + ADDRESS + raw[HEADER + 6 :])

    def close(self) -> None:
        """End the proxy."""
        self.wire.close()
        self._proxy.stop()

    def _packet(self, raw: bytes) -> Packet:
        """The frame decoded, once for all that is asked about it in turn."""
        if raw is not self._latest[0]:
            self._latest = (raw, decode(raw[HEADER:]))
        return self._latest[1]

    def _key(self, packet: Packet) -> tuple[Key, bool]:
        """The connection, and whether its client sent this."""
        back = _back(packet)
        if back in self._taken or back in self._asked:
            return back, False
        return (packet.src, packet.sport, packet.dst, packet.dport), True

    def _note(self, packet: Packet, side: Side) -> None:
        options = packet.frame[packet.l4 + 20 : packet.payload]
        if not packet.flags & ACK:
            key = (packet.src, packet.sport, packet.dst, packet.dport)
            _remember(self._opened, key, _Opened(side, packet.seq, read_offer(options)))
            return
        opened = self._opened.get(_back(packet))
        if opened is not None:
            opened.server = read_offer(options)


def _back(packet: Packet) -> Key:
    """The connection that a server's packet is of."""
    return packet.dst, packet.dport, packet.src, packet.sport


def _remember(table: OrderedDict, key: object, value: object) -> None:  # type: ignore[type-arg]
    table[key] = value
    table.move_to_end(key)
    if len(table) > _KEPT:
        table.popitem(last=False)
