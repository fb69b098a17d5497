"""Recognise a UDP flow, datagram by datagram."""

from __future__ import annotations

from shutdownlab.inspection.recognisers.bittorrent import recognise_bittorrent_udp
from shutdownlab.inspection.recognisers.dns import PORTS as DNS_PORTS
from shutdownlab.inspection.recognisers.dns import recognise_dns
from shutdownlab.inspection.recognisers.dtls import DtlsHello, is_dtls
from shutdownlab.inspection.recognisers.openvpn import recognise_openvpn
from shutdownlab.inspection.recognisers.quic import QuicInitials, is_quic
from shutdownlab.inspection.recognisers.result import UNKNOWN, Recognition
from shutdownlab.inspection.recognisers.rtp import follows, recognise_rtcp, rtp_key
from shutdownlab.inspection.recognisers.sip import recognise_sip
from shutdownlab.inspection.recognisers.stun import recognise_stun
from shutdownlab.inspection.recognisers.tolerance import TOLERANT, Tolerance
from shutdownlab.inspection.recognisers.wireguard import recognise_wireguard

MAX_DATAGRAMS = 8
"""Datagrams of a flow looked at before it is given up as unknown (and before STUN is all it is)."""


class UdpRecogniser:
    """Recognises one UDP flow; keeps state where one datagram does not tell (QUIC's CRYPTO frames, RTP's sequence).

    STUN is reported at once but with `more`, because media (RTP, DTLS) often follow on the same flow.
    """

    __slots__ = ("_count", "_last", "_media", "_stateful", "_tolerance")

    def __init__(self, tolerance: Tolerance = TOLERANT) -> None:
        self._tolerance = tolerance
        self._count = 0
        self._last: Recognition | None = None
        self._stateful: QuicInitials | DtlsHello | None = None
        self._media: list[tuple[int, int, int] | None] = [None, None]

    def feed(self, payload: bytes, from_client: bool, dport: int) -> Recognition:
        """Take the next datagram; `from_client`: sent by whoever sent the first one. `dport` is the client's target."""
        if self._stateful is not None:
            return self._stateful.feed(payload, from_client)
        last = self._last
        if last is not None and not last.more and last.protocol != "dns":
            return last
        self._count += 1
        found = self._recognise(payload, from_client, dport)
        if found is None:
            if last is None:
                last = Recognition(more=True)
                last.sample = payload[:1024] or None
            found = last
        if self._count >= MAX_DATAGRAMS and found.protocol in (UNKNOWN, "stun"):
            found.more = False
        self._last = found
        return found

    def _recognise(self, payload: bytes, from_client: bool, dport: int) -> Recognition | None:
        if len(payload) < 8:
            return None
        first = payload[0]
        if dport in DNS_PORTS:
            dns = recognise_dns(payload, dport, self._tolerance)
            if dns is not None:
                return dns
        if is_quic(payload):
            return self._begin(QuicInitials(self._tolerance), payload, from_client)
        if is_dtls(payload):
            return self._begin(DtlsHello(), payload, from_client)
        if first < 5:
            found = recognise_stun(payload, dport) or recognise_wireguard(payload, dport)
            if found is not None:
                found.more = found.protocol == "stun"
                return found
        if 0x80 <= first <= 0xBF:
            found = recognise_rtcp(payload) or self._rtp(payload, from_client)
            if found is not None:
                return found
        found = recognise_bittorrent_udp(payload) or recognise_openvpn(payload, from_client)
        if found is None and 0x41 <= first <= 0x53:
            found = recognise_sip(payload)
            if found is not None:
                found.more = False  # a datagram is whole
                if found.protocol == UNKNOWN:
                    found = None
        return found or (recognise_dns(payload, dport, self._tolerance) if dport not in DNS_PORTS else None)

    def _begin(self, parser: QuicInitials | DtlsHello, payload: bytes, from_client: bool) -> Recognition:
        self._stateful = parser
        return parser.feed(payload, from_client)

    def _rtp(self, payload: bytes, from_client: bool) -> Recognition | None:
        key = rtp_key(payload)
        before = self._media[from_client]
        self._media[from_client] = key
        if key is None or before is None or not follows(before, key):
            return None
        result = Recognition("rtp")
        result.variant = f"payload type {key[0]}"
        return result
