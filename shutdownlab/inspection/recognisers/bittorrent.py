"""Recognises BitTorrent: peer handshake (BEP 3), DHT (BEP 5), uTP (BEP 29), LSD (BEP 14), trackers (BEP 3, 15)."""

from __future__ import annotations

from shutdownlab.inspection.recognisers.recogniser import TcpRecogniser, UdpRecogniser, UdpSession
from shutdownlab.inspection.recognisers.result import Recognition
from shutdownlab.inspection.recognisers.tolerance import Tolerance

HANDSHAKE = b"\x13BitTorrent protocol"
_MSE = (96, 608)
"""Minimum and maximum bytes of an end's first message in Message Stream Encryption: a 768-bit key and up to 512 bytes
of padding."""
_TRACKER_MAGIC = b"\x00\x00\x04\x17\x27\x10\x19\x80"


def _found(variant: str) -> Recognition:
    result = Recognition("bittorrent")
    result.variant = variant
    return result


def recognise_bittorrent_tcp(stream: bytes) -> Recognition | None:
    """Recognises the peer handshake at the start of a stream."""
    if stream[:20] == HANDSHAKE:
        return _found("peer")
    return Recognition(more=True) if 0 < len(stream) < 20 and HANDSHAKE.startswith(stream) else None


def is_mse(client: bytes, server: bytes, dport: int) -> bool:
    """Returns whether fully encrypted streams are Message Stream Encryption, by their sizes and only on usual ports."""
    if not 6881 <= dport <= 6999 and dport != 51413:
        return False
    return len(server) >= _MSE[0] if server else _MSE[0] <= len(client) <= _MSE[1]


def refine_http(result: Recognition) -> None:
    """Turns an HTTP request to a tracker into BitTorrent; host, URL and method stay."""
    if result.url is not None and "info_hash=" in result.url and ("/announce" in result.url or "/scrape" in result.url):
        result.protocol = "bittorrent"
        result.variant = "tracker"


def recognise_bittorrent_udp(payload: bytes) -> Recognition | None:
    """Recognises DHT, UDP tracker, local service discovery, and a uTP connection's first packet."""
    length = len(payload)
    if length < 16:
        return None
    first = payload[0]
    if first == 0x64:  # "d": a bencoded dictionary
        if payload[-1:] == b"e" and (b"1:y1:q" in payload or b"1:y1:r" in payload or b"1:y1:e" in payload):
            return _found("dht")
        if payload[:12] in (b"d1:ad2:id20:", b"d1:rd2:id20:"):
            return _found("dht")
        return None
    if first == 0 and length == 16 and payload[:8] == _TRACKER_MAGIC and payload[8:12] == b"\0\0\0\0":
        return _found("tracker")
    if first == 0x42 and payload[:11] == b"BT-SEARCH *":
        return _found("lsd")
    if first == 0x41 and length >= 20 and payload[1] <= 2:
        return _found("utp") if _utp_syn(payload) else None
    return None


def _utp_syn(payload: bytes) -> bool:
    """Returns whether this is uTP's ST_SYN: sequence number 1, nothing acknowledged, a window, no payload after the
    extensions."""
    if payload[16:18] != b"\x00\x01" or not any(payload[12:16]) or any(payload[8:12]):
        return False
    index = 20
    extension = payload[1]
    length = len(payload)
    while extension and index + 2 <= length:
        extension = payload[index]
        index += 2 + payload[index + 1]
    return not extension and index == length


class BitTorrentOverTcp(TcpRecogniser):
    """Recognises the peer handshake, requests to trackers, and Message Stream Encryption in fully encrypted streams."""

    protocols = ("bittorrent",)
    order = 70
    first = frozenset(HANDSHAKE[:1])
    refines = ("http", "fet")

    def recognise(self, client: bytes, server: bytes, dport: int, tolerance: Tolerance) -> Recognition | None:
        return recognise_bittorrent_tcp(client)

    def refine(self, found: Recognition, client: bytes, server: bytes, dport: int) -> None:
        if found.protocol == "http":
            refine_http(found)
        elif is_mse(client, server, dport):
            found.protocol = "bittorrent"
            found.variant = "mse"


class BitTorrent(UdpRecogniser):
    protocols = ("bittorrent",)
    order = 70

    def recognise(self, payload: bytes, from_client: bool, dport: int, session: UdpSession) -> Recognition | None:
        return recognise_bittorrent_udp(payload)
