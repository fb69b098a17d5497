"""ICMP echoes (RFC 792, RFC 4443) to many addresses at once, followed by controls that no policy affects.

An unanswered probe shows something about the network only if the testbed was working. So a block's probes are followed
by a control on the same path: once it is answered, answers to the probes would have arrived too. No timeout has to
guess how slow the machine is.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from shutdownlab.config.addresses import Address
from shutdownlab.system.namespace import Namespace

_REQUEST: Final = {4: 8, 6: 128}
_REPLY: Final = {4: 0, 6: 129}
_SOL_RAW, _ICMP_FILTER, _ICMP6_FILTER = 255, 1, 1
_AGAIN_S: Final = 1.0
_MOST_CONTROLS: Final = 4
"""How many times a control is sent, a second apart; if none is answered the testbed was not working."""
_BEHIND_S: Final = 0.05
"""Seconds by which a probe's answer may follow its control's: packets of two flows may be reordered."""
_NO_WAY_S: Final = 0.2
"""Seconds to wait for an answer from a node that the scenario itself has cut off."""
_RECEIVE_BYTES: Final = 1 << 20


class EchoResult(Enum):
    """The result of probes: at least one was answered; only the control was; not even the control was."""

    ANSWER = "answer"
    SILENCE = "silence"
    NOTHING = "nothing"


@dataclass(slots=True)
class Ask:
    """Probes of a block, followed by a control; `way`: whether there is a path at all, regardless of policies."""

    addresses: tuple[Address, ...]
    control: Address
    way: bool = True
    answered: set[Address] = field(default_factory=set)
    result: EchoResult | None = None
    _controls: int = 0
    _decides_at: float = field(default=float("inf"))

    def hear(self, address: Address, now: float) -> None:
        """Handles an answer from an address, the control's or a probe's."""
        if address == self.control:
            self._decides_at = min(self._decides_at, now + _BEHIND_S)
            return
        self.answered.add(address)
        if len(self.answered) == len(self.addresses):
            self.result = EchoResult.ANSWER

    def decide(self, now: float) -> None:
        """Sets `result` once no more answers are expected."""
        if self.result is None and now >= self._decides_at:
            self.result = EchoResult.ANSWER if self.answered else EchoResult.SILENCE


class Site:
    """A node abroad to probe from. Its sockets are in the node's namespace, and can be used from any other."""

    def __init__(self, name: str, namespace: Namespace) -> None:
        """Raises `OSError`."""
        self.name = name
        with namespace.entered():
            self._sockets = {4: _socket(socket.AF_INET, socket.IPPROTO_ICMP), 6: _socket(socket.AF_INET6, 58)}
        self._sockets[4].setsockopt(_SOL_RAW, _ICMP_FILTER, struct.pack("=I", ~(1 << _REPLY[4]) & 0xFFFFFFFF))
        words = [0xFFFFFFFF] * 8
        words[_REPLY[6] // 32] &= ~(1 << _REPLY[6] % 32)
        self._sockets[6].setsockopt(socket.IPPROTO_ICMPV6, _ICMP6_FILTER, struct.pack("=8I", *words))

    def ask(self, asks: Iterable[Ask]) -> None:
        """Sends all probes, then each block's control, and waits until `result` is set for each."""
        waiting: dict[bytes, tuple[Ask, Address]] = {}
        todo = list(asks)
        for each in todo:
            for address in each.addresses:
                waiting[self._send(address)] = each, address
        for each in todo:
            waiting[self._send(each.control)] = each, each.control
            each._controls = 1
        begun = time.monotonic()
        for each in (each for each in todo if not each.way):
            each._decides_at = begun + _NO_WAY_S
        again = begun + _AGAIN_S
        while todo:
            now = time.monotonic()
            if now >= again:
                again = now + _AGAIN_S
                for each in (each for each in todo if each._decides_at == float("inf")):
                    if each._controls == _MOST_CONTROLS:
                        each.result = EchoResult.ANSWER if each.answered else EchoResult.NOTHING
                        continue
                    each._controls += 1
                    waiting[self._send(each.control)] = each, each.control
            self._listen(waiting, min([again, *(each._decides_at for each in todo)]) - now)
            now = time.monotonic()
            for each in todo:
                each.decide(now)
            todo = [each for each in todo if each.result is None]

    def _listen(self, waiting: Mapping[bytes, tuple[Ask, Address]], seconds: float) -> None:
        poller = select.poll()  # select(2) is limited to 1,024 descriptors
        for sock in self._sockets.values():
            poller.register(sock, select.POLLIN)
        poller.poll(max(0.0, 1000 * seconds))
        now = time.monotonic()
        for sock in self._sockets.values():
            with suppress(BlockingIOError):
                while True:
                    data = sock.recv(2048)
                    packet = data[(data[0] & 0x0F) * 4 :] if sock.family == socket.AF_INET else data
                    if found := waiting.get(packet[8:24]):
                        found[0].hear(found[1], now)

    def _send(self, address: Address) -> bytes:
        """Sends an echo request; returns the payload that identifies its answer. Send errors count as unanswered."""
        known_by = os.urandom(16)
        body = known_by[:4] + known_by
        with suppress(OSError):
            self._sockets[address.version].sendto(echo_request(address.version, body), (str(address), 0))
        return known_by


def _socket(family: socket.AddressFamily, protocol: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_RAW | socket.SOCK_NONBLOCK, protocol)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
    return sock


def echo_request(version: int, body: bytes) -> bytes:
    """Returns an echo request. body: identifier, sequence number and payload. The kernel sets ICMPv6's checksum."""
    kind = _REQUEST[version]
    total = sum(struct.unpack(f"!{len(body) // 2}H", body)) + (kind << 8)
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!BBH", kind, 0, 0xFFFF - total) + body
