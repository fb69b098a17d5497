"""Signs of life of a box's TLS proxy: its process answers, and the link to it carries packets of full size, both ways.

What a proxy delays or loses looks like a block, and controls do not pass it: the box lets their packets go past it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from shutdownlab.config.numbers import ETHER_IPV4, ICMP
from shutdownlab.inspection.checksum import checksum
from shutdownlab.inspection.packet import Packet

_EVERY_S: Final = 0.1
_STALL_S: Final = 0.75
"""What is missing for so long can make both tries of a probe fail: the first waits 0.48 s for an answer, or longer."""
_OWN: Final = bytes((198, 18, 0, 1))
"""The echo's source address, from RFC 2544: nobody but the proxy's node sees it."""
_ECHO, _TTL = 8, 64
_MTU: Final = 1500
_PROCESS: Final = "its TLS proxy has not answered"
_LINK: Final = "the link to its TLS proxy has carried no packet of full size"


class ProxyWatch:
    """Watches one proxy. `ask`: makes its process answer; `send`: sends an Ethernet frame of 1,514 bytes to it.

    All times are by `time.monotonic`.
    """

    def __init__(self, ask: Callable[[], None], send: Callable[[bytes], None], macs: bytes, address: bytes) -> None:
        """macs: the echo's Ethernet addresses, the proxy's first. address: the IPv4 address that answers it."""
        self._ask, self._send, self._address = ask, send, address
        self._echo = macs + ETHER_IPV4.to_bytes(2, "big") + _echo(address)
        self._asked: float | None = None
        self._sent: float | None = None
        self._reported: set[str] = set()
        self.next_turn = 0.0
        """When to ask again."""

    def ask(self, now: float) -> None:
        """Asks for signs of life, until `next_turn`."""
        self.next_turn = now + _EVERY_S
        if self._asked is None:
            self._asked = now
            self._ask()
        if self._sent is None:
            self._sent = now
        self._send(self._echo)

    def answered(self) -> None:
        """Its process has answered."""
        self._asked = None
        self._reported.discard(_PROCESS)

    def is_echo(self, packet: Packet) -> bool:
        """Whether a packet that came over the link is an answer to an echo of ours, which is then noted."""
        if packet.proto != ICMP or (packet.src, packet.dst) != (self._address, _OWN):
            return False
        self._sent = None
        self._reported.discard(_LINK)
        return True

    def missing(self, now: float) -> list[str]:
        """Returns what has been missing for too long, a sentence each, once; call it when everything has been read."""
        waited = {
            text: now - since for text, since in ((_PROCESS, self._asked), (_LINK, self._sent)) if since is not None
        }
        late = [text for text, seconds in waited.items() if seconds >= _STALL_S and text not in self._reported]
        self._reported.update(late)
        return [f"{text} for {waited[text]:.1f} s" for text in late]


def _echo(to: bytes) -> bytes:
    """Returns an ICMP echo request in an IPv4 packet, as long as the link takes (RFC 791, RFC 792)."""
    message = bytearray(struct.pack("!BBHHH", _ECHO, 0, 0, 0, 0) + bytes(_MTU - 28))
    message[2:4] = checksum(bytes(message)).to_bytes(2, "big")
    header = bytearray(struct.pack("!BBHHHBBH4s4s", 0x45, 0, _MTU, 0, 0x4000, _TTL, ICMP, 0, _OWN, to))
    header[10:12] = checksum(bytes(header)).to_bytes(2, "big")
    return bytes(header + message)
