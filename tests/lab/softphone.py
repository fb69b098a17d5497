"""A telephone that says as little SIP (RFC 3261) as a registrar and proxy can be tested with."""

from __future__ import annotations

import itertools
import re
import socket
from dataclasses import dataclass

_SECONDS = 3.0


@dataclass(frozen=True)
class Heard:
    """A message: its first line, its headers in order with lower-case names, its body."""

    first: str
    headers: tuple[tuple[str, str], ...]
    body: str

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]

    @property
    def status(self) -> int:
        """Of a response; 0 for a request."""
        found = re.match(r"SIP/2\.0 (\d{3})", self.first)
        return int(found[1]) if found else 0


class Softphone:
    """One number at one registrar. `sock`: a datagram socket of the subscriber's, bound to its own address."""

    def __init__(self, number: str, sock: socket.socket, registrar: tuple[str, int]) -> None:
        self.number = number
        self.registrar = registrar
        self.address, self.port = sock.getsockname()[:2]
        self._socket = sock
        self._socket.settimeout(_SECONDS)
        self._numbers = itertools.count(1)

    def ask(self, method: str, number: str, body: str = "", kind: str = "text/plain") -> str:
        """Send a request outside a dialogue; its Call-ID."""
        call = f"{method}-{next(self._numbers)}-{self.number}"
        to = f"<sip:{number}@{self.registrar[0]}>"
        uri = f"sip:{self.registrar[0]}" if method == "REGISTER" else to[1:-1]
        self._send(method, uri, to, call, (), body, kind)
        return call

    def follow(self, method: str, answer: Heard) -> None:
        """Send a request in the dialogue that an answer to our INVITE made, through the proxies it named."""
        contact = answer.all("contact")[0].strip("<>")
        routes = tuple(reversed(answer.all("record-route")))
        self._send(method, contact, answer.all("to")[0], answer.all("call-id")[0], routes, "", "text/plain")

    def hear(self, *, final: bool = False) -> Heard:
        """The next message; with `final` the next that is not a provisional response."""
        while True:
            text = self._socket.recv(65535).decode()
            head, _, body = text.partition("\r\n\r\n")
            first, *lines = head.split("\r\n")
            pairs = (line.partition(":") for line in lines)
            heard = Heard(first, tuple((name.strip().lower(), value.strip()) for name, _, value in pairs), body)
            if not (final and 100 <= heard.status < 200):
                return heard

    def reply(self, request: Heard, status: str, body: str = "") -> None:
        """Answer a request by the way it came."""
        copied = ("via", "record-route", "from", "call-id", "cseq")
        lines = [f"{name}: {value}" for name, value in request.headers if name in copied]
        lines += [f"to: {request.all('to')[0]};tag=callee", f"contact: <sip:{self.number}@{self.address}:{self.port}>"]
        self._transmit(f"SIP/2.0 {status}", lines, body, "application/sdp")

    def _send(self, method: str, uri: str, to: str, call: str, routes: tuple[str, ...], body: str, kind: str) -> None:
        own = f"{self.address}:{self.port}"
        number = next(self._numbers)
        lines = [
            f"Via: SIP/2.0/UDP {own};branch=z9hG4bK-{self.number}-{number}",
            *(f"Route: {route}" for route in routes),
            f"From: <sip:{self.number}@{self.registrar[0]}>;tag=caller",
            f"To: {to}",
            f"Call-ID: {call}",
            f"CSeq: {1 if method == 'ACK' else number} {method}",
            f"Contact: <sip:{self.number}@{own}>",
            "Max-Forwards: 70",
        ]
        self._transmit(f"{method} {uri} SIP/2.0", lines, body, kind)

    def _transmit(self, first: str, lines: list[str], body: str, kind: str) -> None:
        full = [first, *lines, f"Content-Type: {kind}", f"Content-Length: {len(body.encode())}", "", body]
        self._socket.sendto("\r\n".join(full).encode(), self.registrar)
