"""Recognises DTLS; reassembles the ClientHello from handshake fragments in any order (RFC 6347 §4.2, RFC 9147 §5)."""

from __future__ import annotations

from shutdownlab.inspection.recognisers.recogniser import UdpRecogniser, UdpSession
from shutdownlab.inspection.recognisers.result import Recognition
from shutdownlab.inspection.recognisers.tls import client_hello

MAX_HELLO = 16384
MAX_DATAGRAMS = 16
_VERSIONS = (0xFEFF, 0xFEFD, 0xFEFC, 0x0100)  # 0x0100: OpenSSL's and Cisco AnyConnect's before the standard


def is_dtls(payload: bytes) -> bool:
    """Returns whether the datagram begins with a plaintext DTLS record that fits it."""
    length = len(payload)
    if length < 14 or not 20 <= payload[0] <= 25:
        return False
    size = (payload[11] << 8) | payload[12]
    return ((payload[1] << 8) | payload[2]) in _VERSIONS and 0 < size <= length - 13


class DtlsHello:
    """Reassembles the client's ClientHello, datagram by datagram."""

    __slots__ = ("_datagrams", "_pieces", "_sequence", "_total", "result")

    def __init__(self) -> None:
        self.result = Recognition("dtls", None, True)
        self._pieces: dict[int, bytes] = {}
        self._sequence = -1
        self._total = -1
        self._datagrams = 0

    def feed(self, datagram: bytes, from_client: bool) -> Recognition:
        """Parses a datagram of the flow; returns what is known after it."""
        if not self.result.more:
            return self.result
        self._datagrams += 1
        if self._datagrams > MAX_DATAGRAMS:
            self.result.more = False
            return self.result
        index = 0
        records = 0
        while index + 13 <= len(datagram) and records < 16:
            size = (datagram[index + 11] << 8) | datagram[index + 12]
            end = index + 13 + size
            if end > len(datagram) or not self.result.more:
                break
            # Epoch 0 only: what follows is encrypted.
            if datagram[index] == 22 and datagram[index + 3] == 0 and datagram[index + 4] == 0:
                self._handshake(datagram, index + 13, end, from_client)
            elif records == 0 and self._datagrams == 1:
                self.result.more = False  # the handshake was missed
            index = end
            records += 1
        return self.result

    def _handshake(self, data: bytes, index: int, end: int, from_client: bool) -> None:
        while index + 12 <= end:
            total = int.from_bytes(data[index + 1 : index + 4], "big")
            sequence = (data[index + 4] << 8) | data[index + 5]
            offset = int.from_bytes(data[index + 6 : index + 9], "big")
            size = int.from_bytes(data[index + 9 : index + 12], "big")
            kind = data[index]
            index += 12
            if index + size > end or offset + size > total or total > MAX_HELLO:
                self.result.more = self.result.more and kind == 1
                return
            if kind == 1 and self._collect(sequence, total, offset, data[index : index + size]):
                return
            if kind == 2 and not from_client:
                self.result.more = False  # the server has answered: the hello was missed
            index += size

    def _collect(self, sequence: int, total: int, offset: int, piece: bytes) -> bool:
        if sequence != self._sequence or total != self._total:
            self._pieces.clear()  # the second hello, with the cookie
            self._sequence = sequence
            self._total = total
        if len(self._pieces) < 256:
            self._pieces[offset] = max(self._pieces.get(offset, b""), piece, key=len)
        body = b""
        for start in sorted(self._pieces):
            if start > len(body):
                break
            body += self._pieces[start][len(body) - start :]
        self.result = client_hello(body, 0, len(body), len(body) >= total, "d")
        self.result.protocol = "dtls"
        return not self.result.more


class Dtls(UdpRecogniser):
    protocols = ("dtls",)
    order = 30
    first = frozenset(range(20, 26))

    def recognise(self, payload: bytes, from_client: bool, dport: int, session: UdpSession) -> Recognition | None:
        return session.follow(DtlsHello(), payload, from_client) if is_dtls(payload) else None
