"""Recognises QUIC, and decrypts its Initial packets, whose keys anyone can derive (RFC 9000, 9001, 9369).

Versions 1 and 2, and the drafts 21 to 34. The ClientHello is reassembled from CRYPTO frames in any order, over
coalesced packets and several datagrams. Google's older QUIC is recognised too; up to Q049 its CHLO is in the clear.
"""

from __future__ import annotations

from typing import Final

from shutdownlab.inspection.recognisers.doh import is_doh
from shutdownlab.inspection.recognisers.names import host_name
from shutdownlab.inspection.recognisers.quic_protection import V2, ClientInitials, initial_salt
from shutdownlab.inspection.recognisers.recogniser import UdpRecogniser, UdpSession
from shutdownlab.inspection.recognisers.result import Recognition
from shutdownlab.inspection.recognisers.tls import client_hello
from shutdownlab.inspection.recognisers.tolerance import TOLERANT, Tolerance

MAX_PACKETS: Final = 8
"""Coalesced packets parsed per datagram."""
MAX_CRYPTO: Final = 16384
"""Bytes of CRYPTO stream kept; a ClientHello with post-quantum shares is below 4 KiB."""
MAX_FRAMES: Final = 512
"""Frames parsed per packet; a full Initial of one-byte CRYPTO frames has fewer."""
MAX_CONNECTIONS: Final = 4
"""How many connection IDs of a flow are tried as its first one."""


def varint(data: bytes, index: int, end: int) -> tuple[int, int]:
    """Parses the variable-length integer at `index` (RFC 9000 §16).

    Returns its value and the index after it, or (-1, end) if it is truncated.
    """
    if index >= end:
        return -1, end
    first = data[index]
    size = 1 << (first >> 6)
    if index + size > end:
        return -1, end
    value = first & 0x3F
    for position in range(index + 1, index + size):
        value = (value << 8) | data[position]
    return value, index + size


def is_quic(payload: bytes) -> bool:
    """Returns whether a datagram begins with a QUIC long header, or that of Google's QUIC."""
    length = len(payload)
    if length < 12:
        return False
    first = payload[0]
    version = int.from_bytes(payload[1:5], "big")
    if first & 0x80:
        if version == 0:
            # Version Negotiation: two connection IDs and a list of versions.
            destination = payload[5]
            if destination > 20 or 6 + destination >= length:
                return False
            rest = length - 7 - destination - payload[6 + destination]
            return rest >= 4 and rest % 4 == 0
        if initial_salt(version) is not None:
            return bool(first & 0x40) and payload[5] <= 20
        if version & 0x0F0F0F0F == 0x0A0A0A0A:
            return length >= 1200 and bool(first & 0x40) and payload[5] <= 20  # a greased version, to be negotiated
        return _google(payload[1:5]) and bool(first & 0x40)
    return first & 0x09 == 0x09 and not first & 0xC0 and length >= 14 and _google(payload[9:13])


def _google(version: bytes) -> bool:
    return version[:1] in b"QT" and version[1:2] == b"0" and version[2:4].isdigit() and len(version) == 4


def _is_clear(version: bytes) -> bool:
    """Returns whether this is a version of Google's QUIC (Q04x) whose first packets are not encrypted."""
    return version[:3] == b"Q04"


