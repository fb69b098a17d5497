"""Answers an HTTP request as if from the server, with a block page or a redirect to one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shutdownlab.config.numbers import TCP
from shutdownlab.config.wording import Expected
from shutdownlab.inspection import forge
from shutdownlab.inspection.actions.reset import Injecting
from shutdownlab.inspection.flow import Flow
from shutdownlab.inspection.packet import ACK, FIN, Packet
from shutdownlab.inspection.verdict import Injection, Side

if TYPE_CHECKING:
    from shutdownlab.inspection.policy import Verdict

_HEADERS = {"Content-Type": "text/html"}
_SEGMENT = 1400
_BODILESS = (204, 205, 304)
"""Final statuses whose responses have no content (RFC 9110 §15)."""
_REDIRECTS = (300, 301, 302, 303, 307, 308)
"""Statuses after which a client goes to the `Location` (RFC 9110 §15.4)."""


class BlockPage(Injecting):
    name = "block-page"
    fields = frozenset(
        ("forward_trigger", "to", "flags", "ttl", "window", "ipid", "status", "body", "count", "seq_steps")
    )

    @classmethod
    def check(cls, verdict: Verdict) -> None:
        super().check(verdict)
        if verdict.status < 200 or verdict.status in _BODILESS:
            expected = "a status whose response has a page, such as 200, 403 or 451"
            raise Expected(expected, found=f"`status` {verdict.status}")

    @classmethod
    def can_meet(cls, protocol: str) -> bool:
        """Returns whether `protocol` is HTTP in the clear, in which a page can be injected."""
        return protocol == "http"

    def response(self, verdict: Verdict) -> bytes:
        """Returns the forged HTTP response."""
        reason = {200: "OK", 403: "Forbidden", 451: "Unavailable For Legal Reasons"}.get(verdict.status, "Blocked")
        return forge.http_response(verdict.status, reason, _HEADERS, verdict.body.encode())

    def last_word(
        self, flow: Flow, verdict: Verdict, packet: Packet, from_opener: bool, side: int, forwarded: bool
    ) -> tuple[Injection, ...]:
        """Returns the response to the client and, unless `verdict.to` is "client", a reset to the server.

        If the server sent `packet`, returns resets alone.
        """
        if packet.proto != TCP or not from_opener:
            return self.resets(flow, verdict, packet, from_opener, side, forwarded)
        data = self.response(verdict)
        after = (packet.seq + packet.end - packet.payload) & 0xFFFFFFFF
        ttl = self.ttl(verdict, flow.server_ttl)
        back = Side(side)
        injections: list[Injection] = []
        at = 0
        while at < len(data):
            part = data[at : at + _SEGMENT]
            flags = ACK | 0x08 | (FIN if at + len(part) == len(data) else 0)
            frame = forge.tcp_as_receiver(
                packet,
                packet.ack + at,
                after,
                flags,
                ttl=ttl,
                window=verdict.window,
                ipid=self.ipid(verdict, packet),
                data=part,
            )
            injections.append(Injection(back, frame))
            at += len(part)
        if verdict.to != "client":
            frame = forge.tcp_as_sender(
                packet,
                after if forwarded else packet.seq,
                packet.ack,
                forge.flag_bits("RA"),
                ttl=self.ttl(verdict, packet.ttl),
                window=verdict.window,
                ipid=self.ipid(verdict, packet),
            )
            injections.append(Injection(back.other, frame))
        return tuple(injections)


class Redirect(BlockPage):
    name = "redirect"
    fields = BlockPage.fields - {"body"} | {"location"}

    @classmethod
    def check(cls, verdict: Verdict) -> None:
        Injecting.check(verdict)
        if not verdict.location:
            raise Expected("a location for the action redirect", "add location: http://…")
        if verdict.status != type(verdict).model_fields["status"].default and verdict.status not in _REDIRECTS:
            expected = f"300 to 399, of those that redirect: {', '.join(map(str, _REDIRECTS))}"
            raise Expected(expected, found=f"`status` {verdict.status}")

    def response(self, verdict: Verdict) -> bytes:
        status = verdict.status if 300 <= verdict.status < 400 else 302
        return forge.http_response(status, "Found", {"Location": verdict.location or "", **_HEADERS}, b"")
