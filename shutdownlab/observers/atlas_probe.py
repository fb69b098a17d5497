"""What one RIPE Atlas probe does on a subscriber's line: everything at once, with sockets of that line alone."""

from __future__ import annotations

import errno
import os
import select
import socket
import ssl
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Final

import dns.message

from shutdownlab.observers.atlas_format import Echo
from shutdownlab.observers.echo import echo_request
from shutdownlab.system.namespace import Namespace

PACKETS: Final = 3
"""Of a ping, and of each hop of a traceroute."""
_MOST_HOPS: Final = 10
_ECHO_REPLY, _TIME_EXCEEDED = 0, 11
_PENDING: Final = {errno.EINPROGRESS, errno.EAGAIN}


@dataclass(slots=True)
class Round:
    """What came of a round. `controller`: to whom it has a connection, if to any: name and address.

    `hops`: by TTL; `certificate`: DER; `failure`: of the handshake, as Atlas words it; times in ms.
    """

    target: tuple[str, str]
    query: bytes
    controller: tuple[str, str] | None = None
    connecting: float = 0.0
    pings: list[Echo | None] = field(default_factory=lambda: [None] * PACKETS)
    hops: dict[int, list[Echo | None]] = field(default_factory=dict)
    response: bytes | None = None
    responding: float = 0.0
    certificate: bytes | None = None
    failure: str = "connect: timeout"
    shaking_hands: float = 0.0

    @property
    def is_whole(self) -> bool:
        """Whether nothing more is to come: the target is at the end of the route, and all before it have answered."""
        end = next((ttl for ttl, echoes in sorted(self.hops.items()) if self._is_end(echoes)), 0)
        route = end and all(echo for ttl, echoes in self.hops.items() if ttl <= end for echo in echoes)
        return bool(route and all(self.pings) and self.response is not None and self.controller)

    def _is_end(self, echoes: list[Echo | None]) -> bool:
        return any(echo is not None and echo.address == self.target[1] for echo in echoes)

    @property
    def route(self) -> dict[int, list[Echo | None]]:
        """The hops up to the first that is the target, or up to the last that answered and one more."""
        found = {}
        last = max((ttl for ttl, echoes in self.hops.items() if any(echoes)), default=0)
        for ttl, echoes in sorted(self.hops.items()):
            found[ttl] = echoes
            if self._is_end(echoes) or ttl > last:
                break
        return found


def play(namespace: Namespace, controllers: list[tuple[str, str]], resolver: str, patience: float) -> Round:
    """One round from a line: connect to any controller, ping and trace the first, ask the resolver, shake hands.

    controllers: names and addresses, at least one. patience: seconds for each of both parts. Raises `OSError`.
    """
    question = dns.message.make_query(controllers[0][0], "A")
    found = Round(controllers[0], question.to_wire(), hops={ttl: [None] * PACKETS for ttl in range(1, _MOST_HOPS + 1)})
    with ExitStack() as stack:
        with namespace.entered():
            icmp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP))
            udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            tcps = {stack.enter_context(socket.socket()): each for each in controllers}
        begun = time.monotonic()
        sent = _send_echoes(icmp, found.target[1])
        with suppress(OSError):
            udp.connect((resolver, 53))
            udp.send(found.query)
        poller = select.poll()
        for sock in (icmp, udp):
            sock.setblocking(False)
            poller.register(sock, select.POLLIN)
        by_fd = {}
        for sock, (_, address) in tcps.items():
            sock.setblocking(False)
            if sock.connect_ex((address, 443)) in _PENDING:
                poller.register(sock, select.POLLOUT)
                by_fd[sock.fileno()] = sock
        connected = None
        while (left := begun + patience - time.monotonic()) > 0 and not found.is_whole:
            for fd, _ in poller.poll(1000 * left):
                now = time.monotonic()
                if fd == icmp.fileno():
                    _hear_echoes(icmp, sent, found)
                elif fd == udp.fileno():
                    with suppress(OSError):
                        found.response, found.responding = udp.recv(4096), 1000 * (now - begun)
                elif fd in by_fd:
                    poller.unregister(fd)
                    sock = by_fd[fd]
                    error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    if not error and connected is None:
                        connected, found.controller, found.connecting = sock, tcps[sock], 1000 * (now - begun)
                    elif error:
                        found.failure = f"connect: {os.strerror(error)}"
        if connected is not None and found.controller is not None:
            _shake_hands(connected, found, patience)
    return found


def _send_echoes(icmp: socket.socket, address: str) -> dict[bytes, tuple[int, int, float]]:
    """Send a traceroute's packets, and a ping's behind them; each by what its answer has in it: TTL, place, when."""
    sent = {}
    for ttl in (*range(1, _MOST_HOPS + 1), 64):
        icmp.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
        for place in range(PACKETS):
            ident = os.urandom(4)
            sent[ident] = ttl, place, time.monotonic()
            with suppress(OSError):
                icmp.sendto(echo_request(4, ident + bytes(16)), (address, 0))
    return sent


def _hear_echoes(icmp: socket.socket, sent: dict[bytes, tuple[int, int, float]], found: Round) -> None:
    with suppress(BlockingIOError):
        while True:
            data, (sender, *_) = icmp.recvfrom(2048)
            packet = data[(data[0] & 0x0F) * 4 :]
            ident = packet[4:8] if packet[0] == _ECHO_REPLY else b""
            if packet[0] == _TIME_EXCEEDED and len(packet) >= 36:  # it quotes our packet
                inner = packet[8:]
                ident = inner[(inner[0] & 0x0F) * 4 :][4:8]
            if ident not in sent:
                continue
            ttl, place, when = sent[ident]
            echo = Echo(sender, 1000 * (time.monotonic() - when))
            if ttl in found.hops:
                found.hops[ttl][place] = echo
            else:
                found.pings[place] = echo


def _shake_hands(sock: socket.socket, found: Round, patience: float) -> None:
    assert found.controller is not None, "it is connected"
    begun = time.monotonic()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    sock.settimeout(patience)
    try:
        with context.wrap_socket(sock, server_hostname=found.controller[0]) as tls:
            found.certificate = tls.getpeercert(binary_form=True)
            found.shaking_hands = found.connecting + 1000 * (time.monotonic() - begun)
    except TimeoutError:
        found.failure = "timeout reading hello"
    except OSError as error:
        found.failure = f"TLS: {error.strerror or error}"