class QuicInitials:
    """Decrypts the client's Initials of one connection, datagram by datagram."""

    __slots__ = ("_connections", "_datagrams", "_limit", "_opened", "_size", "_stream", "_waiting", "result")

    def __init__(self, tolerance: Tolerance = TOLERANT) -> None:
        self._limit = tolerance.quic_datagrams
        self.result = Recognition("quic", None, True)
        self._connections: list[bytes] = []
        self._opened: dict[tuple[int, bytes], ClientInitials] = {}
        self._stream = b""
        self._waiting: dict[int, bytes] = {}
        self._size = 0
        self._datagrams = 0

    def knows(self, connection: bytes) -> bool:
        """Returns whether the client has sent to this connection ID."""
        return connection in self._connections

    @property
    def opened(self) -> bool:
        """Whether some of the handshake could be decrypted."""
        return bool(self._stream or self._waiting)

    def feed(self, datagram: bytes, from_client: bool) -> Recognition:
        """Parses a datagram of the flow, if the client sent it; returns what is known after it."""
        result = self.result
        if not result.more:
            return result
        if not from_client:
            return result
        self._datagrams += 1
        if self._datagrams > self._limit:
            result.more = False
            if not result.versions and datagram[:1] and datagram[0] & 0x80:
                result.versions = (int.from_bytes(datagram[1:5], "big"),)
            return result
        if not datagram[:1] or not datagram[0] & 0x80 or _is_clear(datagram[1:5]):
            if self._datagrams == 1:
                _google_hello(datagram, result)
            return result
        index = 0
        packets = 0
        while index >= 0 and index + 7 <= len(datagram) and packets < MAX_PACKETS:
            index = self._packet(datagram, index)
            packets += 1
        if self._datagrams >= self._limit:
            self.result.more = False
        return self.result

    def _packet(self, data: bytes, start: int) -> int:
        """Parses the packet at `start`; returns the offset of the next coalesced one, or -1."""
        length = len(data)
        first = data[start]
        if not first & 0x80:
            return -1
        version = int.from_bytes(data[start + 1 : start + 5], "big")
        index = start + 5
        size = data[index]
        connection = data[index + 1 : index + 1 + size]
        index += 1 + size
        if size > 20 or index >= length:
            return -1
        index += 1 + data[index]
        if index > length or version == 0:
            return -1
        if not self.result.versions:
            self.result.versions = (version,)
        if initial_salt(version) is None:
            # Unknown version, or a greased one, after which the client tries again with another.
            if version & 0x0F0F0F0F != 0x0A0A0A0A:
                self.result.more = False
            return -1
        self.result.versions = (version,)
        kind = (first >> 4) & 3
        if version == V2:
            kind = (kind - 1) & 3
        if kind == 3:
            return -1  # Retry takes the rest of the datagram
        if kind == 0:
            token, index = varint(data, index, length)
            if token < 0 or index + token > length:
                return -1
            index += token
        size, index = varint(data, index, length)
        if size < 20 or index + size > length:
            return -1
        if kind == 0:
            self._initial(data[start : index + size], index - start, version, connection)
        return index + size

    def _initial(self, packet: bytes, offset: int, version: int, connection: bytes) -> None:
        """Decrypts an Initial with the keys of each connection ID seen: the first, and after a Retry the new one."""
        connections = self._connections
        if connection not in connections and len(connections) < MAX_CONNECTIONS:
            connections.append(connection)
        candidates = connections if connection in connections else [*connections, connection]
        for candidate in candidates:
            plain = self._under(version, candidate).open(packet, offset)
            if plain is not None:
                self._frames(plain)
                return

    def _under(self, version: int, connection: bytes) -> ClientInitials:
        """Returns the keys for a version and connection ID, cached since a ClientHello may take several datagrams."""
        found = self._opened.get((version, connection))
        if found is None:
            found = ClientInitials(version, connection)
            if len(self._opened) < MAX_CONNECTIONS:
                self._opened[version, connection] = found
        return found

    def _frames(self, data: bytes) -> None:
        """Collects the CRYPTO frames of a decrypted Initial; others may only be PADDING, PING, ACK and CLOSE."""
        index = 0
        end = len(data)
        frames = 0
        while index < end and frames < MAX_FRAMES:
            kind = data[index]
            if kind == 0:
                index += 1
                while index < end and data[index] == 0:
                    index += 1
                continue
            frames += 1
            index += 1
            if kind == 1:
                continue
            if kind in (2, 3):
                index = _skip_ack(data, index, end, kind == 3)
                if index < 0:
                    break
                continue
            if kind != 6:
                break
            offset, index = varint(data, index, end)
            size, index = varint(data, index, end)
            if offset < 0 or size < 0 or index + size > end:
                break
            self._crypto(offset, data[index : index + size])
            index += size
        self._read_hello()

    def _crypto(self, offset: int, piece: bytes) -> None:
        have = len(self._stream)
        if offset + len(piece) > MAX_CRYPTO or offset + len(piece) <= have:
            return
        if offset <= have:
            self._stream += piece[have - offset :]
            while self._waiting:
                have = len(self._stream)
                ready = [start for start in self._waiting if start <= have]
                if not ready:
                    break
                for start in ready:
                    late = self._waiting.pop(start)
                    self._size -= len(late)
                    if start + len(late) > len(self._stream):
                        self._stream += late[len(self._stream) - start :]
        elif self._size + len(piece) <= MAX_CRYPTO:
            before = self._waiting.get(offset, b"")
            if len(piece) > len(before):
                self._waiting[offset] = piece
                self._size += len(piece) - len(before)

    def _read_hello(self) -> None:
        stream = self._stream
        if not stream:
            return
        if stream[0] != 1:
            if stream[:4] == b"CHLO"[: len(stream)] and len(stream) < 8:
                return
            _google_hello(stream, self.result)  # Q050: Google's own handshake in IETF packets
            self.result.more = False
            return
        if len(stream) < 4:
            return
        size = (stream[1] << 16) | (stream[2] << 8) | stream[3]
        if size > MAX_CRYPTO:
            self.result.more = False
            return
        complete = len(stream) >= 4 + size
        result = client_hello(stream, 4, 4 + size if complete else len(stream), complete, "q")
        result.protocol = "quic"
        result.versions = self.result.versions
        result.more_server = False
        if "doq" in result.alpn:
            result.variant = "doq"
        elif result.host is not None and is_doh(result.host):
            result.variant = "doh"
        self.result = result


