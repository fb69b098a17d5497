"""Takes over an established TCP connection with a kernel socket (TCP_REPAIR, tcp(7) and CRIU's documentation).

The socket gets the addresses, sequence numbers and options of one endpoint, and the kernel then continues the
connection in its place.
"""

from __future__ import annotations

import errno
import socket
import struct
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from pyroute2.netlink import NLM_F_ACK, NLM_F_REQUEST
from pyroute2.netlink.diag import SOCK_DESTROY, SS_ALL, DiagSocket, inet_diag_req

# linux/tcp.h, linux/in.h, linux/in6.h: not in Python's socket module.
_TCP_REPAIR: Final = 19
_TCP_REPAIR_QUEUE: Final = 20
_TCP_QUEUE_SEQ: Final = 21
_TCP_REPAIR_OPTIONS: Final = 22
_TCP_TIMESTAMP: Final = 24
_IP_TRANSPARENT: Final = 19
_IPV6_TRANSPARENT: Final = 75
_RECEIVING, _SENDING = 1, 2
_MSS, _WINDOW, _SACK, _TIMESTAMP = 2, 3, 4, 8
_DEFAULT_MSS: Final = 536
_ANY_COOKIE: Final = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Offer:
    """TCP options that an endpoint offered in its SYN or SYN/ACK. `scale`: window scale; None for no scaling."""

    mss: int = _DEFAULT_MSS
    scale: int | None = None
    sack: bool = False
    timestamps: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """The state of the endpoint to replace.

    own, peer: addresses and ports. send_next, receive_next: next sequence numbers. timestamp: current TCP timestamp.
    """

    own: tuple[str, int]
    peer: tuple[str, int]
    send_next: int
    receive_next: int
    timestamp: int
    own_offer: Offer
    peer_offer: Offer


def read_offer(options: bytes) -> Offer:
    """Parses the options of a SYN or SYN/ACK, up to the first malformed one (RFC 9293, 7323, 2018)."""
    mss, scale, sack, timestamps = _DEFAULT_MSS, None, False, False
    at = 0
    while at < len(options) and options[at] != 0:
        if options[at] == 1:
            at += 1
            continue
        length = options[at + 1] if at + 1 < len(options) else 0
        value = options[at + 2 : at + length]
        if length < 2 or len(value) != length - 2:
            break
        match options[at], length:
            case 2, 4:
                mss = int.from_bytes(value, "big")
            case 3, 3:
                scale = min(value[0], 14)
            case 4, 2:
                sack = True
            case 8, 10:
                timestamps = True
        at += length
    return Offer(mss, scale, sack, timestamps)


def transparent(family: socket.AddressFamily) -> socket.socket:
    """Returns a TCP socket that can be bound to any address. Needs CAP_NET_ADMIN in its network namespace."""
    made = socket.socket(family, socket.SOCK_STREAM)
    level, option = (socket.SOL_IP, _IP_TRANSPARENT)
    if family == socket.AF_INET6:
        level, option = (socket.IPPROTO_IPV6, _IPV6_TRANSPARENT)
    made.setsockopt(level, option, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return made


def take_place(place: Place) -> socket.socket:
    """Returns a connected socket in place of that endpoint. Raises OSError if the kernel refuses.

    A socket that is left of an earlier connection between the same addresses and ports is destroyed: the endpoint
    would not begin another one if it still had that (Linux may be built without this: EOPNOTSUPP).
    """
    made = transparent(_family(place))
    tcp = socket.IPPROTO_TCP
    try:
        made.setsockopt(tcp, _TCP_REPAIR, 1)
        for queue, number in ((_SENDING, place.send_next), (_RECEIVING, place.receive_next)):
            made.setsockopt(tcp, _TCP_REPAIR_QUEUE, queue)
            made.setsockopt(tcp, _TCP_QUEUE_SEQ, struct.pack("=I", number))
        made.bind(place.own)
        try:
            made.connect(place.peer)
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL:
                raise
            _destroy_leftover(place)
            made.connect(place.peer)
        made.setsockopt(tcp, _TCP_REPAIR_OPTIONS, _agreed(place.own_offer, place.peer_offer))
        if place.own_offer.timestamps and place.peer_offer.timestamps:
            made.setsockopt(tcp, _TCP_TIMESTAMP, struct.pack("=I", place.timestamp))
        made.setsockopt(tcp, _TCP_REPAIR, 0)  # asks the peer for its window, too
    except OSError:
        made.close()
        raise
    return made


def give_back(taken: socket.socket) -> None:
    """Closes a socket that `take_place` has returned, without a word to its peer."""
    with taken:
        taken.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, 1)


def _family(place: Place) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in place.own[0] else socket.AF_INET


def _destroy_leftover(place: Place) -> None:
    """Destroys this namespace's socket between these ends (sock_diag(7)). Raises OSError if there is none."""
    request = inet_diag_req()
    request["sdiag_family"], request["sdiag_protocol"] = _family(place), socket.IPPROTO_TCP
    request["idiag_states"], request["idiag_cookie"] = SS_ALL, _ANY_COOKIE
    request["idiag_sport"], request["idiag_dport"] = place.own[1], place.peer[1]
    for field, (address, _) in (("idiag_src", place.own), ("idiag_dst", place.peer)):
        request[field] = struct.unpack(">4I", ip_address(address).packed.ljust(16, b"\0"))
    with DiagSocket() as netlink:
        tuple(netlink.nlm_request(request, SOCK_DESTROY, NLM_F_REQUEST | NLM_F_ACK))


def _agreed(own: Offer, peer: Offer) -> bytes:
    """Returns the options that both ends offered, encoded for TCP_REPAIR_OPTIONS."""
    options = [(_MSS, min(own.mss, peer.mss))]
    if own.scale is not None and peer.scale is not None:
        options.append((_WINDOW, peer.scale | own.scale << 16))
    if own.sack and peer.sack:
        options.append((_SACK, 0))
    if own.timestamps and peer.timestamps:
        options.append((_TIMESTAMP, 0))
    return b"".join(struct.pack("=II", code, value) for code, value in options)
