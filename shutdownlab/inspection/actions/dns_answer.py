"""Answers a DNS query with a forged response from the resolver's address."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shutdownlab.config.numbers import TCP, UDP
from shutdownlab.inspection import forge
from shutdownlab.inspection.actions.action import GO_ON, STOP, DpiAction, Effect
from shutdownlab.inspection.flow import Flow
from shutdownlab.inspection.packet import ACK, FIN, Packet
from shutdownlab.inspection.verdict import Injection, Side

if TYPE_CHECKING:
    from shutdownlab.inspection.policy import Verdict


class DnsAnswer(DpiAction):
    name = "dns"
    meets_answers = False
    fields = frozenset(
        ("forward_trigger", "race", "rcode", "addresses", "answer_ttl", "ttl", "ipid", "count", "window")
    )

    @classmethod
    def used_fields(cls, verdict: Verdict) -> frozenset[str]:
        return cls.fields if verdict.addresses else cls.fields - {"answer_ttl"}

    @classmethod
    def can_meet(cls, protocol: str) -> bool:
        return protocol == "dns"

    def first(self, flow: Flow, verdict: Verdict, packet: Packet, from_opener: bool, side: int, now: float) -> Effect:
        forward = verdict.race or verdict.forward_trigger
        if not from_opener:
            return (True, None, ()) if forward else STOP
        over_tcp = packet.proto == TCP
        query = flow.message or packet.data
        answer = forge.dns_answer(
            query[2:] if over_tcp else query,
            rcode=forge.DNS_CODES[verdict.rcode],
            addresses=tuple([address.packed for address in verdict.addresses]),
            ttl=verdict.answer_ttl,
        )
        if answer is None:
            return forward, None, ()
        ttl = self.ttl(verdict, flow.server_ttl)
        ipid = self.ipid(verdict, packet)
        if packet.proto == UDP:
            # Keep a SOCKS relay's header, which in an answer names its source.
            answer = packet.data[: len(packet.data) - len(query)] + answer
            frames = [forge.udp_as_receiver(packet, answer, ttl=ttl, ipid=ipid)] * verdict.count
            return forward, None, tuple([Injection(Side(side), frame) for frame in frames])
        after = (packet.seq + packet.end - packet.payload) & 0xFFFFFFFF
        data = len(answer).to_bytes(2, "big") + answer
        frame = forge.tcp_as_receiver(
            packet, packet.ack, after, ACK | 0x08 | FIN, ttl=ttl, window=verdict.window or 8192, ipid=ipid, data=data
        )
        return forward, None, (Injection(Side(side), frame),)

    def later(self, flow: Flow, verdict: Verdict, packet: Packet, from_opener: bool, side: int, now: float) -> Effect:
        # Over TCP, the server's last packets end the connection.
        answers = from_opener or packet.proto == UDP
        return self.first(flow, verdict, packet, from_opener, side, now) if answers else GO_ON