class QuicConnections:
    """Parses one QUIC connection after another between the same two ports; the latest one's result counts."""

    __slots__ = ("_current", "_tolerance")

    def __init__(self, tolerance: Tolerance = TOLERANT) -> None:
        self._tolerance = tolerance
        self._current = QuicInitials(tolerance)

    def feed(self, datagram: bytes, from_client: bool) -> Recognition:
        """Parses a datagram. Once a connection's ClientHello is known, an Initial to another connection ID whose keys
        open it begins the next one (later Initials of a connection are opened by those of its first)."""
        current = self._current
        result = current.result
        if result.more or not from_client or len(datagram) < 7 or not datagram[0] & 0x80:
            return current.feed(datagram, from_client)
        if initial_salt(int.from_bytes(datagram[1:5], "big")) is None or current.knows(datagram[6 : 6 + datagram[5]]):
            return result
        following = QuicInitials(self._tolerance)
        found = following.feed(datagram, from_client)
        if not following.opened:
            return result
        self._current = following
        return found


def _skip_ack(data: bytes, index: int, end: int, counts: bool) -> int:
    _largest, index = varint(data, index, end)
    _delay, index = varint(data, index, end)
    ranges, index = varint(data, index, end)
    first, index = varint(data, index, end)
    if first < 0 or ranges > 1024:
        return -1
    for _ in range(2 * ranges + (3 if counts else 0)):
        value, index = varint(data, index, end)
        if value < 0:
            return -1
    return index


def _google_hello(data: bytes, result: Recognition) -> None:
    """Reads SNI and user agent from a CHLO of Google's QUIC into `result`."""
    result.more = False
    start = data.find(b"CHLO", 0, 128)
    if start < 0 or start + 8 > len(data):
        return
    count = int.from_bytes(data[start + 4 : start + 6], "little")
    values = start + 8 + 8 * count
    previous = 0
    for index in range(start + 8, min(values, len(data) - 8 + 1), 8):
        end = int.from_bytes(data[index + 4 : index + 8], "little")
        if data[index : index + 4] == b"SNI\x00" and values + end <= len(data):
            result.host = host_name(data[values + previous : values + end])
        elif data[index : index + 4] == b"UAID" and values + end <= len(data):
            result.user_agent = data[values + previous : values + end].decode("latin-1")
        previous = end


class Quic(UdpRecogniser):
    protocols = ("quic",)
    order = 20

    def recognise(self, payload: bytes, from_client: bool, dport: int, session: UdpSession) -> Recognition | None:
        return session.follow(QuicConnections(session.tolerance), payload, from_client) if is_quic(payload) else None
