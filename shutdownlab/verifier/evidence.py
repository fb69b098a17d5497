"""Adds a run's measurements to an explanation: the result, rule counters and captured frames."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from shutdownlab.config.addresses import endpoint
from shutdownlab.config.numbers import PROTOCOL_NAMES, TCP, UDP
from shutdownlab.inspection.capture import open_capture
from shutdownlab.inspection.links import decode_frame
from shutdownlab.inspection.matching import address_text
from shutdownlab.inspection.packet import Packet
from shutdownlab.results.events import Counted, RulesCounted
from shutdownlab.results.run import Run
from shutdownlab.verifier.explanation import CapturedFrame, Explanation, Hop
from shutdownlab.verifier.packets import FiveTuple

_UNDER_WAY_S: Final = 0.1
"""Seconds after a measurement's end in which its last frame may still reach a capturing switch."""
_FLAGS: Final = ((0x02, "SYN"), (0x01, "FIN"), (0x04, "RST"), (0x08, "PSH"), (0x10, "ACK"))


def with_measured(explanation: Explanation, run: Run) -> Explanation:
    """Returns an explanation with a run's measurements.

    Adds the cell's result, how many packets or connections the deciding rules met in the phase and, if the run has
    captures, the connection's frames at the switch where it was decided.
    """
    key = explanation.phase, explanation.vantage, explanation.target, explanation.family
    measured = (r for r in run.results if (r.phase, r.vantage, r.target, r.family.value) == key)
    switches: dict[tuple[str, str, int], int] = {}
    boxes: dict[str, Mapping[str, Any]] = {}
    asked_switches = False
    for event in run.events():
        if isinstance(event, RulesCounted):
            asked_switches = True  # counters were read: a phase without an event had no packets
            if event.phase == explanation.phase:
                switches |= {(event.switch, rule.policy, rule.table): rule.packets for rule in event.rules}
        elif isinstance(event, Counted) and event.phase == explanation.phase:
            boxes[event.where] = event.counters.get("engine", {}).get("rules", {})

    def met(hop: Hop) -> Hop:
        if hop.order is None:
            return hop
        if hop.table is not None:
            found = switches.get((hop.node, hop.order.policy, hop.table), 0)
            return replace(hop, met=found) if asked_switches else hop
        rules = boxes.get(hop.node)
        return hop if rules is None else replace(hop, met=rules.get(hop.rule.removeprefix("rule "), 0))

    hops = tuple(map(met, explanation.hops))
    explained = replace(explanation, measured=next(measured, None), hops=hops)
    switch = _where(explanation)
    if explanation.stream is None or not (run.path / "pcap" / f"{switch}.pcapng").is_file():
        return explained
    inside = any(hop.node == switch and hop.role == "access switch" for hop in hops)
    stream = explanation.stream if inside else explanation.beyond or explanation.stream
    return replace(explained, captured_at=switch, frames=tuple(_frames(explanation, stream, run, switch)))


def _where(explanation: Explanation) -> str:
    """Returns the switch where it is decided (beside the DPI box, if that decides), else the path's first, or ""."""
    switches, decided = [hop for hop in explanation.hops if "switch" in hop.role], False
    before = ""
    for hop in explanation.hops:
        before = hop.node if "switch" in hop.role else before
        decided = hop.stops or (hop.order is not None and before != "")
        if decided and before:
            return before
    return switches[0].node if switches else ""


def _frames(explanation: Explanation, stream: FiveTuple, run: Run, switch: str) -> Iterator[CapturedFrame]:
    """Yields the connection's frames captured at a switch during the cell's last try, as timed by its record."""
    key = f"{explanation.phase} {explanation.vantage} {explanation.target} {explanation.family}"
    record = next((each for each in run.measurements() if each["test_keys"].get("x_id") == key), None)
    if record is None:
        return
    began = datetime.fromisoformat(record["annotations"]["measured_at"]).timestamp()
    ends = began + float(record["test_runtime"]) + _UNDER_WAY_S
    for at, link, frame in open_capture(run.path / "pcap" / f"{switch}.pcapng"):
        if not began <= at <= ends:
            continue
        packet = decode_frame(link, frame)
        if not packet.problem and _is_of(packet, stream):
            yield CapturedFrame(round(at - began, 3), *_ends(packet), _what(packet), len(frame))


def _is_of(packet: Packet, stream: FiveTuple) -> bool:
    if packet.proto != stream.proto or {address_text(packet.src), address_text(packet.dst)} != {
        stream.client, stream.server,
    }:  # fmt: skip
        return False
    return not stream.server_port or stream.server_port in (packet.sport, packet.dport)


def _ends(packet: Packet) -> tuple[str, str]:
    source, target = address_text(packet.src), address_text(packet.dst)
    if packet.proto not in (TCP, UDP):
        return source, target
    return endpoint(source, packet.sport), endpoint(target, packet.dport)


def _what(packet: Packet) -> str:
    name = PROTOCOL_NAMES.get(packet.proto, str(packet.proto)).upper()
    flags = [word for bit, word in _FLAGS if packet.proto == TCP and packet.flags & bit]
    return " ".join([name, *flags])
