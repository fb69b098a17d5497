"""A subscriber's telephone: a SIP user agent (RFC 3261, RFC 3428) that answers calls and messages while it is on.

It has one socket for voice and one for SMS per address family. In IPv6 its user name is the number with `.v6`, so that
a registrar never routes a call of one family to a contact of the other.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from shutdownlab.probes.failure import failure_of
from shutdownlab.probes.media import MediaStream
from shutdownlab.probes.patience import patience
from shutdownlab.probes.sip import (
    Identity,
    MalformedSip,
    SipMessage,
    bracketed,
    media_of,
    new_tag,
    parse,
    request,
    response,
    session_description,
    user_of,
)

Peer = tuple[str, int]

OWN_FAULT: Final = "x-own-fault"
"""The header by which a telephone says that its own machine let a call fail: no policy, and no server, did."""

_EXPIRES: Final = 3600
_FIRST_RETRANSMISSION_S: Final = 0.5  # T1, RFC 3261 §17.1.1.1
_FORGET_CALL_S: Final = 20.0


@dataclass(slots=True)
class _Incoming:
    """An incoming call: the response to retransmit, and its audio."""

    media: MediaStream
    to: Peer
    answer: bytes
    remote: Peer
    retransmission: asyncio.TimerHandle | None = None
    wait_s: float = _FIRST_RETRANSMISSION_S
    end: asyncio.TimerHandle | None = field(default=None)


class Phone:
    """The telephone of one service port (voice or SMS) in one address family; listens once constructed."""

    def __init__(self, port: int, family: socket.AddressFamily) -> None:
        """Raises OSError if the port is in use or the address family is not available."""
        self._loop = asyncio.get_running_loop()
        self.port, self.family = port, family
        self.inbox: list[str] = []
        self._waiting: dict[tuple[str, str], asyncio.Queue[SipMessage]] = {}
        self._calls: dict[str, _Incoming] = {}
        self._tag = new_tag()
        self._sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        if family is socket.AF_INET6:
            self._sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        self._sock.bind(("", port))
        self._loop.add_reader(self._sock, self._read)

    def close(self) -> None:
        for call_id in list(self._calls):
            self._forget(call_id)
        self._loop.remove_reader(self._sock)
        self._sock.close()

    def identity(self, number: str, registrar: str) -> Identity:
        """Returns our identity towards a registrar; raises OSError if there is no route to it."""
        return Identity(self.user(number), registrar, self._address_towards(registrar), self.port)

    def user(self, number: str) -> str:
        return number + (".v6" if self.family is socket.AF_INET6 else "")

    def _address_towards(self, host: str) -> str:
        with socket.socket(self.family, socket.SOCK_DGRAM) as probe:
            probe.connect((host, self.port))
            address: str = probe.getsockname()[0]
            return address

    async def register(self, me: Identity, patience_s: float) -> SipMessage:
        """Returns the registrar's final response; raises OSError (TimeoutError if none comes in time)."""
        message = request(
            "REGISTER",
            f"sip:{bracketed(me.domain)}",
            me,
            f"<{me.aor}>",
            call_id=secrets.token_hex(12),
            sequence=1,
            tag=new_tag(),
            extra=[("Expires", str(_EXPIRES))],
        )
        return await self.ask(message, (me.domain, self.port), patience_s)

    async def ask(self, message: SipMessage, to: Peer, patience_s: float) -> SipMessage:
        """Sends a request, retransmits it until it is answered, and returns the final response.

        Each response, even a provisional one, restarts the timeout. Raises OSError.
        """
        with self._transaction(message, to, patience_s) as (answers, retransmission):
            while True:
                async with patience(patience_s):
                    answer = await answers.get()
                retransmission.stop()
                if answer.code >= 200:
                    return answer

    def tell(self, message: SipMessage, to: Peer) -> None:
        """Sends a message that has no response (ACK); raises OSError."""
        self._sock.sendto(message.wire(), to)

    @contextmanager
    def _transaction(
        self, message: SipMessage, to: Peer, patience_s: float
    ) -> Iterator[tuple[asyncio.Queue[SipMessage], _Retransmission]]:
        answers: asyncio.Queue[SipMessage] = asyncio.Queue()
        self._waiting[message.transaction] = answers
        wire = message.wire()
        self._sock.sendto(wire, to)
        retransmission = _Retransmission(self._sock, wire, to, min(_FIRST_RETRANSMISSION_S, patience_s / 3))
        try:
            yield answers, retransmission
        finally:
            retransmission.stop()
            self._waiting.pop(message.transaction, None)

    def _read(self) -> None:
        try:
            data, source = self._sock.recvfrom(65535)
            message = parse(data)
        except (OSError, MalformedSip):
            return
        if message.code:
            waiting = self._waiting.get(message.transaction)
            if waiting is not None:
                waiting.put_nowait(message)
        else:
            with suppress(OSError):
                self._answer(message, (source[0], source[1]))

    def _answer(self, message: SipMessage, source: Peer) -> None:
        call_id = message.get("call-id")
        if message.method == "INVITE":
            self._ring(message, source)
        elif message.method == "ACK":
            self._begin(call_id)
        elif message.method in {"BYE", "CANCEL"}:
            call = self._calls.get(call_id)
            counted = [("P-RTP-Stat", f"PS={call.media.sent},PR={call.media.received}")] if call else []
            if call and call.media.unsent:
                counted.append((OWN_FAULT, failure_of(call.media.unsent)))
            self._respond(message, source, 200, "OK", extra=counted)
            self._forget(call_id)
        elif message.method == "MESSAGE":
            self.inbox.append(message.body.decode("utf-8", "replace"))
            self._respond(message, source, 200, "OK")
        elif message.method == "OPTIONS":
            self._respond(message, source, 200, "OK")
        else:
            self._respond(message, source, 405, "Method Not Allowed")

    def _respond(
        self, message: SipMessage, to: Peer, code: int, reason: str, extra: Iterable[tuple[str, str]] = ()
    ) -> None:
        self._sock.sendto(response(message, code, reason, tag=self._tag, extra=extra).wire(), to)

    def _ring(self, invite: SipMessage, source: Peer) -> None:
        """Rings and answers at once; a retransmitted INVITE gets the same answer."""
        call_id = invite.get("call-id")
        known = self._calls.get(call_id)
        if known is not None:
            self._sock.sendto(known.answer, source)
            return
        self._respond(invite, source, 180, "Ringing")
        me = Identity(user_of(invite.uri), source[0], self._address_towards(source[0]), self.port)
        try:
            remote, media = media_of(invite.body), MediaStream(me.address)
        except MalformedSip:
            self._respond(invite, source, 488, "Not Acceptable Here")
            return
        except OSError as error:
            self._respond(invite, source, 500, "Server Internal Error", [(OWN_FAULT, failure_of(error))])
            return
        extra = [("Contact", me.contact), ("Content-Type", "application/sdp")]
        body = session_description(me.address, media.port)
        answer = response(invite, 200, "OK", tag=self._tag, extra=extra, body=body).wire()
        call = _Incoming(media, source, answer, remote)
        self._calls[call_id] = call
        call.end = self._loop.call_later(_FORGET_CALL_S, self._forget, call_id)
        self._pick_up(call)

    def _pick_up(self, call: _Incoming) -> None:
        """Sends the 200 response, and retransmits it until the caller's ACK comes (RFC 3261 §13.3.1.4)."""
        with suppress(OSError):
            self._sock.sendto(call.answer, call.to)
        call.retransmission = self._loop.call_later(call.wait_s, self._pick_up, call)
        call.wait_s *= 2

    def _begin(self, call_id: str) -> None:
        call = self._calls.get(call_id)
        if call is not None:
            if call.retransmission is not None:
                call.retransmission.cancel()
            call.media.start(*call.remote)

    def _forget(self, call_id: str) -> None:
        call = self._calls.pop(call_id, None)
        if call is not None:
            for timer in (call.retransmission, call.end):
                if timer is not None:
                    timer.cancel()
            call.media.close()


class _Retransmission:
    """Retransmits a datagram at doubling intervals until stopped."""

    def __init__(self, sock: socket.socket, wire: bytes, to: Peer, first_s: float) -> None:
        self._sock, self._wire, self._to, self._wait_s = sock, wire, to, first_s
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(first_s, self._again)

    def _again(self) -> None:
        with suppress(OSError):
            self._sock.sendto(self._wire, self._to)
        self._wait_s *= 2
        self._timer = self._loop.call_later(self._wait_s, self._again)

    def stop(self) -> None:
        self._timer.cancel()
