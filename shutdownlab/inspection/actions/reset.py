"""Ends a TCP connection by injected resets, or by turning its own packets into resets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shutdownlab.config.numbers import TCP
from shutdownlab.config.wording import Expected
from shutdownlab.inspection import forge
from shutdownlab.inspection.actions.action import GO_ON, STOP, DpiAction, Effect
from shutdownlab.inspection.flow import Flow
from shutdownlab.inspection.packet import ACK, FIN, RST, SYN, Packet
from shutdownlab.inspection.recognition import installed_recognisers
from shutdownlab.inspection.verdict import FlowRule, Injection, Side

if TYPE_CHECKING:
    from shutdownlab.inspection.policy import Verdict


class Injecting(DpiAction):
    """Base of actions that inject final packets into a connection and drop what follows; by default, resets."""

    tcp_only = True

    @classmethod
    def check(cls, verdict: Verdict) -> None:
        steps = len(verdict.seq_steps)
        if steps > verdict.count:
            hint = "one value for each copy; `count` is the number of copies"
            raise Expected(f"at most {verdict.count} values", hint, found=f"{steps} `seq_steps`")

    @classmethod
    def can_meet(cls, protocol: str) -> bool:
        """Returns whether `protocol` runs over TCP: only TCP connections can be reset."""
        return protocol in installed_recognisers().over_tcp

    def first(self, flow: Flow, verdict: Verdict, packet: Packet, from_opener: bool, side: int, now: float) -> Effect:
        forward = verdict.forward_trigger or self.on_path
        return forward, None, self.last_word(flow, verdict, packet, from_opener, side, forward)

    def later(self, flow: Flow, verdict: Verdict, packet: Packet, from_opener: bool, side: int, now: float) -> Effect:
        # The client still sends data, so the first injection has not reached it: inject again.
        if from_opener and packet.end > packet.payload and not packet.flags & RST:
            return self.first(flow, verdict, packet, from_opener, side, now)
        return GO_ON if packet.flags & (RST | FIN) or verdict.forward_trigger else STOP

    def last_word(
        self, flow: Flow, verdict: Verdict, packet: Packet, from_opener: bool, side: int, forwarded: bool
    ) -> tuple[Injection, ...]:
        return self.resets(flow, verdict, packet, from_opener, side, forwarded)

    def resets(
        self, flow: Flow, verdict: Verdict, packet: Packet, from_opener: bool, side: int, forwarded: bool
    ) -> tuple[Injection, ...]:
        """Returns resets towards the ends in `verdict.to`, with the sequence numbers that each expects next.

        `forwarded`: `packet` itself goes on, so its receiver expects the bytes after it.
        """
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
                ttl = self.ttl(verdict, flow.server_ttl if from_opener else flow.client_ttl)
                frame = forge.tcp_as_receiver(
                    packet,
                    acked + step,
                    after if flags & ACK else 0,
                    flags,
                    ttl=ttl,
                    window=verdict.window,
                    ipid=self.ipid(verdict, packet),
                )
                injections.append(Injection(back, frame))
            if verdict.to == "both" or (verdict.to == "server") == from_opener:
                ttl = self.ttl(verdict, packet.ttl)
                frame = forge.tcp_as_sender(
                    packet,
                    (after if forwarded else packet.seq) + step,
                    acked if flags & ACK else 0,
                    flags,
                    ttl=ttl,
                    window=verdict.window,
                    ipid=self.ipid(verdict, packet),
                )
                injections.append(Injection(on, frame))
        return tuple(injections)


class Reset(Injecting):
    name = "reset"
    fields = frozenset(
        ("forward_trigger", "after_packets", "to", "flags", "count", "seq_steps", "ttl", "window", "ipid", "rewrite")
    )
    flow_rule = "drop"

    @classmethod
    def used_fields(cls, verdict: Verdict) -> frozenset[str]:
        return cls.fields - {"forward_trigger", "count", "seq_steps", "ttl", "ipid"} if verdict.rewrite else cls.fields

    @classmethod
    def check(cls, verdict: Verdict) -> None:
        super().check(verdict)
        if verdict.after_packets and verdict.residual is None:
            hint = "add it, or use `drop`, which lets packets pass first"
            raise Expected(
                "`residual` together with `after_packets`", hint, found="`after_packets` for the action reset"
            )

    @classmethod
    def beyond_on_path(cls, verdict: Verdict) -> str:
        return "a reset by `rewrite`" if verdict.rewrite else ""

    def rule_for(self, flow: Flow, verdict: Verdict) -> FlowRule | None:
        """Returns None with residual censorship too: a switch can drop packets but not answer them with resets."""
        stays = verdict.rewrite or verdict.residual is not None
        return None if stays else super().rule_for(flow, verdict)

    def first(self, flow: Flow, verdict: Verdict, packet: Packet, from_opener: bool, side: int, now: float) -> Effect:
        if verdict.rewrite:
            return self._rewrite(verdict, packet, from_opener)
        return super().first(flow, verdict, packet, from_opener, side, now)

    def later(self, flow: Flow, verdict: Verdict, packet: Packet, from_opener: bool, side: int, now: float) -> Effect:
        if verdict.rewrite:
            return self._rewrite(verdict, packet, from_opener)
        return super().later(flow, verdict, packet, from_opener, side, now)

    def residual(
        self, flow: Flow, verdict: Verdict, packet: Packet, from_opener: bool, side: int, now: float
    ) -> Effect:
        if verdict.rewrite:
            return self._rewrite(verdict, packet, from_opener)
        if packet.proto != TCP or packet.flags & RST:
            return GO_ON
        if from_opener:
            forward = verdict.forward_trigger or self.on_path
            return forward, None, self.resets(flow, verdict, packet, from_opener, side, forward)
        return GO_ON if self.on_path else STOP

    def _rewrite(self, verdict: Verdict, packet: Packet, from_opener: bool) -> Effect:
        """Strips the payload of packets towards `verdict.to` and sets its flags on them, as the TSPU does."""
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
