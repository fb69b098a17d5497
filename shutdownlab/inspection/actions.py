"""Carrying verdicts out: which packets stop, which are rewritten, and what is injected."""

from __future__ import annotations

import random
from typing import Final

from shutdownlab.config.numbers import TCP, UDP
from shutdownlab.inspection import forge
from shutdownlab.inspection.flow import Flow
from shutdownlab.inspection.packet import ACK, FIN, RST, SYN, Packet
from shutdownlab.inspection.policy import DNS_CODES, Verdict
from shutdownlab.inspection.throttle import Bucket
from shutdownlab.inspection.verdict import Action, Injection, Side

Effect = tuple[bool, bytes | None, tuple[Injection, ...]]
"""Forward, replacement, injections."""

GO_ON: Effect = (True, None, ())
STOP: Effect = (False, None, ())
DEFAULT_TTL: Final = 64


class Actor:
    """Acts for one box. On-path, nothing it says about forwarding counts."""

    def __init__(self, rng: random.Random, on_path: bool) -> None:
        self.rng = rng
        self.on_path = on_path

    def strike(self, flow: Flow, verdict: Verdict, packet: Packet, from_opener: bool, side: int, now: float) -> Effect:
        """Act on the packet that gave the connection away."""
        action = verdict.action
        if action is Action.DROP:
            if verdict.after_packets:
                flow.after = verdict.after_packets
                return GO_ON
            return GO_ON if verdict.forward_trigger or not _suffers(verdict, from_opener) else STOP
        if action is Action.RESET:
            if verdict.rewrite:
                return self._rewrite(flow, verdict, packet, from_opener)
            forward = verdict.forward_trigger or self.on_path
            return forward, None, self._resets(flow, verdict, packet, from_opener, side, forward)
        if action is Action.DNS:
            return self._dns(flow, verdict, packet, from_opener, side)
        if action is Action.BLOCK_PAGE or action is Action.REDIRECT:
            forward = verdict.forward_trigger or self.on_path
            return forward, None, self._page(flow, verdict, packet, from_opener, side, forward)
        if action is Action.THROTTLE:
            flow.buckets = (_bucket(verdict.rate_up, verdict, now), _bucket(verdict.rate_down, verdict, now))
            return self._throttle(flow, packet, side, now)
        if action is Action.FREEZE:
            return self._freeze(flow, verdict, packet, from_opener)
        return GO_ON

    def again(self, flow: Flow, verdict: Verdict, packet: Packet, from_opener: bool, side: int, now: float) -> Effect:
        """Act on a later packet of a connection that was decided."""
        action = verdict.action
        if action is Action.THROTTLE:
            return self._throttle(flow, packet, side, now)
        if action is Action.DROP:
            if flow.after > 0:
                flow.after -= 1
                return GO_ON
            return STOP if _suffers(verdict, from_opener) else GO_ON
        if action is Action.FREEZE:
            return self._freeze(flow, verdict, packet, from_opener)
        if action is Action.RESET and verdict.rewrite:
            return self._rewrite(flow, verdict, packet, from_opener)
        if action is Action.RESET or action is Action.BLOCK_PAGE or action is Action.REDIRECT:
            # A retransmission shows that an end has not heard yet.
            if from_opener and packet.end > packet.payload and not packet.flags & RST:
                return self.strike(flow, verdict, packet, from_opener, side, now)
            return GO_ON if packet.flags & (RST | FIN) or verdict.forward_trigger else STOP
        if action is Action.DNS:
            return self._dns(flow, verdict, packet, from_opener, side) if from_opener else GO_ON
        return GO_ON

    def punish(self, flow: Flow, verdict: Verdict, packet: Packet, from_opener: bool, side: int, now: float) -> Effect:
        """Act on a packet under residual censorship."""
        spec = verdict.residual
        way = spec.action if spec is not None else "same"
        if way == "drop" or (way == "same" and verdict.action is Action.DROP):
            return STOP
        if way == "reset" or verdict.action is Action.RESET:
            if verdict.rewrite:
                return self._rewrite(flow, verdict, packet, from_opener)
            if packet.proto != TCP or packet.flags & RST:
                return GO_ON
            if from_opener:
                forward = verdict.forward_trigger or self.on_path
                return forward, None, self._resets(flow, verdict, packet, from_opener, side, forward)
            return GO_ON if self.on_path else STOP
        if verdict.action is Action.THROTTLE:
            if flow.buckets is None:
                flow.buckets = (_bucket(verdict.rate_up, verdict, now), _bucket(verdict.rate_down, verdict, now))
            return self._throttle(flow, packet, side, now)
        return self.again(flow, verdict, packet, from_opener, side, now)

    # -- the ways ---------------------------------------------------------------------------------------------------

    def _resets(
        self, flow: Flow, verdict: Verdict, packet: Packet, from_opener: bool, side: int, forwarded: bool
    ) -> tuple[Injection, ...]:
        """Resets towards both ends, numbered as each expects them next."""
        if packet.proto != TCP:
            return ()
        flags = forge.flag_bits(verdict.flags)
        length = packet.end - packet.payload + (1 if packet.flags & (SYN | FIN) else 0)
        after = (packet.seq + length) & 0xFFFFFFFF
        acked = packet.ack if packet.flags & ACK else 0
        back = Side(side)
        on = back.other
        injections: list[Injection] = []
        for number in range(verdict.count):
            step = verdict.seq_steps[number] if number < len(verdict.seq_steps) else 0
            if verdict.to == "both" or (verdict.to == "client") == from_opener:
                ttl = self._ttl(verdict, flow.server_ttl if from_opener else flow.client_ttl)
                frame = forge.tcp_as_receiver(
                    packet,
                    acked + step,
                    after if flags & ACK else 0,
                    flags,
                    ttl=ttl,
                    window=verdict.window,
                    ipid=self._ipid(verdict, packet),
                )
                injections.append(Injection(back, frame))
            if verdict.to == "both" or (verdict.to == "server") == from_opener:
                ttl = self._ttl(verdict, packet.ttl)
                frame = forge.tcp_as_sender(
                    packet,
                    (after if forwarded else packet.seq) + step,
                    acked if flags & ACK else 0,
                    flags,
                    ttl=ttl,
                    window=verdict.window,
                    ipid=self._ipid(verdict, packet),
                )
                injections.append(Injection(on, frame))
        return tuple(injections)

    def _page(
        self, flow: Flow, verdict: Verdict, packet: Packet, from_opener: bool, side: int, forwarded: bool
    ) -> tuple[Injection, ...]:
        """An answer to the client in the server's name, and a reset to the server."""
        if packet.proto != TCP or not from_opener:
            return self._resets(flow, verdict, packet, from_opener, side, forwarded)
        headers = {"Content-Type": "text/html"}
        if verdict.action is Action.REDIRECT and verdict.location is not None:
            status = verdict.status if 300 <= verdict.status < 400 else 302
            data = forge.http_response(status, "Found", {"Location": verdict.location, **headers}, b"")
        else:
            reason = {200: "OK", 403: "Forbidden", 451: "Unavailable For Legal Reasons"}.get(verdict.status, "Blocked")
            data = forge.http_response(verdict.status, reason, headers, verdict.body.encode())
        after = (packet.seq + packet.end - packet.payload) & 0xFFFFFFFF
        ttl = self._ttl(verdict, flow.server_ttl)
        back = Side(side)
        injections: list[Injection] = []
        at = 0
        while at < len(data):
            part = data[at : at + 1400]
            flags = ACK | 0x08 | (FIN if at + len(part) == len(data) else 0)
            frame = forge.tcp_as_receiver(
                packet,
                packet.ack + at,
                after,
                flags,
                ttl=ttl,
                window=verdict.window,
                ipid=self._ipid(verdict, packet),
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
                ttl=self._ttl(verdict, packet.ttl),
                window=verdict.window,
                ipid=self._ipid(verdict, packet),
            )
            injections.append(Injection(back.other, frame))
        return tuple(injections)

    def _dns(self, flow: Flow, verdict: Verdict, packet: Packet, from_opener: bool, side: int) -> Effect:
        forward = verdict.race or verdict.forward_trigger
        if not from_opener:
            return (True, None, ()) if forward else STOP
        query = packet.data
        over_tcp = packet.proto == TCP
        answer = forge.dns_answer(
            query[2:] if over_tcp else query,
            rcode=DNS_CODES[verdict.rcode],
            addresses=tuple([address.packed for address in verdict.addresses]),
            ttl=verdict.answer_ttl,
        )
        if answer is None:
            return forward, None, ()
        ttl = self._ttl(verdict, flow.server_ttl)
        ipid = self._ipid(verdict, packet)
        if packet.proto == UDP:
            frames = [forge.udp_as_receiver(packet, answer, ttl=ttl, ipid=ipid)] * verdict.count
            return forward, None, tuple([Injection(Side(side), frame) for frame in frames])
        after = (packet.seq + packet.end - packet.payload) & 0xFFFFFFFF
        data = len(answer).to_bytes(2, "big") + answer
        frame = forge.tcp_as_receiver(
            packet, packet.ack, after, ACK | 0x08 | FIN, ttl=ttl, window=verdict.window or 8192, ipid=ipid, data=data
        )
        return forward, None, (Injection(Side(side), frame),)

    def _rewrite(self, flow: Flow, verdict: Verdict, packet: Packet, from_opener: bool) -> Effect:
        """TSPU's way: packets towards the end that shall give up lose their payload and become resets."""
        towards_client = not from_opener
        if verdict.to != "both" and (verdict.to == "client") != towards_client:
            return GO_ON
        if packet.proto != TCP or self.on_path:
            return GO_ON
        flags = forge.flag_bits(verdict.flags)
        frame = forge.tcp_as_sender(
            packet,
            packet.seq,
            packet.ack,
            flags,
            ttl=packet.ttl,
            window=verdict.window,
            ipid=packet.fragment_id,
        )
        return True, frame, ()

    def _throttle(self, flow: Flow, packet: Packet, side: int, now: float) -> Effect:
        if flow.buckets is None:
            return GO_ON
        bucket = flow.buckets[side]
        if bucket is None or bucket.take(packet.end - packet.ip, now):
            return GO_ON
        return STOP

    def _freeze(self, flow: Flow, verdict: Verdict, packet: Packet, from_opener: bool) -> Effect:
        if _suffers(verdict, from_opener):
            flow.counted += packet.end - packet.payload
        cap = verdict.cap_bytes
        return STOP if cap is not None and flow.counted > cap else GO_ON

    def _ttl(self, verdict: Verdict, seen: int) -> int:
        return verdict.ttl or seen or DEFAULT_TTL

    def _ipid(self, verdict: Verdict, packet: Packet) -> int:
        if verdict.ipid == "copy":
            return packet.fragment_id & 0xFFFF
        if isinstance(verdict.ipid, int):
            return verdict.ipid
        return self.rng.randrange(65536)


def _suffers(verdict: Verdict, from_opener: bool) -> bool:
    return verdict.directions == "both" or (verdict.directions == "client") == from_opener


def _bucket(rate: int | None, verdict: Verdict, now: float) -> Bucket | None:
    return Bucket(rate, verdict.burst, now) if rate is not None else None
