"""A call and a short message between two subscribers of an operator: the probes call and sms."""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable
from typing import Any, Final

from shutdownlab.model.scenario import Outcome
from shutdownlab.model.telephony import SMS, VOICE
from shutdownlab.probes.conclusion import Conclusion
from shutdownlab.probes.failure import TIMEOUT, StepFailed, failure_of, is_own
from shutdownlab.probes.kinds import TelephoneLine, TelephoneLines
from shutdownlab.probes.media import MediaStream
from shutdownlab.probes.patience import patience
from shutdownlab.probes.phone import OWN_FAULT, Phone
from shutdownlab.probes.session import ProbeSession
from shutdownlab.probes.sip import (
    Identity,
    MalformedSip,
    SipMessage,
    bracketed,
    media_of,
    new_tag,
    request,
    session_description,
    uri_of,
)

# Status codes that a pending registration, or a telephone with too many calls, can cause as well as a block.
_BUSY: Final = frozenset({404, 408, 480, 486, 500, 503})
# The service's own timeout for the other end is about as long as ours: which expires first is chance.
_TIMEOUT: Final = 408
_COUNTED: Final = re.compile(r"PR=(\d+)")


async def call_test(session: ProbeSession, ask: TelephoneLines) -> Conclusion:
    """Registers, calls the peer, exchanges audio and hangs up. Blocked if any step fails; raises `StepFailed`.

    Without a peer it only registers, as a callee must before it can be called.
    """
    seen: dict[str, Any] = {"answers": []}
    session.trace.extra["x_call"] = seen
    phone = session.telephones.phone(VOICE.first, session.address_family)
    me = await _register(session, phone, ask.line, seen)
    peer = ask.peer
    if peer is None:
        return Conclusion(Outcome.OK)
    try:
        with MediaStream(me.address) as media:
            dialog = await _invite(session, phone, me, peer, media, seen)
            failure = await _failure_of(_talk(session, media))
            seen |= {"rtp_sent": media.sent, "rtp_received": media.received}
            goodbye = await _step(session, "sip_bye", phone.ask(dialog.bye(), dialog.route, session.patience), seen)
    except OSError as error:  # our end of the audio
        raise StepFailed(failure_of(error), "rtp") from error
    if media.unsent or is_own(goodbye.get(OWN_FAULT)):
        raise StepFailed(failure_of(media.unsent) if media.unsent else goodbye.get(OWN_FAULT), "rtp")
    counted = _COUNTED.search(goodbye.get("p-rtp-stat"))
    seen["rtp_received_by_peer"] = int(counted[1]) if counted else None
    if failure is not None and not media.received:
        raise StepFailed(failure, "rtp")
    if not seen["rtp_received_by_peer"]:
        raise StepFailed("generic_timeout_error", "rtp")
    return Conclusion(Outcome.OK)


async def sms_test(session: ProbeSession, ask: TelephoneLines) -> Conclusion:
    """Registers and sends a short message that the peer's telephone acknowledges; raises `StepFailed`."""
    seen: dict[str, Any] = {"answers": []}
    session.trace.extra["x_sms"] = seen
    phone = session.telephones.phone(SMS.first, session.address_family)
    me = await _register(session, phone, ask.line, seen)
    peer = ask.peer
    if peer is None:
        return Conclusion(Outcome.OK)
    to = f"sip:{phone.user(peer.number)}@{bracketed(peer.registrar)}"
    message = request(
        "MESSAGE",
        to,
        me,
        f"<{to}>",
        call_id=secrets.token_hex(12),
        sequence=1,
        tag=new_tag(),
        extra=[("Content-Type", "text/plain")],
        body=f"probe {session.request.id}".encode(),
    )
    await _step(session, "sip_message", phone.ask(message, (me.domain, SMS.first), session.patience), seen)
    return Conclusion(Outcome.OK)


async def _register(session: ProbeSession, phone: Phone, line: TelephoneLine, seen: dict[str, Any]) -> Identity:
    try:
        me = phone.identity(line.number, line.registrar)
    except OSError as error:
        raise StepFailed(failure_of(error), "sip_register") from error
    await _step(session, "sip_register", phone.register(me, session.patience), seen)
    return me


async def _step(
    session: ProbeSession, operation: str, asked: Awaitable[SipMessage], seen: dict[str, Any]
) -> SipMessage:
    """Returns the final response to a request if it is a success; raises `StepFailed`."""
    try:
        answer = await asked
    except OSError as error:
        raise StepFailed(failure_of(error), operation) from error
    seen["answers"].append({"operation": operation, "code": answer.code, "t": session.trace.now()})
    if not 200 <= answer.code < 300:
        if is_own(answer.get(OWN_FAULT)):  # the peer is a prober too
            raise StepFailed(answer.get(OWN_FAULT), operation)
        refusal = f"unknown_failure: SIP {answer.code} {answer.reason}"
        if answer.code == _TIMEOUT:
            refusal = TIMEOUT
        raise StepFailed(refusal, operation, doubtful=answer.code in _BUSY)
    return answer


class _Dialog:
    """An answered call, as the caller tracks it (RFC 3261 §12.1.2)."""

    def __init__(self, invite: SipMessage, answer: SipMessage, me: Identity, tag: str, route: tuple[str, int]) -> None:
        self.me, self.tag, self.route = me, tag, route
        self.call_id = invite.get("call-id")
        self.to = answer.get("to")
        self.uri = uri_of(answer.get("contact"))
        self.routes = tuple(reversed(answer.all("record-route")))

    def ack(self) -> SipMessage:
        return self._request("ACK", 1)

    def bye(self) -> SipMessage:
        return self._request("BYE", 2)

    def _request(self, method: str, sequence: int) -> SipMessage:
        return request(
            method,
            self.uri,
            self.me,
            self.to,
            call_id=self.call_id,
            sequence=sequence,
            tag=self.tag,
            routes=self.routes,
        )


async def _invite(
    session: ProbeSession, phone: Phone, me: Identity, peer: TelephoneLine, media: MediaStream, seen: dict[str, Any]
) -> _Dialog:
    """Calls the peer, acknowledges its answer and starts sending audio; raises `StepFailed`."""
    to, tag, route = f"sip:{phone.user(peer.number)}@{bracketed(peer.registrar)}", new_tag(), (me.domain, VOICE.first)
    invite = request(
        "INVITE",
        to,
        me,
        f"<{to}>",
        call_id=secrets.token_hex(12),
        sequence=1,
        tag=tag,
        extra=[("Content-Type", "application/sdp")],
        body=session_description(me.address, media.port),
    )
    answer = await _step(session, "sip_invite", phone.ask(invite, route, session.patience), seen)
    dialog = _Dialog(invite, answer, me, tag, route)
    try:
        phone.tell(dialog.ack(), route)
        media.start(*media_of(answer.body))
    except (OSError, MalformedSip) as error:
        raise StepFailed(failure_of(error), "sip_invite") from error
    return dialog


async def _talk(session: ProbeSession, media: MediaStream) -> None:
    async with patience(session.patience):
        await media.exchanged()


async def _failure_of(step: Awaitable[None]) -> str | None:
    try:
        await step
    except TimeoutError as error:
        return failure_of(error)
    return None
