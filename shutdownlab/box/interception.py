"""Interception in the DPI box: which connections its TLS proxy has taken over, and where their frames go.

Frames from both ends of such a connection go to the proxy, and frames from the proxy to their destination, with the
Ethernet addresses of the connection's own frames. Until the proxy has decided, all segments of the ClientHello are
held: the server must not receive any part of it if the proxy is to send one of its own.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from shutdownlab.box.proxy_watch import ProxyWatch
from shutdownlab.box.tls_proxy import (
    ADDRESS,
    ECHOES,
    LINK,
    LONGEST_HELLO,
    Beat,
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
"""A connection: the client's address and port, and the server's."""

_KEPT: Final = 65536
"""Connections remembered in each table; the oldest are evicted."""

_OWN_ADDRESS: Final = bytes.fromhex("020000005002")
"""The box's own Ethernet address on the link to its proxy, which only its echoes bear."""
_MOST_BATCHES: Final = 64
"""Batches of frames read before signs of life are missed: they may be among them."""

_TIMESTAMP: Final = 8
_TTL: Final = 64
_FRAMES: Final = 256
"""Frames of a ClientHello that are held; one in more pieces is let go."""


@dataclass(slots=True)
class _Opened:
    """A connection's handshake, and the held part of its ClientHello. `side`: the client's; `first`: its initial
    sequence number."""

    side: Side
    first: int
    client: Offer
    server: Offer | None = None
    hello: Stream = field(default_factory=lambda: Stream(LONGEST_HELLO, keep_last=False))
    frames: list[bytes] = field(default_factory=list)


@dataclass(slots=True)
class _Held:
    """A connection that has been handed over to the proxy, which has not replied yet."""

    key: Key
    side: Side
    frames: list[bytes]


