"""One RIPE Atlas probe on a subscriber's line: all measurements at once, with sockets in the line's namespace."""

from __future__ import annotations

import errno
import os
import select
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import dns.message

from shutdownlab.observers.atlas_format import Echo
from shutdownlab.observers.echo import echo_request
from shutdownlab.probes.handshake import client_context
from shutdownlab.signals.atlas import MOST_HOPS, PACKETS
from shutdownlab.system.namespace import Namespace

_ECHO_REPLY, _TIME_EXCEEDED = 0, 11
_PENDING: Final = {errno.EINPROGRESS, errno.EAGAIN}
Controller: TypeAlias = tuple[str, str]
"""A controller's name and address."""


@dataclass(slots=True)
class Round:
    """The results of a round. `controller`: the one connected to, if any; `decided`: that this choice is final.

    `hops`: by TTL; `certificate`: DER; `failure`: of the handshake, in Atlas' words; times in ms.
    """

    target: Controller
    query: bytes
    controller: Controller | None = None
    decided: bool = False
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
        """Whether all results are in: the hops up to the target, the pings, the DNS answer and the final controller."""
        end = next((ttl for ttl, echoes in sorted(self.hops.items()) if self._is_end(echoes)), 0)
        route = end and all(echo for ttl, echoes in self.hops.items() if ttl <= end for echo in echoes)
        return bool(route and all(self.pings) and self.response is not None and self.controller and self.decided)

    def _is_end(self, echoes: list[Echo | None]) -> bool:
        return any(echo is not None and echo.address == self.target[1] for echo in echoes)

    @property
    def route(self) -> dict[int, list[Echo | None]]:
        """The hops up to the target, or up to one past the last that answered."""
        found = {}
        last = max((ttl for ttl, echoes in self.hops.items() if any(echoes)), default=0)
        for ttl, echoes in sorted(self.hops.items()):
            found[ttl] = echoes
            if self._is_end(echoes) or ttl > last:
                break
        return found


def play(
    namespace: Namespace,
    address: str,
    controllers: Sequence[Controller],
    resolver: str,
    patience: float,
    ident: int,
) -> Round:
    """Runs one round from a line: connects to a controller, pings and traces the first, queries the resolver, and
    makes a TLS handshake.

    address: the probe's own. controllers: at least one; of those that connect, the first in the list counts, even if
    others are faster. patience: timeout in seconds, once for the handshake and once for the rest. ident: the DNS query
    id, below 65,536. Raises `OSError`.
    """
    question = dns.message.make_query(controllers[0][0], "A", id=ident)
    found = Round(controllers[0], question.to_wire(), hops={ttl: [None] * PACKETS for ttl in range(1, MOST_HOPS + 1)})
    with ExitStack() as stack:
        with namespace.entered():
            icmp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP))
            udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            tcps = {stack.enter_context(socket.socket()): each for each in controllers}
            for sock in (icmp, udp, *tcps):
                sock.bind((address, 0))
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
        opened: dict[Controller, tuple[socket.socket, float] | None] = {}
        for sock, controller in tcps.items():
            sock.setblocking(False)
            if sock.connect_ex((controller[1], 443)) in _PENDING:
                poller.register(sock, select.POLLOUT)
                by_fd[sock.fileno()] = sock
            else:
                opened[controller] = None
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
                    opened[tcps[sock]] = None if error else (sock, 1000 * (now - begun))
                    found.controller, found.decided = first_open(controllers, opened)
                    if error:
                        found.failure = f"connect: {os.strerror(error)}"
        if found.controller is not None and (connected := opened[found.controller]) is not None:
            sock, found.connecting = connected
            _shake_hands(sock, found, patience)
    return found


def first_open(
    controllers: Sequence[Controller], opened: Mapping[Controller, object | None]
) -> tuple[Controller | None, bool]:
    """Returns the first controller that is connected, and whether no earlier one can still connect.

    opened: None for controllers that refused; those that have not answered are missing.
    """
    decided = True
    for each in controllers:
        if opened.get(each) is not None:
            return each, decided
        decided = decided and each in opened
    return None, decided


def _send_echoes(icmp: socket.socket, address: str) -> dict[bytes, tuple[int, int, float]]:
    """Sends the packets of a traceroute, then those of a ping; returns TTL, index and time sent, by identifier."""
    sent = {}
    for ttl in (*range(1, MOST_HOPS + 1), 64):
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
    context = client_context()
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