class Interception:
    """The interception of one box. `send` writes a raw frame out of a side of the box."""

    def __init__(
        self,
        name: str,
        netns: Path | None,
        trusted: Path | None,
        root: Path | None,
        send: Callable[[Side, bytes], None],
        complain: Callable[[str], None],
    ) -> None:
        """Starts the proxy (see `start_proxy`) and connects to it; raises ForkedError and OSError.

        complain: called with failures of the proxy that are caused by this machine.
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
        self._watch = ProxyWatch(self._proxy.beat, self._send_echo, ADDRESS + _OWN_ADDRESS, ECHOES)
        self.counters = {"intercepted": 0, "not_intercepted": 0}

    @property
    def descriptors(self) -> tuple[int, int]:
        """The file descriptors to call `on_readable` for."""
        return self.wire.fd, self._proxy.fileno()

    def on_readable(self, descriptor: int) -> None:
        """Handles frames from the proxy, or its replies; raises ConnectionError if it has ended."""
        if descriptor == self.wire.fd:
            self._frames()
        else:
            for reply in self._proxy.replies():
                if isinstance(reply, ProxyTrouble):
                    self._complain(f"its TLS proxy failed, and did not intercept as it should: {reply.trouble}")
                elif isinstance(reply, Beat):
                    self._watch.answered()
                else:
                    self._replied(reply)

    def turn(self, now: float) -> float:
        """Asks the proxy for signs of life if it is time, and complains of those that are missing.

        now: by `time.monotonic`. Returns when to call it next. Raises ConnectionError if the proxy has ended.
        """
        if now >= self._watch.next_turn:
            self.look(now)
            self._watch.ask(now)
        return self._watch.next_turn

    def look(self, now: float) -> None:
        """Complains of signs of life that are missing by now. Raises ConnectionError if the proxy has ended."""
        self.on_readable(self._proxy.fileno())  # it may be this box that stood still, and has not read them
        for _ in range(_MOST_BATCHES):
            if not self._frames():
                break
        for text in self._watch.missing(now):
            self._complain(text)

    def claims(self, raw: bytes, side: Side) -> bool:
        """Whether a frame's connection is the proxy's: it has been sent to the proxy, or is held until that decides."""
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
            self._taken.pop(key, None)  # the client reuses the port: this is a new connection
        if packet.flags & SYN:
            self._note(packet, side)
        return False

    def holds(self, raw: bytes, side: Side) -> bool:
        """Holds a frame of an undecided connection if it is part of an incomplete ClientHello; returns whether it did.

        The last part is not held: with it the held frames are forwarded, unless `begin` takes all of them first.
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
            return False  # the ClientHello, if any, has passed
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
        """Acknowledges for the server: a client that retransmits held segments sends no more until then."""
        assert opened.server is not None
        window = 0xFFFF >> (opened.server.scale or 0)
        frame = tcp_as_receiver(packet, packet.ack, opened.hello.next_seq, ACK, ttl=_TTL, window=window, ipid=0)
        self._send(opened.side, NO_OFFLOAD + frame)

    def lets_go(self, raw: bytes) -> None:
        """Forwards the held frames of a connection that is not to be intercepted."""
        packet = self._packet(raw)
        opened = self._opened.get((packet.src, packet.sport, packet.dst, packet.dport))
        if opened is not None:
            self._let_go(opened)

    def _let_go(self, opened: _Opened) -> None:
        for raw in opened.frames:
            self._send(opened.side.other, raw)
        opened.frames = []

    def begin(self, raw: bytes, side: Side, host: str) -> bool:
        """Hands a connection over to the proxy, given the frame that completes its ClientHello with the held ones.

        Returns False if it cannot be intercepted: the held frames are forwarded.
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
        """Returns whether the server has received no data from the client yet."""
        return bool(opened.frames) or packet.seq == (opened.first + 1) & 0xFFFFFFFF

    def _replied(self, reply: HandoverReply) -> None:
        """Handles the proxy's reply about a connection: sends the held frames to the proxy, or forwards them."""
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

    def _frames(self) -> int:
        """Forwards frames from the proxy to the side of their destination; returns how many there were."""
        batch = self._batch
        count = batch.read(self.wire)
        for i in range(count):
            raw = batch.raw(i)
            packet = decode(raw[HEADER:])
            if self._watch.is_echo(packet) or packet.proto != TCP or packet.problem is not None:
                continue
            way = self._macs.get((packet.src, packet.dst))
            if way is not None:  # sent as the client
                side, onwards, own = way
                key = (packet.src, packet.sport, packet.dst, packet.dport)
                if packet.flags & (SYN | ACK) == SYN:
                    _remember(self._taken, key, side)  # the proxy's own connection, to get the certificate
                if self._is_current(key):
                    self._send(side.other, raw[:HEADER] + onwards + own + raw[HEADER + 12 :])
                continue
            way = self._macs.get((packet.dst, packet.src))
            if way is not None and self._is_current(_back(packet)):
                side, onwards, own = way
                self._send(side, raw[:HEADER] + own + onwards + raw[HEADER + 12 :])
        return count

    def _is_current(self, key: Key) -> bool:
        """Whether the proxy has this connection; if not, it speaks of an earlier one whose port the client reuses."""
        return key in self._taken or key in self._asked

    def _send_echo(self, frame: bytes) -> None:
        self.wire.send_frame(frame)

    def _give(self, raw: bytes) -> None:
        self.wire.send(raw[:HEADER] + ADDRESS + raw[HEADER + 6 :])

    def close(self) -> None:
        """Stops the proxy."""
        self.wire.close()
        self._proxy.stop()

    def _packet(self, raw: bytes) -> Packet:
        """Returns the decoded frame; caches the last one."""
        if raw is not self._latest[0]:
            self._latest = (raw, decode(raw[HEADER:]))
        return self._latest[1]

    def _key(self, packet: Packet) -> tuple[Key, bool]:
        """Returns the connection's key, and whether the client sent this packet."""
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
